"""Watchdog: no wait lasts longer than its limit, and none ends without a word to the host."""

from typing import Any

from amaranth.hdl import Assert, Cover, Module, Signal

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.configurations import mca_mlp

__all__ = ["PROOFS"]


def ends(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Counts the busy cycles in a row, up to the limit."""
    waited = Signal(range(dut.limit + 1))
    with m.If(~dut.busy):
        m.d.sync += waited.eq(0)
    with m.Elif(waited != dut.limit):
        m.d.sync += waited.eq(waited + 1)
    block = platform.inside(dut)
    m.d.comb += [
        Assert(dut.hold == (dut.busy & (waited < dut.limit))),
        Assert(dut.timeout == (dut.busy & (waited == dut.limit - 1))),
        Assert(block.over == (waited == dut.limit)),
        Assert(block.over | (block.cycles == waited)),
        Cover(dut.busy & (waited == dut.limit)),
    ]


PROOFS = (
    Proof(
        name="watchdog_ends",
        says="A wait is passed on for at most `limit` cycles in a row, with a strobe in the last.",
        component="watchdog.Watchdog",
        build=lambda block: block(mca_mlp.pulse.timeout_cycles),
        sizes=f"{mca_mlp.pulse.timeout_cycles:,} cycles",
        harness=ends,
        depth=1,
        inductive=True,
        small=lambda block: block(5),
        reach=7,
        fault=Fault(
            "goes on counting when the array has answered",
            "watchdog",
            "m.If(~self.busy)",
            "m.If(~self.busy & over)",
        ),
    ),
)
