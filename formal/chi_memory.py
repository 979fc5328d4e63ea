"""Chi memory: any sequence of words does what it does one after the other."""

from dataclasses import replace
from functools import partial
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Signal

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Harness, Proof
from formal.streams import holds
from hw.threshold import Threshold
from model.config import Config, NetworkConfig
from model.configurations import mca_mlp, tiny_mca

__all__ = ["PROOFS"]


def sequential(
    m: Module, dut: Any, platform: FormalPlatform, *, only_lane: int | None = None
) -> None:
    """One accumulator, whichever, beside one that takes a word at a time.

    A second pipeline carries the accepted words, all of them, to the cycle in which the first
    commits them; there the accumulator of the specification is updated in one step.
    """
    config, inside = dut.config, platform.inside(dut)
    words, at = range(config.chi_depth), Signal(range(config.chi_depth))
    lane, chi_shape = Signal(range(config.update.lanes)), dut.row_shape.elem_shape
    m.d.comb += [
        at.eq(AnyConst(len(at))),
        lane.eq(AnyConst(len(lane)) if only_lane is None else only_lane),
        Assume(at < words.stop),
        Assume(dut.i.payload.address < words.stop),
        Assume(dut.epsilon_log2 == AnyConst(len(dut.epsilon_log2))),
    ]

    # The accepted words on their way, and the accumulator.
    advance, stages = Signal(), [Signal.like(dut.i.payload, name=f"stage_{k}") for k in (1, 2, 3)]
    valid = [Signal(name=f"valid_{k}") for k in (1, 2, 3)]
    hit = [v & (stage.address == at) for v, stage in zip(valid, stages, strict=True)]
    m.d.comb += advance.eq(~dut.o.valid | dut.o.ready)
    with m.If(advance):
        accepted = dut.i.valid & dut.i.ready
        for v, stage, v_before, before in zip(
            valid, stages, [accepted, *valid], [dut.i.payload, *stages], strict=False
        ):
            m.d.sync += [v.eq(v_before), stage.eq(before)]
    chi, count = Signal(chi_shape), Signal.like(dut.o.payload.counts[0])
    product, shifted = stages[1].products[lane], Signal(chi_shape)
    m.submodules.step = step = Threshold(config)
    m.d.comb += [
        shifted.eq(product << stages[1].shift),
        step.chi.eq(chi + shifted),
        step.epsilon_log2.eq(dut.epsilon_log2),
    ]
    with m.If(advance & hit[1]):
        m.d.sync += count.eq(0)
        with m.If(product != 0):
            m.d.sync += [chi.eq(step.remainder), count.eq(step.count)]

    # What leaves is what came, in order; only words without a pulse do not.
    o = dut.o.payload
    holds(m, dut.o.valid, dut.o.ready, o)
    m.d.comb += [
        Assert(~dut.o.valid | (valid[2] & o.counts.as_value().any())),
        *(Assert(~dut.o.valid | (o[n] == stages[2][n])) for n in ("layer", "unit", "word")),
        Assert(~hit[2] | (count == 0) | dut.o.valid),
        Assert(~hit[2] | ~dut.o.valid | (o.counts[lane] == count)),
    ]

    # What the host reads.
    asked = Signal()
    m.d.sync += asked.eq(dut.read_address == at)
    m.d.comb += Assert(~dut.read_ack | ~asked | (dut.read_data[lane] == chi))

    # Why: the word in the memory, and each copy of it, is the accumulator.
    row = platform.row(inside.rows, at)
    copied = inside.written_valid & (inside.written_address == at)
    m.d.comb += [
        Assert((inside.clearing & (inside.cleared <= at)) | (row[lane] == chi)),
        Assert(
            ~inside.clearing | ((inside.cleared < words.stop) & ~valid[0] & ~valid[1] & ~valid[2])
        ),
        Assert(~inside.clearing | (~inside.written_valid & (chi == 0))),
        Assert(inside.product_valid == valid[0]),
        Assert(inside.word_valid == valid[1]),
        Assert(~valid[0] | (inside.product == stages[0])),
        Assert(~valid[1] | (inside.word == stages[1])),
        Assert(~hit[1] | (inside.chi[lane] == chi)),
        Assert(~valid[1] | (inside.step[lane] == shifted)),
        Assert(~copied | (inside.written[lane] == chi)),
        Assert(~hit[0] | hit[1] | copied | (dut.read_data[lane] == chi)),
        # Back to back, one apart, and with a word between that leaves no trace.
        Cover(hit[0] & hit[1] & hit[2] & (count != 0) & (product != 0)),
        Cover(hit[0] & valid[1] & ~hit[1] & hit[2] & (chi != 0)),
        Cover(dut.read_ack & asked & (chi < 0)),
    ]


SMALL = replace(
    tiny_mca, network=NetworkConfig(layers=(3, 3)), update=replace(tiny_mca.update, lanes=4)
)


def _proof(name: str, config: Config, lanes: str, harness: Harness) -> Proof:
    return Proof(
        name=name,
        says="Any sequence of words leaves in chi, and sends as counts, what it does word by word; "
        "words leave in order, none that has a pulse is lost, none comes twice, a stalled one "
        "holds; the host reads what is there. Whatever the SRAM gives for a row being written.",
        component="chi_memory.ChiMemory",
        build=lambda block: block(config),
        sizes=f"{config.name}, {config.chi_depth:,} words of {config.update.lanes} x "
        f"{config.update.chi_bits} bits, {lanes}",
        harness=harness,
        depth=1,
        inductive=True,
        small=lambda block: block(SMALL),
        reach=10,
        fault=Fault(
            "no forwarding from the word before",
            "chi_memory",
            "with m.If(word_valid & (word.address == product.address)):",
            "with m.If(0):",
        ),
    )


LAST_LANE = mca_mlp.update.lanes - 1

PROOFS = (
    _proof("chi_sequential", tiny_mca, "any lane", sequential),
    _proof(
        "chi_sequential_full_size",
        mca_mlp,
        "the last lane",
        partial(sequential, only_lane=LAST_LANE),
    ),
)
