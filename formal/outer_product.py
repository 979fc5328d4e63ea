"""Outer product: every non-zero error meets every non-zero word once."""

from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Signal, Value

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.configurations import tiny_mca

__all__ = ["PROOFS"]


def each_once(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Follows the code of one unit, whichever, from its word to its turn."""
    config, inside = dut.config, platform.inside(dut)
    n_units, lanes = inside.n_units, config.update.lanes
    unit, code, due = Signal(range(n_units)), Signal(range(-4, 4)), Signal()
    word, lane = Signal(range(inside.n_words)), Signal(range(lanes))
    given, newest = Signal(), Signal(range(n_units))
    came = Signal()
    m.d.comb += [
        word.eq(AnyConst(len(word))),
        lane.eq(AnyConst(len(lane))),
        unit.eq(word * lanes + lane),
        Assume(word * lanes + lane < n_units),
        Assume(inside.fill < inside.n_words),
        came.eq(dut.i.valid & dut.i.ready),
    ]
    leaves = dut.o.valid & dut.o.ready
    with m.If(leaves & (dut.o.payload.unit == unit)):
        m.d.sync += due.eq(0)
    with m.If(came & (inside.fill == 0)):
        m.d.sync += due.eq(0)
    with m.If(came & (inside.fill == word)):
        m.d.sync += [code.eq(dut.i.payload.codes[lane]), due.eq(dut.i.payload.codes[lane] != 0)]
    with m.If(dut.drop):
        m.d.sync += due.eq(0)
    # The unit before, since codes came.
    with m.If(leaves):
        m.d.sync += [given.eq(1), newest.eq(dut.o.payload.unit)]
    with m.If(came):
        m.d.sync += given.eq(0)

    mine = dut.o.valid & (dut.o.payload.unit == unit)
    pending = Value.cast(inside.pending)
    planes = inside.planes
    m.d.comb += [
        Assert(~mine | due),
        Assert(~mine | (dut.o.payload.error == code)),
        Assert(~due | ~dut.enable | (dut.o.valid & (dut.o.payload.unit <= unit))),
        Assert(~dut.o.valid | ~given | (dut.o.payload.unit > newest)),
        # Why.
        Assert(pending.bit_select(unit, 1) == due),
        Assert(~due | (code != 0)),
        *(Assert(~due | (planes[b].bit_select(unit, 1) == code[b])) for b in range(3)),
        Assert(~given | (((pending << 1) >> 1 & ((2 << newest) - 1)) == 0)),
        Cover(mine & leaves & given & (code == -3)),
        Cover(due & dut.drop & given),
    ]


PROOFS = (
    Proof(
        name="errors_each_once",
        says="Of the error codes of a vector each that is not zero is given once, with its unit, "
        "units rising; zeros never are.",
        component="outer_product.ErrorCodes",
        build=lambda block: block(tiny_mca),
        sizes=f"tiny_mca, any of {tiny_mca.network.n_cols(0)} units",
        harness=each_once,
        depth=1,
        inductive=True,
        reach=6,
        fault=Fault(
            "codes of the vector before are kept",
            "outer_product",
            "with m.If(fill == 0):",
            "with m.If(0):",
        ),
    ),
)
