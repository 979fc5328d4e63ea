"""Refresh decisions on codes against the same decisions on conductances."""

import math
from dataclasses import replace

import pytest

from model.config import RefreshConfig
from model.configurations import mca_mlp
from model.refresh_controller import refresh_pulses, refresh_thresholds, saturated

THRESHOLDS = refresh_thresholds(mca_mlp)


def test_thresholds_by_hand() -> None:
    """LSB 25.6 / 128 = 0.2 uS: 8 uS is code 40, 6 uS code 30; steps at 0.384, 1.152, 1.92 uS."""
    assert THRESHOLDS.saturated == 40
    assert THRESHOLDS.difference == 30
    assert THRESHOLDS.steps[:3] == (2, 6, 10)
    assert set(THRESHOLDS.steps[3:]) == {511}


@pytest.mark.parametrize(
    ("plus", "minus", "expected"),
    [
        (40, 40, True),
        (39, 39, False),
        (40, 11, True),
        (40, 10, False),  # the difference is 30: still worth keeping
        (11, 40, True),
        (10, 40, False),
        (127, 127, True),
        (-128, -128, False),
        (127, 98, True),
    ],
)
def test_saturated_corners(plus: int, minus: int, expected: bool) -> None:
    assert saturated(plus, minus, THRESHOLDS) == expected


@pytest.mark.parametrize(
    ("plus", "minus", "expected"),
    [
        (40, 40, 0),
        (41, 40, 0),
        (42, 40, 1),
        (40, 42, -1),
        (45, 40, 1),
        (46, 40, 2),
        (40, 49, -2),
        (50, 40, 3),
        (127, -128, 3),
        (-128, 127, -3),
    ],
)
def test_pulses_corners(plus: int, minus: int, expected: int) -> None:
    assert refresh_pulses(plus, minus, THRESHOLDS) == expected


@pytest.mark.parametrize(("max_set_pulses", "set_step_us"), [(0, 0.768), (3, 0.768), (7, 1.3)])
def test_equals_conductances(max_set_pulses: int, set_step_us: float) -> None:
    """Every pair of codes: round(difference / step), half up, at most so many."""
    refresh = RefreshConfig(max_set_pulses=max_set_pulses, set_step_us=set_step_us)
    config = replace(mca_mlp, refresh=refresh)
    thresholds, lsb = refresh_thresholds(config), config.converter.read_lsb_us
    for plus in range(-128, 128, 3):
        for minus in range(-128, 128, 5):
            high = max(plus, minus) * lsb >= refresh.saturated_us - 1e-9
            small = abs(plus - minus) * lsb < refresh.difference_us - 1e-9
            assert saturated(plus, minus, thresholds) == (high and small)
            steps = math.floor(abs(plus - minus) * lsb / set_step_us + 0.5 + 1e-9)
            count = min(max_set_pulses, steps)
            assert refresh_pulses(plus, minus, thresholds) == (count if plus >= minus else -count)


def test_thresholds_out_of_range_never_match() -> None:
    """A threshold above the ADC's full scale switches refresh off instead of wrapping round."""
    refresh = RefreshConfig(saturated_us=1000.0, difference_us=1000.0, set_step_us=1000.0)
    thresholds = refresh_thresholds(replace(mca_mlp, refresh=refresh))
    assert not saturated(127, 127, thresholds)
    assert refresh_pulses(127, -128, thresholds) == 0
