"""Pulse scheduler in gate-voltage mode: the row-parallel pulses that new gate codes ask for."""

import numpy as np
import numpy.typing as npt

from model.jit import njit

__all__ = ["FULL_GATE", "NOT_SELECTED", "RESET", "SET", "row_pulses"]

SET = 0
"""Kind of a pulse that brings the selected devices of a row to their gate codes."""

RESET = 1
"""Kind of a pulse that brings the selected devices of a row to their smallest conductance."""

NOT_SELECTED = 0
"""Gate code of a column that a pulse leaves alone."""

FULL_GATE = 255
"""Gate code of a column in a RESET pulse: the transistor wide open."""


@njit
def row_pulses(
    before: npt.NDArray[np.uint8],
    after: npt.NDArray[np.uint8],
    reset_gates: npt.NDArray[np.uint8],
    set_gates: npt.NDArray[np.uint8],
) -> tuple[int, int]:
    """The gates of a row's RESET and SET pulse; returns how many devices each selects.

    RESET selects the columns whose code falls, SET (after it) those whose code changes. A pulse
    that selects nothing is not issued. Blind: nothing is verified.

    ``before``, ``after``: uint8 ``[n_cols]`` gate codes; ``reset_gates``, ``set_gates``: uint8
    ``[>= n_cols]``, the first n_cols written. Source: Li 2018, the two-pulse scheme.
    """
    n_reset, n_set = 0, 0
    for col in range(before.shape[0]):
        falls, changes = after[col] < before[col], after[col] != before[col]
        reset_gates[col] = FULL_GATE if falls else NOT_SELECTED
        set_gates[col] = after[col] if changes else NOT_SELECTED
        n_reset += falls
        n_set += changes
    return n_reset, n_set
