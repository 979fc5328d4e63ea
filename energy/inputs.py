"""What a data set drives: the part of the activity that is a property of the images alone."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from energy.activity import InputStatistics
from model.quantiser import activation_code

__all__ = ["measure", "words_hit"]


def measure(images: NDArray[np.uint8]) -> InputStatistics:
    """Means over images of the sum and the number of non-zero pixels; ``images``: uint8 ``[n,
    pixels]``."""
    return InputStatistics(
        drive=float(images.sum(axis=1, dtype=np.int64).mean()),
        lines=float(np.count_nonzero(images, axis=1).mean()),
    )


def words_hit(images: NDArray[np.uint8], lanes: Iterable[int]) -> dict[int, float]:
    """Mean number of words, per width in lanes, in which an image has a non-zero update code.

    Pixels cluster, so that halving the lanes does not double the words: this measures by how much.
    """
    codes = np.array([activation_code(value) for value in range(256)], dtype=np.uint8)
    hit = codes[images] != 0
    n_images, n_pixels = hit.shape
    means = {}
    for width in lanes:
        padded = np.zeros((n_images, -(-n_pixels // width) * width), dtype=bool)
        padded[:, :n_pixels] = hit
        means[width] = float(padded.reshape(n_images, -1, width).any(axis=2).sum(axis=1).mean())
    return means
