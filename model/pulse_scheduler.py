"""Pulse scheduler: the pulses that a word of pulse counts becomes, in their order."""

import numpy as np
import numpy.typing as npt

from model.jit import njit
from model.threshold import COUNT_BITS

__all__ = ["MINUS", "PLUS", "PULSES_PER_LANE", "expand"]

PLUS = 0
"""The device of a pair that adds to the weight."""

MINUS = 1
"""The device of a pair that subtracts from the weight."""

PULSES_PER_LANE = 2 ** (COUNT_BITS - 1)
"""Largest magnitude of a pulse count, which a word of chi with a flipped bit can have."""


@njit
def expand(
    word: int,
    counts: npt.NDArray[np.int8],
    rows: npt.NDArray[np.int32],
    devices: npt.NDArray[np.int8],
) -> int:
    """The SET pulses of one word: lanes rising, ``|count|`` pulses each. Returns their number n.

    ``word``: index of the word in its vector; ``counts``: int8 ``[lanes]``, -8..7; ``rows``: int32
    and ``devices``: int8 ``[>= n]`` (``PULSES_PER_LANE * lanes`` always suffice for a word of the
    chi memory), the first n written: row ``word * lanes + lane``, device PLUS if the count is
    positive, else MINUS. The column is the word's unit.
    Source: Nandakumar 2020, Methods: blind single-shot pulses on G+ or G- by the sign of p.
    """
    lanes = counts.shape[0]
    n_pulses = 0
    for lane in range(lanes):
        device = PLUS if counts[lane] > 0 else MINUS
        for _ in range(abs(counts[lane])):
            rows[n_pulses] = word * lanes + lane
            devices[n_pulses] = device
            n_pulses += 1
    return n_pulses
