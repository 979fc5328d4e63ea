"""When an update is done: cycles of outer product, chi memory and pulse scheduler, wired in a row.

The one place of the digital unit where back-pressure changes cycle counts: a full queue of pulse
words stalls the chi memory, which stalls the outer product. Only words that make pulses can cause
it, so the time of an update follows from their positions alone, without stepping through cycles.

All times are cycles of one image. "Idle from t" means ``busy`` low in cycle t, high in t - 1. With
A the cycle in which pulse word j is offered to the queue, P that of its transfer into it and X that
in which it leaves the queue of depth D::

    P[j] = max(A[j], X[j - D] + 1)                 a slot is free in the cycle after it was left
    A of every word behind j: later by P[j] - A[j]                the pipeline holds as one
    X[j] = max(P[j] + 1, window, begin of the last pulse of word j - 1)
    first pulse of j = max(X[j] + WORD_LATENCY, end of the gap of the pulse before)

Source: the timing contracts of :mod:`hw.outer_product`, :mod:`hw.chi_memory` and
:mod:`hw.pulse_scheduler`; ``tests/hw/test_update_path.py`` holds this module against the three.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.config import Config
from model.jit import njit

__all__ = [
    "CHI_LATENCY",
    "EMPTY_CYCLES",
    "FIRST_WORD",
    "NEVER",
    "WORD_LATENCY",
    "UpdateTimer",
    "end_pulses",
    "end_update",
    "new_timer",
    "open_window",
    "push_word",
    "reset_timer",
    "start_update",
]

FIRST_WORD = 3
"""Cycles from the command's transfer to the first product word (hw.outer_product)."""

EMPTY_CYCLES = 1
"""Busy cycles of an update that touches nothing (hw.outer_product)."""

CHI_LATENCY = 3
"""Cycles from a product word to its pulse word (hw.chi_memory)."""

WORD_LATENCY = 2
"""Cycles from a word leaving the queue to its first pulse (hw.pulse_scheduler)."""

NEVER = 1 << 60
"""A time that is not known: what waits for a window not known yet."""

# Entries of UpdateTimer.times: what the updates so far leave for the next.
_WINDOW = 0  # the window is open from here
_EXPANDER = 1  # no word is in expansion from here
_PULSE = 2  # the next pulse may begin here: pulses and gaps are over
_OUTER_PRODUCT = 3  # the outer product is idle from here
_IDLE = 4  # the chi memory is idle, too
_TAKEN = 5  # pulse words that left the queue
_QUEUED = 6  # pulse words that entered it
_N_WORDS = 7  # pulse words noted
_TIMED = 8  # updates whose end is known
_N_UPDATES = 9  # updates noted
_N_TIMES = 10

# Columns of UpdateTimer.words, a row a pulse word.
_POSITION = 0  # its index among the product words of its update
_PULSES = 1
_OFFERED = 2
_TRANSFERRED = 3

# Columns of UpdateTimer.updates.
_COMMAND = 0  # the command is offered from here
_LENGTH = 1  # product words
_END = 2  # number of pulse words noted up to and with this update


class UpdateTimer(NamedTuple):
    """The updates of one image; made by :func:`new_timer`, changed by the functions below."""

    depth: int
    """Words that the queue holds."""
    set_cycles: int
    gap_cycles: int
    times: npt.NDArray[np.int64]
    """int64: see the names of the entries in the source."""
    words: npt.NDArray[np.int64]
    """int64 ``[chi_depth, 4]``: the pulse words of the image, in order."""
    updates: npt.NDArray[np.int64]
    """int64 ``[n_layers, 3]``: its updates, in order."""


def new_timer(config: Config) -> UpdateTimer:
    """A timer for the updates of one image, one a layer at most."""
    timer = UpdateTimer(
        depth=config.pulse.queue_depth,
        set_cycles=config.pulse.set_cycles,
        gap_cycles=config.pulse.gap_cycles,
        times=np.zeros(_N_TIMES, np.int64),
        words=np.zeros((config.chi_depth, 4), np.int64),
        updates=np.zeros((config.network.n_layers, 3), np.int64),
    )
    reset_timer(timer)
    return timer


@njit
def reset_timer(timer: UpdateTimer) -> None:
    """An image begins, in cycle 0: nothing is queued or runs, the window is not known."""
    timer.times[:] = 0
    timer.times[_WINDOW] = NEVER


@njit
def open_window(timer: UpdateTimer, cycle: int) -> None:
    """``window`` of the scheduler is high from ``cycle`` on, for the rest of the image."""
    timer.times[_WINDOW] = cycle


@njit
def start_update(timer: UpdateTimer, cycle: int) -> None:
    """A layer's update: its command is offered to the outer product from ``cycle`` on."""
    update = timer.times[_N_UPDATES]
    timer.times[_N_UPDATES] += 1
    timer.updates[update, _COMMAND] = cycle
    timer.updates[update, _LENGTH] = 0
    timer.updates[update, _END] = timer.times[_N_WORDS]


@njit
def push_word(timer: UpdateTimer, n_pulses: int) -> None:
    """The next product word of the update, in the order of the outer product.

    ``n_pulses``: sum of the magnitudes of its pulse counts, 0 for most words.
    """
    update = timer.times[_N_UPDATES] - 1
    if n_pulses > 0:
        word = timer.times[_N_WORDS]
        timer.times[_N_WORDS] += 1
        timer.words[word, _POSITION] = timer.updates[update, _LENGTH]
        timer.words[word, _PULSES] = n_pulses
        timer.updates[update, _END] = word + 1
    timer.updates[update, _LENGTH] += 1


@njit
def end_update(timer: UpdateTimer) -> tuple[int, int]:
    """The update's last word was pushed. Returns ``codes_free, idle``.

    ``codes_free``: the error codes of the next layer are accepted from here, the command's
    transfer. ``idle``: outer product and chi memory are idle from here. A time that hangs on the
    window, because the queue is full and the window not known, is ``NEVER`` for the first and 0
    for the second, which :func:`end_pulses` then contains.
    """
    times = timer.times
    _time_updates(timer)
    update = times[_N_UPDATES] - 1
    if times[_TIMED] > update:
        return timer.updates[update, _COMMAND], times[_IDLE]
    if times[_TIMED] == update:
        return max(timer.updates[update, _COMMAND], times[_OUTER_PRODUCT]), 0
    return NEVER, 0


@njit
def end_pulses(timer: UpdateTimer) -> int:
    """The cycle from which all is idle: outer product, chi memory, and the scheduler with no word
    left in its queue. 0 if there was nothing to do, ``NEVER`` if it waits for a window not known.
    """
    times = timer.times
    _time_updates(timer)
    if times[_TAKEN] < times[_N_WORDS] and times[_WINDOW] >= NEVER:
        return NEVER
    while times[_TAKEN] < times[_N_WORDS]:
        _take(timer)
    return max(times[_IDLE], times[_PULSE])


@njit
def _take(timer: UpdateTimer) -> int:
    """Takes the oldest word out of the queue, in the cycle returned, and plays its pulses."""
    times, period = timer.times, timer.set_cycles + timer.gap_cycles
    word = times[_TAKEN]
    n_pulses = timer.words[word, _PULSES]
    taken = max(timer.words[word, _TRANSFERRED] + 1, times[_WINDOW], times[_EXPANDER])
    begin = max(taken + WORD_LATENCY, times[_PULSE])
    times[_EXPANDER] = begin + (n_pulses - 1) * period
    times[_PULSE] = begin + n_pulses * period
    times[_TAKEN] += 1
    return taken


@njit
def _time_updates(timer: UpdateTimer) -> None:
    """Times the updates that do not hang on a window that is not known."""
    times = timer.times
    while times[_TIMED] < times[_N_UPDATES]:
        end = timer.updates[times[_TIMED], _END]
        if times[_WINDOW] >= NEVER and end - times[_TAKEN] > timer.depth:
            break
        _time_update(timer, times[_TIMED])
        times[_TIMED] += 1


@njit
def _time_update(timer: UpdateTimer, update: int) -> None:
    times, words = timer.times, timer.words
    command = max(timer.updates[update, _COMMAND], times[_OUTER_PRODUCT])
    timer.updates[update, _COMMAND] = command
    n_words, end = timer.updates[update, _LENGTH], timer.updates[update, _END]
    if n_words == 0:
        times[_OUTER_PRODUCT] = command + 1 + EMPTY_CYCLES
        times[_IDLE] = max(times[_IDLE], times[_OUTER_PRODUCT])
        return

    # Words of the update before may still stall in the chi memory, as many as it has stages:
    # before word 0 gets in, or when it is in.
    entered = command + FIRST_WORD
    first = times[_QUEUED]
    for word in range(max(0, first - CHI_LATENCY), first):
        if words[word, _OFFERED] <= entered < words[word, _TRANSFERRED]:
            entered = words[word, _TRANSFERRED]
    last_entered = entered + n_words - 1
    delay = 0
    for word in range(max(0, first - CHI_LATENCY), first):
        if words[word, _OFFERED] > entered:
            stall = words[word, _TRANSFERRED] - words[word, _OFFERED]
            delay += stall
            if words[word, _OFFERED] <= last_entered:
                last_entered += stall

    for word in range(first, end):
        offered = entered + words[word, _POSITION] + CHI_LATENCY + delay
        transferred = offered
        if word - times[_TAKEN] == timer.depth:
            transferred = max(offered, _take(timer) + 1)
        words[word, _OFFERED], words[word, _TRANSFERRED] = offered, transferred
        times[_QUEUED] += 1
        delay += transferred - offered
        # While word k waits at the chi memory's output, word k + CHI_LATENCY waits at its input.
        if words[word, _POSITION] + CHI_LATENCY <= n_words - 1:
            last_entered += transferred - offered

    # The last word is done in stage CHI_LATENCY - 1 if it makes no pulses, else with its transfer.
    times[_OUTER_PRODUCT] = last_entered + 1
    times[_IDLE] = entered + n_words - 1 + CHI_LATENCY + delay
    if end > first and words[end - 1, _POSITION] == n_words - 1:
        times[_IDLE] += 1
