"""Faults of converters, columns, references and tables, at the analog boundary of an array.

What a fault is, for all systems; which systems have which, and what they mean for them, is in
``fault_study.py`` of each. Everything is drawn from a generator, fault by fault: the same seed and
rate give the same faults.
"""

import enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.jit import njit

__all__ = [
    "ConverterFaults",
    "Fault",
    "break_converters",
    "cut_columns",
    "flip_bits",
    "force",
    "no_faults",
    "reference",
    "stuck_bits",
]

LEAST_REFERENCE = 0.01
"""A reference does not fall below this part of its value."""


class Fault(enum.StrEnum):
    """What is wrong; ``rate`` is the probability of each, or the spread of references."""

    #: A device holds one conductance, whatever is written.
    STUCK = "stuck"
    #: A converter has one bit that is always 0 or always 1.
    ADC_BITS = "adc_bits"
    #: A column is cut off: its code is 0, and driven backwards it carries nothing.
    DEAD_COLUMNS = "dead_columns"
    #: The reference that the converters of an array share is off by a Gaussian factor, drawn anew
    #: for every product.
    REFERENCES = "references"
    #: A bit of the chi memory flips, with this probability an image.
    CHI_BITS = "chi_bits"
    #: A bit of the unit's tables is inverted, from the start on.
    TABLES = "tables"


class ConverterFaults(NamedTuple):
    """The faults of one array between the devices and the codes; changed in place."""

    forward: NDArray[np.int16]
    """int16 ``[2, tiles, n_cols]``: a code keeps the ones of the first and gets those of the
    second."""
    backward: NDArray[np.int16]
    """int16 ``[2, tiles, n_rows]``: the same of the other direction."""
    rows: NDArray[np.bool_]
    """bool ``[n_rows]``: rows that are connected to their drivers."""
    columns: NDArray[np.bool_]
    """bool ``[n_cols]``: columns that are connected."""
    spread: NDArray[np.float64]
    """float64 ``[1]``: relative standard deviation of the reference."""


def no_faults(n_rows: int, n_cols: int, row_tiles: int = 1, col_tiles: int = 1) -> ConverterFaults:
    """An array as it should be: codes and drives pass unchanged, the reference is exact."""
    forward, backward = np.zeros((2, row_tiles, n_cols)), np.zeros((2, col_tiles, n_rows))
    forward[0] = backward[0] = -1
    return ConverterFaults(
        forward=forward.astype(np.int16),
        backward=backward.astype(np.int16),
        rows=np.ones(n_rows, np.bool_),
        columns=np.ones(n_cols, np.bool_),
        spread=np.zeros(1),
    )


@njit
def force(faults: NDArray[np.int16], codes: NDArray[np.int16]) -> None:
    """``codes = codes & faults[0] | faults[1]``, int16 ``[n]`` and ``[2, n]``; two's complement."""
    for line in range(codes.shape[0]):
        codes[line] = (codes[line] & faults[0, line]) | faults[1, line]


@njit
def reference(faults: ConverterFaults, rng: np.random.Generator) -> float:
    """The reference of one product, 1 being exact. Draws only if it has a spread."""
    if faults.spread[0] == 0.0:
        return 1.0
    return max(1.0 + faults.spread[0] * rng.standard_normal(), LEAST_REFERENCE)


def stuck_bits(
    shape: tuple[int, ...],
    bits: int,
    rate: float,
    rng: np.random.Generator,
    *,
    shared: int = 1,
    signed: bool = True,
) -> NDArray[np.int16]:
    """Masks of converters of which a part ``rate`` has one stuck bit: int16 ``[2, *shape]``.

    The bit is any of ``bits``, stuck at 0 or 1 alike. A ``signed`` code is sign-extended, so a
    stuck sign bit holds all bits above it. The last axis of ``shape`` are read lines, of which
    ``shared`` neighbours have one converter.
    """
    lines = shape[-1]
    converters = (*shape[:-1], -(-lines // shared))
    broken = rng.random(converters) < rate
    place = rng.integers(0, bits, converters)
    value = rng.integers(0, 2, converters)
    mask = np.where(signed & (place == bits - 1), -(1 << bits - 1), 1 << place)
    keep = np.where(broken, ~mask, -1)
    ones = np.where(broken & (value == 1), mask, 0)
    each = np.repeat(np.stack((keep, ones)), shared, axis=-1)[..., :lines]
    return np.ascontiguousarray(each.astype(np.int16))


def break_converters(
    faults: ConverterFaults, bits: int, rate: float, rng: np.random.Generator, *, shared: int = 1
) -> None:
    """Gives a part ``rate`` of an array's converters, of both directions, one stuck bit; see
    :func:`stuck_bits`."""
    for masks in (faults.forward, faults.backward):
        masks[...] = stuck_bits(masks.shape[1:], bits, rate, rng, shared=shared)


def cut_columns(faults: ConverterFaults, rate: float, rng: np.random.Generator) -> None:
    """Cuts off a part ``rate`` of an array's columns: code 0 forward, nothing when driven."""
    dead = rng.random(len(faults.columns)) < rate
    faults.columns[dead] = False
    faults.forward[:, :, dead] = 0


def flip_bits(
    values: NDArray[Any], bits: int, rate: float, rng: np.random.Generator
) -> NDArray[Any]:
    """A copy in which each of the lowest ``bits`` of every value is inverted with probability
    ``rate``; unsigned values."""
    flips = rng.random((*values.shape, bits)) < rate
    masks = (flips << np.arange(bits)).sum(axis=-1)
    return (values.astype(np.int64) ^ masks).astype(values.dtype)
