"""Line and toggle coverage of emitted Verilog, as Verilator counts it.

A run of a build with ``coverage=True`` leaves ``coverage.dat``: one line a point, a record of keys
and values and a count. Points of instances of one module are added up.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Point", "read_points"]

_LINE = re.compile(r"^C '(.*)' (\d+)$")

KINDS = {"line": "line", "branch": "line", "toggle": "toggle"}
"""Verilator's kinds of points, and what they are counted as."""


@dataclass(frozen=True, order=True)
class Point:
    """One point of the Verilog of a unit."""

    kind: str
    """``line`` (a block or one side of a branch) or ``toggle``."""
    module: str
    """Name of the module."""
    where: str
    """The line of the Verilog; of a toggle the bit and its edge."""


def read_points(paths: Iterable[Path], unit: str = "unit.v") -> dict[Point, int]:
    """How often each point of a unit was met, over some ``coverage.dat``; the bench is left out.

    Raises
    ------
    ValueError
        If a file is none of Verilator's, or counts nothing of the unit.
    """
    found: dict[Point, int] = defaultdict(int)
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or not lines[0].startswith("# SystemC::Coverage"):
            raise ValueError(f"{path} is no coverage file of Verilator.")
        for line in lines[1:]:
            point = _parse(line, unit)
            if point is not None:
                found[point[0]] += point[1]
    if not found:
        raise ValueError(f"No point of {unit} is counted.")
    return dict(found)


def _parse(line: str, unit: str) -> tuple[Point, int] | None:
    match = _LINE.match(line)
    if match is None:
        return None
    keys = dict(part.split("\x02", 1) for part in match[1].split("\x01") if "\x02" in part)
    kind, _, module = keys.get("page", "").removeprefix("v_").partition("/")
    if Path(keys.get("f", "")).name != unit or kind not in KINDS:
        return None
    where = keys["o"] if kind == "toggle" else f"line {keys['l']}, {keys['o']}"
    return Point(KINDS[kind], module, where), int(match[2])
