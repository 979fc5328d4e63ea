"""Reads the flat gate-level netlists that synthesis writes: instances and joined nets."""

import re
from dataclasses import dataclass

from hw.errors import SynthesisError

__all__ = ["Cell", "Netlist", "read_netlist"]


@dataclass(frozen=True)
class Cell:
    """An instance."""

    kind: str
    name: str
    pins: dict[str, str]
    """Net of each pin; a constant is ``0`` or ``1``. Pins of several bits, of memories and blocks,
    are ``PORT[k]``."""


@dataclass(frozen=True)
class Netlist:
    """One module."""

    name: str
    inputs: tuple[str, ...]
    """Nets, bit by bit, that come from outside."""
    outputs: tuple[str, ...]
    cells: tuple[Cell, ...]
    aliases: dict[str, str]
    """What an assigned net is."""

    def net(self, name: str) -> str:
        """The net behind a name."""
        while name in self.aliases:
            name = self.aliases[name]
        return name


_NAME = r"(?:\\\S+\s|[A-Za-z_$][\w$]*)"
_MODULE = re.compile(rf"^module ({_NAME})", re.MULTILINE)
_DECLARATION = re.compile(
    rf"^  (input|output|wire|reg)(?: \[(\d+):(\d+)\])? ({_NAME}) ?;", re.MULTILINE
)
_ASSIGN = re.compile(r"^  assign (.+?) = (.+?);$", re.MULTILINE)
_INSTANCE = re.compile(rf"^  ({_NAME}) ?({_NAME}) ?\(\n((?:    \..*\n)*)  \);", re.MULTILINE)
_PIN = re.compile(rf"^    \.({_NAME})\((.*)\),?$", re.MULTILINE)
_CONSTANT = re.compile(r"(\d+)'([bhd])([0-9a-fA-Fxz]+)$")


def _plain(name: str) -> str:
    return name.removeprefix("\\").strip()


def read_netlist(text: str) -> Netlist:
    """The only module of a netlist as Yosys writes it with ``-noexpr -simple-lhs``.

    Raises
    ------
    SynthesisError
        If there is no module in the text, or an expression that is no sum of nets.
    """
    head = _MODULE.search(text)
    if head is None:
        raise SynthesisError("The netlist holds no module.")
    widths: dict[str, tuple[int, int] | None] = {}
    ports: dict[str, list[str]] = {"input": [], "output": []}
    for kind, high, low, name in _DECLARATION.findall(text):
        plain = _plain(name)
        if kind in ports:
            ports[kind].append(plain)
        if plain not in widths or high:
            widths[plain] = (int(high), int(low)) if high else None

    def bits(expression: str) -> list[str]:
        """Nets of an expression, lowest first."""
        expression = expression.strip()
        if expression.startswith("{"):
            found: list[str] = []
            for part in reversed(_split(expression[1:-1])):
                found += bits(part)
            return found
        constant = _CONSTANT.match(expression)
        if constant:
            value = int(constant[3].replace("x", "0").replace("z", "0"), _BASES[constant[2]])
            return [str(value >> k & 1) for k in range(int(constant[1]))]
        # An escaped name ends with a space, which a line's end may have lost.
        match = re.fullmatch(rf"({_NAME})\s*(?:\[(\d+)(?::(\d+))?\])?\s*", expression + " ")
        if match is None:
            raise SynthesisError(f"The netlist holds an expression that is no net: {expression}.")
        name = _plain(match[1])
        if match[2] is not None:
            high = int(match[2])
            low = int(match[3]) if match[3] is not None else high
            return [f"{name}[{k}]" for k in range(low, high + 1)]
        span = widths.get(name)
        return [name] if span is None else [f"{name}[{k}]" for k in range(span[1], span[0] + 1)]

    aliases: dict[str, str] = {}
    for left, right in _ASSIGN.findall(text):
        aliases.update(zip(bits(left), bits(right), strict=True))
    cells = []
    for kind, name, body in _INSTANCE.findall(text):
        pins: dict[str, str] = {}
        for pin, expression in _PIN.findall(body):
            nets = bits(expression) if expression.strip() else []
            if len(nets) == 1:
                pins[_plain(pin)] = nets[0]
            else:
                pins.update({f"{_plain(pin)}[{k}]": net for k, net in enumerate(nets)})
        cells.append(Cell(_plain(kind), _plain(name), pins))
    return Netlist(
        name=_plain(head[1]),
        inputs=tuple(net for port in ports["input"] for net in bits("\\" + port + " ")),
        outputs=tuple(net for port in ports["output"] for net in bits("\\" + port + " ")),
        cells=tuple(cells),
        aliases=aliases,
    )


_BASES = {"b": 2, "h": 16, "d": 10}


def _split(text: str) -> list[str]:
    """Parts between commas outside braces."""
    parts, depth, begin = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]
