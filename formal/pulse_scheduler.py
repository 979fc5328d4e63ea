"""Pulse scheduler: exactly the pulses that were asked for, one at a time, each to its end."""

from dataclasses import replace
from typing import Any

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from formal.streams import holds
from hw.layouts import pulse_word_layout
from model.configurations import mca_mlp, tiny_mca

__all__ = ["PROOFS"]


def fifo(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Follows one word, whichever, from its place in the queue to the head."""
    inside, depth = platform.inside(dut), dut.depth
    followed, word = Signal(), Signal(dut.shape)
    ahead, place = Signal(range(depth)), Signal(range(depth))
    push, pop = inside.push, inside.pop
    with m.If(push & ~followed & AnySeq(1)):
        m.d.sync += [followed.eq(1), word.eq(dut.i.payload), place.eq(inside.newest)]
        m.d.sync += ahead.eq(dut.level - pop)
    with m.If(followed & pop):
        m.d.sync += [ahead.eq(ahead - 1), followed.eq(ahead != 0)]

    def distance(start: Value, end: Value) -> Value:
        return Mux(end < start, end + depth - start, end - start)

    holds(m, dut.o.valid, dut.o.ready, dut.o.payload)
    m.d.comb += [
        Assert(~(followed & dut.o.valid & (ahead == 0)) | (dut.o.payload == word)),
        Assert(~followed | (ahead < dut.level)),
        Assert(~dut.o.valid | (dut.level != 0)),
        Assert(dut.i.ready == (dut.level != depth)),
        # Why.
        Assert((dut.level <= depth) & (inside.newest < depth) & (inside.oldest < depth)),
        Assert(distance(inside.oldest, inside.newest) == Mux(dut.level == depth, 0, dut.level)),
        Assert(~followed | (place < depth) & (distance(inside.oldest, place) == ahead)),
        Assert(~followed | (platform.row(inside.words, place) == word)),
        Assert(
            ~dut.o.valid | (dut.o.payload == platform.row(inside.words, inside.oldest)),
        ),
        Cover(followed & pop & (ahead == 0) & (dut.level == depth)),
        Cover(followed & pop & (ahead == 0) & (place == depth - 1) & Value.cast(word).any()),
    ]


def exact(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Counts down the pulses of the word that left the queue, and the cycles of each pulse."""
    config, inside = dut.config, platform.inside(dut)
    timing, program = config.pulse, dut.program
    head, queue = inside.queue.o.payload, inside.queue
    lanes = range(config.update.lanes)

    # What is still to come of the word.
    word = Signal(pulse_word_layout(config))
    left = Signal(data.ArrayLayout(unsigned(4), len(lanes)))
    from_word, lane = Signal(), Signal(lanes)
    begins, count = Signal(), Signal.like(head.counts[0])
    with m.If(queue.o.valid & queue.o.ready):
        m.d.sync += word.eq(head)
        m.d.sync += [left[k].eq(abs(head.counts[k])) for k in lanes]
    for k in reversed(lanes):
        with m.If(left[k] != 0):
            m.d.comb += lane.eq(k)
    m.d.comb += [
        begins.eq(inside.begin),
        count.eq(word.counts[lane]),
        from_word.eq(left.as_value().any()),
    ]
    with m.If(begins & from_word):
        m.d.sync += left[lane].eq(left[lane] - 1)
    due, want = Signal(program.request.shape()), Signal(program.request.shape())
    m.d.comb += [
        want.layer.eq(word.layer),
        want.row.eq(word.word * len(lanes) + lane),
        want.col.eq(word.unit),
        Value.cast(want.device).eq(count < 0),
        Value.cast(want.kind).eq(0),  # SET
    ]
    with m.If(begins):
        m.d.sync += due.eq(Mux(from_word, want, dut.i_requests.payload))

    # Cycles since the pulse began, and how long it takes.
    rest = max(timing.set_cycles, timing.reset_cycles) + timing.gap_cycles
    age, high = Signal(range(rest + 1), init=rest), Signal(range(rest + 1))
    m.d.comb += high.eq(
        Mux(Value.cast(program.request.kind), timing.reset_cycles, timing.set_cycles)
    )
    ends = Signal(range(rest + 1))
    m.d.comb += ends.eq(high + timing.gap_cycles)
    with m.If(begins):
        m.d.sync += age.eq(0)
    with m.Elif(age != rest):
        m.d.sync += age.eq(age + 1)

    asked = dut.i_requests.valid & dut.i_requests.ready
    m.d.comb += [
        # Exactly those asked for.
        Assert(begins | ~asked),
        Assert(~begins | (from_word != asked)),
        Assert((age == rest) | (program.request == due)),
        Assert(~(queue.o.valid & queue.o.ready) | ~from_word),
        # One at a time, whole, with a gap after it, never while the array is busy.
        Assert(program.pulse == (age < high)),
        Assert(~begins | (age >= ends - 1)),
        Assert(~begins | ~program.busy),
        Assert((dut.set_pulse | dut.reset_pulse) == (age == 0)),
        # Each ends, and the next begins unless the array holds it off.
        Assert(begins | ~from_word | program.busy | (age < ends - 1)),
        Assert(dut.busy | (~from_word & ~program.pulse & (queue.level == 0))),
        # Why.
        Assert(inside.pending == Cat(left[k] != 0 for k in lanes)),
        Assert(~from_word | (inside.word == word)),
        Assert(~from_word | (left[lane] + inside.begun == abs(count))),
        Assert(from_word | (inside.begun == 0)),
        *(Assert((left[k] == 0) | (k == lane) | (left[k] == abs(word.counts[k]))) for k in lanes),
        *(Assert(left[k] <= 8) for k in lanes),
        Assert(age <= rest),
        Assert(inside.running == (age < ends)),
        Assert(inside.timer == Mux(age < high, high - 1 - age, Mux(age < ends, ends - 1 - age, 0))),
        Cover(begins & from_word & (count == -2) & (left[lane] == 1)),
        Cover(begins & from_word & (age == ends - 1)),
        Cover(begins & asked & (age == rest)),
    ]


SMALL = replace(
    tiny_mca,
    update=replace(tiny_mca.update, lanes=4),
    pulse=replace(tiny_mca.pulse, set_cycles=2, reset_cycles=3, gap_cycles=2, queue_depth=2),
)

PROOFS = (
    Proof(
        name="pulse_queue_fifo",
        says="Words leave the queue in the order in which they came, none lost, none twice; the "
        "word at the head holds; exactly `depth` find room.",
        component="pulse_scheduler.PulseQueue",
        build=lambda block: block(
            shape=pulse_word_layout(mca_mlp), depth=mca_mlp.pulse_queue_depth
        ),
        sizes=f"mca_mlp, {mca_mlp.pulse_queue_depth} words of "
        f"{pulse_word_layout(mca_mlp).size} bits",
        harness=fifo,
        depth=1,
        inductive=True,
        small=lambda block: block(shape=3, depth=3),
        reach=9,
        fault=Fault(
            "takes a word when it is full",
            "pulse_scheduler",
            "self.i.ready.eq(self.level != self.depth)",
            "self.i.ready.eq(1)",
        ),
    ),
    Proof(
        name="pulses_exact",
        says="Each word becomes |count| SET pulses a lane on its own device, lanes rising, each "
        "request one pulse of its kind, and there are no others; a pulse lasts its width, one at "
        "a time, then the gap; none begins while the array is busy; if it is not, the next begins "
        "at once.",
        component="pulse_scheduler.PulseScheduler",
        build=lambda block: block(mca_mlp),
        sizes=f"mca_mlp, {mca_mlp.update.lanes} lanes",
        harness=exact,
        depth=1,
        inductive=True,
        small=lambda block: block(SMALL),
        reach=14,
        fault=Fault(
            "one pulse too many where a count is one",
            "pulse_scheduler",
            "with m.If(begun + 1 == magnitude):",
            "with m.If((begun + 1 == magnitude) & (begun != 0)):",
        ),
    ),
)
