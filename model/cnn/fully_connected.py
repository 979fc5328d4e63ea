"""The fully connected layer: the pooled feature map as chunks, the class from the accumulators."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["classify", "flatten"]


def flatten(features: NDArray[np.uint8], n_inputs: int) -> NDArray[np.uint8]:
    """Chunks of ``n_inputs`` activations in raster order, channels innermost.

    ``features``: uint8 ``[height, width, channels]``. Returns uint8 ``[chunks, n_inputs]``; the
    last chunk is filled up with zeros.
    """
    flat = features.reshape(-1)
    chunks = np.zeros((-(-flat.size // n_inputs), n_inputs), np.uint8)
    chunks.reshape(-1)[: flat.size] = flat
    return chunks


def classify(accumulators: NDArray[Any]) -> int:
    """The output with the largest accumulator; of equal ones the first."""
    return int(accumulators.argmax())
