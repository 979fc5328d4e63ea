"""When an update is done: cycles of outer product, chi memory and pulse scheduler, wired in a row.

The one place of the digital unit where back-pressure changes cycle counts: a full queue of pulse
words stalls the chi memory, which stalls the outer product. Only words that make pulses can cause
it, so the time of an update follows from their positions alone, without stepping through cycles.

Times are absolute cycles. "Idle from cycle t" means that ``busy`` is low in cycle t and was high in
cycle t - 1. With A the cycle in which pulse word j is offered to the queue, X the cycle in which it
leaves the queue of depth D and P that of its transfer into it::

    P[j] = max(A[j], X[j - D] + 1)                        a slot is free the cycle after it was left
    A of every word behind j is later by P[j] - A[j]      the pipeline holds as one
    X[j] = max(P[j] + QUEUE_LATENCY, window, begin of the last pulse of word j - 1)
    first pulse of j = max(X[j] + WORD_LATENCY, end of the gap before it)

Words of the first layer and those of the layers above have a window each; without overlap the two
open as one.

Source: the timing contracts of ``hw/``, asserted there; ``tests/hw/test_update_path.py`` holds this
module against the three components wired together.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.config import Config
from model.jit import njit

__all__ = [
    "FIRST",
    "NEVER",
    "UPPER",
    "UpdateTiming",
    "drain",
    "new_timing",
    "open_window",
    "postpone",
    "pulses_end",
    "reset_timing",
    "update_timing",
]

FIRST_WORD = 3
"""Cycles from the command to the first product word (hw.outer_product)."""

EMPTY_CYCLES = 1
"""Busy cycles of an update that touches nothing (hw.outer_product)."""

CHI_LATENCY = 3
"""Cycles from a product word to its pulse word (hw.chi_memory)."""

QUEUE_LATENCY = 2
"""Cycles from a word's transfer into the queue to its leaving (hw.pulse_scheduler)."""

WORD_LATENCY = 2
"""Cycles from a word leaving the queue to its first pulse (hw.pulse_scheduler)."""

NEVER = 1 << 60
"""A time that is not known yet."""

UPPER, FIRST = 0, 1
"""Windows: for words of all layers but the first, and of the first."""

# Entries of UpdateTiming.times.
_WINDOW = 0  # two entries: the windows UPPER and FIRST are open from here
_EXPANDER = 2  # no word is in expansion from here
_PULSE = 3  # the next pulse may begin here: pulses and gaps have ended
_CHI = 4  # the chi memory is idle from here
_OLDEST = 5  # index of the oldest waiting word
_WAITING = 6  # number of waiting words


class UpdateTiming(NamedTuple):
    """What one update leaves for the next: queued words, the pulse in progress, the last stalls.

    Made by :func:`new_timing`; the functions of this module change the arrays.
    """

    set_cycles: int
    gap_cycles: int
    times: npt.NDArray[np.int64]
    """int64 ``[7]``: see the names of the entries in the source."""
    queue: npt.NDArray[np.int64]
    """int64 ``[pulse_queue_depth, 3]``, a ring: transfer into the queue, number of pulses, and
    window."""
    stalls: npt.NDArray[np.int64]
    """int64 ``[CHI_LATENCY, 2]``: offer and transfer of the last pulse words, oldest first."""


def new_timing(config: Config) -> UpdateTiming:
    """As after :func:`reset_timing`."""
    timing = UpdateTiming(
        set_cycles=config.pulse.set_cycles,
        gap_cycles=config.pulse.gap_cycles,
        times=np.zeros(7, np.int64),
        queue=np.zeros((config.pulse_queue_depth, 3), np.int64),
        stalls=np.zeros((CHI_LATENCY, 2), np.int64),
    )
    reset_timing(timing)
    return timing


@njit
def reset_timing(timing: UpdateTiming) -> None:
    """Time begins anew: nothing is queued or runs, no window is known yet.

    Pulses of a refresh need no mention: they are over before the window opens.
    """
    timing.times[:] = 0
    timing.times[_WINDOW + UPPER] = NEVER
    timing.times[_WINDOW + FIRST] = NEVER
    timing.stalls[:] = 0


@njit
def open_window(timing: UpdateTiming, window: int, cycle: int) -> None:
    """``window`` of the scheduler is open from ``cycle`` on.

    A window may only become known, never close.
    """
    timing.times[_WINDOW + window] = cycle


@njit
def postpone(timing: UpdateTiming, cycles: int) -> None:
    """Counts from ``cycles`` later on; the window of the first layer is not known yet."""
    timing.times[: _CHI + 1] -= cycles
    timing.times[_WINDOW + FIRST] = NEVER
    timing.queue[:, 0] -= cycles
    timing.stalls[:] -= cycles


@njit
def _take(timing: UpdateTiming) -> int:
    """Takes the oldest word out of the queue, in the cycle returned, and plays its pulses."""
    times, period = timing.times, timing.set_cycles + timing.gap_cycles
    oldest = times[_OLDEST]
    transferred, n_pulses, window = timing.queue[oldest]
    taken = max(transferred + QUEUE_LATENCY, times[_WINDOW + window], times[_EXPANDER])
    begin = max(taken + WORD_LATENCY, times[_PULSE])
    times[_EXPANDER] = begin + (n_pulses - 1) * period
    times[_PULSE] = begin + n_pulses * period
    times[_OLDEST] = (oldest + 1) % timing.queue.shape[0]
    times[_WAITING] -= 1
    return taken


@njit
def update_timing(
    timing: UpdateTiming,
    command: int,
    n_words: int,
    positions: npt.NDArray[np.int32],
    pulses: npt.NDArray[np.int32],
    n_pulse_words: int,
    window: int,
) -> tuple[int, int]:
    """One layer's update. Returns the cycles from which the outer product is idle, and both are.

    ``command``: cycle of the command's transfer, not before the outer product is idle;
    ``n_words``: product words of the update; ``positions``: int32 ``[>= n_pulse_words]``, rising,
    the indices 0..n_words-1 of those that make pulses; ``pulses``: int32, how many each makes, at
    least 1; ``window``: whose the words are. The second cycle is never before the first.

    While their window is not known, nothing leaves the queue. An update that does not fit into it
    returns ``(NEVER, NEVER)`` and leaves ``timing`` as it was: call again when the window is known.
    The result of one that fits does not depend on the window.
    """
    times, depth = timing.times, timing.queue.shape[0]
    if times[_WINDOW + window] >= NEVER and times[_WAITING] + n_pulse_words > depth:
        return NEVER, NEVER
    if n_words == 0:
        idle = command + 1 + EMPTY_CYCLES
        return idle, max(idle, times[_CHI])

    # Words of the update before may still stall in the chi memory: before word 0 gets in, or after.
    entered = command + FIRST_WORD
    for k in range(CHI_LATENCY):
        offered, transferred = timing.stalls[k]
        if offered <= entered < transferred:
            entered = transferred
    last_entered = entered + n_words - 1
    delay = 0
    for k in range(CHI_LATENCY):
        offered, transferred = timing.stalls[k]
        if offered > entered:
            delay += transferred - offered
            if offered <= last_entered:
                last_entered += transferred - offered

    for k in range(n_pulse_words):
        offered = entered + positions[k] + CHI_LATENCY + delay
        transferred = offered
        if times[_WAITING] == depth:
            transferred = max(offered, _take(timing) + 1)
        slot = (times[_OLDEST] + times[_WAITING]) % depth
        timing.queue[slot, 0] = transferred
        timing.queue[slot, 1] = pulses[k]
        timing.queue[slot, 2] = window
        times[_WAITING] += 1
        delay += transferred - offered
        # The stall comes between the entries of words j + 2 and j + 3.
        if positions[k] + CHI_LATENCY <= n_words - 1:
            last_entered += transferred - offered
        timing.stalls[:-1] = timing.stalls[1:]
        timing.stalls[-1, 0] = offered
        timing.stalls[-1, 1] = transferred

    # A word with pulses is busy until its transfer, which `delay` contains; one without leaves
    # nothing behind after cycle CHI_LATENCY - 1.
    times[_CHI] = entered + n_words - 1 + CHI_LATENCY + delay
    if n_pulse_words > 0 and positions[n_pulse_words - 1] == n_words - 1:
        times[_CHI] += 1
    return last_entered + 1, times[_CHI]


@njit
def drain(timing: UpdateTiming) -> int:
    """Lets all queued words play out. Returns from which cycle the pulse scheduler is idle.

    That is a cycle of the past if nothing was left to do, and at least ``NEVER`` if words wait for
    a window that is not known.
    """
    times = timing.times
    while times[_WAITING] > 0:
        if times[_WINDOW + timing.queue[times[_OLDEST], 2]] >= NEVER:
            return NEVER
        _take(timing)
    return times[_PULSE]


@njit
def pulses_end(timing: UpdateTiming) -> int:
    """What :func:`drain` would return; more words may follow those that wait."""
    times = timing.times.copy()
    end = drain(timing)
    timing.times[:] = times
    return end
