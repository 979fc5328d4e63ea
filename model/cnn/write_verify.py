"""Closed-loop writing of a row of devices: read, compare, SET or RESET, again."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Decision", "Row", "WriteResult", "decide", "write_row"]


class Decision(IntEnum):
    """What a verify read asks for."""

    #: Within the margin: the device is left alone from now on.
    DONE = 0
    #: Below the target: one SET pulse.
    SET = 1
    #: Above the target: one RESET pulse.
    RESET = 2


def decide(code: int, target: int, margin: int) -> Decision:
    """DONE if ``|code - target| <= margin``, else SET from below and RESET from above."""
    if abs(code - target) <= margin:
        return Decision.DONE
    return Decision.SET if code < target else Decision.RESET


class Row(Protocol):
    """The devices of one input line of one chunk, as the loop meets them."""

    def read(self) -> NDArray[np.uint16]:
        """Verify codes ``[lines]``."""

    def pulse(self, decision: Decision, mask: NDArray[np.bool_]) -> None:
        """One pulse on every device of the mask ``[lines]``, at the same time."""


class WriteResult(NamedTuple):
    """What became of a row."""

    failed: NDArray[np.bool_]
    """Bool ``[lines]``: devices given up."""
    pulses: NDArray[np.int32]
    """int32 ``[lines]``: pulses that each device got."""
    iterations: int
    """Verify reads; one more than the most pulses of a device."""
    set_pulses: int
    """SET pulses of the row, each for all its devices that needed one."""
    reset_pulses: int
    """RESET pulses of the row."""


def write_row(
    row: Row,
    targets: NDArray[Any],
    enables: NDArray[np.bool_],
    *,
    margin: int,
    max_pulses: int,
    observe: Callable[[NDArray[np.uint16]], None] | None = None,
) -> WriteResult:
    """Writes the enabled devices of a row, all at the same time.

    Until no device is pending: read all; a device within ``margin`` of its target is done and gets
    no further pulse; one SET pulse goes to all pending devices below their target, then one RESET
    pulse to all above. After ``max_pulses`` pulses and one more read what is still pending has
    failed.

    ``targets``: codes ``[lines]``; ``enables``: bool ``[lines]``. ``observe`` is called with every
    verify read.
    """
    pending = np.array(enables, bool)
    pulses = np.zeros(len(pending), np.int32)
    sets = resets = iterations = 0
    while pending.any():
        codes = row.read()
        iterations += 1
        if observe is not None:
            observe(codes)
        decisions = np.array(
            [decide(int(c), int(t), margin) for c, t in zip(codes, targets, strict=True)]
        )
        pending &= decisions != Decision.DONE
        if iterations > max_pulses:
            break
        for decision in (Decision.SET, Decision.RESET):
            mask = pending & (decisions == decision)
            if mask.any():
                row.pulse(decision, mask)
                sets += decision is Decision.SET
                resets += decision is Decision.RESET
        pulses += pending
    return WriteResult(pending, pulses, iterations, sets, resets)
