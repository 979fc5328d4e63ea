"""Write controller: walks the rows of all layers through the gate memory, one row at a time."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import max_unit_words, write_step_layout
from model.in_situ.config import InSituConfig

__all__ = ["WriteController"]


class WriteController(wiring.Component):
    """The write phase: for layers rising, inputs rising, the words of their row rising.

    A row's words leave one a cycle; the next row begins when ``row_done`` says that its pulses are
    out. Addresses rise by one from word to word.

    **Timing**: ``start`` in cycle t, first word in t + ``START_LATENCY`` = 1; the first word of the
    next row in the cycle after ``row_done``; ``done`` together with the last ``row_done``.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    start : ``In(1)``
        Strobe: begin; only between two write phases.
    row_done : ``In(1)``
        Strobe: the row's pulses are out.
    o : ``Out(stream)`` of :func:`hw.in_situ.layouts.write_step_layout`
        Never stalled.
    layer, unit : ``Out``
        The row under way, held until the next begins.
    done : ``Out(1)``
    """

    START_LATENCY = 1  # from start to the first word

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        step = write_step_layout(config)
        super().__init__(
            {
                "start": In(1),
                "row_done": In(1),
                "o": Out(stream.Signature(step, always_ready=True)),
                "layer": Out(step["layer"].shape),
                "unit": Out(step["unit"].shape),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, o = self.config, self.o.p
        layers = range(config.network.n_layers)
        words = Array(Const(config.unit_words(layer)) for layer in layers)
        inputs = Array(Const(config.network.n_inputs(layer)) for layer in layers)
        word = Signal(range(max_unit_words(config)))
        address, last_unit = Signal.like(o.address), Signal()
        m.d.comb += [
            o.layer.eq(self.layer),
            o.unit.eq(self.unit),
            o.address.eq(address),
            o.last.eq(word == words[self.layer] - 1),
            last_unit.eq(self.unit == inputs[self.layer] - 1),
        ]

        with m.FSM():
            # No write phase.
            with m.State("IDLE"):
                m.d.sync += [address.eq(0), self.layer.eq(0), self.unit.eq(0)]
                with m.If(self.start):
                    m.next = "WORDS"
            # The words of a row.
            with m.State("WORDS"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += [word.eq(Mux(o.last, 0, word + 1)), address.eq(address + 1)]
                with m.If(o.last):
                    m.next = "PULSES"
            # Its pulses.
            with m.State("PULSES"):
                with m.If(self.row_done):
                    m.d.sync += self.unit.eq(Mux(last_unit, 0, self.unit + 1))
                    m.next = "WORDS"
                    with m.If(last_unit):
                        m.d.sync += self.layer.eq(self.layer + 1)
                        with m.If(self.layer == layers[-1]):
                            m.d.comb += self.done.eq(1)
                            m.next = "IDLE"
        return m
