"""Writes the bench around an emitted unit: clock, probes, and what of it Python may touch.

Everything that happens in every cycle stays in compiled code. The clock is Verilog's, so that no
callback of the simulator's interface toggles it. A :class:`Probe` records what passes a point of
the design whenever its strobe is high at a rising edge, into memory that NumPy reads in one
piece, so that every write of a memory is compared without waking Python for it. Only the bench's
ports are visible to Python: making all signals public, cocotb's usual choice, costs a factor of
four in speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.verilog import Port

__all__ = ["BENCH", "Field", "MemoryProbe", "Probe", "write_bench"]

#: Name of the bench's module, what cocotb calls the top level.
BENCH = "bench"

#: Bits of a word of a record.
WORD_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Field:
    """One part of a probe's record."""

    expression: str
    """What is recorded, in Verilog as seen from the bench: ``dut.chi_memory.write_address``, a
    port's name, or ``cycle``, the 64-bit number of the rising edges before this one."""

    width: int
    """Its bits. It takes ``ceil(width / 32)`` words, zero beyond its bits."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Records fields at every rising clock edge at which a strobe is high, as a register would
    sample them."""

    name: str
    """An identifier; what :func:`cocotb_tests.probes.take` asks for."""

    strobe: str
    """The condition, in Verilog as seen from the bench."""

    fields: tuple[Field, ...]
    """Recorded one after the other, first field in the first words."""


@dataclass(frozen=True, kw_only=True)
class MemoryProbe:
    """Records all rows of a memory, one record each, when Python raises the bench's input
    ``dump_<name>``."""

    name: str
    """An identifier; what :func:`cocotb_tests.probes.take` asks for."""

    memory: str
    """The memory, in Verilog as seen from the bench."""

    depth: int
    """Its rows."""

    width: int
    """Bits of a row."""


def _words(width: int) -> int:
    return -(-width // WORD_BITS)


def _pad(expression: str, width: int) -> str:
    padding = _words(width) * WORD_BITS - width
    return f"{padding}'d0, {expression}" if padding else expression


def _record(fields: Sequence[Field]) -> str:
    """The concatenation whose lowest word is the first field's."""
    return "{" + ", ".join(_pad(field.expression, field.width) for field in reversed(fields)) + "}"


def _record_words(probe: Probe | MemoryProbe) -> int:
    if isinstance(probe, MemoryProbe):
        return _words(probe.width)
    return sum(_words(field.width) for field in probe.fields)


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _bench_verilog(top: str, ports: Sequence[Port], probes: Sequence[Probe | MemoryProbe]) -> str:
    dumps = [probe for probe in probes if isinstance(probe, MemoryProbe)]
    outside = ["  input wire rst"]
    outside += [
        f"  {'input' if port.is_input else 'output'} wire {_range(port.width)}\\{port.name} "
        for port in ports
    ]
    outside += [f"  input wire dump_{probe.name}" for probe in dumps]
    connections = [".clk(clk)", ".rst(rst)"] + [
        f".\\{port.name} (\\{port.name} )" for port in ports
    ]
    lines = [
        "`timescale 1ns/1ps",
        f"module {BENCH} (",
        ",\n".join(outside),
        ");",
        "  reg clk = 1'b0;",
        "  always #0.5 clk = ~clk;",
        "  reg [63:0] cycle = 64'd0;",
        "  always @(posedge clk) cycle <= cycle + 64'd1;",
        f"  {top} dut (",
        ",\n".join(f"    {connection}" for connection in connections),
        "  );",
    ]
    for index, probe in enumerate(probes):
        function = f"mixbar_probe_push_{index}"
        bits = _record_words(probe) * WORD_BITS
        lines.append(f'  import "DPI-C" function void {function}(input bit [{bits - 1}:0] record);')
        if isinstance(probe, MemoryProbe):
            row = _pad(f"{probe.memory}[row]", probe.width)
            lines += [
                f"  always @(posedge dump_{probe.name})",
                f"    for (int row = 0; row < {probe.depth}; row = row + 1) {function}({{{row}}});",
            ]
        else:
            lines += [
                "  always @(posedge clk)",
                f"    if ({probe.strobe}) {function}({_record(probe.fields)});",
            ]
    lines.append("endmodule")
    return "\n".join(lines) + "\n"


def _public(ports: Sequence[Port], probes: Sequence[Probe | MemoryProbe]) -> str:
    """Verilator's control file: which signals Python may read (rd), which write too (rw)."""
    access = [("clk", "rd"), ("cycle", "rd"), ("rst", "rw")]
    access += [(port.name, "rw" if port.is_input else "rd") for port in ports]
    access += [(f"dump_{probe.name}", "rw") for probe in probes if isinstance(probe, MemoryProbe)]
    lines = [f'public_flat_{kind} -module "{BENCH}" -var "{name}"' for name, kind in access]
    return "\n".join(["`verilator_config", *lines]) + "\n"


_PROBES_HEAD = """\
// Records of the probes, kept until Python takes them.
// Written by the bench, read through the functions below.
#include <cstdint>
#include <cstring>
#include <vector>

#include "svdpi.h"

namespace {

struct Probe {
  const char* name;
  std::size_t words;
  std::vector<std::uint32_t> data;
};

Probe probes[] = {
%s};

void push(Probe& probe, const svBitVecVal* record) {
  probe.data.insert(probe.data.end(), record, record + probe.words);
}

}  // namespace

extern "C" {

int mixbar_probe_find(const char* name) {
  for (std::size_t k = 0; k < sizeof probes / sizeof probes[0]; k++)
    if (!std::strcmp(probes[k].name, name)) return static_cast<int>(k);
  return -1;
}
std::uint64_t mixbar_probe_words(int probe) { return probes[probe].words; }
std::uint64_t mixbar_probe_size(int probe) { return probes[probe].data.size(); }
const std::uint32_t* mixbar_probe_data(int probe) { return probes[probe].data.data(); }
void mixbar_probe_clear(int probe) { probes[probe].data.clear(); }
"""


def _probes_cpp(probes: Sequence[Probe | MemoryProbe]) -> str:
    # An empty table is not C++: the sentinel has a name that no probe can have.
    rows = [f'    {{"{probe.name}", {_record_words(probe)}, {{}}}},\n' for probe in probes]
    rows.append('    {"", 0, {}},\n')
    text = _PROBES_HEAD % "".join(rows)
    for index in range(len(probes)):
        text += (
            f"void mixbar_probe_push_{index}(const svBitVecVal* record) "
            f"{{ push(probes[{index}], record); }}\n"
        )
    return text + "\n}  // extern C\n"


def write_bench(
    directory: Path, *, top: str, ports: Sequence[Port], probes: Sequence[Probe | MemoryProbe] = ()
) -> None:
    """Writes ``bench.sv``, ``bench.vlt`` and ``probes.cpp`` into a directory.

    The bench has the unit's ports under the unit's names, and ``rst``; ``clk`` (1 ns a cycle) and
    ``cycle`` can be read. Internal signals are seen by probes only.

    Parameters
    ----------
    directory
        An existing directory.
    top
        Module of the unit.
    ports
        Its ports besides ``clk`` and ``rst``.
    probes
        What to record.

    Raises
    ------
    ValueError
        If a probe's name is no identifier or comes twice.
    """
    names = [probe.name for probe in probes]
    for name in names:
        if not (name.isidentifier() and name.isascii()):
            raise ValueError(f"A probe's name must be an identifier, not {name!r}.")
        if names.count(name) > 1:
            raise ValueError(f"Each probe needs a name of its own; {name!r} comes twice.")
    (directory / "bench.sv").write_text(_bench_verilog(top, ports, probes), encoding="utf-8")
    (directory / "bench.vlt").write_text(_public(ports, probes), encoding="utf-8")
    (directory / "probes.cpp").write_text(_probes_cpp(probes), encoding="utf-8")
