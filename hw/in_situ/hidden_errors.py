"""Hidden errors: the two passes of a backward product, joined where the unit is active."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import error_word_layout
from hw.layouts import code_word_layout
from model.in_situ.config import InSituConfig

__all__ = ["HiddenErrors"]


class HiddenErrors(wiring.Component):
    """``errors[k] = positive[k] - negative[k]`` where ``active[k]``, else 0.

    :func:`model.in_situ.error_unit.hidden_error` on words. The codes of the first pass are stored;
    each word of the second leaves as a word of errors. Exact: ADC codes have at most eight bits.

    **Timing**: ``LATENCY`` = 1 cycle from a transfer at ``i`` in the second pass to ``o.valid``;
    one word a cycle, ``i`` stalls with ``o``. In the first pass ``i`` is always taken while ``o``
    is empty. Memory contents are undefined until written.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.code_word_layout`
    negative : ``In(1)``
        The words at ``i`` are of the second pass.
    active : ``In(n_units)``
        For each unit whose errors these are: its activation is not zero. Stable over a pass;
        bits beyond the units are not looked at.
    o : ``Out(stream)`` of :func:`hw.in_situ.layouts.error_word_layout`

    Raises
    ------
    ValueError
        If the network has no hidden layer.

    Source
    ------
    Li 2018, Methods: the hidden error is the weighted sum of errors where the current is positive.
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, config: InSituConfig) -> None:
        hidden = config.network.layers[1:-1]
        if not hidden:
            raise ValueError("A network of 1 weight layer has no hidden errors.")
        self.config = config
        self.n_units = max(hidden)
        self.n_words = config.rows_to_words(self.n_units)
        super().__init__(
            {
                "i": In(stream.Signature(code_word_layout(config))),
                "negative": In(1),
                "active": In(self.n_units),
                "o": Out(stream.Signature(error_word_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.update.lanes
        codes = self.i.p.codes
        m.submodules.memory = store = memory.Memory(
            shape=codes.shape(), depth=max(2, self.n_words), init=[]
        )
        write, read = store.write_port(), store.read_port()
        word, transfer = Signal(range(max(2, self.n_words))), Signal()
        m.d.comb += [
            self.i.ready.eq(self.o.ready | ~self.o.valid),
            transfer.eq(self.i.valid & self.i.ready),
            write.addr.eq(word),
            write.data.eq(codes),
            write.en.eq(transfer & ~self.negative),
            read.addr.eq(word),
            read.en.eq(transfer & self.negative),
        ]

        # Cycle 0: register the second pass, read the first.
        active_word, active = Signal(lanes), Signal(lanes)
        negative_codes = Signal.like(codes)
        with m.Switch(word):
            for index in range(self.n_words):
                with m.Case(index):
                    m.d.comb += active_word.eq(self.active[index * lanes : (index + 1) * lanes])
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid & self.negative)
        with m.If(transfer):
            m.d.sync += [
                word.eq(Mux(self.i.p.last, 0, word + 1)),
                negative_codes.eq(codes),
                active.eq(active_word),
                self.o.p.last.eq(self.i.p.last),
            ]

        # Cycle 1: the difference.
        for lane in range(lanes):
            with m.If(active[lane]):
                m.d.comb += self.o.p.errors[lane].eq(read.data[lane] - negative_codes[lane])
        return m
