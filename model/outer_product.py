"""Outer product: which chi words an update touches, in which order, and by how much.

Zero-skipping on both sides: only words of ``lanes`` activations with a non-zero code meet only
non-zero errors. The order is by unit (error index), then by word, both rising.
"""

import numpy as np
import numpy.typing as npt

from model.jit import njit
from model.quantiser import ACTIVATION_EXPONENT

__all__ = ["nonzero_words", "update_shift", "word_products"]


@njit
def update_shift(
    error_exponent: int, update_exponent: int, learning_rate_log2: int, epsilon_log2: int
) -> int:
    """Left shift of a code product into chi: the sum of all exponents, at most ``epsilon_log2 -
    1``.

    A negative sum means that the update lies below one chi LSB: it is returned as -1 and the
    layer's update is dropped.
    """
    shift = error_exponent + ACTIVATION_EXPONENT + update_exponent + learning_rate_log2
    return -1 if shift < 0 else min(shift, epsilon_log2 - 1)


@njit
def nonzero_words(codes: npt.NDArray[np.int8], words: npt.NDArray[np.int32]) -> int:
    """Writes the indices of the words with a non-zero code to ``words``, rising; returns how many
    there are.

    ``codes``: int8 ``[n_words, lanes]``; ``words``: int32 ``[>= n_words]``.
    """
    count = 0
    for word in range(codes.shape[0]):
        for lane in range(codes.shape[1]):
            if codes[word, lane] != 0:
                words[count] = word
                count += 1
                break
    return count


@njit
def word_products(codes: npt.NDArray[np.int8], error: int, products: npt.NDArray[np.int8]) -> int:
    """``products[lane] = -codes[lane] * error``: against the gradient. Returns the number of
    non-zero products.

    ``codes``: int8 ``[lanes]``, -3..3; ``error``: -3..3; ``products``: int8 ``[lanes]``, -9..9,
    written.
    """
    count = 0
    for lane in range(codes.shape[0]):
        products[lane] = -codes[lane] * error
        if products[lane] != 0:
            count += 1
    return count
