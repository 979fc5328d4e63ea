"""Activation unit: the sigmoid of a word of ADC codes, by table."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import activation_word_layout, code_word_layout
from model.activation_unit import sigmoid_table
from model.config import Config

__all__ = ["ActivationUnit"]


class ActivationUnit(wiring.Component):
    """Looks up one activation a lane: ``activations[k] = sigmoid_table[codes[k] mod 2**adc_bits]``.

    The table and the rounding are those of :func:`model.activation_unit.sigmoid_table`. The unit
    does not know the vector's length, and a code of 0 is an activation of 128: ``valid_lanes``
    says how many lanes of the last word belong to the vector; the others come out as 0.

    **Timing**: ``LATENCY`` = 1 cycle from the transfer at ``i`` to ``o.valid``; one word a cycle. A
    stalled ``o`` stalls ``i``.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.code_word_layout`
    o : ``Out(stream)`` of :func:`hw.layouts.activation_word_layout`
    valid_lanes : ``In(range(lanes + 1))``
        Lanes of a word with ``last`` that belong to the vector; sampled with that word.
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(code_word_layout(config))),
                "o": Out(stream.Signature(activation_word_layout(config))),
                "valid_lanes": In(range(config.update.lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A read-only table: its contents are logic, so it needs no initialisation in silicon.
        entries = [int(entry) for entry in sigmoid_table(self.config)]
        m.submodules.table = table = memory.Memory(
            shape=unsigned(8), depth=len(entries), init=entries
        )
        # Cycle 0: look up; register output.
        m.d.comb += self.i.ready.eq(self.o.ready | ~self.o.valid)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += self.o.p.last.eq(self.i.p.last)
        for lane in range(self.config.update.lanes):
            port = table.read_port(domain="comb")
            m.d.comb += port.addr.eq(self.i.p.codes[lane])  # two's complement is the address
            with m.If(self.i.ready & self.i.valid):
                m.d.sync += self.o.p.activations[lane].eq(port.data)
                with m.If(self.i.p.last & (lane >= self.valid_lanes)):
                    m.d.sync += self.o.p.activations[lane].eq(0)
        return m
