"""Result buffer: a frame for every image, in order, with its own outputs, label and flags."""

from dataclasses import replace
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal

from formal.mutation import Fault
from formal.platform import FormalPlatform, in_state
from formal.proof import Proof
from formal.streams import holds
from model.configurations import mca_mlp

__all__ = ["PROOFS"]


def own_frame(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Two images at most are under way; of one word of their outputs, whichever, all bytes."""
    inside, n_words = platform.inside(dut), dut.n_words
    i, o = dut.i_outputs, dut.o
    at, watched = Signal(range(n_words + 1)), Signal(range(n_words))
    whole = Signal()
    m.d.comb += [watched.eq(AnyConst(len(watched))), Assume(watched < n_words)]

    # The unit delivers a whole vector while a bank is free, then commits, once.
    last = i.valid & (at == n_words - 1)
    m.d.comb += [
        whole.eq(last | (at == n_words)),
        Assume(~i.valid | (dut.ready_for_image & (at < n_words))),
        Assume(i.payload.last == (at == n_words - 1)),
        Assume(~dut.commit | whole),
    ]
    with m.If(dut.commit):
        m.d.sync += at.eq(0)
    with m.Elif(i.valid):
        m.d.sync += at.eq(at + 1)

    # What was committed, by bank; frames that are due; the beats sent of the first.
    fill, send, due = Signal(), Signal(), Signal(range(3))
    outputs = [Signal(i.payload.activations.shape(), name=f"outputs_{b}") for b in (0, 1)]
    labels = [Signal.like(dut.label, name=f"label_{b}") for b in (0, 1)]
    flags = [Signal(2, name=f"flags_{b}") for b in (0, 1)]
    sent = Signal(range(n_words + 1))
    moved, ended = Signal(), Signal()
    m.d.comb += [moved.eq(o.tvalid & o.tready), ended.eq(moved & o.tlast)]
    m.d.sync += [
        due.eq(due + dut.commit - ended),
        fill.eq(fill ^ dut.commit),
        send.eq(send ^ ended),
    ]
    with m.If(moved):
        m.d.sync += sent.eq(Mux(o.tlast, 0, sent + 1))
    for bank in (0, 1):
        with m.If((fill == bank) & i.valid & (at == watched)):
            m.d.sync += outputs[bank].eq(i.payload.activations)
        with m.If((fill == bank) & dut.commit):
            m.d.sync += labels[bank].eq(dut.label)
            m.d.sync += flags[bank].eq(Cat(dut.trained, dut.skipped))

    holds(m, o.tvalid, o.tready, Cat(o.tlast, Mux(o.tlast, 0, o.tdata.as_value())))
    read = Signal(range(2 * n_words))
    m.d.comb += [
        read.eq(sent + send * n_words),
        Assert(~o.tvalid | ((due != 0) & (o.tlast == (sent == n_words)))),
        Assert(dut.ready_for_image == (due != 2)),
        # Why.
        Assert((due <= 2) & ((due == 1) == (fill != send)) & ((due != 2) | (at == 0))),
        Assert((at <= n_words) & (inside.word == Mux(at == n_words, 0, at))),
        Assert((inside.fill_bank == fill) & (inside.send_bank == send)),
        Assert(in_state(inside, "OUTPUTS") == (o.tvalid & ~o.tlast)),
        Assert(in_state(inside, "VERDICT") == (o.tvalid & o.tlast)),
        Assert(o.tvalid | (sent == 0)),
        Assert(~o.tvalid | o.tlast | (platform.row(inside.store, read) == o.tdata)),
        Assert(inside.beat == Mux(sent == n_words, 0, sent)),
        Cover(ended & (due == 2)),
        Cover(ended & (send == 1) & dut.commit),
    ]
    for bank in (0, 1):
        place = Signal(range(2 * n_words), name=f"place_{bank}")
        waits = (due == 2) | ((due == 1) & (send == bank))
        arrived = waits | ((fill == bank) & (at > watched))
        sends = o.tvalid & (send == bank)
        m.d.comb += [
            place.eq(watched + bank * n_words),
            Assert(~(sends & (sent == watched)) | (o.tdata == outputs[bank])),
            Assert(~(sends & o.tlast) | (o.tdata[1] == labels[bank])),
            Assert(~(sends & o.tlast) | (o.tdata[2] == flags[bank])),
            # Why.
            Assert(inside.waiting[bank] == waits),
            Assert(~arrived | (platform.row(inside.store, place) == outputs[bank])),
            Assert(~waits | (inside.labels[bank] == labels[bank])),
            Assert(~waits | (inside.flags[bank] == flags[bank])),
        ]


SIZED = replace(mca_mlp, name="mca_mlp", update=replace(mca_mlp.update, lanes=4))

PROOFS = (
    Proof(
        name="results_own_frame",
        says="Every committed image sends one frame, in order: its own output words, each once, "
        "then its label and flags; a stalled beat holds; the next image may deliver meanwhile.",
        component="result_buffer.ResultBuffer",
        build=lambda block: block(SIZED),
        sizes=f"mca_mlp with {SIZED.update.lanes} lanes: "
        f"{SIZED.rows_to_words(SIZED.network.layers[-1])} words a result",
        harness=own_frame,
        depth=1,
        inductive=True,
        reach=13,
        fault=Fault(
            "the label of the other bank",
            "result_buffer",
            "Mux(send_bank, labels[1], labels[0])",
            "Mux(send_bank, labels[0], labels[1])",
        ),
    ),
)
