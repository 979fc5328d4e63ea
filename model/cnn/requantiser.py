"""Requantisation with ReLU: accumulators to 8-bit activations, a multiplier and an offset a
channel."""

import numpy as np
from numpy.typing import NDArray

from model.jit import njit
from model.rounding import saturate, shift_round

__all__ = ["SHIFT_MAX", "requantise"]

SHIFT_MAX = 31
"""Largest right shift."""


@njit
def requantise(
    accumulators: NDArray[np.int32],
    offsets: NDArray[np.int32],
    multipliers: NDArray[np.int32],
    shift: int,
    activations: NDArray[np.uint8],
) -> None:
    """``activations[o] = saturate((accumulators[o] + offsets[o]) * multipliers[o] / 2**shift)``.

    The quotient is rounded half away from zero, then clipped to 0..255; the clip at 0 is the ReLU.
    ``accumulators``, ``offsets``: int32 ``[outs]``, each within ``psum_bits``; ``multipliers``:
    int32 ``[outs]``, 0..``2**multiplier_bits - 1``; ``shift``: 0..``SHIFT_MAX``; ``activations``:
    uint8 ``[outs]``, written.
    """
    for out in range(accumulators.shape[0]):
        total = int(accumulators[out]) + int(offsets[out])
        product = total * int(multipliers[out])
        activations[out] = saturate(shift_round(product, shift), 0, 255)
