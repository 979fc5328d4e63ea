"""Line and toggle coverage of emitted Verilog, as Verilator counts it.

A run of a build with ``coverage=True`` leaves ``coverage.dat``: one line a point, a record of keys
and values and a count. Points of instances of one module are added up.

What is counted are the declared signals of the source: ports, registers, memories and their
fields. Emission writes every sub-expression as a wire of its own, ``$17``; these are left out, as
is the block that Yosys adds so that a simulator evaluates a constant (``if ($auto$...) begin
end``). So are vectors of more than 64 bits: of those Verilator 5.48 counts a change of bit k at k +
32, k + 64, ... too (``VL_COV_TOGGLE_CHG_ST_W``); their elements are signals of their own. Bits that
are constant are found by Yosys, see :func:`constant_bits`.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hw.errors import VerilogError
from hw.tools import run_yosys

__all__ = ["Bits", "Point", "constant_bits", "read_points"]

_LINE = re.compile(r"^C '(.*)' (\d+)$")

#: Verilator writes a special character of a name by its code: ``__024`` is ``$``.
_ENCODED = re.compile(r"__0([0-9A-Fa-f]{2})")

#: Signals that no source declares: a sub-expression, and what Yosys adds.
_GENERATED = re.compile(r"\$(?:\d+|auto\$.*|start)$")

#: A condition that Yosys adds, on a line of the Verilog.
_ADDED = re.compile(r"\(\\?\$(?:auto\$\S+|start) ?\)")

KINDS = {"line": "line", "branch": "line", "toggle": "toggle"}
"""Verilator's kinds of points, and what they are counted as."""


#: The condition of a branch, on a line of the Verilog; perhaps a bit of a vector.
_CONDITION = re.compile(r"(?:if \(|= )\\?([^\s()\[\]]+(?:\[\d+\](?= ?\)))?) *(?:\)| \?)")

#: Of a vector whose toggles Verilator counts right.
COUNTED_BITS = 64

Bits = Mapping[tuple[str, int], str]
"""By path of a signal and bit: ``0`` or ``1``."""


@dataclass(frozen=True, order=True)
class Point:
    """One point of the Verilog of a unit."""

    kind: str
    """``line`` (a block or one side of a branch) or ``toggle``."""
    module: str
    """Name of the module without the top's: the path of its instance, but for a memory."""
    where: str
    """The line of the Verilog and what of it; of a toggle the signal and its edge."""
    signal: str = ""
    """Name of a toggle's signal, or of what decides on a branch, if it is one signal."""
    bit: int = 0
    """Of the signal; in a memory of the row."""

    @property
    def vector(self) -> tuple[str, str]:
        """What the bits of a toggle's signal have in common."""
        return self.module, self.signal

    def is_constant(self, constants: Bits) -> bool:
        """Whether it cannot be met because its signal has always the same value."""
        path = f"{self.module}.{self.signal}" if self.module else self.signal
        value = constants.get((path, self.bit))
        if self.kind == "toggle" or value is None:
            return value is not None
        side = self.where.rpartition(" ")[2]
        return side in (("if", "elsif", "cond_then") if value == "0" else ("else", "cond_else"))


def read_points(paths: Iterable[Path], verilog: Path, top: str) -> dict[Point, int]:
    """How often each point of a unit was met, over some ``coverage.dat``; the bench is left out.

    Parameters
    ----------
    paths
        Verilator's files.
    verilog, top
        The unit's Verilog, as it was compiled, and the name of its module.

    Raises
    ------
    ValueError
        If a file is none of Verilator's, or counts nothing of the unit.
    """
    text = verilog.read_text(encoding="utf-8").splitlines()
    found: dict[Point, int] = defaultdict(int)
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or not lines[0].startswith("# SystemC::Coverage"):
            raise ValueError(f"{path} is no coverage file of Verilator.")
        for line in lines[1:]:
            point = _parse(line, text, top)
            if point is not None:
                found[point[0]] += point[1]
    if not found:
        raise ValueError("No point of the unit is counted.")
    wide = {key.vector for key in found if key.kind == "toggle" and key.bit >= COUNTED_BITS}
    return {key: n for key, n in found.items() if key.kind != "toggle" or key.vector not in wide}


def _parse(line: str, text: list[str], top: str) -> tuple[Point, int] | None:
    match = _LINE.match(line)
    if match is None:
        return None
    keys = dict(part.split("\x02", 1) for part in match[1].split("\x01") if "\x02" in part)
    kind, _, path = keys.get("page", "").removeprefix("v_").partition("/")
    if Path(keys.get("f", "")).name != "unit.v" or kind not in KINDS:
        return None
    # The top's name stands before a block's with a dot, before a memory's with an underscore.
    module = re.sub(rf"^{re.escape(top)}[._]?", "", path)
    if kind != "toggle":
        number = int(keys["l"])
        if _ADDED.search(text[number - 1]):
            return None
        condition = _CONDITION.search(text[number - 1])
        signal, _, bit = (condition[1] if condition else "").partition("[")
        where = f"line {number}, {keys['o']}"
        return Point("line", module, where, signal, int(bit.rstrip("]") or 0)), int(match[2])
    place, _, edge = keys["o"].partition(":")
    name, *bits = place.split("[")
    name = _ENCODED.sub(lambda code: chr(int(code[1], 16)), name)
    if _GENERATED.match(name):
        return None
    where = f"{'['.join((name, *bits))} {edge}"
    bit = int(bits[-1].rstrip("]")) if bits else 0
    return Point("toggle", module, where, name, bit), int(match[2])


def constant_bits(verilog: Path, top: str, work: Path) -> dict[tuple[str, int], str]:
    """Bits of signals that are the same always, whatever the inputs, and their values.

    Yosys proves them: it flattens the unit and folds constants until nothing changes, all signals
    kept by their names.

    Parameters
    ----------
    verilog, top
        The unit and the name of its module.
    work
        Folder for what Yosys reads and writes.

    Raises
    ------
    VerilogError
        If Yosys fails.
    """
    work.mkdir(parents=True, exist_ok=True)
    result = work / "constants.json"
    commands = [
        f'read_verilog "{verilog.resolve()}"',
        f"hierarchy -top {top}",
        "proc",
        "flatten",
        "setattr -set keep 1 w:*",
        "opt -full",
        f'write_json "{result.name}"',
    ]
    log = work / "constants.log"
    with log.open("wb") as output:
        if run_yosys(commands, cwd=work, output=output):
            raise VerilogError(f"Yosys failed; see {log}.")
    (module,) = json.loads(result.read_text(encoding="utf-8"))["modules"].values()
    return {
        (name, bit): value
        for name, net in module["netnames"].items()
        if not net["hide_name"]
        for bit, value in enumerate(net["bits"])
        if value in ("0", "1")
    }
