"""Accumulation against exact sums: what went in is what came out as pulses and what is left."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.chi_memory import accumulate

LANES, CHI_BITS = 8, 32


def run(
    chi: np.ndarray, products: list[int], shift: int, epsilon_log2: int
) -> tuple[bool, list[int]]:
    pulses = np.full(LANES, 99, np.int8)
    any_pulse = accumulate(chi, np.array(products, np.int8), shift, epsilon_log2, CHI_BITS, pulses)
    return bool(any_pulse), pulses.tolist()


def test_zero_lanes_are_left_alone() -> None:
    """Even one that holds more than epsilon, as when the host lowers the threshold."""
    chi = np.full(LANES, 5 << 20, np.int32)
    assert run(chi, [0] * LANES, 19, 20) == (False, [0] * LANES)
    assert chi.tolist() == [5 << 20] * LANES
    assert run(chi, [1] + [0] * (LANES - 1), 0, 20) == (True, [5] + [0] * (LANES - 1))
    assert chi.tolist() == [1] + [5 << 20] * (LANES - 1)


def test_by_hand() -> None:
    """eps = 16: 3 << 3 = 24 is one pulse and 8 left; the next 24 makes 32, so two pulses."""
    chi = np.zeros(LANES, np.int32)
    products = [3, -3, 1, 0, 0, 0, 0, 2]
    assert run(chi, products, 3, 4) == (True, [1, -1, 0, 0, 0, 0, 0, 1])
    assert chi.tolist() == [8, -8, 8, 0, 0, 0, 0, 0]
    assert run(chi, products, 3, 4) == (True, [2, -2, 1, 0, 0, 0, 0, 1])
    assert chi.tolist() == [0, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("epsilon_log2", [2, 4, 20, 28])
def test_bounds(epsilon_log2: int) -> None:
    """The largest step on the largest remainder: 5 pulses, below 2**31. Nothing is beyond it."""
    epsilon = 1 << epsilon_log2
    chi = np.array([epsilon - 1, 1 - epsilon] * (LANES // 2), np.int32)
    assert epsilon - 1 + (9 << (epsilon_log2 - 1)) < 2**31
    _, pulses = run(chi, [9, -9] * (LANES // 2), epsilon_log2 - 1, epsilon_log2)
    assert pulses == [5, -5] * (LANES // 2)
    assert np.abs(chi.astype(np.int64)).max() < epsilon


@given(
    st.lists(
        st.tuples(st.lists(st.integers(-9, 9), min_size=LANES, max_size=LANES), st.integers(0, 19)),
        max_size=30,
    )
)
def test_conserves_updates(steps: list[tuple[list[int], int]]) -> None:
    """Sum of steps = pulses x eps + chi, lane by lane, in unbounded integers."""
    epsilon_log2 = 20
    chi = np.zeros(LANES, np.int32)
    steps_sum, pulse_sum = [0] * LANES, [0] * LANES
    for products, shift in steps:
        any_pulse, pulses = run(chi, products, shift, epsilon_log2)
        assert any_pulse == any(pulses)
        assert all(abs(count) <= 5 for count in pulses)
        for lane in range(LANES):
            steps_sum[lane] += products[lane] * 2**shift
            pulse_sum[lane] += pulses[lane]
    assert [p * 2**epsilon_log2 + int(c) for p, c in zip(pulse_sum, chi, strict=True)] == steps_sum
    assert np.abs(chi).max() < 2**epsilon_log2
