"""Synthesis of emitted Verilog, block by block, to the gates of a standard-cell library.

::

    Verilog ─► split: check the whole, flatten each block ─► per block: Yosys, abc ─► netlists
                                                                                        │
                        report ◄─ cells, area, flip-flops ◄── critical paths ◄─ OpenSTA ┘

The blocks are the children of the top module, each with all that is inside it, and the top's own
wiring logic, called ``digital_unit``. Hierarchy stays between them, so that each number has an
owner; the price is that nothing is optimised across a boundary except constants and unread outputs.

Memories are macros: no foundry builds them of flip-flops. They are listed with their bits, count no
cells and no area, and take no time in the paths (see :mod:`hw.timing`).
"""

import contextlib
import fnmatch
import hashlib
import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from hw import timing
from hw.errors import SynthesisError
from hw.liberty import Library
from hw.timing import Macro, TimingPath
from hw.tools import run_yosys

__all__ = [
    "GENERIC",
    "TOP_BLOCK",
    "WAIVERS",
    "Block",
    "Synthesis",
    "ToolWarning",
    "synthesise",
]

#: Name of the logic that is in the top module itself, after its source file.
TOP_BLOCK = "digital_unit"

#: Stands for the library where there is none: gates of two inputs, without area or delay.
GENERIC = "generic gates"

#: Every warning that Yosys or abc may give, as a pattern, with the reason why it points at no
#: fault. Anything else is a failure.
WAIVERS = {
    "ABC: Warning: The network is combinational": "abc gets only the logic between the registers.",
    r"ABC: Warning: Detected \d+ multi-output cells": "abc maps to cells of one output only.",
}

_VERSION = metadata.version("pyosys")

_LATCHES = "t:$dlatch t:$adlatch t:$dlatchsr t:$sr t:$_DLATCH* t:$_SR_*"


@dataclass(frozen=True, kw_only=True)
class ToolWarning:
    """A warning that was given and is accounted for."""

    text: str
    """Its pattern in :data:`WAIVERS`, as text."""

    count: int
    """How often it came."""

    reason: str
    """Why it points at no fault."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block's gates."""

    name: str
    """The component's name in the digital unit."""

    cells: int
    """Standard cells, flip-flops among them; memories apart."""

    area_um2: float | None
    """Sum of the cells' areas, in um2: no wires, no empty space. None without a library."""

    flip_flops: int
    """Flip-flops."""

    flip_flops_free: int
    """Those without an enable: clocked in every cycle even where clocks are gated."""

    path: TimingPath | None
    """The longest path between registers, memories and ports of this block; None if unknown, as
    for the top's own logic, whose paths are the whole's."""


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What synthesis of a unit found."""

    library: str
    """Name of the library, or :data:`GENERIC`."""

    blocks: tuple[Block, ...]
    """The blocks by name, the top's own logic last."""

    memories: tuple[Macro, ...]
    """The macros."""

    paths: tuple[TimingPath, ...]
    """The worst endpoints of the whole, longest path first, across blocks; empty if unknown."""

    timing: str | None
    """Who computed the paths; None if nobody did."""

    warnings: tuple[ToolWarning, ...]
    """Warnings that came, each with its reason."""

    @property
    def cells(self) -> int:
        """Standard cells of all blocks."""
        return sum(block.cells for block in self.blocks)

    @property
    def flip_flops(self) -> int:
        """Flip-flops of all blocks."""
        return sum(block.flip_flops for block in self.blocks)

    @property
    def flip_flops_free(self) -> int:
        """Flip-flops of all blocks without an enable."""
        return sum(block.flip_flops_free for block in self.blocks)

    @property
    def area_um2(self) -> float | None:
        """Cell area of all blocks, in um2, memories apart; None without a library."""
        areas = [block.area_um2 for block in self.blocks if block.area_um2 is not None]
        return sum(areas) if len(areas) == len(self.blocks) else None

    @property
    def path(self) -> TimingPath | None:
        """The longest path: of the whole if known, else of the slowest block."""
        paths = self.paths or [block.path for block in self.blocks if block.path is not None]
        return max(paths, key=lambda path: path.ns, default=None)


def synthesise(
    verilog: Path,
    *,
    top: str,
    library: Library | None,
    period_ns: float,
    folder: Path,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _block: None,
) -> Synthesis:
    """Synthesises an emitted unit.

    Parameters
    ----------
    verilog, top
        The file and the name of its top module. Modules named ``<top>_ram_<depth>x<width>`` are
        macros.
    library
        The cells; without, generic gates are counted.
    period_ns
        Clock period that abc works for, in ns.
    folder
        Where each block's netlist stays, ``<block>.v``, beside a ``<block>.json`` that lets the
        next run skip what has not changed.
    progress
        Told, before each block and at the end, how many are done, of how many, and which is next.

    Raises
    ------
    SynthesisError
        If a tool fails or gives a warning that is not in :data:`WAIVERS`, a combinational loop or
        a net with two drivers or none is found, or a latch.
    """
    if not (math.isfinite(period_ns) and period_ns > 0):
        raise SynthesisError(f"The clock period must be above 0 ns, not {period_ns:g}.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mixbar-synth-") as scratch:
        work = Path(scratch)
        (work / "in.v").write_bytes(verilog.read_bytes())
        for index, text in enumerate(library.texts if library else ()):
            (work / f"lib{index}.lib").write_text(text, encoding="utf-8")
        warnings, modules = _split(work, top)
        macros = [_macro(name, modules) for name in modules if name.startswith(f"{top}_ram_")]
        names = sorted(name for name in modules if name.startswith(f"{top}.")) + [top]
        mapped = {}
        for done, name in enumerate(names):
            progress(done, len(names), _block_name(name, top))
            text = _block_text(name, modules)
            mapped[name] = _map(work, name, top, text, library, period_ns, folder)
            warnings += Counter(mapped[name]["warnings"])
        progress(len(names), len(names), "timing")
        found, whole, timed_by = _paths(mapped, top, macros, library, period_ns, folder, work)
    instances = _instances(modules, top)
    return Synthesis(
        library=library.name if library else GENERIC,
        blocks=tuple(
            _block(_block_name(name, top), mapped[name], library, found.get(name)) for name in names
        ),
        memories=tuple(replace(macro, count=instances[macro.name]) for macro in macros),
        paths=tuple(whole),
        timing=timed_by,
        warnings=tuple(
            ToolWarning(text=pattern, count=count, reason=WAIVERS[pattern])
            for pattern, count in sorted(warnings.items())
        ),
    )


def _block_name(module: str, top: str) -> str:
    return module.removeprefix(f"{top}.") if module != top else TOP_BLOCK


def _split(work: Path, top: str) -> tuple[Counter[str], dict[str, str]]:
    """Checks the whole, and returns the RTLIL text of each module, blocks flat inside."""
    names = re.findall(
        r"^module \\?([^\s(]+)", (work / "in.v").read_text(encoding="utf-8"), flags=re.MULTILINE
    )

    def select(command: str, pattern: str) -> list[str]:
        """The command, unless there is nothing that it could be for: Yosys would warn."""
        return [f"{command} {pattern}"] if fnmatch.filter(names, pattern) else []

    warnings = _yosys(
        work,
        [
            "read_verilog in.v",
            *select("blackbox", f"{top}_ram_*"),
            f"hierarchy -check -top {top}",
            # Flat, a check sees loops through several blocks; and it comes before optimisation,
            # which could hide a fault.
            "proc",
            "design -save whole",
            "flatten",
            f"select -assert-none {_LATCHES}",
            "check -assert -force-detailed-loop-check",
            "design -load whole",
            *select("setattr -mod -set keep_hierarchy 1", f"{top}.*"),
            *select("setattr -mod -unset keep_hierarchy", f"{top}.*.*"),
            "flatten",
            "opt_clean",
            "opt_hier",
            "opt_clean",
            "setattr -unset src",
            "write_rtlil split.il",
        ],
    )
    modules: dict[str, str] = {}
    lines: list[str] = []
    for line in (work / "split.il").read_text(encoding="utf-8").splitlines(keepends=True):
        # A module's source is a line of a file that is gone; without it, equal blocks are equal.
        if line.startswith(("attribute \\src", "autoidx", "#")):
            continue
        lines.append(line)
        if line.startswith("module "):
            name = line.split()[1].removeprefix("\\")
        elif line == "end\n":
            modules[name] = "".join(lines)
            lines = []
    return warnings, modules


def _block_text(name: str, modules: Mapping[str, str]) -> str:
    """A module with all that it instantiates as black boxes."""
    inside = set(_instance_types(modules[name])) & modules.keys()
    return "".join(_stub(child, modules[child]) for child in sorted(inside)) + modules[name]


def _instance_types(text: str) -> list[str]:
    return re.findall(r"^  cell \\(\S+) ", text, flags=re.MULTILINE)


def _stub(name: str, text: str) -> str:
    ports = re.findall(r"^  wire .*?(?:input|output) \d+ .*$", text, flags=re.MULTILINE)
    return "\n".join(["attribute \\blackbox 1", f"module \\{name}", *ports, "end\n"])


def _instances(modules: Mapping[str, str], top: str) -> Counter[str]:
    """How often each module is there in the whole; blocks are there once."""
    return Counter(
        child
        for name, text in modules.items()
        if name == top or name.startswith(f"{top}.")
        for child in _instance_types(text)
    )


def _macro(name: str, modules: Mapping[str, str]) -> Macro:
    size = re.search(r"_ram_(\d+)x(\d+)", name)
    assert size is not None, "hw.ram names its modules by their size"
    ports = re.findall(
        r"^  wire (?:width (\d+) )?(input|output) \d+ \\(\S+)$", modules[name], flags=re.MULTILINE
    )
    return Macro(
        name=name,
        depth=int(size[1]),
        width=int(size[2]),
        count=0,
        inputs={port: int(width or 1) for width, way, port in ports if way == "input"},
        outputs={port: int(width or 1) for width, way, port in ports if way == "output"},
    )


def _map(
    work: Path,
    name: str,
    top: str,
    text: str,
    library: Library | None,
    period_ns: float,
    folder: Path,
) -> dict[str, Any]:
    """Maps a block to gates, or finds that it was done: counts of cells, warnings."""
    commands = [
        "read_rtlil block.il",
        f"hierarchy -top {name}",
        f"synth -flatten -noabc -top {name}",
        f"select -assert-none {_LATCHES}",
        "check -assert",
        # Registers keep the names of what they hold, so that a path can be read; NAME[k] is a bit,
        # not element k of an array, which is a wire of that name so far.
        r"rename -hide w:*\[*]",
        "splitnets",
        "rename -wire",
        *_library_commands(library),
        "opt_clean -purge",
        "setundef -zero",
        "splitnets",
        "tee -q -o stat.json stat -json",
        "write_verilog -noattr -noexpr -simple-lhs out.v",
    ]
    constraints = (
        f"set_driving_cell {library.buffer}\nset_load {library.output_load * library.load_ff:g}\n"
        if library
        else ""
    )
    script = _abc_script(library, period_ns)
    parts = (text, commands, script, constraints, library.digest if library else "", _VERSION)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    base = _block_name(name, top)
    record, netlist = folder / f"{base}.json", folder / f"{base}.v"
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["key"] == key and netlist.is_file():
            return dict(known)
    (work / "block.il").write_text(text, encoding="utf-8")
    (work / "constraints.sdc").write_text(constraints, encoding="utf-8")
    (work / "map.abc").write_text(script, encoding="utf-8")
    record.unlink(missing_ok=True)
    warnings = _yosys(work, commands)
    delays = re.findall(r"^ABC: .* Delay = *([0-9.]+) ps", _log(work), flags=re.MULTILINE)
    statistics = json.loads((work / "stat.json").read_text(encoding="utf-8"))
    cells = statistics["modules"][f"\\{name}"]["num_cells_by_type"]
    netlist_text = (work / "out.v").read_text(encoding="utf-8")
    result = {
        "key": key,
        "cells": {kind: count for kind, count in cells.items() if not kind.startswith(top)},
        "flip_flops_free": len(re.findall(r"\$_(?:S?DFF|DFFSR)_[PN01]+_", netlist_text)),
        "abc_delay_ns": float(delays[-1]) / 1e3 if delays else None,
        "warnings": dict(warnings),
    }
    netlist.write_text(netlist_text, encoding="utf-8")
    # Last, so that an interrupted run leaves no record of what is not there.
    record.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


LOGIC_SHARE = 0.85
"""Part of the period that abc works for; it sees a block's logic alone, not the flip-flops'
clock-to-output delays and set-up times, nor that another block's output comes late."""


def _abc_script(library: Library | None, period_ns: float) -> str:
    """The steps of abc.

    Not Yosys's own, for two reasons. ``&fraig -x`` does not end on adder trees. And ``dc2`` saves a
    few gates by taking parallel-prefix carries apart again: finding the lowest of 250 bits then
    takes six times as long as without.
    """
    steps = ["strash", "ifraig", "dch -f"]
    if library is None:
        steps += ["map"]
    else:
        target = f"-D {LOGIC_SHARE * period_ns * 1e3:g}"
        steps += [f"map -B 0.9 {target}", "topo", "buffer -c", "topo"]
        steps += [f"upsize {target}", f"dnsize {target}", "stime -p"]
    return "".join(f"{step}\n" for step in steps)


def _library_commands(library: Library | None) -> list[str]:
    if library is None:
        return ["abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX -script map.abc"]
    avoided = " ".join(f"-dont_use {pattern}" for pattern in library.dont_use)
    registers = " ".join(f"-liberty lib{index}.lib" for index in library.register_files)
    logic = " ".join(f"-liberty lib{index}.lib" for index in range(len(library.texts)))
    return [
        f"dfflibmap {registers} {avoided}",
        # Without a driver and a load abc does not buffer, and a net of a thousand pins stays one.
        f"abc {logic} {avoided} -constr constraints.sdc -script map.abc",
    ]


def _block(
    name: str, mapped: Mapping[str, Any], library: Library | None, path: TimingPath | None
) -> Block:
    cells: Mapping[str, int] = mapped["cells"]
    if library is None:
        flip_flops = sum(count for kind, count in cells.items() if "DFF" in kind)
    else:
        flip_flops = sum(count for kind, count in cells.items() if library.cells[kind].is_flip_flop)
    return Block(
        name=name,
        cells=sum(cells.values()),
        area_um2=None
        if library is None
        else math.fsum(library.cells[kind].area_um2 * count for kind, count in cells.items()),
        flip_flops=flip_flops,
        flip_flops_free=mapped["flip_flops_free"],
        path=path,
    )


def _paths(
    mapped: Mapping[str, Mapping[str, Any]],
    top: str,
    macros: Sequence[Macro],
    library: Library | None,
    period_ns: float,
    folder: Path,
    work: Path,
) -> tuple[dict[str, TimingPath], list[TimingPath], str | None]:
    """Longest path of each block, worst paths of the whole, and who says so."""
    if library is None:
        return {}, [], None
    if not timing.available():
        found = {
            name: TimingPath(start="", end="", ns=result["abc_delay_ns"])
            for name, result in mapped.items()
            if result["abc_delay_ns"] is not None
        }
        return found, [], "abc (logic of each block alone, without registers)"
    blocks = {name: folder / f"{_block_name(name, top)}.v" for name in mapped}
    found, whole = timing.analyse(
        blocks, top=top, macros=macros, library=library, period_ns=period_ns, work=work
    )
    # The top alone is not the whole, and its own logic hardly has a path that ends in it.
    found.pop(top, None)
    return found, whole, timing.version()


def _yosys(work: Path, commands: Sequence[str]) -> Counter[str]:
    """Runs commands in a Yosys of its own; returns how often each waiver was needed."""
    with (work / "log").open("wb") as log:
        status = run_yosys(commands, cwd=work, output=log)
    text = _log(work)
    needed: Counter[str] = Counter()
    unknown = []
    for line in text.splitlines():
        if not re.match(r"(\S+: )?Warning:", line):
            continue
        pattern = next((pattern for pattern in WAIVERS if re.match(pattern, line)), None)
        if pattern is None:
            unknown.append(line.rstrip(" :."))
        else:
            needed[pattern] += 1
    if status:
        errors = re.findall(r"^(?:\S+: )?ERROR: (.*)$", text, flags=re.MULTILINE)
        reason = errors[-1].rstrip(".") if errors else f"it ended with status {status}"
        # A failed check names what it found in warnings only.
        raise SynthesisError(f"Yosys failed: {'; '.join([reason, *unknown[:3]])}.")
    if unknown:
        raise SynthesisError(f"Yosys gave a warning that nothing explains: {unknown[0]}.")
    return needed


def _log(work: Path) -> str:
    return (work / "log").read_text(encoding="utf-8", errors="replace")
