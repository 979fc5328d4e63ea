"""Energy = sum over actions of count x cost; time and area likewise, every term with its row and
uncertainty.

A preset (``data/presets.csv``) says which row of ``data/costs.csv`` is charged for each action, or
why none is:

``paper``      figures published with the system, most of them inferred from its Table 1
``bottom_up``  component tables only
``measured``   silicon for the computational memory, component tables for the digital unit

Uncertainty: a row's factor is common to all its terms, so terms of one row add up before they
meet; rows are taken as independent and their deviations add in quadrature, upwards and downwards
apart.
"""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from energy import scaling, sram
from energy.activity import PHASES, Action, ActivityRecord, InputStatistics, derive, seconds
from energy.errors import EnergyError
from energy.scaling import Node
from energy.tables import DATA, Row, load_costs, load_presets, read_csv
from model.config import Config

__all__ = [
    "PRESETS",
    "Estimate",
    "Figure",
    "Term",
    "estimate",
    "presets",
    "row_term",
    "unit_energy",
]

FEMTO = 1e-15

#: Reference width of the converter rows' common law, data/adc_resolution.csv.
ADC_REFERENCE_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value with the bounds of its uncertainty, in one SI unit."""

    value: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """The larger of the two factors between the value and its bounds; 1 when the value is
        zero."""
        if self.value == 0:
            return 1.0
        return max(self.high / self.value, self.value / self.low if self.low > 0 else math.inf)


@dataclass(frozen=True, kw_only=True)
class Term:
    """One action at its cost."""

    action: Action
    row: Row
    unit_energy_j: float
    marks: tuple[str, ...]
    """What lies outside the row's range; empty where all is well."""

    @property
    def energy_j(self) -> float:
        """Energy per image in joules: count times unit energy."""
        return self.action.count * self.unit_energy_j


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Energy and time of a mean training image."""

    config: str
    preset: str
    node: Node
    terms: tuple[Term, ...]
    seconds: dict[str, float]
    """Time per phase."""

    def energy(self, where: Callable[[Term], bool] | None = None) -> Figure:
        """The sum of the terms that ``where`` admits (all by default), in joules."""
        return combine(self.terms if where is None else filter(where, self.terms))

    def phase(self, phase: str, unit: str | None = None) -> Figure:
        """Energy of a phase, of one unit (``analog``, ``digital``) or of both."""
        return self.energy(
            lambda term: term.action.phase == phase and unit in (None, term.action.unit)
        )

    @property
    def total_seconds(self) -> float:
        """Time per image."""
        return sum(self.seconds.values())

    @property
    def marks(self) -> list[str]:
        """Everything that lies outside a validity range, once each."""
        return sorted({f"{term.row.id}: {mark}" for term in self.terms for mark in term.marks})

    def share(self, kind: str) -> float:
        """Share of the total energy that rests on rows of a kind, 0..1."""
        total = self.energy().value
        part = sum(term.energy_j for term in self.terms if term.row.kind == kind)
        return part / total if total else 0.0


def combine(terms: Iterable[Term]) -> Figure:
    """The sum of terms in joules; see the module's text for its bounds."""
    by_row: dict[str, tuple[Row, float]] = {}
    for term in terms:
        row, energy = by_row.get(term.row.id, (term.row, 0.0))
        by_row[row.id] = (row, energy + term.energy_j)
    total = math.fsum(energy for _, energy in by_row.values())
    down = math.hypot(*(energy * (1 - 1 / row.uncertainty[0]) for row, energy in by_row.values()))
    up = math.hypot(*(energy * (row.uncertainty[1] - 1) for row, energy in by_row.values()))
    return Figure(value=total, low=max(0.0, total - down), high=total + up)


def presets() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(load_presets())


PRESETS = ("bottom_up", "measured", "paper")
"""The presets in the order of the report."""


@functools.cache
def _adc_table() -> dict[int, float]:
    columns = ["bits", "energy_fj", "area_um2", "source", "where"]
    cells = read_csv(DATA / "adc_resolution.csv", columns)
    return {int(cell["bits"]): float(cell["energy_fj"]) for cell in cells}


def adc_relative(bits: int) -> float:
    """Energy of a conversion relative to eight bits, from ``data/adc_resolution.csv``.

    Raises
    ------
    EnergyError
        If the table does not hold ``bits``.
    """
    table = _adc_table()
    if bits not in table:
        raise EnergyError(
            f"A conversion can be estimated for {min(table)} to {max(table)} bits, not {bits}."
        )
    return table[bits] / table[ADC_REFERENCE_BITS]


def unit_energy(
    row: Row, action: Action, node: Node, adc_bits: int
) -> tuple[float, tuple[str, ...]]:
    """Energy in joules of one action at a row's cost, and what lies outside the row's table.

    Memories are looked up at the action's size and width; converters follow ``adc_resolution.csv``
    from their own width to ``adc_bits``; digital rows are scaled to ``node``.

    Raises
    ------
    EnergyError
        If the row has no energy, or the node is beyond the scaling law.
    """
    marks: tuple[str, ...] = ()
    if row.parameters.get("table") == "sram":
        column = "leakage_nw" if action.action == "leakage" else f"{action.action}_fj"
        access = sram.lookup(row.parameters["model"], column, action.n_bytes, action.bits)
        # nW x ns = 1e-18 J = 1e-3 fJ
        energy_fj = access.value * (1e-3 if column == "leakage_nw" else 1.0)
        if not access.inside:
            marks = (
                f"a memory of {action.n_bytes:.0f} bytes x {action.bits:.0f} bits is extended",
            )
    elif row.energy_fj is None:
        raise EnergyError(f"Row {row.id} states no energy.")
    else:
        energy_fj = row.energy_fj
        if row.component == "adc":
            own = int(row.parameters.get("bits", ADC_REFERENCE_BITS))
            if own != adc_bits:
                energy_fj *= adc_relative(adc_bits) / adc_relative(own)
    energy_fj *= scaling.row_factors(row, node)[0]
    return energy_fj * FEMTO, marks


def estimate(
    config: Config,
    activity: ActivityRecord,
    *,
    preset: str = "bottom_up",
    node: Node | None = None,
    inputs: InputStatistics | None = None,
    flip_flops: int | None = None,
    replace: dict[tuple[str, str], str] | None = None,
) -> Estimate:
    """Estimates a mean training image.

    Parameters
    ----------
    config, activity
        The system, and what a run of it counted.
    preset
        One of :data:`PRESETS`.
    node
        Where digital rows are scaled to; 14 nm and 0.8 V by default.
    inputs, flip_flops
        See :func:`energy.activity.derive`.
    replace
        Rows to charge instead of the preset's, by (component, action).

    Raises
    ------
    EnergyError
        If the preset or a row is unknown, an action has no entry in the preset, or a figure cannot
        be scaled.
    """
    tables = load_presets()
    if preset not in tables:
        raise EnergyError(f"Unknown preset {preset!r}; known: {', '.join(sorted(tables))}.")
    node = Node() if node is None else node
    actions = derive(config, activity, inputs=inputs, flip_flops=flip_flops)
    return Estimate(
        config=config.name,
        preset=preset,
        node=node,
        terms=tuple(charge(actions, preset, node, config, replace or {})),
        seconds=seconds(config, activity),
    )


def row_term(
    row_id: str,
    count: float,
    block: str,
    note: str,
    node: Node,
    *,
    phase: str = "forward",
    basis: str = "configuration",
    access: str = "",
    n_bytes: float = 0.0,
    bits: float = 0.0,
    adc_bits: int = 8,
) -> Term:
    """``count`` times a named row of the cost tables, whatever a preset says.

    ``access`` names the action where the row stands for several (a memory's read and write);
    ``n_bytes`` and ``bits`` are the memory's size and width; see :func:`unit_energy`.
    """
    row = load_costs()[row_id]
    action = Action(
        component=row.component,
        action=access or row.action,
        phase=phase,
        unit="digital" if row.scaling == "digital" else "analog",
        block=block,
        count=count,
        note=note,
        basis=basis,
        n_bytes=n_bytes,
        bits=bits,
    )
    energy_j, marks = unit_energy(row, action, node, adc_bits)
    return Term(action=action, row=row, unit_energy_j=energy_j, marks=marks)


def charge(
    actions: Iterable[Action],
    preset: str,
    node: Node,
    config: Config,
    replace: dict[tuple[str, str], str],
) -> list[Term]:
    """Each action that the preset charges, at its row's cost; see :func:`estimate`."""
    table, rows = load_presets()[preset], load_costs()
    adc_bits, chi_bits = config.converter.adc_bits, config.update.chi_bits
    context = {
        "adc_bits": adc_bits,
        "chi_bits": chi_bits,
        "drive_bits": 8,
        "clock_ghz": 1e-9 / config.clock_period_s,
    }
    terms = []
    for action in actions:
        key = (action.component, action.action)
        if key not in table:
            raise EnergyError(f"The preset {preset} has no entry for the action {'.'.join(key)}.")
        name = replace.get(key, table[key][0])
        if name is None:
            continue
        if name not in rows:
            raise EnergyError(f"Unknown row {name!r} for the action {'.'.join(key)}.")
        row = rows[name]
        if row.component != action.component:
            raise EnergyError(
                f"Row {name} is a cost of {row.component}, not of {action.component}."
            )
        energy_j, marks = unit_energy(row, action, node, adc_bits)
        terms.append(
            Term(
                action=action,
                row=row,
                unit_energy_j=energy_j,
                marks=(*marks, *row.outside(context)),
            )
        )
    return terms


def phases(result: Estimate) -> dict[str, Figure]:
    """Energy of every phase in joules."""
    return {phase: result.phase(phase) for phase in PHASES}
