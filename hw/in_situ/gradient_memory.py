"""Gradient memory: sums of products over a mini-batch, read and cleared when gates are written."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import gradient_word_layout, product_word_layout
from model.in_situ.config import InSituConfig

__all__ = ["GradientMemory"]


class GradientMemory(wiring.Component):
    """One read-modify-write of a word of ``lanes`` sums a cycle.

    ``sums[address, lane] += products[lane]`` for a word at ``i``; ``sums[address] = 0`` for a word
    taken. Exact: ``gradient_bits`` hold a whole batch.

    No word of an outer product comes twice, and the write phase begins ``LATENCY`` cycles after
    the last, so nothing is forwarded: a word may be touched again ``LATENCY`` + 1 cycles after a
    touch.

    **Timing**: a word transferred in cycle t is read in t, added in t + 1 and written in t + 2
    (``LATENCY``): a read from t + 3 on sees it. One word a cycle, ``i`` is always ready. A word
    asked for by ``take`` in cycle t is at ``taken`` in t + 1, and zero from a read in t + 3 on. An
    SRAM has no initial contents: after reset ``busy`` is high while the memory writes zero to each
    of its words, one a cycle; no word may come then.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.in_situ.layouts.product_word_layout`
    take : ``In(1)``, take_address : ``In``
        Read this word and clear it; never while a word is offered at ``i``.
    taken : ``Out`` of :func:`hw.in_situ.layouts.gradient_word_layout`
    busy : ``Out(1)``
        Clearing.
    """

    LATENCY = 2  # from i transfer to the write

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        product = product_word_layout(config)
        self.row_shape = gradient_word_layout(config)
        super().__init__(
            {
                "i": In(stream.Signature(product, always_ready=True)),
                "take": In(1),
                "take_address": In(product["address"].shape),
                "taken": Out(self.row_shape),
                "busy": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.gradient_depth
        m.submodules.rows = self.rows = rows = memory.Memory(
            shape=self.row_shape, depth=depth, init=[]
        )
        read, write = rows.read_port(), rows.write_port()

        # Cycle 0: read; register the products.
        address, valid, clears = Signal.like(self.take_address), Signal(), Signal()
        products = Signal.like(self.i.p.products)
        m.d.comb += [
            read.addr.eq(Mux(self.take, self.take_address, self.i.p.address)),
            read.en.eq(self.take | self.i.valid),
            self.taken.eq(read.data),
        ]
        m.d.sync += valid.eq(read.en)
        with m.If(read.en):
            m.d.sync += [
                address.eq(read.addr),
                clears.eq(self.take),
                products.eq(self.i.p.products),
            ]

        # Cycle 1: add.
        sums, write_address, written = Signal(self.row_shape), Signal.like(address), Signal()
        m.d.sync += [written.eq(valid), write_address.eq(address)]
        for lane in range(self.config.update.lanes):
            m.d.sync += sums[lane].eq(Mux(clears, 0, read.data[lane] + products[lane]))

        # Cycle 2: write; after reset, zero everywhere.
        cleared = Signal(range(max(2, depth)))
        m.d.comb += [
            write.addr.eq(Mux(self.busy, cleared, write_address)),
            write.data.eq(Mux(self.busy, 0, sums.as_value())),
            write.en.eq(self.busy | written),
        ]
        with m.If(self.busy):
            m.d.sync += [cleared.eq(cleared + 1), self.busy.eq(cleared != depth - 1)]
        return m
