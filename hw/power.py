"""Power of a mapped netlist by its activity: our own engine over Liberty tables.

For every cell of a block, with a net's toggles n and its duty from a simulation::

    internal   = sum over pins of n/2 (rise + fall) energy at the input slew and the output load,
                 of an output's arcs each by its share of the toggles of its related pins
    switching  = sum over outputs of n/2 C V**2, C the input pins on the net
    leakage    = stated power times the duration

Slews are propagated from inputs and registers, of each cell the worst arc. The clock is ideal: its
nets have the library's fastest slew, and each flip-flop's clock pin is charged to the flip-flop. No
wire has a capacitance, and no gate a delay, so there are no glitches: a lower bound.

Source of the method: Liberty user guide (internal_power, leakage_power). The engine is checked on
cells worked by hand (tests/hw/test_power.py).
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hw.liberty_power import CellPower, PowerArc, PowerLibrary, Table, to_expression
from hw.netlist import Cell, Netlist
from hw.saif import Instance, NetActivity

__all__ = ["BlockPower", "block_power"]

_STILL = NetActivity(0, 0.0)
_CONSTANTS = {"0": NetActivity(0, 0.0), "1": NetActivity(0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class BlockPower:
    """Energy of a block over the whole activity, in joules."""

    name: str
    cells: int
    internal_j: float
    """Of logic."""
    switching_j: float
    """Of the nets that logic drives."""
    register_j: float
    """Of registers: internal energy, their clock pins, the nets that they drive."""
    leakage_j: float
    unseen: int
    """Nets without activity, taken as still."""

    @property
    def energy_j(self) -> float:
        """All of it."""
        return self.internal_j + self.switching_j + self.register_j + self.leakage_j


def block_power(
    name: str,
    netlist: Netlist,
    activity: Instance,
    library: PowerLibrary,
    *,
    seconds: float,
    output_load: float,
) -> BlockPower:
    """The energy of a block.

    Parameters
    ----------
    name
        For the result.
    netlist
        The block's cells; what is no cell of the library, a memory or another block, has no energy.
    activity
        Of the block's nets.
    seconds
        Duration of the activity.
    output_load
        Load of an output of the block, in the library's unit.
    """
    cells = [cell for cell in netlist.cells if cell.kind in library.cells]
    loads = _loads(cells, netlist, library, output_load)
    slews = _slews(cells, netlist, library, loads)
    unseen: set[str] = set()

    def seen(net: str) -> NetActivity:
        if net in _CONSTANTS:
            return _CONSTANTS[net]
        found = activity.nets.get(net)
        if found is None:
            unseen.add(net)
        return found or _STILL

    parts: dict[str, float] = defaultdict(float)
    volt2 = library.voltage_v**2
    for cell in cells:
        kind = library.cells[cell.kind]
        pins = {pin: netlist.net(net) for pin, net in cell.pins.items()}
        moved = {pin: seen(net) for pin, net in pins.items()}
        internal = _internal(kind, pins, moved, slews, loads)
        switching = sum(
            moved[pin].toggles / 2 * loads[pins[pin]] * volt2 for pin in kind.outputs if pin in pins
        )
        if kind.register:
            # An expression, as "!CK" of a falling edge.
            clocks = [pin for pin in re.findall(r"\w+", kind.register["clocked_on"]) if pin in pins]
            clock = sum(moved[pin].toggles / 2 * kind.inputs[pin] * volt2 for pin in clocks)
            parts["register"] += internal + switching + clock
        else:
            parts["internal"] += internal
            parts["switching"] += switching
        parts["leakage"] += kind.leakage
    joule = library.energy_j
    return BlockPower(
        name=name,
        cells=len(cells),
        internal_j=parts["internal"] * joule,
        switching_j=parts["switching"] * joule,
        register_j=parts["register"] * joule,
        leakage_j=parts["leakage"] * library.leakage_w * seconds,
        unseen=len(unseen),
    )


def _loads(
    cells: Iterable[Cell], netlist: Netlist, library: PowerLibrary, output_load: float
) -> dict[str, float]:
    """Capacitance on every net: input pins, and the load of an output."""
    loads: dict[str, float] = defaultdict(float)
    for cell in cells:
        for pin, capacitance in library.cells[cell.kind].inputs.items():
            if pin in cell.pins:
                loads[netlist.net(cell.pins[pin])] += capacitance
    for net in netlist.outputs:
        loads[netlist.net(net)] += output_load
    return loads


def _slews(
    cells: Iterable[Cell], netlist: Netlist, library: PowerLibrary, loads: Mapping[str, float]
) -> dict[str, float]:
    """Slew of every net, from registers and inputs onwards."""
    fastest = min(
        axis[0]
        for kind in library.cells.values()
        for arcs in kind.transitions.values()
        for arc in arcs
        for table in arc.tables
        for axis in table.axes[1:]  # of two variables the slew, by either order, is fast at first
    )
    slews: dict[str, float] = defaultdict(lambda: fastest)
    waiting: dict[str, list[int]] = defaultdict(list)
    missing, ready = [], []
    listed = list(cells)
    driven = {
        netlist.net(cell.pins[pin])
        for cell in listed
        if not library.cells[cell.kind].register
        for pin in library.cells[cell.kind].outputs
        if pin in cell.pins
    }
    for index, cell in enumerate(listed):
        kind = library.cells[cell.kind]
        nets = set() if kind.register else {netlist.net(cell.pins[pin]) for pin in kind.inputs}
        awaited = nets & driven
        missing.append(len(awaited))
        for net in awaited:
            waiting[net].append(index)
        if not awaited:
            ready.append(index)
    while ready:
        cell = listed[ready.pop()]
        kind = library.cells[cell.kind]
        for pin in kind.outputs:
            if pin not in cell.pins:
                continue
            net = netlist.net(cell.pins[pin])
            slews[net] = max(
                (
                    table.at(slews[netlist.net(cell.pins[source])], loads[net])
                    for arc in kind.transitions[pin]
                    for source in arc.related
                    for table in arc.tables
                ),
                default=fastest,
            )
            for index in waiting.pop(net, []):
                missing[index] -= 1
                if missing[index] == 0:
                    ready.append(index)
    return slews


def _internal(
    kind: CellPower,
    pins: Mapping[str, str],
    moved: Mapping[str, NetActivity],
    slews: Mapping[str, float],
    loads: Mapping[str, float],
) -> float:
    """Energy inside a cell, in the library's unit."""
    duties = {pin: activity.duty for pin, activity in moved.items()}
    total = 0.0
    for pin, activity in moved.items():
        arcs = kind.arcs.get(pin, ())
        if not arcs or not activity.toggles:
            continue
        if pin in kind.inputs:
            energy = _weighted(
                [(arc, _probability(arc.when, duties)) for arc in arcs], slews[pins[pin]], 0.0
            )
        else:
            causes: dict[str, float] = {}
            for source in {source for arc in arcs for source in arc.related}:
                causes[source] = moved[source].toggles if source in moved else 0
            whole = sum(causes.values())
            energy = 0.0
            for source, toggles in causes.items():
                share = toggles / whole if whole else 1 / len(causes)
                mine = [
                    (arc, _probability(arc.when, duties)) for arc in arcs if source in arc.related
                ]
                energy += share * _weighted(mine, slews[pins[source]], loads[pins[pin]])
        total += activity.toggles / 2 * energy
    return total


def _weighted(arcs: list[tuple[PowerArc, float]], slew: float, load: float) -> float:
    """Energy of a rise and a fall, each the mean over the arcs that have it."""
    total = 0.0
    for tables in ([(a.rise, p) for a, p in arcs], [(a.fall, p) for a, p in arcs]):
        known: list[tuple[Table, float]] = [(t, p) for t, p in tables if t is not None]
        weight = sum(p for _, p in known)
        if weight:
            total += sum(t.at(slew, load) * p for t, p in known) / weight
        elif known:
            total += sum(t.at(slew, load) for t, _ in known) / len(known)
    return total


def _probability(when: str, duties: Mapping[str, float]) -> float:
    """How likely a condition is, its pins being independent; 1 without condition."""
    if not when:
        return 1.0
    return _value(ast.parse(to_expression(when), mode="eval").body, duties)


def _value(node: ast.expr, duties: Mapping[str, float]) -> float:
    match node:
        case ast.Name(id=name):
            return duties.get(name, 0.5)
        case ast.Constant(value=value):
            return float(bool(value))
        case ast.UnaryOp(operand=operand):
            return 1 - _value(operand, duties)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, duties), _value(right, duties)
            if isinstance(op, ast.BitAnd):
                return a * b
            return a + b - (2 if isinstance(op, ast.BitXor) else 1) * a * b
    raise ValueError(f"{ast.unparse(node)} is no condition of a cell.")
