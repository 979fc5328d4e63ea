"""Input buffer: frames of pixels and a label from the host, checked while they load."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import axi4_stream_signature
from hw.layouts import activation_word_layout
from model.frames import UnitSizes

__all__ = ["InputBuffer"]


class InputBuffer(wiring.Component):
    """Turns image frames into activation words; offers an image whose whole frame was right.

    A frame is ``n_words = ceil(n_inputs / lanes)`` beats of pixels, pixel ``k`` in byte ``k %
    lanes`` of beat ``k // lanes``, then one beat whose byte 0 is the label, with TLAST. Bytes
    beyond the pixels are ignored and leave as zeros. :func:`model.frames.frame_error` says which
    frames are malformed:

    - short: TLAST on a beat of pixels;
    - long: no TLAST on the label's beat; everything up to the next TLAST is swallowed;
    - bad label: not below the number of classes.

    A malformed frame is dropped whole: ``rewind`` takes back what had gone downstream, where only
    the spare banks were touched. The buffer stores nothing itself: the words lie in the second
    banks of the first layer's line drivers and code buffer, which is what hides the loading of an
    image behind the work on the one before.

    Timing: LATENCY = 1 cycle from a beat at ``i`` to its word at ``o_drives`` and ``o_codes``, one
    beat a cycle. ``image_ready`` rises 2 cycles after the label's beat and falls in the cycle after
    ``take``; in between one beat of the next frame is accepted and none goes on. ``rewind`` and the
    error strobes are high for 1 cycle, 1 cycle after the beat that shows the error, if the beat
    before did not stall it; no word leaves in that cycle. No output to the host depends on an input
    from it in the same cycle. Reset forgets a frame under way.

    Parameters
    ----------
    config : UnitSizes
        The system.

    Members
    -------
    i : In(axi4_stream_signature(lanes))
        Frames from the host.
    o_drives : Out(stream.Signature(activation_word_layout(config)))
        The words of pixels.
    o_codes : Out(stream.Signature(activation_word_layout(config), always_ready=True))
        The same words in the cycles in which they are transferred at ``o_drives``.
    rewind : Out(1)
        Strobe: discard the words of the frame under way.
    image_ready : Out(1)
        A whole image is loaded.
    label : Out(range(n_classes))
        Its label, valid with ``image_ready``.
    take : In(1)
        Strobe, only with ``image_ready``: the image is used, the next may load.
    short_frame, long_frame, bad_label : Out(1)
        Strobes: a frame was dropped for this reason, one strobe a frame.
    """

    LATENCY = 1  # from a transfer at i to those at o_drives and o_codes

    def __init__(self, config: UnitSizes) -> None:
        self.config = config
        self.n_inputs = config.network.layers[0]
        self.n_classes = config.network.layers[-1]
        self.n_words = config.rows_to_words(self.n_inputs)
        words = activation_word_layout(config)
        super().__init__(
            {
                "i": In(axi4_stream_signature(config.update.lanes)),
                "o_drives": Out(stream.Signature(words)),
                "o_codes": Out(stream.Signature(words, always_ready=True)),
                "rewind": Out(1),
                "image_ready": Out(1),
                "label": Out(range(self.n_classes)),
                "take": In(1),
                "short_frame": Out(1),
                "long_frame": Out(1),
                "bad_label": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        lanes = self.config.update.lanes
        word = Signal(range(self.n_words))
        is_last = word == self.n_words - 1
        n_used_in_last = self.n_inputs - (self.n_words - 1) * lanes

        # Cycle 0: a beat is registered, so that no path crosses from the host's side to the sinks'.
        beat = Signal.like(self.i.tdata)
        is_end = Signal()
        valid = Signal()
        done = Signal()
        m.d.comb += self.i.tready.eq(~valid | done)
        with m.If(self.i.tready):
            m.d.sync += [beat.eq(self.i.tdata), is_end.eq(self.i.tlast), valid.eq(self.i.tvalid)]

        # Cycle 1: it goes on as a word, or is judged.
        m.d.comb += self.o_codes.valid.eq(self.o_drives.valid & self.o_drives.ready)
        for o in (self.o_drives, self.o_codes):
            m.d.comb += o.payload.last.eq(is_last)
            for lane in range(lanes):
                is_used = 1 if lane < n_used_in_last else ~is_last
                m.d.comb += o.payload.activations[lane].eq(Mux(is_used, beat[lane], 0))
        m.d.comb += self.rewind.eq(self.short_frame | self.long_frame | self.bad_label)

        with m.FSM():
            # Pixels go downstream as they come.
            with m.State("PIXELS"):
                with m.If(valid & is_end):
                    m.d.comb += [done.eq(1), self.short_frame.eq(1)]
                    m.d.sync += word.eq(0)
                with m.Elif(valid):
                    m.d.comb += [self.o_drives.valid.eq(1), done.eq(self.o_drives.ready)]
                with m.If(self.o_drives.valid & self.o_drives.ready):
                    with m.If(is_last):
                        m.d.sync += word.eq(0)
                        m.next = "LABEL"
                    with m.Else():
                        m.d.sync += word.eq(word + 1)

            # The label's beat decides about the frame.
            with m.State("LABEL"):
                m.d.comb += done.eq(1)
                with m.If(valid):
                    m.d.sync += self.label.eq(beat[0])
                    with m.If(~is_end):
                        m.d.comb += self.long_frame.eq(1)
                        m.next = "SWALLOW"
                    with m.Elif(beat[0] > self.n_classes - 1):
                        m.d.comb += self.bad_label.eq(1)
                        m.next = "PIXELS"
                    with m.Else():
                        m.next = "READY"

            # The rest of a long frame is dropped up to its TLAST.
            with m.State("SWALLOW"):
                m.d.comb += done.eq(1)
                with m.If(valid & is_end):
                    m.next = "PIXELS"

            # A whole image waits for the sequencer.
            with m.State("READY"):
                m.d.comb += self.image_ready.eq(1)
                with m.If(self.take):
                    m.next = "PIXELS"

        return m
