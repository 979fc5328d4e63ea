"""Chi memory: accumulates outer-product words; whatever reaches the threshold leaves as pulse
counts."""

import numpy as np
import numpy.typing as npt

from model.jit import njit
from model.threshold import COUNT_BITS, threshold

__all__ = ["accumulate"]


@njit
def accumulate(
    chi: npt.NDArray[np.int32],
    products: npt.NDArray[np.int8],
    shift: int,
    epsilon_log2: int,
    chi_bits: int,
    pulses: npt.NDArray[np.int8],
) -> bool:
    """One read-modify-write of a word: ``chi += products << shift``, then the threshold, lane by
    lane.

    ``chi``: int32 ``[lanes]``, changed; ``products``: int8 ``[lanes]``, -9..9, zero lanes are not
    written; ``pulses``: int8 ``[lanes]``, the pulse counts, written; returns whether any is
    non-zero. With ``shift <= epsilon_log2 - 1`` a count is within -5..5 and nothing overflows. If a
    bit of chi was flipped, sums wrap to ``chi_bits`` bits and counts to ``COUNT_BITS``.
    """
    any_pulse = False
    half, most = 1 << (chi_bits - 1), 1 << (COUNT_BITS - 1)
    for lane in range(chi.shape[0]):
        pulses[lane] = 0
        if products[lane] != 0:
            total = int(chi[lane]) + (int(products[lane]) << shift)
            total = ((total + half) & (2 * half - 1)) - half
            count, remainder = threshold(total, epsilon_log2)
            count = ((count + most) & (2 * most - 1)) - most
            chi[lane] = remainder
            pulses[lane] = count
            any_pulse = any_pulse or count != 0
    return any_pulse
