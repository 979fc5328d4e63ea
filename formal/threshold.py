"""Threshold: of what is over the threshold nothing is lost, and less than it stays behind."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.configurations import mca_mlp

__all__ = ["PROOFS"]


def conserves(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Where ``|chi| < 8 eps``, which is where the block is said to be exact."""
    epsilon = 1 << dut.epsilon_log2
    m.d.comb += [
        Assume((dut.chi < 8 * epsilon) & (dut.chi > -8 * epsilon)),
        Assert((dut.remainder < epsilon) & (dut.remainder > -epsilon)),
        Assert(dut.remainder + (dut.count << dut.epsilon_log2) == dut.chi),
        # Toward zero: the remainder has chi's sign.
        Assert((dut.remainder == 0) | ((dut.remainder < 0) == (dut.chi < 0))),
        Cover((dut.count == -5) & (dut.remainder < 0)),
        Cover((dut.count == 7) & (dut.epsilon_log2 == 20)),
    ]


PROOFS = (
    Proof(
        name="threshold_conserves",
        says="Leaves |chi| < eps with the sign of chi, and chi + count eps is what it was.",
        component="threshold.Threshold",
        build=lambda block: block(mca_mlp),
        sizes="32 bits, every eps",
        harness=conserves,
        depth=1,
        fault=Fault(
            "rounds toward minus infinity",
            "threshold",
            "(self.chi < 0) & (self.chi & below).any()",
            "0",
        ),
    ),
)
