"""Code buffer: the codes that the update reads are those of the vector that was loaded."""

from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, unsigned

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from model.activation_unit import BIAS
from model.configurations import mca_mlp, tiny_mca
from model.quantiser import activation_code

__all__ = ["PROOFS"]


def loaded(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """One lane of one word, whichever, in both banks."""
    config, inside = dut.config, platform.inside(dut)
    lanes, words = config.update.lanes, range(dut.n_words)
    bias = config.network.n_rows(0) - 1
    word, lane, at, full = Signal(words), Signal(range(lanes)), Signal(words), Signal()
    last_word = (bias - 1) // lanes
    i = dut.i
    m.d.comb += [
        word.eq(AnyConst(len(word))),
        lane.eq(AnyConst(len(lane))),
        Assume(word <= last_word),
        # A vector is as long as it is, and whole before it is used.
        Assume(~i.valid | (i.payload.last == (at == last_word))),
        Assume(~dut.swap | (full & ~i.valid)),
    ]
    with m.If(i.valid):
        m.d.sync += at.eq(Mux(i.payload.last, 0, at + 1))
        m.d.sync += full.eq(i.payload.last)
    with m.If(dut.swap):
        m.d.sync += full.eq(0)
    with m.If(dut.rewind):
        m.d.sync += [at.eq(0), full.eq(0)]

    # round(a / 128): 0 below 64, 1 below 192, 2 from there on.
    activation, code = Signal(8), Signal(unsigned(2))
    m.d.comb += [
        activation.eq(i.payload.activations[lane]),
        code.eq(Mux(activation < 64, 0, Mux(activation < 192, 1, 2))),
    ]
    codes, flags = [Signal(2, name=f"code_{b}") for b in (0, 1)], Signal(2)
    known, used = Signal(2), Signal()  # what each bank holds; the one in use
    m.d.sync += used.eq(used ^ dut.swap)
    for bank in (0, 1):
        with m.If(i.valid & (at == word) & (used != bank)):
            some = sum(i.payload.activations[k] >= 64 for k in range(lanes)) != 0
            m.d.sync += [known[bank].eq(1), codes[bank].eq(code), flags[bank].eq(some)]

    asked, expected = Signal(), Signal(3)
    used_code = Mux(used, codes[1], codes[0])
    in_vector = word * lanes + lane < bias
    is_bias = word * lanes + lane == bias
    m.d.sync += [
        asked.eq((dut.address == word) & (known.bit_select(used, 1) | ~in_vector)),
        expected.eq(Mux(in_vector, used_code, Mux(is_bias, activation_code(BIAS), 0))),
    ]
    stride = 1 << len(dut.address)
    place = [Signal(range(stride + dut.n_words), name=f"place_{b}") for b in (0, 1)]
    for bank in (0, 1):
        row = platform.row(inside.codes_memory, place[bank])
        m.d.comb += [
            place[bank].eq(word + stride * bank),
            Assert(~known[bank] | (row[lane] == codes[bank])),
        ]
    in_use, loading = known.bit_select(used, 1), full | (at > word)
    has_bias = word == bias // lanes
    m.d.comb += [
        Assert(~asked | (dut.codes[lane] == expected)),
        Assert(~in_use | (dut.nonzero.bit_select(word, 1) == flags.bit_select(used, 1) | has_bias)),
        # Why.
        Assert((inside.word == at) & (at <= last_word)),
        Assert((inside.current_bank == used) & (inside.load_bank == ~used)),
        Assert(~in_use | (inside.current.bit_select(word, 1) == flags.bit_select(used, 1))),
        Assert(~full | (at == 0)),
        Assert(~loading | known.bit_select(~used, 1)),
        Assert(~loading | (inside.loaded.bit_select(word, 1) == flags.bit_select(~used, 1))),
        Cover(asked & (expected == 2) & in_vector & known.all()),
        Cover(asked & is_bias & (expected != 0)),
    ]


PROOFS = (
    Proof(
        name="codes_of_the_image",
        says="The update reads round(a / 128) of the image in use, and which of its words are not "
        "all zero, whatever is loaded meanwhile, also after a frame that was taken back.",
        component="code_buffer.CodeBuffer",
        build=lambda block: block(mca_mlp, 0),
        sizes=f"mca_mlp, 2 banks of {mca_mlp.n_words(0)} words, any lane of {mca_mlp.update.lanes}",
        harness=loaded,
        depth=1,
        inductive=True,
        small=lambda block: block(tiny_mca, 0),
        reach=10,
        fault=Fault(
            "loads into the bank in use",
            "code_buffer",
            "load_bank * bank_stride + word",
            "current_bank * bank_stride + word",
        ),
    ),
)
