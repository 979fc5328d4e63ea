"""Watchdog: no wait lasts longer than its limit without a word to the host."""

from typing import Any

from amaranth.hdl import Assert, Cover, Module, Signal

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.configurations import mca_mlp

__all__ = ["PROOFS"]


def ends(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Counts the busy cycles since the last strobe or idle cycle."""
    waited = Signal(range(dut.limit + 1))
    with m.If(~dut.busy | dut.timeout):
        m.d.sync += waited.eq(0)
    with m.Else():
        m.d.sync += waited.eq(waited + 1)
    m.d.comb += [
        Assert(waited < dut.limit),
        Assert(dut.timeout == (dut.busy & (waited == dut.limit - 1))),
        Assert(platform.inside(dut).cycles == waited),
        Cover(dut.timeout),
    ]


PROOFS = (
    Proof(
        name="watchdog_ends",
        says="A strobe in the last of every `limit` busy cycles in a row, and in no other.",
        component="watchdog.Watchdog",
        build=lambda block: block(mca_mlp.pulse.timeout_cycles),
        sizes=f"{mca_mlp.pulse.timeout_cycles:,} cycles",
        harness=ends,
        depth=1,
        inductive=True,
        small=lambda block: block(5),
        reach=7,
        fault=Fault(
            "starts again when the array answers for a cycle",
            "watchdog",
            "m.If(~self.busy | self.timeout)",
            "m.If(self.timeout)",
        ),
    ),
)
