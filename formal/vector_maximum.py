"""Vector maximum: no element is larger, and no earlier one is as large."""

from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.configurations import mca_mlp

__all__ = ["PROOFS"]


def largest(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """One element, whichever, through the two stages."""
    inside, n_words = platform.inside(dut), dut.n_words
    word, lane, at = Signal(range(n_words)), Signal(range(dut.lanes)), Signal(range(n_words))
    m.d.comb += [
        word.eq(AnyConst(len(word))),
        lane.eq(AnyConst(len(lane))),
        Assume(word < n_words),
        Assume(~dut.valid | dut.last | (at != n_words - 1)),
    ]

    # The element in the register between the stages; as one of those that the maximum is of.
    held, held_value = Signal(), Signal(dut.width)
    counted, value = Signal(), Signal(dut.width)
    m.d.sync += held.eq(dut.valid & (at == word))
    with m.If(dut.valid):
        m.d.sync += [at.eq(Mux(dut.last, 0, at + 1)), held_value.eq(dut.values[lane])]
    with m.If(inside.valid):
        m.d.sync += counted.eq(held | (counted & (inside.word != 0)))
        with m.If(held):
            m.d.sync += value.eq(held_value)

    def wins(best: Value, place: Value, candidate: Value, own_place: Value) -> Value:
        at_most = (candidate < best) | ((candidate == best) & (place <= own_place))
        return at_most & ((place != own_place) | (candidate == best))

    m.d.comb += [
        Assert(~counted | wins(dut.maximum, dut.index, value, word * dut.lanes + lane)),
        # Why.
        Assert((at < n_words) & (inside.word < n_words)),
        Assert(at == Mux(inside.valid, Mux(inside.last, 0, inside.word + 1), inside.word)),
        Assert(~held | (inside.valid & (inside.word == word))),
        Assert(~counted | (inside.word == 0) | (inside.word > word)),
        Assert((inside.word == 0) | (dut.index < inside.word * dut.lanes)),
        Cover(dut.done & counted & (dut.index == word * dut.lanes + lane) & (word == n_words - 1)),
        Cover(dut.done & counted & (dut.maximum == value) & (dut.index < word * dut.lanes)),
    ]
    of_word = dut.lanes // len(inside.held)
    for k, candidate in enumerate(inside.held):
        own = lane - k * of_word
        mine = held & (own >= 0) & (own < of_word)
        m.d.comb += Assert(~mine | wins(candidate.value, candidate.lane, held_value, own))


PROOFS = (
    Proof(
        name="maximum_is_largest",
        says="No element of a vector is larger than its maximum, none before `index` is as large, "
        "and that at `index` is.",
        component="vector_maximum.VectorMaximum",
        build=lambda block: block(width=8, lanes=mca_mlp.update.lanes, n_words=8),
        sizes=f"8 words of {mca_mlp.update.lanes} elements of 8 bits",
        harness=largest,
        depth=1,
        inductive=True,
        small=lambda block: block(width=4, lanes=4, n_words=2),
        reach=6,
        fault=Fault(
            "of equals the last",
            "vector_maximum",
            "right.value > left.value",
            "right.value >= left.value",
        ),
    ),
)
