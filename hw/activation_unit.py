"""Activation unit: the sigmoid of a word of ADC codes, by table."""

from collections.abc import Iterable
from typing import SupportsInt

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import activation_layout, code_layout
from model.activation_unit import sigmoid_table
from model.config import Config

__all__ = ["ActivationTable", "ActivationUnit"]


class ActivationTable(wiring.Component):
    """Looks up one activation a lane: ``activations[k] = entries[codes[k] mod 2**code_bits]``.

    Timing and members are those of :class:`ActivationUnit`.

    Parameters
    ----------
    entries : iterable of int
        A power of two of them, 0..255.
    lanes : int
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, *, entries: Iterable[SupportsInt], lanes: int) -> None:
        self.entries = [int(entry) for entry in entries]
        self.lanes = lanes
        code_bits = (len(self.entries) - 1).bit_length()
        super().__init__(
            {
                "i": In(stream.Signature(code_layout(lanes=lanes, bits=code_bits))),
                "o": Out(stream.Signature(activation_layout(lanes))),
                "valid_lanes": In(range(lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A read-only table: its contents are logic, so it needs no initialisation in silicon.
        m.submodules.table = table = memory.Memory(
            shape=unsigned(8), depth=len(self.entries), init=self.entries
        )
        # Cycle 0: look up; register output.
        m.d.comb += self.i.ready.eq(self.o.ready | ~self.o.valid)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += self.o.p.last.eq(self.i.p.last)
        for lane in range(self.lanes):
            port = table.read_port(domain="comb")
            m.d.comb += port.addr.eq(self.i.p.codes[lane])  # two's complement is the address
            with m.If(self.i.ready & self.i.valid):
                m.d.sync += self.o.p.activations[lane].eq(port.data)
                with m.If(self.i.p.last & (lane >= self.valid_lanes)):
                    m.d.sync += self.o.p.activations[lane].eq(0)
        return m


class ActivationUnit(ActivationTable):
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

    def __init__(self, config: Config) -> None:
        super().__init__(entries=sigmoid_table(config), lanes=config.update.lanes)
