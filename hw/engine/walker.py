"""Walker: the order in which an engine visits its weight words."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layouts import walk_command_layout, walk_layout
from model.engine.config import EngineConfig

__all__ = ["Walker"]


class Walker(wiring.Component):
    """Visits the weight words of a layer: unit by unit, or backwards word by word.

    ::

        forward:   for unit in units: for word in words of the inputs with the bias
        backward:  for word in words of the inputs without the bias: for unit in units

    **Timing**: with a command transferred in cycle 0 the first step is at ``o`` in cycle
    ``LATENCY`` = 1, one a cycle unless stalled; the next command may be transferred in the cycle
    after the last step.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of walk_command_layout)
        Ready while no walk is under way. ``backward`` never for the first layer.
    o : Out(stream of walk_layout)
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(walk_command_layout(config))),
                "o": Out(stream.Signature(walk_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, o = self.config, self.o.p
        layers = range(config.network.n_layers)
        backward = Signal()
        unit, word = Signal(o.unit.shape()), Signal(o.word.shape())

        def by_layer(values: list[int], shape: range) -> Signal:
            value = Signal(shape)
            m.d.comb += value.eq(Array(Const(value) for value in values)[o.layer])
            return value

        last_unit = by_layer([config.network.n_cols(k) - 1 for k in layers], unit.shape())
        n_words = [config.n_words(k) for k in layers]
        n_below = [config.unit_words(k - 1) if k else 1 for k in layers]
        words = by_layer(n_words, range(max(n_words) + 1))
        last_word = by_layer([count - 1 for count in n_words], word.shape())
        last_below = by_layer([count - 1 for count in n_below], word.shape())
        base = by_layer([config.weight_base(k) for k in layers], o.address.shape())

        unit_ends, word_ends = Signal(), Signal()
        m.d.comb += [
            unit_ends.eq(unit == last_unit),
            word_ends.eq(word == Mux(backward, last_below, last_word)),
            self.i.ready.eq(~self.o.valid),
            o.unit.eq(unit),
            o.word.eq(word),
            o.address.eq(base + unit * words + word),
            o.first.eq(Mux(backward, unit == 0, word == 0)),
            o.last.eq(Mux(backward, unit_ends, word_ends)),
            o.end.eq(unit_ends & word_ends),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.valid.eq(1),
                o.layer.eq(self.i.p.layer),
                backward.eq(self.i.p.backward),
                unit.eq(0),
                word.eq(0),
            ]
        with m.If(self.o.valid & self.o.ready):
            with m.If(backward):
                m.d.sync += unit.eq(Mux(unit_ends, 0, unit + 1))
                with m.If(unit_ends):
                    m.d.sync += word.eq(word + 1)
            with m.Else():
                m.d.sync += word.eq(Mux(word_ends, 0, word + 1))
                with m.If(word_ends):
                    m.d.sync += unit.eq(unit + 1)
            with m.If(o.end):
                m.d.sync += self.o.valid.eq(0)
        return m
