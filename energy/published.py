"""Figures that the papers print, cell by cell, and what follows from them by arithmetic alone."""

import functools
from dataclasses import dataclass

from energy.errors import EnergyError
from energy.tables import DATA, load_bibliography, read_csv

__all__ = ["Cell", "cell", "cells", "gains", "value"]

COLUMNS = [
    "system",
    "design",
    "unit",
    "phase",
    "quantity",
    "value",
    "si_unit",
    "tag",
    "source",
    "where",
]
TAGS = ("found", "derived", "inferred", "recalled")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One published figure, in SI units or as its ``si_unit`` says."""

    system: str
    design: str
    unit: str
    phase: str
    quantity: str
    value: float
    si_unit: str
    tag: str
    source: str
    where: str


@functools.cache
def cells() -> dict[tuple[str, str, str, str, str], Cell]:
    """All cells of ``data/published.csv`` by (system, design, unit, phase, quantity)."""
    table = {}
    for row in read_csv(DATA / "published.csv", COLUMNS):
        if row["tag"] not in TAGS or row["source"] not in load_bibliography():
            raise EnergyError(f"published.csv: {row} has an unknown tag or source.")
        text = row.pop("value")
        entry = Cell(value=float(text), **row)
        key = (entry.system, entry.design, entry.unit, entry.phase, entry.quantity)
        if key in table or entry.value < 0:
            raise EnergyError(f"published.csv: {' '.join(key)} is given twice or negative.")
        table[key] = entry
    return table


def cell(system: str, design: str, unit: str, phase: str, quantity: str) -> Cell | None:
    """The published figure, or None where the paper prints none."""
    return cells().get((system, design, unit, phase, quantity))


def value(system: str, design: str, unit: str, phase: str, quantity: str) -> float:
    """The published figure.

    Raises
    ------
    EnergyError
        If the paper prints none there.
    """
    entry = cell(system, design, unit, phase, quantity)
    if entry is None:
        raise EnergyError(f"No published figure for {system} {design} {unit} {phase} {quantity}.")
    return entry.value


def gains(energy: dict[str, dict[str, float]], time: dict[str, float]) -> dict[str, float]:
    """The ratios of the paper's Discussion, from energies and times of the three designs.

    Parameters
    ----------
    energy
        Per design (``fixed32``, ``mixed4``, ``mca``) and phase, in joules per image.
    time
        Per design, in seconds per image.

    Returns
    -------
    dict
        ``propagation``, ``update``, ``total``, ``throughput`` against 32 bits, ``total_mixed4``
        against 4 bits.
    """
    mca, fixed = energy["mca"], energy["fixed32"]
    return {
        "propagation": (fixed["forward"] + fixed["backward"]) / (mca["forward"] + mca["backward"]),
        "update": fixed["update"] / mca["update"],
        "total": sum(fixed.values()) / sum(mca.values()),
        "throughput": time["fixed32"] / time["mca"],
        "total_mixed4": sum(energy["mixed4"].values()) / sum(mca.values()),
    }
