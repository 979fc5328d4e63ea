"""The synthesised gates of a unit in the place of its Verilog, behind the same test bench.

::

    emitted Verilog ─► hw.synthesis ─► netlists ─► hw.gate_tables ─► module, file of numbers
                                                                        │
    bench, probes, arrays, model: those of the emitted Verilog ◄────────┘

What the probes read must be a net that synthesis left: ports of blocks, registers, ports of
memories. Registers, memories and nets wake up random, as silicon does.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cocotb_tests.bench import Field, Instrument, Loader, Probe
from cocotb_tests.errors import SimulatorError
from hw.errors import LibertyError, SynthesisError
from hw.gate_tables import GateTables, gate_tables, memory_modules, read_netlists
from hw.generic_cells import GENERIC_CELLS
from hw.liberty import Library
from hw.liberty_power import read_power
from hw.synthesis import TOP_BLOCK, synthesise
from hw.verilog import EmittedVerilog

__all__ = ["Gates", "NetlistUnit", "netlist_unit"]


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What a unit is synthesised to."""

    library: Library | None = None
    """The cells; Yosys' generic gates without."""
    period_ns: float = 10.0
    """Clock period that synthesis works for."""


@dataclass(frozen=True, kw_only=True)
class NetlistUnit:
    """A unit's gates as a unit."""

    unit: EmittedVerilog
    """What is simulated: top and ports are those of the Verilog that was synthesised."""
    table: Path
    """The file that the simulation's argument ``+gates=`` names."""
    instruments: tuple[Instrument, ...]
    """What its bench records and plays: no loaders, for gates have no registers with names."""
    library: str
    """What the gates are of."""


def netlist_unit(
    unit: EmittedVerilog,
    instruments: Sequence[Instrument],
    gates: Gates,
    *,
    on_message: Callable[[str], None] | None = None,
) -> NetlistUnit:
    """Synthesises a unit and lays its gates out as tables, beside it in ``gates_<library>``.

    Raises
    ------
    SimulatorError
        If synthesis fails, or has left out what an instrument reads.
    """
    library = gates.library
    name = library.name if library else "generic"
    folder = unit.path.parent / "synth" / name
    if on_message is not None:
        on_message(f"Synthesising {unit.top} to {name}; unchanged blocks are not done again.")
    used = tuple(item for item in instruments if not isinstance(item, Loader))
    try:
        found = synthesise(
            unit.path, top=unit.top, library=library, period_ns=gates.period_ns, folder=folder
        )
        cells = read_power(library.texts).cells if library else GENERIC_CELLS
        tables = gate_tables(read_netlists(found, folder), TOP_BLOCK, cells, found.memories)
        watched = _watched(used, tables)
        text = tables.verilog(unit.top, unit.ports, TOP_BLOCK, watched=watched)
        numbers = tables.numbers(unit.ports, TOP_BLOCK, watched=watched)
    except (LibertyError, SynthesisError) as error:
        raise SimulatorError(f"There are no gates of {unit.top} to simulate: {error}") from None
    place = unit.path.parent / f"gates_{name}"
    place.mkdir(exist_ok=True)
    path, table = place / unit.path.name, place / "gates.hex"
    path.write_text("\n".join([text, *memory_modules(unit.path)]), encoding="utf-8")
    table.write_text(numbers, encoding="utf-8")
    return NetlistUnit(
        unit=replace(unit, path=path, bytes=path.stat().st_size),
        table=table,
        instruments=used,
        library=found.library,
    )


def _watched(instruments: Sequence[Instrument], tables: GateTables) -> dict[str, int]:
    """Nets that the instruments read, and their widths; ports of memories are there anyway."""
    memories = tuple(f"{memory.path}." for memory in tables.memories)
    widths: dict[str, int] = {}
    for probe in instruments:
        if not isinstance(probe, Probe):
            continue
        for part in (Field(expression=probe.strobe, width=1), *probe.fields):
            for path, high in re.findall(r"\bdut\.([\w.]+)(?:\[(\d+):\d+\])?", part.expression):
                if not path.startswith(memories):
                    width = int(high) + 1 if high else part.width
                    widths[path] = max(width, widths.get(path, 0))
    return widths
