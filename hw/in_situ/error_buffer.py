"""Error buffer: the errors of one layer's units, word by word, for the outer product."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import ERROR, error_word_layout, max_unit_words
from model.in_situ.config import InSituConfig

__all__ = ["ErrorBuffer"]


class ErrorBuffer(wiring.Component):
    """Stores a vector of errors and says which of its words have a non-zero lane.

    What :class:`hw.code_buffer.CodeBuffer` is to the activations of the MCA unit, without a
    quantiser, a bias or banks.

    **Timing**: ``i`` is always ready. ``errors`` belong to the ``address`` of the cycle before
    (``LATENCY`` = 1); a word written in cycle t is readable, and its flag valid, from t + 1. The
    first word of a vector drops all flags. Memory contents are undefined until written.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.in_situ.layouts.error_word_layout`
        A vector from word 0; the word after ``last`` is word 0 again.
    address : ``In(range(n_words))``
    errors : ``Out(ArrayLayout(ERROR, lanes))``
    nonzero : ``Out(n_words)``
        Bit w: word w of the vector has a non-zero error.
    """

    LATENCY = 1  # from address to errors

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        self.n_words = max_unit_words(config)
        super().__init__(
            {
                "i": In(stream.Signature(error_word_layout(config), always_ready=True)),
                "address": In(range(max(2, self.n_words))),
                "errors": Out(data.ArrayLayout(ERROR, config.update.lanes)),
                "nonzero": Out(self.n_words),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = store = memory.Memory(
            shape=self.errors.shape(), depth=max(2, self.n_words), init=[]
        )
        write, read = store.write_port(), store.read_port()
        word = Signal(range(max(2, self.n_words)))
        m.d.comb += [
            write.addr.eq(word),
            write.data.eq(self.i.p.errors),
            write.en.eq(self.i.valid),
            read.addr.eq(self.address),
            self.errors.eq(read.data),
        ]
        with m.If(self.i.valid):
            m.d.sync += word.eq(Mux(self.i.p.last, 0, word + 1))
            with m.If(word == 0):
                m.d.sync += self.nonzero.eq(0)
            with m.Switch(word):
                for index in range(self.n_words):
                    with m.Case(index):
                        m.d.sync += self.nonzero[index].eq(self.i.p.errors.as_value().any())
        return m
