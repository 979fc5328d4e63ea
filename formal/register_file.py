"""Register file: one answer to every access on AXI4-Lite."""

from typing import Any

from amaranth.hdl import Assert, Cat, Cover, Module, Signal

from formal.mutation import Fault
from formal.platform import FormalPlatform, in_state
from formal.proof import Proof
from formal.streams import holds
from hw.registers import register_table
from model.configurations import mca_mlp

__all__ = ["PROOFS"]


def answers_once(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Counts what was taken and not answered, and for how long."""
    bus, inside = dut.bus, platform.inside(dut)
    addresses, words, reads = Signal(2), Signal(2), Signal(2)
    write_due, read_age = Signal(), Signal(range(4))
    answered, read = Signal(), Signal()
    fetched = [r.name.lower() for r in dut.registers if hasattr(dut, f"{r.name.lower()}_fetch")]
    fetches = Cat(getattr(dut, f"{name}_fetch") for name in fetched)
    done = Cat(getattr(dut, f"{name}_done") for name in fetched)
    m.d.comb += [answered.eq(bus.bvalid & bus.bready), read.eq(bus.rvalid & bus.rready)]
    m.d.sync += [
        addresses.eq(addresses + (bus.awvalid & bus.awready) - answered),
        words.eq(words + (bus.wvalid & bus.wready) - answered),
        reads.eq(reads + (bus.arvalid & bus.arready) - read),
        write_due.eq((addresses != 0) & (words != 0) & ~bus.bvalid),
    ]

    # A read waits for its unit only; `fetching` while the unit was asked and has not answered.
    fetching = Signal()
    with m.If(fetches.any()):
        m.d.sync += fetching.eq(~(fetches & done).any())
    with m.Elif(done.any()):
        m.d.sync += fetching.eq(0)
    with m.If((reads == 0) | bus.rvalid | fetches.any() | fetching):
        m.d.sync += read_age.eq(0)
    with m.Else():
        m.d.sync += read_age.eq(read_age + 1)

    holds(m, bus.bvalid, bus.bready, bus.bresp)
    holds(m, bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp))
    m.d.comb += [
        # No answer without a request, one each.
        Assert(~bus.bvalid | ((addresses != 0) & (words != 0))),
        Assert(~bus.rvalid | (reads != 0)),
        Assert((addresses <= 2) & (words <= 2) & (reads < 2)),
        # An answer in time.
        Assert(~write_due | bus.bvalid),
        Assert(read_age < 2),
        Assert(~fetches.any() | (reads == 1)),
        # Why.
        Assert(addresses == inside.has_word + bus.bvalid),
        Assert(words == inside.has_data + bus.bvalid),
        Assert(bus.arready == (reads == 0)),
        Assert(~in_state(inside, "SELECT") | (read_age == 0)),
        Assert(bus.rvalid == in_state(inside, "RESPOND")),
        Assert(fetching == Cat(in_state(inside, f"AWAIT_{n.upper()}") for n in fetched).any()),
        Assert(inside.fsm.state < len(inside.fsm.encoding)),
        Cover(answered & (addresses == 2) & (words == 2)),
        Cover(read & (bus.rdata != 0) & answered),
        Cover(fetching & done.any()),
    ]


def _with_table(block: Any) -> Any:
    # By its own modules: those of a block with a fault were imported anew, enumerations too.
    check_table = block.__init__.__globals__["check_table"]
    return block(check_table.__globals__["register_table"](mca_mlp))


PROOFS = (
    Proof(
        name="axi_lite_answers_once",
        says="Every write and every read is answered once, in time, in order, and nothing else is; "
        "an answer that is not taken holds.",
        component="register_file.RegisterFile",
        build=_with_table,
        sizes=f"all {len(register_table(mca_mlp))} registers of mca_mlp",
        harness=answers_once,
        depth=1,
        inductive=True,
        reach=9,
        fault=Fault(
            "a write address is kept after its answer",
            "register_file",
            "                has_word.eq(0),\n",
            "",
        ),
    ),
)
