"""Result buffer: outputs, predicted class and fate of an image, as a frame for the host."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import axi4_stream_signature
from hw.layouts import activation_word_layout
from hw.vector_maximum import VectorMaximum
from model.frames import UnitSizes

__all__ = ["ResultBuffer"]


class ResultBuffer(wiring.Component):
    """Collects an image's output activations and sends them with class, label and flags.

    A frame is ``ceil(n_outputs / lanes)`` beats of output activations, then one beat with TLAST:
    byte 0 the predicted class ``argmax(outputs)``, the lowest among equals, byte 1 the label, byte
    2 the flags (bit 0 trained, bit 1 update skipped), all other bytes zero;
    :func:`model.frames.result_frame`.

    Two banks: while one result waits for the host the next image may already deliver its own. A
    host that takes each result within the time of an image never delays the unit.

    Timing: ``i_outputs`` is always ready; ``commit`` may come in the cycle of the last word's
    transfer or later, and before the next image's first word. First beat ``FIRST_BEAT = 2`` cycles
    after ``commit`` if the frame before has left by then, then one beat a cycle, stallable. Reset
    drops everything.

    Parameters
    ----------
    config : UnitSizes
        The system.

    Members
    -------
    i_outputs : In(stream.Signature(activation_word_layout(config), always_ready=True))
        Output activations; lanes beyond the vector are zero.
    commit : In(1)
        Strobe: the image is done, its result may leave.
    label : In(range(n_classes))
        Label of the image, valid with ``commit``.
    trained, skipped : In(1)
        Flags of the image, valid with ``commit``.
    ready_for_image : Out(1)
        A bank is free: an image may begin. Low in the cycle after a ``commit`` while the result
        before still waits.
    ready_for_next : Out(1)
        The other bank is free, too: the next image may begin in the cycle after this one's
        ``commit``.
    o : Out(axi4_stream_signature(lanes))
        Frames to the host.
    """

    FIRST_BEAT = 2  # from commit to the first tvalid

    def __init__(self, config: UnitSizes) -> None:
        self.config = config
        self.n_classes = config.network.layers[-1]
        self.n_words = config.rows_to_words(self.n_classes)
        super().__init__(
            {
                "i_outputs": In(
                    stream.Signature(activation_word_layout(config), always_ready=True)
                ),
                "commit": In(1),
                "label": In(range(self.n_classes)),
                "trained": In(1),
                "skipped": In(1),
                "ready_for_image": Out(1),
                "ready_for_next": Out(1),
                "o": Out(axi4_stream_signature(config.update.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        lanes = self.config.update.lanes
        classes = range(self.n_classes)
        row_shape = data.ArrayLayout(unsigned(8), lanes)
        m.submodules.store = store = memory.Memory(shape=row_shape, depth=2 * self.n_words, init=[])
        write_port = store.write_port()
        read_port = store.read_port()

        fill_bank = Signal()
        send_bank = Signal()
        waiting = Signal(2)  # one bit a bank: holds a result that has not left
        predicted = Signal(data.ArrayLayout(classes, 2))
        labels = Signal(data.ArrayLayout(classes, 2))
        flags = Signal(data.ArrayLayout(unsigned(2), 2))

        # A word is stored, and passes the search for the largest output. That ends two cycles after
        # the last word, in time for the frame's end; `commit` may have come in between.
        word = Signal(range(self.n_words))
        i = self.i_outputs
        m.submodules.largest = largest = VectorMaximum(width=8, lanes=lanes, n_words=self.n_words)
        m.d.comb += [
            write_port.addr.eq(Mux(fill_bank, self.n_words, 0) + word),
            write_port.data.eq(i.payload.activations),
            write_port.en.eq(i.valid),
            largest.values.eq(i.payload.activations),
            largest.valid.eq(i.valid),
            largest.last.eq(i.payload.last),
        ]
        with m.If(i.valid):
            m.d.sync += word.eq(Mux(i.payload.last, 0, word + 1))
        searched_bank = Signal()
        with m.If(i.valid & i.payload.last):
            m.d.sync += searched_bank.eq(fill_bank)
        with m.If(largest.done):
            for bank in range(2):
                with m.If(searched_bank == bank):
                    m.d.sync += predicted[bank].eq(largest.index)

        m.d.comb += [
            self.ready_for_image.eq(Mux(fill_bank, ~waiting[1], ~waiting[0])),
            self.ready_for_next.eq(~waiting.any()),
        ]
        for bank in range(2):
            with m.If(self.commit & (fill_bank == bank)):
                m.d.sync += [
                    waiting[bank].eq(1),
                    labels[bank].eq(self.label),
                    flags[bank].eq(Cat(self.trained, self.skipped)),
                    fill_bank.eq(1 - bank),
                ]

        # The memory answers one cycle later, so its address runs ahead of the beat by the transfer
        # under way.
        beat = Signal(range(self.n_words))
        next_beat = Signal.like(beat)
        m.d.comb += [
            next_beat.eq(beat),
            read_port.addr.eq(Mux(send_bank, self.n_words, 0) + next_beat),
        ]
        with m.FSM():
            # Nothing to send; the first row is being read.
            with m.State("WAIT"):
                with m.If(Mux(send_bank, waiting[1], waiting[0])):
                    m.next = "OUTPUTS"

            # The output activations.
            with m.State("OUTPUTS"):
                m.d.comb += [
                    self.o.tvalid.eq(1),
                    self.o.tdata.eq(read_port.data),
                ]
                with m.If(self.o.tready):
                    with m.If(beat == self.n_words - 1):
                        m.d.comb += next_beat.eq(0)
                        m.next = "VERDICT"
                    with m.Else():
                        m.d.comb += next_beat.eq(beat + 1)
                m.d.sync += beat.eq(next_beat)

            # Class, label and flags end the frame.
            with m.State("VERDICT"):
                m.d.comb += [
                    self.o.tvalid.eq(1),
                    self.o.tlast.eq(1),
                    self.o.tdata[0].eq(Mux(send_bank, predicted[1], predicted[0])),
                    self.o.tdata[1].eq(Mux(send_bank, labels[1], labels[0])),
                    self.o.tdata[2].eq(Mux(send_bank, flags[1], flags[0])),
                ]
                with m.If(self.o.tready):
                    for bank in range(2):
                        with m.If(send_bank == bank):
                            m.d.sync += [waiting[bank].eq(0), send_bank.eq(1 - bank)]
                    m.next = "WAIT"

        return m
