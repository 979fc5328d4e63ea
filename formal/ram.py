"""Memories of emitted Verilog: a simulator and synthesis read one memory from two texts."""

from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Cover, Fragment, Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.configurations import tiny_mca

__all__ = ["PROOFS"]

FORMS = {"simulated": "", "synthesised": "-DSYNTHESIS"}


class _Rams(wiring.Component):
    """The module of one memory in both forms, with equal inputs."""

    def __init__(self, ram_platform: Any, *, depth: int, lanes: int, bits: int) -> None:
        self.ram_platform = ram_platform
        self.depth = depth
        self.row_shape = data.ArrayLayout(bits, lanes)
        self.at = Signal(range(depth))
        self.rows: dict[str, Any] = {}
        address = In(range(depth))
        super().__init__(
            {
                "write_address": address,
                "write_enable": In(lanes),
                "write_data": In(self.row_shape),
                "read_address": address,
                "read_enable": In(1),
                **{form: Out(self.row_shape) for form in FORMS},
            }
        )

    def elaborate(self, platform: FormalPlatform) -> Module:
        m = Module()
        for form, options in FORMS.items():
            contents = memory.Memory(shape=self.row_shape, depth=self.depth, init=[])
            write, read = contents.write_port(granularity=1), contents.read_port()
            rams = self.ram_platform(form)
            m.submodules[f"{form}_ram"] = ram = Fragment.get(contents, rams)
            m.d.comb += [
                write.addr.eq(self.write_address),
                write.en.eq(self.write_enable),
                write.data.eq(self.write_data),
                read.addr.eq(self.read_address),
                read.en.eq(self.read_enable),
                getattr(self, form).eq(read.data),
            ]
            # One more port, to look at a row.
            row = Signal(self.row_shape, name=f"{form}_row")
            ram.ports |= {"at": (self.at, "i"), "row": (row.as_value(), "o")}
            width = len(row.as_value())
            ports = f",\n  input [{len(self.at) - 1}:0] at,\n  output [{width - 1}:0] row\n);"
            text = rams.verilog().replace("\n);", ports, 1)
            text = text.replace("\nendmodule", "\n  assign row = mem[at];\nendmodule")
            platform.verilog[text] = options
            self.rows[form] = row
        return m


def one_memory(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Of one row, whichever, and one lane, whichever, that was written at least once."""
    at, lane = dut.at, Signal(range(dut.row_shape.length))
    known, value = Signal(), Signal(dut.row_shape.elem_shape)
    reads, read_value = Signal(), Signal.like(value)
    with m.If((dut.write_address == at) & dut.write_enable.bit_select(lane, 1)):
        m.d.sync += [known.eq(1), value.eq(dut.write_data[lane])]
    with m.If(dut.read_enable):
        m.d.sync += [reads.eq(known & (dut.read_address == at)), read_value.eq(value)]
    m.d.comb += [at.eq(AnyConst(len(at))), lane.eq(AnyConst(len(lane)))]
    for form in FORMS:
        m.d.comb += [
            Assert(~known | (dut.rows[form][lane] == value)),
            Assert(~reads | (getattr(dut, form)[lane] == read_value)),
        ]
    m.d.comb += Cover(reads & (read_value != value) & (read_value != 0))


PROOFS = (
    Proof(
        name="ram_forms_equal",
        says="The masked write of a whole row, which simulators see, and the writes of lanes, "
        "which synthesis sees, are one memory: a read gives the last value written before.",
        component="ram.RamPlatform",
        build=lambda block: _Rams(
            block,
            depth=tiny_mca.chi_depth,
            lanes=tiny_mca.update.lanes,
            bits=tiny_mca.update.chi_bits,
        ),
        sizes=f"chi of tiny_mca, {tiny_mca.chi_depth} rows of {tiny_mca.update.lanes} x "
        f"{tiny_mca.update.chi_bits} bits",
        harness=one_memory,
        depth=1,
        inductive=True,
        small=lambda block: _Rams(block, depth=3, lanes=4, bits=2),
        reach=6,
        fault=Fault(
            "lanes of the mask in reverse order",
            "ram",
            "in reversed(range(lanes))",
            "in range(lanes)",
        ),
    ),
)
