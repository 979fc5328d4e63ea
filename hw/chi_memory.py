"""Chi memory: accumulates products; what reaches the threshold leaves as pulse counts."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import product_word_layout, pulse_word_layout
from hw.threshold import Threshold
from model.config import Config

__all__ = ["ChiMemory"]


class ChiMemory(wiring.Component):
    r"""One read-modify-write of a word of ``lanes`` accumulators a cycle.

    For every lane with a non-zero product, as :func:`model.chi_memory.accumulate`::

        chi[address, lane] += products[lane] << shift
        counts[lane], chi[address, lane] = threshold(chi[address, lane], epsilon_log2)

    Other lanes are not written and count 0. A word with a non-zero count leaves at ``o``; others
    leave no trace but in the memory. Words leave in the order in which they came.

    ::

        i ──┬─ address ──► SRAM ──► forward ──► chi ──┐
            └─ products ─────────►  << shift ─► step ─┴► + ─► threshold ─┬─► o
                                       ▲                                 └─► SRAM, `written`
        cycle 0          cycle 1       │              cycle 2            cycle 3
                                       └── row of cycle 2, else `written`

    Forwarding: a word one behind a hit of the same address takes the row just computed, a word two
    behind takes the last row written, whole and not only the lanes written, so what the SRAM
    answers to a read and a write of one address in one cycle does not matter; three behind, the
    SRAM has it.

    Timing: ``LATENCY`` cycles from the transfer at ``i`` to ``o.valid``; one word a cycle. While
    ``o`` is stalled the whole pipeline holds and ``i.ready`` is low. An SRAM has no initial
    contents: after reset the memory writes zero to each of its words, ``chi_depth`` cycles with
    ``i.ready`` low and ``busy`` high.

    Parameters
    ----------
    config : Config
        Gives ``chi_depth`` words of ``update.lanes`` accumulators of ``update.chi_bits`` bits.

    Members
    -------
    i : In(stream of product_word_layout)
    o : Out(stream of pulse_word_layout)
    epsilon_log2 : In(range(chi_bits))
        log2 of the threshold in chi LSBs; stable while ``busy``.
    busy : Out(1)
        Clearing, or a word is in the pipeline or waits at ``o``: from the cycle after a word's
        transfer, for ``LATENCY - 1`` cycles, or up to and with its transfer at ``o``.
    read_enable, read_address : In(1), In(range(chi_depth))
        The host asks for a word.
    read_ack : Out(1)
        In the next cycle: the request was honoured, ``read_data`` is valid. It is not while
        ``busy`` is high or a word is offered at ``i``.
    read_data : Out(ArrayLayout(signed(chi_bits), lanes))

    Source
    ------
    Nandakumar 2020, Methods: chi accumulates outer products in a 32-bit digital memory.
    """

    LATENCY = 3  # from i transfer to o.valid

    def __init__(self, config: Config) -> None:
        self.config = config
        self.row_shape = data.ArrayLayout(signed(config.update.chi_bits), config.update.lanes)
        super().__init__(
            {
                "i": In(stream.Signature(product_word_layout(config))),
                "o": Out(stream.Signature(pulse_word_layout(config))),
                "epsilon_log2": In(range(config.update.chi_bits)),
                "busy": Out(1),
                "read_enable": In(1),
                "read_address": In(range(config.chi_depth)),
                "read_ack": Out(1),
                "read_data": Out(self.row_shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, lanes = self.config.chi_depth, self.config.update.lanes
        m.submodules.rows = self.rows = rows = memory.Memory(
            shape=self.row_shape, depth=depth, init=[]
        )
        read, write = rows.read_port(), rows.write_port(granularity=1)

        clearing, cleared = Signal(init=1), Signal(range(depth))
        advance, accept = Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance & ~clearing),
            accept.eq(self.i.valid & self.i.ready),
        ]

        # Cycle 0: present the address; register the product word.
        product, product_valid = Signal.like(self.i.payload), Signal()
        m.d.comb += [
            read.addr.eq(Mux(self.i.valid, self.i.payload.address, self.read_address)),
            read.en.eq(accept | (self.read_enable & ~self.busy & ~self.i.valid)),
        ]
        with m.If(advance):
            m.d.sync += product_valid.eq(accept)
        with m.If(accept):
            m.d.sync += product.eq(self.i.payload)

        # Cycle 1: the row, newest copy first; the shifted products.
        word, word_valid = Signal.like(self.i.payload), Signal()
        chi, step = Signal(self.row_shape), Signal(self.row_shape)
        updated, written = Signal(self.row_shape), Signal(self.row_shape)
        written_address, written_valid = Signal(range(depth)), Signal()
        with m.If(advance):
            m.d.sync += word_valid.eq(product_valid)
        with m.If(advance & product_valid):
            m.d.sync += word.eq(product)
            with m.If(word_valid & (word.address == product.address)):
                m.d.sync += chi.eq(updated)
            with m.Elif(written_valid & (written_address == product.address)):
                m.d.sync += chi.eq(written)
            with m.Else():
                m.d.sync += chi.eq(read.data)
            m.d.sync += [step[k].eq(product.products[k] << product.shift) for k in range(lanes)]

        # Cycle 2: accumulate, threshold, write. Lanes without a product keep their value.
        touched = Cat(word.products[k].any() for k in range(lanes))
        counts = Signal.like(self.o.payload.counts)
        for k in range(lanes):
            m.submodules[f"threshold_{k}"] = threshold = Threshold(self.config)
            m.d.comb += [
                threshold.chi.eq(chi[k] + step[k]),
                threshold.epsilon_log2.eq(self.epsilon_log2),
                updated[k].eq(Mux(touched[k], threshold.remainder, chi[k])),
                counts[k].eq(Mux(touched[k], threshold.count, 0)),
            ]
        m.d.comb += [
            write.addr.eq(Mux(clearing, cleared, word.address)),
            write.data.eq(Mux(clearing, 0, updated.as_value())),
            write.en.eq(Mux(clearing, ~0, Mux(word_valid & advance, touched, 0))),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(word_valid & counts.as_value().any())
        with m.If(advance & word_valid):
            m.d.sync += [
                written.eq(updated),
                written_address.eq(word.address),
                written_valid.eq(1),
                self.o.payload.layer.eq(word.layer),
                self.o.payload.unit.eq(word.unit),
                self.o.payload.word.eq(word.word),
                self.o.payload.counts.eq(counts),
            ]

        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(cleared != depth - 1)]

        m.d.comb += [
            self.busy.eq(clearing | product_valid | word_valid | self.o.valid),
            self.read_data.eq(read.data),
        ]
        m.d.sync += self.read_ack.eq(self.read_enable & ~self.busy & ~self.i.valid)
        return m
