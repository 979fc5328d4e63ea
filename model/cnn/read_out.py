"""Bit-serial read-out: shift-and-add over phases, difference of a pair, sum over chunks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["accumulate", "shift_add"]


def shift_add(codes: NDArray[Any]) -> NDArray[np.int32]:
    """``psum[..., o] = sum_b (codes[..., b, 2 o] - codes[..., b, 2 o + 1]) * 2**b``, exact.

    ``codes``: unsigned ADC codes ``[..., 8, lines]``, phases in the order in which they come: least
    significant bit first. Returns int32 ``[..., lines / 2]``; ``|psum| <= 255 * code_max``.
    """
    pairs = codes[..., 0::2].astype(np.int32) - codes[..., 1::2].astype(np.int32)
    weights = 1 << np.arange(codes.shape[-2], dtype=np.int32)
    return np.asarray((pairs * weights[:, None]).sum(axis=-2, dtype=np.int32))


def accumulate(psums: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sum over steps and tiles, exact: int32 ``[steps, tiles, outs]`` to int32 ``[outs]``.

    Fits ``CnnConfig.psum_bits``.
    """
    return np.asarray(psums.sum(axis=(0, 1), dtype=np.int32))
