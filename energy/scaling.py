"""Energy, area and delay of digital CMOS from one node and supply to another.

The method is that of Stillmaker and Baas, Integration 58 (2017): polynomials fitted to simulated
inverter chains from 180 nm to 7 nm. The factor from (n1, V1) to (n2, V2) is

    energy: e(n2, V2) / e(n1, V1),   e(n, V) = a2 V^2 + a1 V + a0
    delay:  d(n2, V2) / d(n1, V1),   d(n, V) = d3 V^3 + d2 V^2 + d1 V + d0
    area:   A[n1][n2], a table

The coefficients lie in ``data/scaling_energy.csv`` and ``data/scaling_area.csv``: the
high-performance columns of the paper, as tabulated in wromaszkan/nodeScale (commit 0676b74) and,
from 20 nm down, equal in Accelergy-Project/hwcomponents. A node between two of the table is
interpolated in the logarithm. Nothing beyond 7 to 180 nm, or more than a quarter off the node's
nominal supply, is extrapolated: it raises.

It is a law of digital logic. Converters and devices are not scaled with it.
"""

import bisect
import functools
import math
from dataclasses import dataclass

from energy.errors import EnergyError
from energy.tables import DATA, Row, read_csv

__all__ = [
    "NODES",
    "Node",
    "area_factor",
    "delay_factor",
    "energy_factor",
    "nominal_vdd_v",
    "row_factors",
]

SOURCE = "stillmaker2017"
"""Key of the method in the bibliography."""

SUPPLY_MARGIN = 0.25
"""Largest relative distance from the nominal supply. Our choice: the paper's own limits were not
at hand."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A technology node and its supply."""

    tech_nm: float = 14.0
    """Feature size in nm, 7 to 180. The paper's study is in 14 nm low power plus."""

    vdd_v: float = 0.8
    """Supply in volts. 0.8 V is the supply of the HERMES core in 14 nm; the paper does not state
    its own."""

    def __post_init__(self) -> None:
        nominal = nominal_vdd_v(self.tech_nm)
        if not abs(self.vdd_v / nominal - 1) <= SUPPLY_MARGIN:
            raise EnergyError(
                f"The supply at {self.tech_nm:g} nm must be within a quarter of {nominal:.2f} V, "
                f"not {self.vdd_v:g} V."
            )


@functools.cache
def _coefficients() -> dict[float, dict[str, float]]:
    columns = ["tech_nm", "vdd_nominal_v", "a2", "a1", "a0", "d3", "d2", "d1", "d0"]
    rows = [
        {name: float(value) for name, value in cells.items()}
        for cells in read_csv(DATA / "scaling_energy.csv", columns)
    ]
    return {row["tech_nm"]: row for row in sorted(rows, key=lambda row: row["tech_nm"])}


@functools.cache
def _areas() -> dict[tuple[float, float], float]:
    nodes = sorted(_coefficients(), reverse=True)
    cells = read_csv(DATA / "scaling_area.csv", ["tech_nm", *(f"{node:g}" for node in nodes)])
    return {
        (float(cell["tech_nm"]), node): float(cell[f"{node:g}"]) for cell in cells for node in nodes
    }


NODES: tuple[float, ...] = tuple(_coefficients())
"""Nodes of the table in nm, smallest first."""


def _neighbours(tech_nm: float) -> tuple[float, float, float]:
    """The table's nodes around ``tech_nm`` and the weight of the upper one, linear in log(nm)."""
    if not NODES[0] <= tech_nm <= NODES[-1]:
        raise EnergyError(
            f"The node must be between {NODES[0]:g} and {NODES[-1]:g} nm, not {tech_nm:g} nm."
        )
    index = bisect.bisect_left(NODES, tech_nm)
    high = NODES[index]
    if high == tech_nm:
        return high, high, 0.0
    low = NODES[index - 1]
    return low, high, math.log(tech_nm / low) / math.log(high / low)


def nominal_vdd_v(tech_nm: float) -> float:
    """Nominal supply of a node, in volts (of the predictive models that the fits rest on;
    recalled)."""
    low, high, weight = _neighbours(tech_nm)
    table = _coefficients()
    return table[low]["vdd_nominal_v"] * (1 - weight) + table[high]["vdd_nominal_v"] * weight


def _polynomial(tech_nm: float, vdd_v: float, names: tuple[str, ...]) -> float:
    def at(node: float) -> float:
        value = 0.0
        for name in names:
            value = value * vdd_v + _coefficients()[node][name]
        if value <= 0:
            raise EnergyError(f"The scaling law does not hold at {node:g} nm and {vdd_v:g} V.")
        return value

    low, high, weight = _neighbours(tech_nm)
    return math.exp(math.log(at(low)) * (1 - weight) + math.log(at(high)) * weight)


def energy_factor(tech_nm: float, vdd_v: float, to: Node) -> float:
    """By what an energy at (``tech_nm``, ``vdd_v``) is multiplied to hold at ``to``.

    Raises
    ------
    EnergyError
        If the source node lies outside the law's range.
    """
    names = ("a2", "a1", "a0")
    return _polynomial(to.tech_nm, to.vdd_v, names) / _polynomial(tech_nm, vdd_v, names)


def delay_factor(tech_nm: float, vdd_v: float, to: Node) -> float:
    """By what a delay at (``tech_nm``, ``vdd_v``) is multiplied to hold at ``to``; see
    :func:`energy_factor`."""
    names = ("d3", "d2", "d1", "d0")
    return _polynomial(to.tech_nm, to.vdd_v, names) / _polynomial(tech_nm, vdd_v, names)


def area_factor(tech_nm: float, to: Node) -> float:
    """By what an area at ``tech_nm`` is multiplied to hold at ``to``; between nodes, linear in
    logarithms."""
    from_low, from_high, from_weight = _neighbours(tech_nm)
    to_low, to_high, to_weight = _neighbours(to.tech_nm)
    areas = _areas()
    total = 0.0
    for source, source_weight in ((from_low, 1 - from_weight), (from_high, from_weight)):
        for target, target_weight in ((to_low, 1 - to_weight), (to_high, to_weight)):
            total += source_weight * target_weight * math.log(areas[source, target])
    return math.exp(total)


def row_factors(row: Row, to: Node) -> tuple[float, float]:
    """By what a cost row's energy and area are multiplied to hold at ``to``: 1 unless digital.

    Raises
    ------
    EnergyError
        If the row's node lies outside the law's range.
    """
    if row.scaling != "digital" or row.tech_nm is None or row.vdd_v is None:
        return 1.0, 1.0
    return energy_factor(row.tech_nm, row.vdd_v, to), area_factor(row.tech_nm, to)
