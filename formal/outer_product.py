"""Outer product: every non-zero error meets every non-zero word once."""

from collections.abc import Callable
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value, signed

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from formal.streams import holds
from hw.layouts import product_word_layout, update_command_layout
from hw.outer_product import nonzero_error_layout
from model.config import Config
from model.configurations import mca_mlp, tiny_mca

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


def each_pair_once(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """The scalars that one word, whichever, is still to meet: two at most."""
    inside, scalars, o = platform.inside(dut), dut.i_scalars, dut.o.payload
    n_words = max(dut.words)
    word, lane = Signal(range(n_words)), Signal(range(len(dut.codes)))
    layer, touched = Signal.like(o.layer), Signal()
    commands = dut.i_command.valid & dut.i_command.ready
    m.d.comb += [
        word.eq(AnyConst(len(word))),
        lane.eq(AnyConst(len(lane))),
        Assume(word < n_words),
        Assume(dut.i_command.payload.layer < len(dut.words)),
        Assume(~scalars.valid | dut.busy),
        Assume(~scalars.valid | (scalars.payload.error > -4)),
    ]
    with m.If(commands):
        m.d.sync += layer.eq(dut.i_command.payload.layer)
        for k in range(len(dut.words)):
            with m.If(dut.i_command.payload.layer == k):
                m.d.sync += touched.eq(dut.nonzero[k].bit_select(word, 1))

    first, second = Signal(scalars.payload.shape()), Signal(scalars.payload.shape())
    meets, code_address = Signal(range(3)), Signal.like(dut.code_address)
    comes, leaves = Signal(), Signal()
    mine = dut.o.valid & (o.word == word)
    m.d.comb += [
        comes.eq(scalars.valid & scalars.ready & touched),
        leaves.eq(mine & dut.o.ready),
    ]
    m.d.sync += [meets.eq(meets + comes - leaves), code_address.eq(dut.code_address)]
    with m.If(leaves):
        m.d.sync += first.eq(second)
    with m.If(comes):
        with m.If(meets - leaves == 0):
            m.d.sync += first.eq(scalars.payload)
        with m.Else():
            m.d.sync += second.eq(scalars.payload)

    # The first address of a layer and the words of one of its scalars.
    sizes = [units * words for units, words in zip(dut.units, dut.words, strict=True)]
    base, stride = Signal.like(o.address), Signal(range(n_words + 1))
    for k in range(len(sizes)):
        with m.If(layer == k):
            m.d.comb += [base.eq(sum(sizes[:k])), stride.eq(dut.words[k])]

    # Those in the stage before the output, and at the output.
    next_one = inside.unit_valid & inside.pending_words.bit_select(word, 1)
    newest = Mux(meets == 2, second, first)
    error = Signal.like(first.error)
    holds(m, dut.o.valid, dut.o.ready, Cat(o.layer, o.unit, o.word, o.address, inside.error_at_o))
    m.d.comb += [
        error.eq(first.error),
        Assert(~mine | ((meets != 0) & (o.unit == first.unit) & (o.layer == layer))),
        Assert(~mine | (o.products[lane] == (-dut.codes[lane] * error)[:5].as_signed())),
        Assert(~mine | (o.address == (base + o.unit * stride + word)[: len(base)])),
        Assert(~dut.o.valid | (code_address == o.word)),
        Assert(dut.busy | (meets == 0)),
        # Why.
        Assert(meets == next_one + mine),
        Assert(~next_one | (Cat(inside.unit, (-inside.negated_error)[:3]) == newest)),
        Assert(~mine | (inside.error_at_o == -error)),
        Assert((meets == 0) | (error > -4)),
        Assert((meets != 2) | (second.error > -4)),
        Assert(inside.unit_valid == inside.pending_words.any()),
        Assert((inside.pending_words & ~inside.words) == 0),
        Assert(dut.busy | (~inside.unit_valid & ~dut.o.valid)),
        Assert(~dut.busy | (inside.words.bit_select(word, 1) == touched)),
        Assert(~dut.busy | (inside.command.layer == layer)),
        Cover(leaves & (meets == 2)),
        Cover(mine & ~dut.o.ready & (o.products[lane] == 9)),
    ]


def _walker(config: Config) -> Callable[[Any], Any]:
    return lambda block: block(
        units=[config.network.n_cols(layer) for layer in range(config.network.n_layers)],
        words=[config.n_words(layer) for layer in range(config.network.n_layers)],
        scalar=nonzero_error_layout(config),
        code=signed(3),
        command=update_command_layout(config),
        product=product_word_layout(config),
    )


PROOFS = (
    Proof(
        name="pairs_each_once",
        says="Each error that comes meets each word with a non-zero code once, and no other, "
        "errors in order, with its product and its address in chi; a stalled word holds.",
        component="outer_product.WordWalker",
        build=_walker(mca_mlp),
        sizes=f"mca_mlp, any of {mca_mlp.n_words(0)} words and of {mca_mlp.update.lanes} lanes",
        harness=each_pair_once,
        depth=1,
        inductive=True,
        small=_walker(tiny_mca),
        reach=9,
        fault=Fault(
            "a unit is taken while the last but one of its words waits",
            "outer_product",
            "scalars.ready.eq(advance & ~without_lowest(pending_words).any())",
            "scalars.ready.eq(advance)",
        ),
    ),
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
