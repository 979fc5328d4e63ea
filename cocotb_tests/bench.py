"""Writes the bench around an emitted unit: clock, probes, and what of it Python may touch.

Everything that happens in every cycle stays in compiled code. The clock is Verilog's, so that no
callback of the simulator's interface toggles it. A :class:`Probe` records what passes a point of
the design whenever its strobe is high at a rising edge, into memory that NumPy reads in one
piece, so that every write of a memory is compared without waking Python for it. Only the bench's
ports are visible to Python: making all signals public, cocotb's usual choice, costs a factor of
four in speed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.verilog import Port

__all__ = [
    "BENCH",
    "Field",
    "Instrument",
    "Latch",
    "Loader",
    "MemoryProbe",
    "Player",
    "Probe",
    "Responder",
    "write_bench",
]

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

    on_rise: bool = False
    """Records when the strobe rises instead, the values after the clock edge that raised it: the
    record is there when Python wakes on the strobe's rising edge. A strobe that stays high for
    several cycles is recorded once."""


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


@dataclass(frozen=True, kw_only=True)
class Player:
    """Plays records that Python gave beforehand into an input stream of the unit, one a transfer,
    without waking Python; see :func:`cocotb_tests.probes.give`."""

    name: str
    """An identifier."""

    valid: str
    """Port that is high while a record is offered."""

    ready: str
    """Port that takes it."""

    data: tuple[str, ...]
    """Ports that carry it, the first in the lowest words of a record, each in whole words."""


@dataclass(frozen=True, kw_only=True)
class Loader:
    """Puts records that Python gave beforehand into registers or a memory of the unit, when Python
    raises the bench's input ``load_<name>`` while the unit stands still; see
    :func:`cocotb_tests.probes.give`."""

    name: str
    """An identifier."""

    targets: tuple[Field, ...]
    """The registers, one record in all; or one memory, one record a row."""

    depth: int = 0
    """Rows of the memory; 0 for registers."""


@dataclass(frozen=True, kw_only=True)
class Latch:
    """Drives an input with the record that Python gave last, from the next rising clock edge on;
    see :func:`cocotb_tests.probes.give`. Zero before the first.

    An input that changes a few times in a thousand cycles costs less this way: what Python itself
    writes is an input of the whole simulation, whose followers are evaluated in every cycle.
    """

    name: str
    """An identifier."""

    port: str
    """Port that carries it."""


@dataclass(frozen=True, kw_only=True)
class Responder:
    """Answers the unit in compiled code, so that an array that is asked in every few cycles need
    not wake Python.

    At every rising clock edge at which the strobe is high, ``source`` computes an answer from the
    fields and from a table that Python gave; it drives the port from ``latency`` cycles after the
    strobe's until the next answer does. Zero before the first. Each call of
    :func:`cocotb_tests.probes.give` replaces the table.
    """

    name: str
    """An identifier."""

    strobe: str
    """The condition, in Verilog as seen from the bench."""

    fields: tuple[Field, ...]
    """What the answer depends on, as in a :class:`Probe`."""

    port: str
    """Input of the unit that carries the answer."""

    latency: int
    """Cycles from the strobe to the answer, at least 1. Strobes come no closer."""

    table_words: int
    """Words of the table; one record."""

    source: str
    """Body of a C++ function of ``const std::uint32_t* fields`` and ``const std::uint32_t* table``
    that writes ``std::uint32_t* answer``, which is zero when it begins."""


Instrument = Probe | MemoryProbe | Player | Loader | Latch | Responder
"""What a bench can hold beside the unit."""


def _words(width: int) -> int:
    return -(-width // WORD_BITS)


def _pad(expression: str, width: int) -> str:
    padding = _words(width) * WORD_BITS - width
    return f"{padding}'d0, {expression}" if padding else expression


def _record(fields: Sequence[Field]) -> str:
    """The concatenation whose lowest word is the first field's."""
    return "{" + ", ".join(_pad(field.expression, field.width) for field in reversed(fields)) + "}"


def _record_words(probe: Instrument, widths: Mapping[str, int]) -> int:
    match probe:
        case MemoryProbe():
            return _words(probe.width)
        case Player():
            return sum(_words(widths[port]) for port in probe.data)
        case Loader():
            return sum(_words(target.width) for target in probe.targets)
        case Latch():
            return _words(widths[probe.port])
        case Responder():
            return probe.table_words
        case Probe():
            return sum(_words(field.width) for field in probe.fields)


def _slices(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """Each field's expression and its part of a ``record``."""
    parts, first = [], 0
    for field in fields:
        parts.append((field.expression, f"record[{first + field.width - 1}:{first}]"))
        first += _words(field.width) * WORD_BITS
    return parts


def _pop_import(index: int, bits: int) -> str:
    function = f"mixbar_probe_pop_{index}"
    return f'  import "DPI-C" function bit {function}(output bit [{bits - 1}:0] record);'


def _player_verilog(player: Player, index: int, bits: int, fields: Sequence[Field]) -> list[str]:
    assigns = [
        f"  assign \\{port} = record_{index}{part.removeprefix('record')};"
        for port, part in _slices(fields)
    ]
    return [
        _pop_import(index, bits),
        f"  bit [{bits - 1}:0] record_{index};",
        f"  bit valid_{index} = 1'b0;",
        f"  assign \\{player.valid} = valid_{index};",
        *assigns,
        "  always @(posedge clk)",
        f"    if (rst) valid_{index} <= 1'b0;",
        f"    else if (!valid_{index} || \\{player.ready} ) begin",
        f"      bit [{bits - 1}:0] next;",
        f"      valid_{index} <= mixbar_probe_pop_{index}(next);",
        f"      record_{index} <= next;",
        "    end",
    ]


def _loader_verilog(loader: Loader, index: int, bits: int) -> list[str]:
    body = [f"      {target} <= {part};" for target, part in _slices(loader.targets)]
    loop = []
    if loader.depth:
        loop = [f"    for (int row = 0; row < {loader.depth}; row = row + 1)"]
        body = [line.replace(" <= ", "[row] <= ", 1) for line in body]
    return [
        _pop_import(index, bits),
        f"  always @(posedge load_{loader.name})",
        *loop,
        f"    begin : load_record_{index}",
        f"      bit [{bits - 1}:0] record;",
        f"      void'(mixbar_probe_pop_{index}(record));",
        *body,
        "    end",
    ]


def _latch_verilog(latch: Latch, index: int, bits: int, width: int) -> list[str]:
    return [
        _pop_import(index, bits),
        f"  reg {_range(width)}held_{index} = {width}'d0;",
        f"  assign \\{latch.port} = held_{index};",
        "  always @(posedge clk) begin",
        f"    bit [{bits - 1}:0] next;",
        f"    if (mixbar_probe_pop_{index}(next)) held_{index} <= next[{width - 1}:0];",
        "  end",
    ]


def _responder_verilog(responder: Responder, index: int, width: int) -> list[str]:
    function = f"mixbar_respond_{index}"
    bits = sum(_words(field.width) for field in responder.fields) * WORD_BITS
    answer_bits = _words(width) * WORD_BITS
    delay = responder.latency - 1
    # The answer waits until the one before has been on the port for its time.
    release = f"due_{index}[{delay - 1}]" if delay else responder.strobe
    following = f"next_{index}" if delay else f"answer[{width - 1}:0]"
    shift = []
    if delay:
        older = f"due_{index}[{delay - 2}:0], " if delay > 1 else ""
        shift = [f"    due_{index} <= {{{older}{responder.strobe}}};"]
    return [
        f'  import "DPI-C" function void {function}(input bit [{bits - 1}:0] fields, '
        f"output bit [{answer_bits - 1}:0] answer);",
        f"  reg {_range(width)}answer_{index} = {width}'d0;",
        f"  reg {_range(width)}next_{index} = {width}'d0;",
        *([f"  reg [{delay - 1}:0] due_{index} = {delay}'d0;"] if delay else []),
        f"  assign \\{responder.port} = answer_{index};",
        "  always @(posedge clk) begin",
        f"    bit [{answer_bits - 1}:0] answer;",
        f"    if ({responder.strobe}) begin",
        f"      {function}({_record(responder.fields)}, answer);",
        f"      next_{index} <= answer[{width - 1}:0];",
        "    end",
        *shift,
        f"    if ({release}) answer_{index} <= {following};",
        "  end",
    ]


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _strobes(probes: Sequence[Instrument]) -> list[str]:
    """The bench's inputs beside the unit's: what Python raises to dump and to load."""
    dumps = [f"dump_{probe.name}" for probe in probes if isinstance(probe, MemoryProbe)]
    return dumps + [f"load_{probe.name}" for probe in probes if isinstance(probe, Loader)]


def _played(probes: Sequence[Instrument]) -> set[str]:
    """The unit's ports that players and latches drive."""
    players = [probe for probe in probes if isinstance(probe, Player)]
    played = {port for player in players for port in (player.valid, *player.data)}
    return played | {probe.port for probe in probes if isinstance(probe, Latch | Responder)}


def _bench_verilog(top: str, ports: Sequence[Port], probes: Sequence[Instrument]) -> str:
    widths = {port.name: port.width for port in ports}
    played = _played(probes)
    outside = ["  input wire rst"]
    outside += [
        f"  {'input' if port.is_input else 'output'} wire {_range(port.width)}\\{port.name} "
        for port in ports
        if port.name not in played
    ]
    outside += [f"  input wire {strobe}" for strobe in _strobes(probes)]
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
        *(f"  wire {_range(widths[name])}\\{name} ;" for name in widths if name in played),
        f"  {top} dut (",
        ",\n".join(f"    {connection}" for connection in connections),
        "  );",
    ]
    for index, probe in enumerate(probes):
        function = f"mixbar_probe_push_{index}"
        bits = _record_words(probe, widths) * WORD_BITS
        match probe:
            case Player():
                fields = [Field(expression=port, width=widths[port]) for port in probe.data]
                lines += _player_verilog(probe, index, bits, fields)
                continue
            case Loader():
                lines += _loader_verilog(probe, index, bits)
                continue
            case Latch():
                lines += _latch_verilog(probe, index, bits, widths[probe.port])
                continue
            case Responder():
                lines += _responder_verilog(probe, index, widths[probe.port])
                continue
        lines.append(f'  import "DPI-C" function void {function}(input bit [{bits - 1}:0] record);')
        if isinstance(probe, MemoryProbe):
            row = _pad(f"{probe.memory}[row]", probe.width)
            lines += [
                f"  always @(posedge dump_{probe.name})",
                f"    for (int row = 0; row < {probe.depth}; row = row + 1) {function}({{{row}}});",
            ]
        elif probe.on_rise:
            lines += [
                f"  wire strobe_{index} = {probe.strobe};",
                f"  always @(posedge strobe_{index}) {function}({_record(probe.fields)});",
            ]
        else:
            lines += [
                "  always @(posedge clk)",
                f"    if ({probe.strobe}) {function}({_record(probe.fields)});",
            ]
    lines.append("endmodule")
    return "\n".join(lines) + "\n"


def _public(ports: Sequence[Port], probes: Sequence[Instrument]) -> str:
    """Verilator's control file: which signals Python may read (rd), which write too (rw)."""
    played = _played(probes)
    access = [("clk", "rd"), ("cycle", "rd"), ("rst", "rw")]
    access += [
        (port.name, "rw" if port.is_input else "rd") for port in ports if port.name not in played
    ]
    access += [(strobe, "rw") for strobe in _strobes(probes)]
    lines = [f'public_flat_{kind} -module "{BENCH}" -var "{name}"' for name, kind in access]
    return "\n".join(["`verilator_config", *lines]) + "\n"


_PROBES_HEAD = """\
// Records of the probes, kept until Python takes them, and of players, loaders and latches, kept
// until the design takes them.
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
  std::size_t next;  // first word that the design has not taken
};

Probe probes[] = {
%s};

void push(Probe& probe, const svBitVecVal* record) {
  probe.data.insert(probe.data.end(), record, record + probe.words);
}

svBit pop(Probe& probe, svBitVecVal* record) {
  if (probe.next == probe.data.size()) {
    std::memset(record, 0, 4 * probe.words);
    return 0;
  }
  std::memcpy(record, &probe.data[probe.next], 4 * probe.words);
  probe.next += probe.words;
  if (probe.next == probe.data.size()) {
    probe.data.clear();
    probe.next = 0;
  }
  return 1;
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
void mixbar_probe_clear(int probe) {
  probes[probe].data.clear();
  probes[probe].next = 0;
}
void mixbar_probe_give(int probe, const std::uint32_t* words, std::uint64_t n) {
  probes[probe].data.insert(probes[probe].data.end(), words, words + n);
}
"""


def _responder_cpp(responder: Responder, index: int, n_words: int) -> str:
    size = responder.table_words
    return f"""\
static void respond_{index}(
    const std::uint32_t* fields, const std::uint32_t* table, std::uint32_t* answer) {{
{responder.source}
}}
void mixbar_respond_{index}(const svBitVecVal* fields, svBitVecVal* answer) {{
  std::vector<std::uint32_t>& data = probes[{index}].data;
  // Only the table that was given last counts.
  if (data.size() > {size}) data.erase(data.begin(), data.end() - {size});
  std::memset(answer, 0, {4 * n_words});
  if (data.size() == {size}) respond_{index}(fields, data.data(), answer);
}}
"""


def _probes_cpp(probes: Sequence[Instrument], widths: Mapping[str, int]) -> str:
    # An empty table is not C++: the sentinel has a name that no probe can have.
    rows = [
        f'    {{"{probe.name}", {_record_words(probe, widths)}, {{}}, 0}},\n' for probe in probes
    ]
    rows.append('    {"", 0, {}, 0},\n')
    text = _PROBES_HEAD % "".join(rows)
    for index, probe in enumerate(probes):
        if isinstance(probe, Responder):
            text += _responder_cpp(probe, index, _words(widths[probe.port]))
        elif isinstance(probe, Player | Loader | Latch):
            text += (
                f"svBit mixbar_probe_pop_{index}(svBitVecVal* record) "
                f"{{ return pop(probes[{index}], record); }}\n"
            )
        else:
            text += (
                f"void mixbar_probe_push_{index}(const svBitVecVal* record) "
                f"{{ push(probes[{index}], record); }}\n"
            )
    return text + "\n}  // extern C\n"


def write_bench(
    directory: Path, *, top: str, ports: Sequence[Port], probes: Sequence[Instrument] = ()
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
        What to record, to play and to load.

    Raises
    ------
    ValueError
        If a probe's name is no identifier or comes twice, or a port that is to be driven is no
        input.
    """
    names = [probe.name for probe in probes]
    for name in names:
        if not (name.isidentifier() and name.isascii()):
            raise ValueError(f"A probe's name must be an identifier, not {name!r}.")
        if names.count(name) > 1:
            raise ValueError(f"Each probe needs a name of its own; {name!r} comes twice.")
    for port in sorted(_played(probes) - {port.name for port in ports if port.is_input}):
        raise ValueError(f"{top} has no input {port!r} to drive.")
    (directory / "bench.sv").write_text(_bench_verilog(top, ports, probes), encoding="utf-8")
    (directory / "bench.vlt").write_text(_public(ports, probes), encoding="utf-8")
    (directory / "probes.cpp").write_text(
        _probes_cpp(probes, {port.name: port.width for port in ports}), encoding="utf-8"
    )
