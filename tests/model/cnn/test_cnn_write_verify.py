"""The closed loop: its decisions on a scripted row, and the published behaviour on devices."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from model.cnn.config import RramConfig, WriteConfig
from model.cnn.crossbar import LayerArrays
from model.cnn.cycles import write_cycles
from model.cnn.write_verify import Decision, decide, write_row
from model.configurations import yao_cnn


class Ladder:
    """Devices that move by exactly one code a pulse; those of ``stuck`` do not move."""

    def __init__(self, codes: list[int], stuck: tuple[int, ...] = ()) -> None:
        self.codes = np.array(codes, np.uint16)
        self.free = np.array([line not in stuck for line in range(len(codes))])
        self.log: list[tuple[str, list[int]]] = []

    def read(self) -> NDArray[np.uint16]:
        return self.codes.copy()

    def pulse(self, decision: Decision, mask: NDArray[np.bool_]) -> None:
        self.log.append((decision.name, np.flatnonzero(mask).tolist()))
        step = 1 if decision is Decision.SET else -1
        self.codes = (self.codes + step * (mask & self.free)).astype(np.uint16)


def test_decide() -> None:
    assert [decide(code, 10, 2) for code in (7, 8, 12, 13)] == [
        Decision.SET,
        Decision.DONE,
        Decision.DONE,
        Decision.RESET,
    ]


def test_order_and_counts() -> None:
    """SET before RESET, one of each an iteration; what is done gets no more pulses."""
    row = Ladder([5, 9, 20, 13])
    targets, enables = np.array([10, 10, 10, 10]), np.array([True, True, True, False])
    result = write_row(row, targets, enables, margin=2, max_pulses=50)
    assert row.codes.tolist() == [8, 9, 12, 13]
    assert row.log[:4] == [("SET", [0]), ("RESET", [2]), ("SET", [0]), ("RESET", [2])]
    assert result.pulses.tolist() == [3, 0, 8, 0]
    assert (result.iterations, result.set_pulses, result.reset_pulses) == (9, 3, 8)
    assert not result.failed.any()


def test_gives_up() -> None:
    """After ``max_pulses`` pulses and one more read; the others are not held up."""
    row = Ladder([0, 4], stuck=(0,))
    both = np.array([True, True])
    result = write_row(row, np.array([9, 6]), both, margin=0, max_pulses=3)
    assert result.failed.tolist() == [True, False]
    assert result.pulses.tolist() == [3, 2]
    assert result.iterations == 4


def test_last_pulse_counts() -> None:
    result = write_row(Ladder([0]), np.array([3]), np.array([True]), margin=0, max_pulses=3)
    assert not result.failed.any()


def test_nothing_to_do() -> None:
    result = write_row(Ladder([0]), np.array([3]), np.array([False]), margin=0, max_pulses=3)
    assert (result.iterations, result.pulses.tolist()) == (0, [0])


def test_cycles() -> None:
    """Two phases and a decision a read; pulse and gap for each kind of pulse."""
    row = Ladder([5, 20])
    result = write_row(row, np.array([10, 10]), np.array([True, True]), margin=2, max_pulses=50)
    assert write_cycles(yao_cnn, result) == 9 * (2 * 4 + 1) + 3 * (4 + 1) + 8 * (4 + 1)


def _write(margin_us: float, state_us: float) -> tuple[float, int, float]:
    """Mean and largest pulse count, largest error, of 160 devices from above 20 uS."""
    config = replace(
        yao_cnn, write=WriteConfig(margin_us=margin_us), device=RramConfig(stuck_fraction=0.0)
    )
    arrays = LayerArrays(config, 2, np.random.default_rng(round(100 * state_us)))
    arrays.conductance_us[:] = 22.0
    arrays.refresh()
    targets = np.full(20, state_us)
    codes, pulses = arrays.target_codes(targets), []
    for line_in in range(8):
        result = arrays.write_row(0, line_in, codes, np.ones(20, bool))
        assert not result.failed.any()
        pulses.extend(result.pulses.tolist())
    error = np.abs(arrays.conductance_us[0, :8] - targets).max()
    return float(np.mean(pulses)), max(pulses), float(error)


def test_eight_states() -> None:
    """Yao 2020: 2.5 to 20 uS within 0.5 uS in at most 500 pulses, more from further away."""
    results = [_write(0.5, state) for state in np.arange(2.5, 20.1, 2.5)]
    assert max(error for _, _, error in results) <= 0.5
    assert max(most for _, most, _ in results) <= 500
    means = [mean for mean, _, _ in results]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("state", np.linspace(2, 20, 32)[::5].tolist())
def test_32_states(state: float) -> None:
    """Yao 2020: 2 to 20 uS within 0.25 uS."""
    _, most, error = _write(0.25, state)
    assert error <= 0.25
    assert most <= 500
