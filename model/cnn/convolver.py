"""One convolution on one replica: patches, products, requantisation with ReLU, pooling."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.cnn.product_tables import ProductTables, add_chunk
from model.cnn.requantiser import requantise
from model.jit import njit

__all__ = ["Requantisation", "convolve", "convolve_accumulators"]


class Requantisation(NamedTuple):
    """Parameters of the requantiser for one convolution of one replica."""

    offsets: NDArray[np.int32]
    """int32 ``[outs]``."""
    multipliers: NDArray[np.int32]
    """int32 ``[outs]``."""
    shift: int
    """Right shift."""


@njit
def _add_patch(
    tables: ProductTables,
    features: NDArray[np.uint8],
    kernel: int,
    top: int,
    left: int,
    values: NDArray[np.uint8],
    planes: NDArray[np.uint64],
    accumulators: NDArray[np.int32],
) -> bool:
    """The sums of one patch; whether any line was driven."""
    accumulators[:] = 0
    driven = False
    for channel in range(features.shape[2]):
        for ky in range(kernel):
            for kx in range(kernel):
                values[ky * kernel + kx] = features[top + ky, left + kx, channel]
        if add_chunk(tables, channel, values, planes, accumulators):
            driven = True
    return driven


@njit
def convolve(
    tables: ProductTables,
    requantisation: Requantisation,
    features: NDArray[np.uint8],
    kernel: int,
    stride: int,
    pool: int,
    first: int,
    end: int,
    pooled: NDArray[np.uint8],
) -> None:
    """Rows ``first..end - 1`` of a convolution, pooled.

    ``features``: uint8 ``[height, width, c]``, the whole map; ``first`` is a multiple of ``pool``;
    ``pooled``: uint8 ``[rows, cols, outs]``, the rows of this band are overwritten. The same as
    :mod:`~model.cnn.line_buffer`, products, :mod:`~model.cnn.requantiser` and
    :mod:`~model.cnn.pooling` in turn.
    """
    width_out = (features.shape[1] - kernel) // stride + 1
    outs = pooled.shape[2]
    offsets, multipliers = requantisation.offsets, requantisation.multipliers
    accumulators = np.zeros(outs, np.int32)
    activations, blank = np.empty(outs, np.uint8), np.empty(outs, np.uint8)
    values = np.empty(kernel * kernel, np.uint8)
    planes = np.empty((kernel * kernel + 7) // 8, np.uint64)
    # Most patches of an image are blank: what follows from no sum at all is computed once.
    requantise(accumulators, offsets, multipliers, requantisation.shift, blank)
    pooled[first // pool : (end - 1) // pool + 1] = 0
    for y in range(first, end):
        for x in range(width_out):
            found = blank
            if _add_patch(
                tables, features, kernel, y * stride, x * stride, values, planes, accumulators
            ):
                requantise(accumulators, offsets, multipliers, requantisation.shift, activations)
                found = activations
            for out in range(outs):
                if found[out] > pooled[y // pool, x // pool, out]:
                    pooled[y // pool, x // pool, out] = found[out]


@njit
def convolve_accumulators(
    tables: ProductTables,
    features: NDArray[np.uint8],
    kernel: int,
    stride: int,
    accumulators: NDArray[np.int32],
) -> None:
    """Accumulators of all patches, int32 ``[height_out, width_out, outs]``, written."""
    values = np.empty(kernel * kernel, np.uint8)
    planes = np.empty((kernel * kernel + 7) // 8, np.uint64)
    for y in range(accumulators.shape[0]):
        for x in range(accumulators.shape[1]):
            sums = accumulators[y, x]
            _add_patch(tables, features, kernel, y * stride, x * stride, values, planes, sums)
