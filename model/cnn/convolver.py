"""One convolution on one replica: patches, products, requantisation with ReLU, pooling."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.cnn.product_tables import SPREAD, ProductTables, add_chunk, add_narrow
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
def _spread_map(features: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The bits of every pixel, a byte apart, ``[c, height, width]``: a patch's planes are sums of
    these, shifted."""
    height, width, channels = features.shape
    spread_map = np.empty((channels, height, width), np.uint64)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                spread_map[channel, y, x] = SPREAD[features[y, x, channel]]
    return spread_map


@njit
def _add_narrow_patch(
    pairs: NDArray[np.int16],
    spread_map: NDArray[np.uint64],
    kernel: int,
    top: int,
    left: int,
    accumulators: NDArray[np.int32],
) -> bool:
    """The sums of one patch under a narrow kernel; whether any line was driven."""
    accumulators[:] = 0
    driven = False
    eight = np.uint64(8)
    for channel in range(spread_map.shape[0]):
        low = high = np.uint64(0)
        index = np.uint64(0)
        for ky in range(kernel):
            for kx in range(kernel):
                bits = spread_map[channel, top + ky, left + kx]
                if index < eight:
                    low |= bits << index
                else:
                    high |= bits << (index - eight)
                index += np.uint64(1)
        if low | high:
            driven = True
            add_narrow(pairs, channel, low, high, accumulators)
    return driven


@njit
def _add_wide_patch(
    tables: ProductTables,
    spread_map: NDArray[np.uint64],
    kernel: int,
    top: int,
    left: int,
    planes: NDArray[np.uint64],
    accumulators: NDArray[np.int32],
) -> bool:
    """The same under a wide kernel; ``planes`` is scratch."""
    accumulators[:] = 0
    driven = np.uint64(0)
    for channel in range(spread_map.shape[0]):
        planes[:] = 0
        for index in range(kernel * kernel):
            bits = spread_map[channel, top + index // kernel, left + index % kernel]
            planes[index >> 3] |= bits << np.uint64(index & 7)
            driven |= bits
        add_chunk(tables, channel, planes, accumulators)
    return driven != 0


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
    spread_map, pairs = _spread_map(features), tables.pairs
    planes = np.empty((kernel * kernel + 7) // 8, np.uint64)
    # Most patches of an image are blank: what follows from no sum at all is computed once.
    requantise(tables.dark, offsets, multipliers, requantisation.shift, blank)
    dark = tables.dark
    pooled[first // pool : (end - 1) // pool + 1] = 0
    for y in range(first, end):
        for x in range(width_out):
            found = blank
            # The tables are no argument of the narrow call: counting their references in every
            # patch would take as long as the patch.
            if tables.narrow:
                driven = _add_narrow_patch(
                    pairs, spread_map, kernel, y * stride, x * stride, accumulators
                )
                if driven:
                    accumulators += dark
            else:
                driven = _add_wide_patch(
                    tables, spread_map, kernel, y * stride, x * stride, planes, accumulators
                )
            if driven:
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
    spread_map, pairs = _spread_map(features), tables.pairs
    planes = np.empty((kernel * kernel + 7) // 8, np.uint64)
    for y in range(accumulators.shape[0]):
        for x in range(accumulators.shape[1]):
            sums = accumulators[y, x]
            if tables.narrow:
                _add_narrow_patch(pairs, spread_map, kernel, y * stride, x * stride, sums)
                sums += tables.dark
            else:
                _add_wide_patch(tables, spread_map, kernel, y * stride, x * stride, planes, sums)
