"""Static timing of mapped netlists by OpenSTA.

Before layout: no wire has length, so a net's load is its pins. The clock is ideal. Each input comes
from the library's smallest buffer at the clock edge; each output drives four of it and must be
there at the next edge. Memories are ideal: they take addresses and data until the very clock edge
and give their word at it. What a path that starts or ends at a memory leaves of the clock period is
what the macro may take.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.errors import SynthesisError
from hw.liberty import Library
from hw.tools import run_tool

__all__ = ["Macro", "TimingPath", "analyse", "available", "version"]

#: Paths of the whole that are reported, between different registers.
N_PATHS = 20

# Endpoints asked for: each bit of a register is one, and the worst register may have hundreds.
_N_ENDPOINTS = 3000

_PROGRAM = "sta"

# The bit of a vector, and the number of one of several registers that hold the same bit.
_BIT = re.compile(r"(\[\d+\])?(_\d+)?$")


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A memory that stays a black box."""

    name: str
    """Its module."""

    depth: int
    """Words."""

    width: int
    """Bits of a word."""

    count: int
    """Instances."""

    inputs: Mapping[str, int]
    """Width of each input port; ``clk`` is the clock."""

    outputs: Mapping[str, int]
    """Width of each output port."""

    @property
    def bits(self) -> int:
        """Bits of all instances."""
        return self.depth * self.width * self.count


@dataclass(frozen=True, kw_only=True)
class TimingPath:
    """A path and the shortest clock period that it allows."""

    start: str
    """Register, port, or pin of a memory; with the block before it in the whole; empty if
    unknown."""

    end: str
    """As ``start``."""

    ns: float
    """Delay from clock edge to the end's set-up time, in ns: the clock period that it needs."""


def available() -> bool:
    """Whether OpenSTA is on PATH."""
    return shutil.which(_PROGRAM) is not None


def version() -> str:
    """Name and version of the program found."""
    found = subprocess.run(
        [_PROGRAM, "-version"], capture_output=True, text=True, check=False, timeout=60
    )
    return f"OpenSTA {found.stdout.strip()}"


def analyse(
    blocks: Mapping[str, Path],
    *,
    top: str,
    macros: Sequence[Macro],
    library: Library,
    period_ns: float,
    work: Path,
) -> tuple[dict[str, TimingPath], list[TimingPath]]:
    """Longest path of each block alone, and the worst paths of the whole.

    Parameters
    ----------
    blocks
        The netlist of each module.
    top
        The module that instantiates the others.
    macros
        The memories, as :func:`macro_liberty` states them.
    library
        The cells, whose files lie in ``work`` as ``lib0.lib`` and so on.
    period_ns
        Clock period, in ns. It shifts all slacks alike.
    work
        Where the script and its log go.

    Returns
    -------
    tuple
        By module the longest path between registers, memories and ports (of the top module:
        across blocks); and up to :data:`N_PATHS` paths of the whole between different registers,
        longest first.

    Raises
    ------
    SynthesisError
        If OpenSTA fails.
    """
    (work / "macros.lib").write_text(macro_liberty(macros, library), encoding="utf-8")
    period = period_ns / library.time_ns
    script = [f"read_liberty lib{index}.lib" for index in range(len(library.texts))]
    script += ["read_liberty macros.lib"] if macros else []
    netlists = {}
    for index, (name, path) in enumerate(blocks.items()):
        netlists[name] = f"netlist{index}.v"
        shutil.copyfile(path, work / netlists[name])
    for name in blocks:
        # Linking forgets what was read before.
        script += [f"read_verilog {netlists[part]}" for part in (blocks if name == top else [name])]
        script += [
            f"link_design {{{name}}}",
            "set inputs {}",
            "foreach port [all_inputs] {",
            '  if {[get_property $port full_name] ne "clk"} {lappend inputs $port}',
            "}",
            f"create_clock -name clk -period {period:g} [get_ports -quiet clk]",
            "set_input_delay 0 -clock clk $inputs",
            "set_output_delay 0 -clock clk [all_outputs]",
            f"set_driving_cell -lib_cell {library.buffer} $inputs",
            f"set_load {library.output_load:g} [all_outputs]",
            f"puts {{PATHS {name}}}",
            "report_checks -path_delay max -format summary -digits 6 -no_line_splits"
            f" -group_count {_N_ENDPOINTS if name == top else 1}",
        ]
    (work / "sta.tcl").write_text("".join(f"{line}\n" for line in script), encoding="utf-8")
    with (work / "sta.log").open("wb") as log:
        run_tool([_PROGRAM, "-no_splash", "-exit", "sta.tcl"], cwd=work, output=log)
    text = (work / "sta.log").read_text(encoding="utf-8", errors="replace")
    errors = re.findall(r"^(?:Error:|.*\bError\b:?) ?(.*)$", text, flags=re.MULTILINE)
    sections = re.split(r"^PATHS (.*)$", text, flags=re.MULTILINE)
    found = {
        name: _parse(section, period, library.time_ns)
        for name, section in zip(sections[1::2], sections[2::2], strict=True)
    }
    if errors or found.keys() != blocks.keys():
        reason = errors[0] if errors else (text.strip().splitlines() or ["no output"])[-1]
        raise SynthesisError(f"OpenSTA failed: {reason.rstrip('.')}.")
    return {name: paths[0] for name, paths in found.items() if paths}, found[top][:N_PATHS]


def _parse(report: str, period: float, unit_ns: float) -> list[TimingPath]:
    """The longest path between each pair of registers, ports and memories; longest first."""
    worst: dict[tuple[str, str], TimingPath] = {}
    # "start (cell)  end (cell)  slack", with "input", "output" in place of a port's cell.
    row = re.compile(r"^(\S+) \([^)]*\)\s+(\S+) \([^)]*\)\s+([-+0-9.e]+)$", flags=re.MULTILINE)
    for start, end, slack in row.findall(report):
        path = TimingPath(
            start=_register(start), end=_register(end), ns=(period - float(slack)) * unit_ns
        )
        pair = (_BIT.sub("", path.start), _BIT.sub("", path.end))
        if pair not in worst or worst[pair].ns < path.ns:
            worst[pair] = path
    return sorted(worst.values(), key=lambda path: -path.ns)


def _register(pin: str) -> str:
    """The signal behind a pin of a flip-flop, which Yosys names ``signal$_DFF_P_``."""
    return re.sub(r"\$_\w*DFF\w*_(_\d+)?/\w+$", "", pin)


def macro_liberty(macros: Sequence[Macro], library: Library) -> str:
    """Liberty text of memories that take no time, in the units of a library."""
    units = f'time_unit : "{_time(library)}"; capacitive_load_unit (1, {_load(library)});\n'
    units += "  delay_model : table_lookup;\n"
    # Thresholds must be there; on delays of zero they have no effect.
    for edge in ("rise", "fall"):
        units += f"  input_threshold_pct_{edge} : 50; output_threshold_pct_{edge} : 50;\n"
        units += f"  slew_lower_threshold_pct_{edge} : 20; slew_upper_threshold_pct_{edge} : 80;\n"
    buses = sorted({width for macro in macros for width in _widths(macro) if width > 1})
    types = "".join(
        f"  type (bus{width}) {{ base_type : array; data_type : bit; bit_width : {width}; "
        f"bit_from : {width - 1}; bit_to : 0; downto : true; }}\n"
        for width in buses
    )
    cells = "".join(_macro_cell(macro) for macro in macros)
    return f"library (macros) {{\n  {units}{types}{cells}}}\n"


def _time(library: Library) -> str:
    return {1e-3: "1ps", 1.0: "1ns", 1e3: "1us"}.get(library.time_ns, f"{library.time_ns:g}ns")


def _load(library: Library) -> str:
    return "pf" if library.load_ff == 1e3 else "ff"


def _widths(macro: Macro) -> list[int]:
    return [*macro.inputs.values(), *macro.outputs.values()]


def _macro_cell(macro: Macro) -> str:
    check = "".join(
        f"timing () {{ related_pin : clk; timing_type : {kind}_rising; "
        'rise_constraint (scalar) { values ("0"); } fall_constraint (scalar) '
        '{ values ("0"); } } '
        for kind in ("setup", "hold")
    )
    launch = (
        "timing () { related_pin : clk; timing_type : rising_edge; "
        + " ".join(
            f'{table} (scalar) {{ values ("0"); }}'
            for table in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        )
        + " } "
    )
    pins = ["    pin (clk) { direction : input; clock : true; capacitance : 0; }\n"]
    for ports, direction, arcs in (
        (macro.inputs, "input", check),
        (macro.outputs, "output", launch),
    ):
        for port, width in ports.items():
            if port == "clk":
                continue
            kind = f"bus ({port}) {{ bus_type : bus{width};" if width > 1 else f"pin ({port}) {{"
            load = "capacitance : 0; " if direction == "input" else ""
            pins.append(f"    {kind} direction : {direction}; {load}{arcs}}}\n")
    return f"  cell ({macro.name}) {{\n{''.join(pins)}  }}\n"
