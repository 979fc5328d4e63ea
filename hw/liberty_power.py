"""Power of standard cells by their Liberty tables: capacitances, energies, leakage, slews.

Beside :mod:`hw.liberty`, which finds only what synthesis needs, this module reads the whole
grammar: groups, attributes and tables. Energies exclude the charging of the load: Liberty states
them so.

A condition (``when``) is taken with the probability that it holds, its pins being independent.
"""

import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hw.errors import LibertyError

__all__ = ["CellPower", "Group", "PowerArc", "PowerLibrary", "Table", "parse", "read_power"]

_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.|\\\n)*)"|(/\*.*?\*/|//[^\n]*)|([A-Za-z0-9_.+\-\[\]!\'*/&|^]+)|([(){}:;,])',
    re.DOTALL,
)


@dataclass
class Group:
    """A group of a Liberty file: ``kind (arguments) { ... }``."""

    kind: str
    arguments: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    """Simple attributes; of one given twice the last."""
    complex: dict[str, list[str]] = field(default_factory=dict)
    """Complex attributes, as ``values (...)``."""
    groups: list["Group"] = field(default_factory=list)

    def all(self, kind: str) -> list["Group"]:
        """The groups of a kind in this one."""
        return [group for group in self.groups if group.kind == kind]


def parse(text: str) -> Group:
    """The library group of a Liberty text.

    Raises
    ------
    LibertyError
        If the text breaks off or begins with anything else.
    """
    tokens: list[str] = []
    for quoted, comment, word, sign in _TOKEN.findall(text):
        if not comment:
            tokens.append(sign or word or quoted.replace("\\\n", " "))
    root, at = Group("", []), 0
    here, stack = root, list[Group]()
    try:
        while at < len(tokens):
            name = tokens[at]
            if name == "}":
                here, at = stack.pop(), at + 1
            elif name == ";":
                at += 1
            elif tokens[at + 1] == ":":
                here.attributes[name] = tokens[at + 2]
                at += 3
            elif tokens[at + 1] == "(":
                close = tokens.index(")", at)
                arguments = [token for token in tokens[at + 2 : close] if token != ","]
                if tokens[close + 1 : close + 2] == ["{"]:
                    group = Group(name, arguments)
                    here.groups.append(group)
                    stack.append(here)
                    here, at = group, close + 2
                else:
                    here.complex[name] = arguments
                    at = close + 1
            else:
                raise LibertyError(
                    f"A Liberty file cannot have {name!r} before {tokens[at + 1]!r}."
                )
    except (IndexError, ValueError):
        raise LibertyError("The Liberty file ends within a group.") from None
    libraries = root.all("library")
    if stack or len(libraries) != 1:
        raise LibertyError("A Liberty file must be one whole library group.")
    return libraries[0]


def _numbers(items: Sequence[str]) -> list[float]:
    return [float(number) for item in items for number in re.split(r"[,\s\\]+", item) if number]


@dataclass(frozen=True)
class Table:
    """A look-up table over up to two variables, linear between its points and beyond its ends."""

    axes: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]
    by_load_first: bool
    """Whether the first of two axes is the load, and the second the slew."""

    def at(self, slew: float, load: float) -> float:
        """The value at an input slew and an output load, in the library's units."""
        if not self.axes:
            return self.values[0]
        if len(self.axes) == 1:
            return _interpolate(self.axes[0], self.values, load if self.by_load_first else slew)
        first, second = (load, slew) if self.by_load_first else (slew, load)
        width = len(self.axes[1])
        rows = [
            _interpolate(self.axes[1], self.values[k * width : (k + 1) * width], second)
            for k in range(len(self.axes[0]))
        ]
        return _interpolate(self.axes[0], rows, first)


def _interpolate(axis: Sequence[float], values: Sequence[float], x: float) -> float:
    if len(axis) == 1:
        return values[0]
    k = min(max(bisect.bisect_right(axis, x) - 1, 0), len(axis) - 2)
    share = (x - axis[k]) / (axis[k + 1] - axis[k])
    return values[k] + share * (values[k + 1] - values[k])


@dataclass(frozen=True)
class PowerArc:
    """An ``internal_power`` group."""

    related: tuple[str, ...]
    """Input pins whose change causes it; none for the energy of an input pin itself."""
    when: str
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True)
class Transition:
    """Slews of an output by a change of an input."""

    related: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class CellPower:
    """What a cell's power needs, in the library's units."""

    inputs: Mapping[str, float]
    """Capacitance of each input pin."""
    outputs: Mapping[str, str]
    """Function of each output pin; of a register its state variable."""
    arcs: Mapping[str, tuple[PowerArc, ...]]
    """By pin."""
    transitions: Mapping[str, tuple[Transition, ...]]
    """By output pin."""
    leakage: float
    register: Mapping[str, str]
    """``next_state``, ``clocked_on``, ``preset``, ``clear``, ``state``, ``inverse``; empty unless
    it stores a bit at an edge."""


@dataclass(frozen=True)
class PowerLibrary:
    """Cells of one or more files with the units of the first."""

    cells: Mapping[str, CellPower]
    voltage_v: float
    load_f: float
    leakage_w: float

    @property
    def energy_j(self) -> float:
        """Unit of the energy tables: that of the load times a volt squared."""
        return self.load_f


_SCALES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}


def _unit(text: str, unit: str) -> float:
    found = re.fullmatch(rf"\s*([0-9.]*)\s*([fpnum]?){unit}\s*", text, re.IGNORECASE)
    if found is None:
        raise LibertyError(f"The unit {text!r} should be one of {unit}.")
    return float(found[1] or 1) * _SCALES[found[2].lower()]


def read_power(texts: Sequence[str]) -> PowerLibrary:
    """The cells of a library's files.

    Raises
    ------
    LibertyError
        If a file cannot be parsed, or states no units or no voltage.
    """
    cells: dict[str, CellPower] = {}
    first: Group | None = None
    for text in texts:
        library = parse(text)
        first = first or library
        templates = {
            group.arguments[0]: group
            for kind in ("lu_table_template", "power_lut_template")
            for group in library.all(kind)
        }
        for cell in library.all("cell"):
            cells[cell.arguments[0]] = _cell(cell, templates)
    if first is None:
        raise LibertyError("A library needs at least one Liberty file.")
    load = first.complex.get("capacitive_load_unit", [])
    try:
        return PowerLibrary(
            cells=cells,
            voltage_v=float(first.attributes["nom_voltage"]),
            load_f=_unit("".join(load), "f"),
            leakage_w=_unit(first.attributes.get("leakage_power_unit", "1nW"), "w"),
        )
    except KeyError as error:
        raise LibertyError(f"The library does not state its {error.args[0]}.") from None


def _cell(cell: Group, templates: Mapping[str, Group]) -> CellPower:
    grounds = {
        pin.arguments[0] for pin in cell.all("pg_pin") if "ground" in pin.attributes["pg_type"]
    }
    inputs, outputs, arcs, transitions = {}, {}, {}, {}
    for pin in cell.all("pin"):
        name, direction = pin.arguments[0], pin.attributes.get("direction")
        if direction == "input":
            inputs[name] = float(pin.attributes.get("capacitance", 0))
        elif direction == "output":
            outputs[name] = pin.attributes.get("function", "")
            transitions[name] = tuple(
                Transition(tuple(timing.attributes["related_pin"].split()), tables)
                for timing in pin.all("timing")
                if (
                    tables := tuple(
                        _table(group, templates)
                        for group in timing.groups
                        if group.kind in ("rise_transition", "fall_transition")
                    )
                )
            )
        # The energy that leaves by the ground is the one that came by the supply.
        arcs[name] = tuple(
            _arc(group, templates)
            for group in pin.all("internal_power")
            if group.attributes.get("related_pg_pin") not in grounds
        )
    return CellPower(
        inputs=inputs,
        outputs=outputs,
        arcs=arcs,
        transitions=transitions,
        leakage=_leakage(cell, grounds),
        register=_register(cell),
    )


def _arc(group: Group, templates: Mapping[str, Group]) -> PowerArc:
    tables = {
        kind: _table(found[0], templates)
        for kind in ("rise_power", "fall_power", "power")
        if (found := group.all(kind))
    }
    return PowerArc(
        related=tuple(group.attributes.get("related_pin", "").split()),
        when=group.attributes.get("when", ""),
        rise=tables.get("rise_power", tables.get("power")),
        fall=tables.get("fall_power", tables.get("power")),
    )


def _table(group: Group, templates: Mapping[str, Group]) -> Table:
    template = templates.get(group.arguments[0] if group.arguments else "")
    axes = []
    for name in ("index_1", "index_2"):
        axis = group.complex.get(name) or (template.complex.get(name) if template else None)
        if axis:
            axes.append(tuple(_numbers(axis)))
    values = tuple(_numbers(group.complex["values"]))
    if len(values) == 1:
        axes = []
    variable = template.attributes.get("variable_1", "") if template else ""
    return Table(tuple(axes), values, "capacitance" in variable)


def _leakage(cell: Group, grounds: set[str]) -> float:
    stated = cell.attributes.get("cell_leakage_power")
    if stated is not None:
        return float(stated)
    groups = [
        group
        for group in cell.all("leakage_power")
        if group.attributes.get("related_pg_pin") not in grounds
    ]
    whole = [group for group in groups if "when" not in group.attributes] or groups
    values = [float(group.attributes["value"]) for group in whole]
    return sum(values) / len(values) if values else 0.0


def _register(cell: Group) -> dict[str, str]:
    for group in cell.all("ff"):
        keys = ("next_state", "clocked_on", "preset", "clear")
        found = {key: group.attributes[key] for key in keys if key in group.attributes}
        return found | {"state": group.arguments[0], "inverse": group.arguments[1]}
    return {}


def to_expression(function: str, name: Callable[[str], str] = str) -> str:
    """A Liberty function with the operators of Verilog and Python: ``~ & ^ |``; ``name`` renames
    its pins."""
    tokens = re.findall(r"[A-Za-z_][\w\[\]]*|[01]|[()!'*&+|^]", function)
    parts: list[str] = []
    ended = False  # whether an operand does, so that another one after it is meant with an AND
    for token in tokens:
        if token == "'":
            # A postfix: the operand before it begins at its parenthesis.
            begin, depth = len(parts) - 1, 0
            while True:
                depth += (parts[begin] == ")") - (parts[begin] == "(")
                if depth == 0:
                    break
                begin -= 1
            parts[begin:] = ["(~", *parts[begin:], ")"]
            ended = True
            continue
        is_operand = token[0].isalnum() or token[0] == "_" or token in "(!"
        if is_operand and ended:
            parts.append("&")
        ended = token == ")" or token[0].isalnum() or token[0] == "_"
        parts.append(
            {"!": "~", "*": "&", "+": "|"}.get(token)
            or (name(token) if re.match(r"[A-Za-z_]", token) else token)
        )
    return " ".join(parts)
