"""Outer product and gradient memory: sums of activation times error over a mini-batch.

The walk is that of :mod:`model.outer_product` with the operands' roles exchanged: every non-zero
activation, rising, meets every word of ``lanes`` errors with a non-zero lane, rising.
"""

import numpy as np
import numpy.typing as npt

from model.jit import njit

__all__ = ["nonzero_count", "nonzero_words", "word_products"]


@njit
def word_products(
    activation: int, errors: npt.NDArray[np.int16], products: npt.NDArray[np.int32]
) -> int:
    """``products[lane] = -activation * errors[lane]``: against the gradient. Returns the number of
    non-zero products.

    ``activation``: 0..255; ``errors``: int16 ``[lanes]``, -255..255; ``products``: int32
    ``[lanes]``, written. Added to the gradient memory, a batch of them never overflows
    :attr:`model.in_situ.config.InSituConfig.gradient_bits`.
    """
    count = 0
    for lane in range(errors.shape[0]):
        products[lane] = -activation * int(errors[lane])
        if products[lane] != 0:
            count += 1
    return count


@njit
def nonzero_words(errors: npt.NDArray[np.int16], lanes: int) -> int:
    """Words of ``lanes`` errors with a non-zero lane. ``errors``: int16 ``[n]``."""
    count = 0
    for start in range(0, errors.shape[0], lanes):
        for unit in range(start, min(start + lanes, errors.shape[0])):
            if errors[unit] != 0:
                count += 1
                break
    return count


@njit
def nonzero_count(values: npt.NDArray[np.integer]) -> int:
    """How many of ``values`` are not zero."""
    count = 0
    for index in range(values.shape[0]):
        if values[index] != 0:
            count += 1
    return count
