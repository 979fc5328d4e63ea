"""Input buffer: every beat of a frame does its work once, and nothing else reaches the arrays."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import data

from formal.mutation import Fault
from formal.platform import FormalPlatform, in_state
from formal.proof import Proof
from formal.streams import holds
from model.configurations import mca_mlp, tiny_mca

__all__ = ["PROOFS"]


def frames(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """The beat that was accepted last, beside the rules for frames."""
    inside = platform.inside(dut)
    lanes, n_words = dut.config.update.lanes, dut.n_words
    beat, end, held = Signal(data.ArrayLayout(8, lanes)), Signal(), Signal()
    with m.If(dut.i.tready):
        m.d.sync += [beat.eq(dut.i.tdata), end.eq(dut.i.tlast), held.eq(dut.i.tvalid)]

    # Beats of pixels that a frame has so far; then its label's, or the rest of a frame too long.
    pixels, swallows, ready = Signal(range(n_words + 1)), Signal(), Signal()
    label = Signal.like(dut.label)
    acts, is_word, is_label = Signal(), Signal(), Signal()
    m.d.comb += [
        acts.eq(held & ~ready),
        is_word.eq(acts & ~swallows & (pixels < n_words) & ~end),
        is_label.eq(acts & ~swallows & (pixels == n_words)),
    ]
    short, long, bad = Signal(), Signal(), Signal()
    m.d.comb += [
        short.eq(acts & ~swallows & (pixels < n_words) & end),
        long.eq(is_label & ~end),
        bad.eq(is_label & end & (beat[0] >= dut.n_classes)),
    ]
    word_sent = Signal()
    m.d.comb += word_sent.eq(dut.o_drives.valid & dut.o_drives.ready)
    with m.If(is_word & word_sent):
        m.d.sync += pixels.eq(pixels + 1)
    with m.Elif(short | is_label):
        m.d.sync += [pixels.eq(0), swallows.eq(long), ready.eq(is_label & ~long & ~bad)]
        m.d.sync += label.eq(beat[0])
    with m.Elif(acts & swallows & end):
        m.d.sync += swallows.eq(0)
    with m.If(dut.take):
        m.d.sync += ready.eq(0)

    holds(m, dut.o_drives.valid, dut.o_drives.ready, dut.o_drives.payload)
    o = dut.o_drives.payload
    is_last = pixels == n_words - 1
    used_in_last = dut.n_inputs - (n_words - 1) * lanes
    pixel = [Mux(is_last, 0, beat[k]) if k >= used_in_last else beat[k] for k in range(lanes)]
    m.d.comb += [
        Assume(~dut.take | dut.image_ready),
        # Words are the beats of pixels, each once, the last one marked.
        Assert(dut.o_drives.valid == is_word),
        Assert(~is_word | (o.last == is_last)),
        *(Assert(~is_word | (o.activations[k] == pixel[k])) for k in range(lanes)),
        Assert(dut.o_codes.valid == word_sent),
        Assert(~word_sent | (dut.o_codes.payload == o)),
        # No beat makes room before it has done its work.
        Assert(dut.i.tready == (~held | (acts & (~is_word | word_sent)))),
        # A frame that is wrong is dropped and told, once; a right one is offered with its label.
        Assert(dut.short_frame == short),
        Assert(dut.long_frame == long),
        Assert(dut.bad_label == bad),
        Assert(dut.rewind == (short | long | bad)),
        Assert(dut.image_ready == ready),
        Assert(~ready | (dut.label == label)),
        # Why.
        Assert(inside.valid == held),
        Assert(~held | ((inside.beat == beat) & (inside.is_end == end))),
        Assert(in_state(inside, "READY") == ready),
        Assert(in_state(inside, "SWALLOW") == (swallows & ~ready)),
        Assert(in_state(inside, "LABEL") == ((pixels == n_words) & ~swallows & ~ready)),
        Assert(inside.word == Mux(pixels == n_words, 0, pixels)),
        Assert((pixels <= n_words) & ~((swallows | ready) & (pixels != 0)) & ~(swallows & ready)),
        Cover(dut.take),
        Cover(bad),
        Cover(acts & swallows & end),
    ]


PROOFS = (
    Proof(
        name="frames_whole",
        says="Each beat of pixels leaves as one word, in order, lanes beyond the image zero, held "
        "while stalled; an image is offered after exactly a whole frame; each wrong frame is "
        "dropped with one strobe.",
        component="input_buffer.InputBuffer",
        build=lambda block: block(mca_mlp),
        sizes=f"mca_mlp, frames of {mca_mlp.n_words(0)} beats of {mca_mlp.update.lanes} pixels",
        harness=frames,
        depth=1,
        inductive=True,
        small=lambda block: block(tiny_mca),
        reach=9,
        fault=Fault(
            "a stalled word is lost",
            "input_buffer",
            "done.eq(self.o_drives.ready)",
            "done.eq(1)",
        ),
    ),
)
