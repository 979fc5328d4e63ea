"""Outer steps: the change of every weight of a layer, for an engine that updates directly."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.engine.layouts import (
    layer_shape,
    step_word_layout,
    unit_shape,
    walk_command_layout,
    word_shape,
)
from hw.engine.walker import Walker
from hw.rounding import shift_round
from model.engine.config import EngineConfig

__all__ = ["OuterSteps"]


class OuterSteps(wiring.Component):
    """``steps[unit, word, lane] = -shift_round(error[unit] * activations[word, lane], shift)``.

    **Timing**: with a command transferred in cycle 0 step word k is at ``o`` in cycle
    ``FIRST_WORD + k`` if never stalled. ``busy`` is high from cycle 1 up to and with the last
    transfer.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i_command : In(stream of walk_command_layout)
    shift : In(range(64))
        At least 8; stable while ``busy``.
    layer, word, unit : Out
        What is needed next.
    activations : In, error : In
        What was asked for in the cycle before.
    o : Out(stream of step_word_layout)
    busy : Out(1)
    """

    FIRST_WORD = 4  # from i_command transfer to o.valid of word 0

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i_command": In(stream.Signature(walk_command_layout(config))),
                "shift": In(range(64)),
                "layer": Out(layer_shape(config)),
                "word": Out(word_shape(config)),
                "unit": Out(unit_shape(config)),
                "activations": In(data.ArrayLayout(8, config.lanes)),
                "error": In(signed(config.error_bits)),
                "o": Out(stream.Signature(step_word_layout(config))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.walker = walker = Walker(config)
        connect(m, flipped(self.i_command), walker.i)
        advance = Signal()  # a stalled word stalls all behind it
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)

        # Cycle 0: ask for activations and error, again as long as the walk stands.
        walk, asked, asked_valid = walker.o, Signal.like(walker.o.p.address), Signal()
        read_layer = Signal.like(self.layer)
        read_word, read_unit = Signal.like(self.word), Signal.like(self.unit)
        m.d.comb += walk.ready.eq(advance)
        with m.If(advance):
            m.d.comb += [
                self.layer.eq(walk.p.layer),
                self.word.eq(walk.p.word),
                self.unit.eq(walk.p.unit),
            ]
            m.d.sync += [
                asked.eq(walk.p.address),
                asked_valid.eq(walk.valid),
                read_layer.eq(walk.p.layer),
                read_word.eq(walk.p.word),
                read_unit.eq(walk.p.unit),
            ]
        with m.Else():
            m.d.comb += [
                self.layer.eq(read_layer),
                self.word.eq(read_word),
                self.unit.eq(read_unit),
            ]

        # Cycle 1: multiply.
        products = Signal(data.ArrayLayout(signed(config.error_bits + 9), config.lanes))
        multiplied, multiplied_valid = Signal.like(asked), Signal()
        with m.If(advance):
            m.d.sync += [multiplied.eq(asked), multiplied_valid.eq(asked_valid)]
            for lane in range(config.lanes):
                m.d.sync += products[lane].eq(self.error * self.activations[lane])

        # Cycle 2: shift, against the gradient.
        steps = self.o.p.steps
        bits = steps.shape().elem_shape.width
        with m.If(advance):
            m.d.sync += [self.o.valid.eq(multiplied_valid), self.o.p.address.eq(multiplied)]
            for lane in range(config.lanes):
                m.d.sync += steps[lane].eq(-shift_round(products[lane], self.shift, bits))
        m.d.comb += self.busy.eq(walk.valid | asked_valid | multiplied_valid | self.o.valid)
        return m
