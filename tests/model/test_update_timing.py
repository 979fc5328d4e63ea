"""Update timing by hand; tests/hw/test_update_path.py holds it against the gateware."""

from dataclasses import replace

import numpy as np

from model.config import Config
from model.configurations import tiny_mca
from model.update_timing import (
    NEVER,
    drain,
    new_timing,
    open_window,
    request_pulse,
    update_timing,
)


def fast(set_cycles: int, gap_cycles: int, queue_depth: int) -> Config:
    pulse = replace(
        tiny_mca.pulse, set_cycles=set_cycles, gap_cycles=gap_cycles, queue_depth=queue_depth
    )
    return replace(tiny_mca, pulse=pulse)


def test_window_known_later() -> None:
    """An update that fits the queue is timed before the window is; one that does not, is not."""
    config = fast(5, 2, 4)
    positions, pulses = np.array([0, 2, 5, 6], np.int32), np.array([1, 3, 1, 2], np.int32)
    timing, known = new_timing(config), new_timing(config)
    open_window(known, 500)
    first = update_timing(timing, 100, 9, positions, pulses, 4)
    assert first == update_timing(known, 100, 9, positions, pulses, 4)
    assert drain(timing) == NEVER
    assert update_timing(timing, 200, 9, positions, pulses, 1) == (NEVER, NEVER)
    open_window(timing, 500)
    second = update_timing(timing, 200, 9, positions, pulses, 1)
    assert second == update_timing(known, 200, 9, positions, pulses, 1)
    assert drain(timing) == drain(known)


def test_no_pulses() -> None:
    """Without pulses an update takes its words and the latencies, by hand."""
    timing = new_timing(tiny_mca)
    none = np.zeros(0, np.int32)
    # Words in cycles 103..112; the last one is written in cycle 114.
    assert update_timing(timing, 100, 10, none, none, 0) == (113, 115)
    assert update_timing(timing, 113, 0, none, none, 0) == (115, 115)
    assert drain(timing) == 0


def test_request_after_words() -> None:
    """A request waits for the word that was begun, and the words behind it wait for the request."""
    config = fast(3, 1, 4)
    timing = new_timing(config)
    open_window(timing, 0)
    positions, pulses = np.array([0, 1], np.int32), np.array([2, 1], np.int32)
    update_timing(timing, 0, 2, positions, pulses, 2)
    # Word 0 leaves the queue in 7; pulses begin in 9 and 13. The request is offered in 10, taken in
    # 16 and begins with the end of the gap in 17; word 1 leaves in 17, its pulse begins in 17+7+1.
    assert request_pulse(timing, 10, config.pulse.reset_cycles) == 16
    assert drain(timing) == 17 + config.pulse.reset_cycles + 1 + 3 + 1
