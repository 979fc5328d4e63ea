"""What an access to an SRAM of any size costs: interpolated in a table of simulated and published
memories.

``data/sram.csv`` holds, per model, memories of ``bytes`` read ``bits`` at a time. Between its
points energy, leakage and area are interpolated linearly in the logarithms of both; a model with
one width is linear in bits. Below or beyond the table's sizes the nearest point is extended by its
slope of one half in bytes and one in bits, the scaling of a square array, and the result is
marked.
"""

import functools
import math
from dataclasses import dataclass

from energy.errors import EnergyError
from energy.tables import DATA, read_csv

__all__ = ["Access", "lookup"]

COLUMNS = [
    "model",
    "tech_nm",
    "vdd_v",
    "bytes",
    "bits",
    "read_fj",
    "write_fj",
    "leakage_nw",
    "area_um2",
    "latency_ns",
]


@dataclass(frozen=True, kw_only=True)
class Access:
    """One figure of a memory."""

    value: float
    """In the unit of the column asked for."""

    inside: bool
    """Whether the memory lies within the table; else ``value`` is an extension of it."""


@functools.cache
def _model(model: str) -> dict[tuple[int, int], dict[str, str]]:
    points = {
        (int(cell["bytes"]), int(cell["bits"])): cell
        for cell in read_csv(DATA / "sram.csv", COLUMNS)
        if cell["model"] == model
    }
    if not points:
        raise EnergyError(f"sram.csv has no model {model!r}.")
    return points


def _weights(value: float, grid: list[int]) -> list[tuple[int, float]]:
    """The grid points around ``value`` with weights linear in the logarithm; one point beyond the
    ends."""
    if value <= grid[0]:
        return [(grid[0], 1.0)]
    if value >= grid[-1]:
        return [(grid[-1], 1.0)]
    high = next(point for point in grid if point >= value)
    if high == value:
        return [(high, 1.0)]
    low = max(point for point in grid if point < value)
    weight = math.log(value / low) / math.log(high / low)
    return [(low, 1 - weight), (high, weight)]


@functools.cache
def lookup(model: str, column: str, n_bytes: float, bits: float) -> Access:
    """A figure of a memory of ``n_bytes`` accessed ``bits`` at a time.

    Parameters
    ----------
    model
        ``model`` of ``sram.csv``.
    column
        ``read_fj``, ``write_fj``, ``leakage_nw`` or ``area_um2``. Leakage and area are
        proportional to bytes where the table must be extended.
    n_bytes, bits
        Size and width; both positive.

    Raises
    ------
    EnergyError
        If the model, the size or the column cannot be used.
    """
    if n_bytes <= 0 or bits <= 0:
        raise EnergyError(
            f"A memory must have a size and a width, not {n_bytes:g} bytes of {bits:g} bits."
        )
    points = _model(model)
    widths = sorted({width for _, width in points})
    one_width = len(widths) == 1
    per_byte = column in ("leakage_nw", "area_um2")
    total, inside = 0.0, True
    for width, width_weight in _weights(bits, widths):
        sizes = sorted(size for size, other in points if other == width)
        inside &= sizes[0] <= n_bytes <= sizes[-1]
        for size, size_weight in _weights(n_bytes, sizes):
            text = points[size, width].get(column, "")
            if not text:
                raise EnergyError(f"The memory model {model} has no {column}.")
            figure = math.log(float(text))
            if not sizes[0] <= n_bytes <= sizes[-1]:
                figure += math.log(n_bytes / size) * (1.0 if per_byte else 0.5)
            total += width_weight * size_weight * figure
    if not widths[0] <= bits <= widths[-1] and not per_byte:
        total += math.log(bits / (widths[0] if bits < widths[0] else widths[-1]))
        inside &= one_width
    return Access(value=math.exp(total), inside=inside)
