"""Chi memory: accumulates products; what reaches the threshold leaves as pulse counts."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.chi_protection import Decoder, Encoder
from hw.counters import COUNTER_BITS, ones
from hw.layouts import product_word_layout, pulse_word_layout
from hw.threshold import Threshold
from model.chi_protection import code_of
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

    With ``update.chi_protection`` the SRAM holds codewords (:mod:`model.chi_protection`): decoders
    stand behind its read port, so whatever follows has corrected words, and encoders before its
    write port. A lane whose codeword was wrong is written back, touched or not, when an update
    meets its word, and counted once. What the host reads is decoded too, and not counted.

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
    corrected, lost : Out(64), only with ``chi_protection``
        Lanes that updates found with a wrong codeword since reset: corrected, taken as zero.
    loss : Out(1), only with ``chi_protection``
        Strobe: a lane was taken as zero.

    Source
    ------
    Nandakumar 2020, Methods: chi accumulates outer products in a 32-bit digital memory.
    """

    LATENCY = 3  # from i transfer to o.valid

    def __init__(self, config: Config) -> None:
        self.config = config
        self.row_shape = data.ArrayLayout(signed(config.update.chi_bits), config.update.lanes)
        self.code = code_of(config)
        self.stored_shape, reports = self.row_shape, {}
        if self.code is not None:
            self.stored_shape = data.ArrayLayout(self.code.word_bits, config.update.lanes)
            reports = {"corrected": Out(COUNTER_BITS), "lost": Out(COUNTER_BITS), "loss": Out(1)}
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
            | reports
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, lanes = self.config.chi_depth, self.config.update.lanes
        m.submodules.rows = self.rows = rows = memory.Memory(
            shape=self.stored_shape, depth=depth, init=[]
        )
        read, write = rows.read_port(), rows.write_port(granularity=1)
        read_row, corrected, lost = self._decode(m, read.data)

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
        fixed, zeroed = Signal(lanes), Signal(lanes)  # lanes of chi whose codeword was wrong
        found = [fixed.eq(corrected), zeroed.eq(lost)] if self.code else []
        with m.If(advance):
            m.d.sync += word_valid.eq(product_valid)
        with m.If(advance & product_valid):
            m.d.sync += word.eq(product)
            m.d.sync += [mask.eq(0) for mask in (fixed, zeroed) if self.code]
            with m.If(word_valid & (word.address == product.address)):
                m.d.sync += chi.eq(updated)
            with m.Elif(written_valid & (written_address == product.address)):
                m.d.sync += chi.eq(written)
            with m.Else():
                m.d.sync += chi.eq(read_row)
                m.d.sync += found
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
        changed = touched | fixed | zeroed if self.code else touched
        m.d.comb += [
            write.addr.eq(Mux(clearing, cleared, word.address)),
            write.data.eq(Mux(clearing, 0, self._encode(m, updated))),
            write.en.eq(Mux(clearing, ~0, Mux(word_valid & advance, changed, 0))),
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
            self.read_data.eq(read_row),
        ]
        m.d.sync += self.read_ack.eq(self.read_enable & ~self.busy & ~self.i.valid)
        if self.code:
            self._report(m, word_valid & advance, fixed, zeroed)
        return m

    def _decode(self, m: Module, stored: Any) -> tuple[Any, ValueLike, ValueLike]:
        """The words of a stored row, and which lanes are corrected and which taken as zero."""
        if self.code is None:
            return stored, 0, 0
        row, decoders = Signal(self.row_shape), []
        for k in range(self.config.update.lanes):
            m.submodules[f"decoder_{k}"] = decoder = Decoder(self.code)
            m.d.comb += [decoder.codeword.eq(stored[k]), row[k].eq(decoder.chi)]
            decoders.append(decoder)
        return row, Cat(d.corrected for d in decoders), Cat(d.lost for d in decoders)

    def _encode(self, m: Module, row: Any) -> Value:
        """What is stored for a row of words."""
        if self.code is None:
            return Value.cast(row)
        codewords = []
        for k in range(self.config.update.lanes):
            m.submodules[f"encoder_{k}"] = encoder = Encoder(self.code)
            m.d.comb += encoder.chi.eq(row[k])
            codewords.append(encoder.codeword)
        return Cat(codewords)

    def _report(self, m: Module, commit: Value, fixed: Signal, zeroed: Signal) -> None:
        """Counts the lanes of the words that are committed."""
        m.d.comb += self.loss.eq(commit & zeroed.any())
        for total, mask in ((self.corrected, fixed), (self.lost, zeroed)):
            amount = Signal(range(len(mask) + 1), name=f"amount_{total.name}")
            m.d.sync += [amount.eq(Mux(commit, ones(mask), 0)), total.eq(total + amount)]
