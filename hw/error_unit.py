"""Error unit: exact errors from a factor and the sigmoid's derivative at an activation."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import error_word_layout, operand_word_layout
from model.config import Config

__all__ = ["ErrorUnit"]


class ErrorUnit(wiring.Component):
    """Multiplies ``errors[k] = factors[k] * activations[k] * (255 - activations[k])``, exactly.

    With factor y - t this is :func:`model.error_unit.output_error`, with the backward code
    :func:`model.error_unit.hidden_error`. Both fit ``config.error_bits``; other operands would
    lose their upper bits.

    **Timing**: ``LATENCY`` = 2 cycles from the transfer at ``i`` to ``o.valid``; one word a cycle.
    A stalled ``o`` stalls ``i`` once both stages are full.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.operand_word_layout`
    o : ``Out(stream)`` of :func:`hw.layouts.error_word_layout`
    """

    LATENCY = 2  # from i transfer to o.valid

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(operand_word_layout(config))),
                "o": Out(stream.Signature(error_word_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.update.lanes
        derivatives = Signal(data.ArrayLayout(range(127 * 128 + 1), lanes))
        factors = Signal.like(self.i.p.factors)
        last, valid = Signal(), Signal()

        # Cycle 0: register derivative and factor.
        advance = Signal()  # the second stage takes what the first holds
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(advance | ~valid),
        ]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [factors.eq(self.i.p.factors), last.eq(self.i.p.last)]
            for lane in range(lanes):
                activation = self.i.p.activations[lane]
                # 255 - a is ~a: the eight bits inverted.
                m.d.sync += derivatives[lane].eq(activation * (~activation)[:8])

        # Cycle 1: register product.
        with m.If(advance):
            m.d.sync += self.o.valid.eq(valid)
        with m.If(advance & valid):
            m.d.sync += self.o.p.last.eq(last)
            for lane in range(lanes):
                m.d.sync += self.o.p.errors[lane].eq(factors[lane] * derivatives[lane])
        return m
