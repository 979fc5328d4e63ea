"""Memories of emitted Verilog as modules of their own, without initial contents.

An SRAM wakes up with random contents, so the gateware never relies on any, and a memory whose
initial contents are all zero is taken to have none. Emitted as an instance of a small module it can
be replaced by a foundry's macro with the same ports, its contents cost no text (millions of zeros
for chi), and a simulator may start it with random bits to prove that they do not matter.

Such a memory of one row is a register, however it is read. Others that are read combinationally,
have contents (tables), or promise more than a read of the old row on a simultaneous write stay what
Amaranth makes of them.
"""

from collections.abc import Sequence

from amaranth.hdl import (
    ClockSignal,
    Const,
    Instance,
    MemoryInstance,
    Module,
    Shape,
    ShapeCastable,
    Signal,
    Value,
)
from amaranth.lib import memory

__all__ = ["RamPlatform"]


class RamPlatform:
    """The platform to elaborate a component with, so that its memories become such modules.

    Parameters
    ----------
    prefix
        Start of the modules' names.

    Attributes
    ----------
    modules : dict[str, str]
        The Verilog text of each module by its name; filled while the component is elaborated. A
        module's ports: ``clk``; ``w0_addr``, ``w0_en`` (a bit per lane of the row), ``w0_data``;
        ``r0_addr``, ``r0_en``, ``r0_data``, valid from the cycle after; and so on, a number a port.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.modules: dict[str, str] = {}

    def get_memory(self, contents: memory.Memory) -> MemoryInstance | Instance | Module:
        """What :class:`amaranth.lib.memory.Memory` elaborates to."""
        if contents.depth == 1 and _is_zero(contents):
            return _register(contents)
        if not _is_ram(contents):
            return _lower_as_amaranth(contents)
        width = Shape.cast(contents.shape).width
        text = _module_body(contents, width)
        # Equal memories share a module; memories of one size but other ports do not.
        name = base = f"{self._prefix}_ram_{contents.depth}x{width}"
        count = 1
        while self.modules.get(name, text) != text:
            count += 1
            name = f"{base}_{count}"
        self.modules[name] = text
        ports: dict[str, object] = {"i_clk": ClockSignal("sync")}
        for index, port in enumerate(contents.write_ports):
            ports[f"i_w{index}_addr"] = port.addr
            ports[f"i_w{index}_en"] = port.en
            ports[f"i_w{index}_data"] = port.data
        for index, port in enumerate(contents.read_ports):
            ports[f"i_r{index}_addr"] = port.addr
            ports[f"i_r{index}_en"] = port.en
            ports[f"o_r{index}_data"] = port.data
        return Instance(name, **ports)

    def verilog(self) -> str:
        """All modules, as text to append to the emitted file."""
        return "".join(f"\nmodule {name}{body}" for name, body in sorted(self.modules.items()))


def _is_ram(contents: memory.Memory) -> bool:
    ports = (*contents.write_ports, *contents.read_ports)
    return (
        Shape.cast(contents.shape).width > 0
        and _is_zero(contents)
        and all(port.domain == "sync" for port in ports)
        and not any(port.transparent_for for port in contents.read_ports)
    )


def _is_zero(contents: memory.Memory) -> bool:
    """Whether all initial contents are zero; a row not given may have a default by its shape."""
    shape = contents.shape
    rows = {id(row): row for row in contents.init}.values()
    if not isinstance(shape, ShapeCastable):
        return not any(rows)
    return not any(Const.cast(Const(row, shape)).value for row in rows)


def _register(contents: memory.Memory) -> Module:
    """The row of a memory that has no other; like one it is not reset."""
    m = Module()
    row = Value.cast(Signal(contents.shape, reset_less=True))
    m.d.sync += row.eq(_written(m, row, contents.write_ports))
    for port in contents.read_ports:
        if port.domain == "comb":
            m.d.comb += port.data.eq(row)
            continue
        taken = Signal.like(row, init=0)
        with m.If(port.en):
            m.d.sync += taken.eq(_written(m, row, port.transparent_for))
        m.d.comb += port.data.eq(taken)
    return m


def _written(m: Module, row: Value, ports: Sequence[memory.WritePort]) -> Value:
    """The row after what ports write in this cycle."""
    after = Signal.like(row)
    m.d.comb += after.eq(row)
    for port in ports:
        lane_width = len(row) // len(port.en)
        for lane, enable in enumerate(port.en):
            part = slice(lane * lane_width, (lane + 1) * lane_width)
            with m.If(enable):
                m.d.comb += after[part].eq(Value.cast(port.data)[part])
    return after


def _lower_as_amaranth(contents: memory.Memory) -> MemoryInstance:
    instance = MemoryInstance(data=contents.data, attrs=contents.attrs)
    written = {
        port: instance.write_port(domain=port.domain, addr=port.addr, data=port.data, en=port.en)
        for port in contents.write_ports
    }
    for port in contents.read_ports:
        instance.read_port(
            domain=port.domain,
            addr=port.addr,
            data=port.data,
            en=port.en,
            transparent_for=tuple(written[writer] for writer in port.transparent_for),
        )
    return instance


def _module_body(contents: memory.Memory, width: int) -> str:
    address = f"[{(contents.depth - 1).bit_length() - 1}:0]"
    word = f"[{width - 1}:0]"
    declarations = ["  input clk"]
    behaviour = []
    for index, port in enumerate(contents.write_ports):
        lanes = len(port.en)
        lane_width = width // lanes
        declarations += [
            f"  input {address} w{index}_addr",
            f"  input [{lanes - 1}:0] w{index}_en",
            f"  input {word} w{index}_data",
        ]
        by_lane = ["  always @(posedge clk) begin"]
        for lane in range(lanes):
            part = f"[{(lane + 1) * lane_width - 1}:{lane * lane_width}]"
            by_lane.append(
                f"    if (w{index}_en[{lane}]) mem[w{index}_addr]{part} <= w{index}_data{part};"
            )
        by_lane.append("  end")
        if lanes == 1 or len(contents.write_ports) > 1:
            behaviour += by_lane
            continue
        # A simulator keeps row and mask of every write until the edge is over: one write of a row
        # costs it less than one a lane. Synthesis finds the enables in the other form.
        mask = ", ".join(
            f"{{{lane_width}{{w{index}_en[{lane}]}}}}" for lane in reversed(range(lanes))
        )
        behaviour += [
            "`ifdef SYNTHESIS",
            *by_lane,
            "`else",
            f"  wire {word} w{index}_mask = {{{mask}}};",
            "  always @(posedge clk)",
            f"    if (|w{index}_en) mem[w{index}_addr] <=",
            f"      (mem[w{index}_addr] & ~w{index}_mask) | (w{index}_data & w{index}_mask);",
            "`endif",
        ]
    for index in range(len(contents.read_ports)):
        declarations += [
            f"  input {address} r{index}_addr",
            f"  input r{index}_en",
            f"  output reg {word} r{index}_data",
        ]
        behaviour += [
            "  always @(posedge clk)",
            f"    if (r{index}_en) r{index}_data <= mem[r{index}_addr];",
        ]
    return "\n".join(
        [
            " (",
            ",\n".join(declarations),
            ");",
            f"  reg {word} mem [0:{contents.depth - 1}];",
            *behaviour,
            "endmodule\n",
        ]
    )
