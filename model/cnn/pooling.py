"""Max-pooling with partial windows at the lower and right edge."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["max_pool"]


def max_pool(features: NDArray[np.uint8], pool: int) -> NDArray[np.uint8]:
    """Largest activation of every ``pool x pool`` window, windows side by side.

    ``features``: uint8 ``[height, width, channels]``. Returns uint8 ``[ceil(height / pool),
    ceil(width / pool), channels]``; a window over the edge counts the pixels that exist, which for
    activations is the same as padding with zeros.
    """
    height, width, channels = features.shape
    rows, cols = -(-height // pool), -(-width // pool)
    padded = np.zeros((rows * pool, cols * pool, channels), np.uint8)
    padded[:height, :width] = features
    return np.asarray(padded.reshape(rows, pool, cols, pool, channels).max(axis=(1, 3)))
