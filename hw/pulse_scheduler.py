"""Pulse scheduler: queues pulse words and plays them out, one timed pulse at a time."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.layouts import (
    Device,
    PulseKind,
    program_signature,
    pulse_request_layout,
    pulse_word_layout,
)
from hw.priority import encode, lowest, select, without_lowest
from model.config import Config

__all__ = ["PulseQueue", "PulseScheduler"]


class PulseQueue(wiring.Component):
    """First in, first out, in an SRAM: the room that pulse words need is too large for flip-flops.

    Timing: a word transferred at ``i`` in cycle 0 is offered at ``o`` from cycle ``LATENCY`` on, or
    from the cycle after the transfer of the word before it. ``i.ready`` is low while exactly
    ``depth`` words are held; it rises in the cycle after a transfer at ``o``.

    Parameters
    ----------
    shape : ShapeLike
        Of a word.
    depth : int
        Words, at least 1.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)
    level : Out(range(depth + 1))
        Words held.
    """

    LATENCY = 2  # from i transfer to o.valid: write, then read

    def __init__(self, *, shape: ShapeLike, depth: int) -> None:
        self.shape = shape
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port()
        newest, oldest = Signal(range(self.depth)), Signal(range(self.depth))

        def after(index: Signal) -> Value:
            return Mux(index == self.depth - 1, 0, index + 1)

        push, pop = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(self.level != self.depth),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
            write.addr.eq(newest),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            # The word that will be the oldest. It is there if it was written before this cycle,
            # which is what `level` counts.
            read.addr.eq(Mux(pop, after(oldest), oldest)),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            self.level.eq(self.level + push - pop),
            self.o.valid.eq(self.level != pop),
        ]
        with m.If(push):
            m.d.sync += newest.eq(after(newest))
        with m.If(pop):
            m.d.sync += oldest.eq(after(oldest))
        return m


class PulseScheduler(wiring.Component):
    """Blind single-shot programming: ``|count|`` SET pulses on one device of a pair.

    A word becomes the pulses of :func:`model.pulse_scheduler.expand`: lanes rising, ``|count|``
    pulses each on row ``word * lanes + lane`` and column ``unit``, on the plus device if the count
    is positive, else on the minus device. Lanes that count 0 cost nothing. Single pulses at
    ``i_requests`` go first: no word is begun while one is offered. The pulses of a word that was
    begun are not interrupted.

    Exactly ``pulse_queue_depth`` words wait in the queue, and one more is in expansion, which
    begins only while the window of its layer is open. With the window closed, the next word after
    ``pulse_queue_depth`` stalls. Words are never reordered.

    ::

        i_words ──► queue ──► pending lanes ──┐
                                              ├─► pulse timer ──► program
        i_requests ───────────────────────────┘

    Timing: a word transferred in cycle 0 can be taken from the queue in cycle ``QUEUE_LATENCY``,
    and is, if the window is open, no request is offered and no pulse of an earlier word is still to
    begin. Its first pulse begins ``WORD_LATENCY`` cycles after that, or with the end of the pulse
    before; a request's ``REQUEST_LATENCY`` cycles after its transfer. A pulse is high for
    ``set_cycles`` or ``reset_cycles``, then low for ``gap_cycles``, and the next pulse, of the same
    word or another, begins directly after. A queue slot is free from the cycle after its word was
    taken. All this with ``program.busy`` low; while it is high, no pulse begins.

    Parameters
    ----------
    config : Config
        Gives ``pulse`` and ``update.lanes``.

    Members
    -------
    i_words : In(stream of pulse_word_layout)
        At least one count of a word is non-zero.
    i_requests : In(stream of pulse_request_layout)
    first_window, upper_window : In(1)
        Words of the first layer, words of the layers above may be taken from the queue.
    program : Out(program_signature)
        The request is registered and stable from the first cycle of a pulse to the next pulse.
    busy : Out(1)
        Something is queued or a pulse or its gap is running; from the cycle after a transfer.
    upper_busy : Out(1)
        The same, of the layers above the first.
    set_pulse, reset_pulse : Out(1)
        In the first cycle of each pulse.

    Source
    ------
    Nandakumar 2020, Methods: blind single-shot SET pulses, without verification.
    """

    QUEUE_LATENCY = PulseQueue.LATENCY  # from i_words transfer to a word leaving the queue
    WORD_LATENCY = 2  # from a word leaving the queue to program.pulse
    REQUEST_LATENCY = 1  # from i_requests transfer to program.pulse

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "i_words": In(stream.Signature(pulse_word_layout(config))),
                "i_requests": In(stream.Signature(pulse_request_layout(config))),
                "first_window": In(1),
                "upper_window": In(1),
                "program": Out(program_signature(config)),
                "busy": Out(1),
                "upper_busy": Out(1),
                "set_pulse": Out(1),
                "reset_pulse": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, timing = self.config.update.lanes, self.config.pulse
        layout = pulse_word_layout(self.config)

        depth = self.config.pulse_queue_depth
        m.submodules.queue = queue = PulseQueue(shape=layout, depth=depth)
        head = queue.o.payload
        connect(m, flipped(self.i_words), queue.i)

        # The word in expansion: its lanes that still have pulses to begin.
        word, pending = Signal(layout), Signal(lanes)
        window = Mux(head.layer == 0, self.first_window, self.upper_window)
        m.d.comb += queue.o.ready.eq(window & ~self.i_requests.valid & ~pending.any())
        with m.If(queue.o.ready & queue.o.valid):
            m.d.sync += word.eq(head)
            m.d.sync += pending.eq(Cat(head.counts[lane].any() for lane in range(lanes)))

        # Its next pulse; `begun` counts the pulses of this lane that began.
        lane = Signal(lanes)
        count = Signal(word.counts.shape().elem_shape)
        magnitude, begun = Signal(range(9)), Signal(range(8))
        pulse_of_word = Signal(self.i_requests.payload.shape())
        m.d.comb += [
            lane.eq(lowest(pending)),
            count.eq(select(lane, word.counts)),
            magnitude.eq(Mux(count < 0, -count, count)),
            pulse_of_word.layer.eq(word.layer),
            pulse_of_word.row.eq(Cat(encode(lane), word.word)),  # lanes is a power of two
            pulse_of_word.col.eq(word.unit),
            pulse_of_word.device.eq(Mux(count < 0, Device.MINUS, Device.PLUS)),
            pulse_of_word.kind.eq(PulseKind.SET),
        ]

        # The pulse timer: high for the pulse's width, then low for the gap.
        running, free, begin = Signal(), Signal(), Signal()
        widths = (timing.set_cycles, timing.reset_cycles)
        timer = Signal(range(max(*widths, timing.gap_cycles)))
        request = Signal.like(pulse_of_word)
        m.d.comb += [
            free.eq((~running | (~self.program.pulse & (timer == 0))) & ~self.program.busy),
            self.i_requests.ready.eq(free & ~pending.any()),
            request.eq(Mux(pending.any(), pulse_of_word, self.i_requests.payload)),
            begin.eq(free & (pending.any() | self.i_requests.valid)),
        ]
        m.d.sync += [self.set_pulse.eq(0), self.reset_pulse.eq(0)]
        with m.If(begin):
            m.d.sync += [
                running.eq(1),
                self.program.pulse.eq(1),
                self.program.request.eq(request),
            ]
            with m.If(request.kind == PulseKind.SET):
                m.d.sync += [timer.eq(timing.set_cycles - 1), self.set_pulse.eq(1)]
            with m.Else():
                m.d.sync += [timer.eq(timing.reset_cycles - 1), self.reset_pulse.eq(1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(self.program.pulse):
            m.d.sync += [self.program.pulse.eq(0), timer.eq(timing.gap_cycles - 1)]
        with m.Else():
            m.d.sync += running.eq(0)

        with m.If(free & pending.any()):
            with m.If(begun + 1 == magnitude):
                m.d.sync += [begun.eq(0), pending.eq(without_lowest(pending))]
            with m.Else():
                m.d.sync += begun.eq(begun + 1)

        # Words of the upper layers in the queue.
        n_upper = Signal.like(queue.level)
        enters = queue.i.valid & queue.i.ready & (queue.i.payload.layer != 0)
        leaves = queue.o.valid & queue.o.ready & (head.layer != 0)
        m.d.sync += n_upper.eq(n_upper + enters - leaves)
        m.d.comb += [
            self.busy.eq((queue.level != 0) | pending.any() | running),
            self.upper_busy.eq(
                (n_upper != 0)
                | (pending.any() & (word.layer != 0))
                | (running & (self.program.request.layer != 0))
            ),
        ]
        return m
