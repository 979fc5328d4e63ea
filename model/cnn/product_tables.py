"""The product of a chunk with eight bit planes, compiled: tables of what the array would answer.

An array has no memory between phases: its code depends on the driven bits alone. So for a narrow
chunk all codes are tabulated once, and a product is eight look-ups; for a wide one the sums of each
eight input lines are tabulated, added, and converted. Either gives the integers of
:meth:`model.cnn.crossbar.LayerArrays.phase` and :func:`model.cnn.read_out.shift_add`, bit for bit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.cnn.crossbar import LayerArrays, convert
from model.jit import njit

__all__ = [
    "NARROW_INPUTS",
    "SPREAD",
    "ProductTables",
    "add_chunk",
    "add_narrow",
    "product_tables",
    "spread",
]

NARROW_INPUTS = 10
"""Up to so many inputs all ``2**inputs`` answers are tabulated: the table stays in a cache."""


SPREAD = np.array(
    [sum(((value >> bit) & 1) << (8 * bit) for bit in range(8)) for value in range(256)], np.uint64
)
"""Bit b of a byte as byte b of a word."""


class ProductTables(NamedTuple):
    """The answers of one layer's arrays."""

    narrow: bool
    """Which table holds."""
    pairs: NDArray[np.int16]
    """Narrow: plus code less minus code, int16 ``[chunks, 2**inputs, outs]``."""
    sums: NDArray[np.int32]
    """Wide: line sums in conductance units, int32 ``[chunks, ceil(inputs / 8), 256, lines]``."""
    half: int
    """Half a code, in conductance units."""
    lsb: int
    """A code, in conductance units."""
    code_max: int
    """Largest code."""
    dark: NDArray[np.int32]
    """int32 ``[outs]``: sum of all phases if nothing is driven. Zero but for faults; ``pairs`` are
    beside it, so that phases without a drive may be left out."""
    faults: NDArray[np.int16]
    """Wide: int16 ``[2, chunks, lines]``, what converters keep and force of a code."""


def _subset_sums(units: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sums over every subset of the second last axis: ``[..., n, lines]`` to ``[..., 2**n,
    lines]``, bit i of the index for entry i."""
    n = units.shape[-2]
    sums = np.zeros((*units.shape[:-2], 2**n, units.shape[-1]), np.int32)
    for i in range(n):
        sums[..., 2**i : 2 ** (i + 1), :] = sums[..., : 2**i, :] + units[..., i, None, :]
    return sums


def product_tables(arrays: LayerArrays) -> ProductTables:
    """The tables of a layer as its arrays are now."""
    units, lsb, code_max = arrays.units, arrays.lsb, arrays.config.array.code_max
    chunks, inputs, lines = units.shape
    narrow = inputs <= NARROW_INPUTS
    pairs, sums = np.zeros((1, 1, 1), np.int16), np.zeros((1, 1, 1, 1), np.int32)
    if narrow:
        codes = convert(_subset_sums(units), lsb, code_max).astype(np.int16)
        codes = arrays.forced(codes, slice(0, chunks))
        pairs = codes[..., 0::2] - codes[..., 1::2]
        pairs = np.ascontiguousarray(pairs - pairs[:, :1])
    else:
        padded = np.zeros((chunks, -(-inputs // 8) * 8, lines), np.int32)
        padded[:, :inputs] = units
        sums = _subset_sums(padded.reshape(chunks, -1, 8, lines))
    steps = arrays.config.steps(arrays.layer)
    faults = np.ascontiguousarray(np.repeat(arrays.faults, steps, axis=1)[:, :chunks])
    none = arrays.forced(np.zeros((chunks, lines), np.int32), slice(0, chunks)).sum(axis=0)
    dark = 255 * (none[0::2] - none[1::2])
    return ProductTables(
        narrow, pairs, sums, lsb // 2, lsb, code_max, dark.astype(np.int32), faults
    )


@njit
def spread(values: NDArray[np.uint8], planes: NDArray[np.uint64]) -> None:
    """Bit planes of a chunk's values: bit i of byte b of ``planes[g]`` is bit b of value ``8 g +
    i``, so byte b holds what is driven in phase b.

    ``values``: uint8 ``[inputs]``; ``planes``: uint64 ``[ceil(inputs / 8)]``, written.
    """
    planes[:] = 0
    for i in range(values.shape[0]):
        planes[i >> 3] |= SPREAD[values[i]] << np.uint64(i & 7)


@njit
def add_narrow(
    pairs: NDArray[np.int16],
    chunk: int,
    low: np.uint64,
    high: np.uint64,
    accumulators: NDArray[np.int32],
) -> None:
    """Adds the product of a narrow chunk: eight phases, shift-and-add, difference of the pairs;
    what codes are without a drive is left out.

    ``pairs``: of the tables; ``low``, ``high``: its planes, of inputs 0..7 and of the others;
    ``accumulators``: int32 ``[outs]``, added to.
    """
    byte, byte_bits = np.uint64(255), np.uint64(8)
    for bit in range(8):
        index = (low & byte) | ((high & byte) << byte_bits)
        low >>= byte_bits
        high >>= byte_bits
        if index:
            for out in range(accumulators.shape[0]):
                accumulators[out] += np.int32(pairs[chunk, index, out]) << np.int32(bit)


@njit
def add_wide(
    tables: ProductTables,
    chunk: int,
    planes: NDArray[np.uint64],
    accumulators: NDArray[np.int32],
) -> None:
    """The same for a wide chunk."""
    for bit in range(8):
        shift = np.uint64(8 * bit)
        for out in range(accumulators.shape[0]):
            plus = minus = tables.half
            for group in range(planes.shape[0]):
                byte = (planes[group] >> shift) & np.uint64(255)
                plus += tables.sums[chunk, group, byte, 2 * out]
                minus += tables.sums[chunk, group, byte, 2 * out + 1]
            high = min(plus // tables.lsb, tables.code_max)
            low = min(minus // tables.lsb, tables.code_max)
            high = (high & tables.faults[0, chunk, 2 * out]) | tables.faults[1, chunk, 2 * out]
            low = (low & tables.faults[0, chunk, 2 * out + 1]) | (
                tables.faults[1, chunk, 2 * out + 1]
            )
            accumulators[out] += (high - low) << bit


@njit
def add_chunk(
    tables: ProductTables,
    chunk: int,
    planes: NDArray[np.uint64],
    accumulators: NDArray[np.int32],
) -> None:
    """The same for any chunk, from its planes."""
    if tables.narrow:
        high = planes[1] if planes.shape[0] > 1 else np.uint64(0)
        add_narrow(tables.pairs, chunk, planes[0], high, accumulators)
    else:
        add_wide(tables, chunk, planes, accumulators)
