"""Update timing by hand; tests/hw/test_update_path.py holds it against the gateware."""

from dataclasses import replace

import numpy as np

from model.config import NetworkConfig
from model.configurations import tiny_mca
from model.update_timing import (
    FIRST,
    NEVER,
    UPPER,
    UpdateTiming,
    drain,
    new_timing,
    open_window,
    postpone,
    pulses_end,
    reset_timing,
    update_timing,
)

one_layer = replace(tiny_mca, network=NetworkConfig(layers=(20, 9)))
"""Its queue holds ``pulse.queue_depth`` words: there is no layer above that needs room."""


def fresh(set_cycles: int = 5, gap_cycles: int = 2, queue_depth: int = 4) -> UpdateTiming:
    pulse = replace(
        tiny_mca.pulse, set_cycles=set_cycles, gap_cycles=gap_cycles, queue_depth=queue_depth
    )
    return new_timing(replace(one_layer, pulse=pulse))


def update(
    timing: UpdateTiming, command: int, words: list[int], window: int = FIRST
) -> tuple[int, int]:
    """An update whose words make these numbers of pulses."""
    positions = np.flatnonzero(words).astype(np.int32)
    pulses = np.array(words, np.int32)[positions]
    return update_timing(timing, command, len(words), positions, pulses, len(positions), window)


def test_nothing_happened() -> None:
    assert drain(fresh()) == 0


def test_without_pulses() -> None:
    """Words enter the chi memory in 103..112; the last is written in 114."""
    timing = fresh()
    assert update(timing, 100, [0] * 10) == (113, 115)
    assert drain(timing) == 0


def test_without_words() -> None:
    timing = fresh()
    assert update(timing, 100, []) == (102, 102)
    update(timing, 102, [0])
    assert update(timing, 106, []) == (108, 108)


def test_single_pulse() -> None:
    """Word in 3, pulse word queued in 6, taken in 8; pulse in 10..14, gap in 15 and 16."""
    timing = fresh()
    open_window(timing, FIRST, 0)
    assert update(timing, 0, [1]) == (4, 7)
    assert drain(timing) == 17


def test_pulses_follow_each_other() -> None:
    """Three pulses of two words, period 7, without a cycle between them."""
    timing = fresh()
    open_window(timing, FIRST, 0)
    update(timing, 0, [2, 0, 1])
    assert drain(timing) == 10 + 3 * 7


def test_window() -> None:
    """Taken in the window's first cycle."""
    timing = fresh()
    update(timing, 0, [0, 1])
    open_window(timing, FIRST, 50)
    assert drain(timing) == 50 + 2 + 7


def test_full_queue_stalls() -> None:
    """Two slots. Words are offered in 6, 7, 8; the third waits for the cycle after the first was
    taken in 20, and the words behind it wait in the chi memory and in the outer product."""
    timing = fresh(queue_depth=2)
    open_window(timing, FIRST, 20)
    assert update(timing, 0, [1, 1, 1, 0, 0, 0, 0]) == (10 + 13, 12 + 13)
    # Pulses begin in 22, 29, 36.
    assert drain(timing) == 36 + 7


def test_stall_reaches_the_next_update() -> None:
    """With the third word the last, the outer product is idle from 6; the next update's word is
    there in 9 and gets in when the stall ends in 21."""
    timing = fresh(queue_depth=2)
    open_window(timing, FIRST, 20)
    assert update(timing, 0, [1, 1, 1]) == (6, 22)
    assert update(timing, 6, [0]) == (22, 24)


def test_window_known_later() -> None:
    """An update that fits the queue is timed before the window is; one that does not, is not."""
    timing, known = fresh(), fresh()
    open_window(known, FIRST, 500)
    first = update(timing, 100, [1, 0, 3, 0, 0, 1, 2, 0])
    assert first == update(known, 100, [1, 0, 3, 0, 0, 1, 2, 0])
    assert drain(timing) == NEVER
    assert update(timing, 200, [0, 1]) == (NEVER, NEVER)
    open_window(timing, FIRST, 500)
    assert update(timing, 200, [0, 1]) == update(known, 200, [0, 1])
    assert drain(timing) == drain(known)


def test_room_for_the_layers_above() -> None:
    """Whatever the last layer's update makes, it fits before the window is known."""
    n_words = tiny_mca.network.n_cols(1) * tiny_mca.n_words(1)
    timing = new_timing(tiny_mca)
    assert update(timing, 0, [1] * n_words) == (3 + n_words, 6 + n_words)


def test_reset() -> None:
    timing = fresh()
    open_window(timing, FIRST, 3)
    update(timing, 0, [1, 2, 3])
    drain(timing)
    reset_timing(timing)
    assert drain(timing) == 0
    assert update(timing, 1, [4]) == (5, 8)
    assert drain(timing) == NEVER


def test_windows_of_their_own() -> None:
    """Words of the upper layers play out, those of the first behind them wait for their window;
    slots are given back as words leave, in either order of asking."""
    timing = fresh(queue_depth=3)
    update(timing, 0, [1, 2], UPPER)
    assert pulses_end(timing) == NEVER
    open_window(timing, UPPER, 30)
    # Pulses begin in 32, 39 and 46.
    assert pulses_end(timing) == 53
    postpone(timing, 20)
    assert pulses_end(timing) == 33
    open_window(timing, FIRST, 60)
    # The first word finds a slot; the others get in as words leave in 10, 12 and 60.
    assert update(timing, 0, [1, 1, 1, 1], FIRST) == (7, 62)
    # Pulses begin in 62, 69, 76, 83.
    assert drain(timing) == 90
