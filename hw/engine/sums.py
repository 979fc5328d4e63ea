"""What becomes of an engine's sums: codes of the sigmoid table, hidden errors."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layouts import column_word_layout, error_vector_layout, sum_layout, word_shape
from hw.layouts import code_word_layout
from hw.rounding import shift_round
from model.engine.config import EngineConfig
from model.engine.training_engine import DERIVATIVE_SHIFT

__all__ = ["BackCodes", "CodeGather", "HiddenErrors"]


def _code(m: Module, value: Value, shift: int, bits: int) -> Signal:
    """``saturate(shift_round(value, shift))`` to ``bits`` bits, sign included. Combinational."""
    width = len(value) + 1
    rounded, code = Signal(signed(width)), Signal(signed(bits))
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    m.d.comb += [
        rounded.eq(shift_round(value, Const(shift, unsigned(6)), width)),
        code.eq(Mux(rounded > high, high, Mux(rounded < low, low, rounded))),
    ]
    return code


class CodeGather(wiring.Component):
    """Rounds forward sums to codes and gathers them to words.

    ``codes[k] = saturate(shift_round(sum, forward_shift))`` to the bits of a code. A word leaves
    when it is full, or with ``last``; lanes beyond the vector are undefined then.

    **Timing**: ``LATENCY`` = 1 cycle from a word's last sum to ``o.valid``; one sum a cycle. ``o``
    is never stalled.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of sum_layout)
    o : Out(stream of code_word_layout)
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(sum_layout(config), always_ready=True)),
                "o": Out(stream.Signature(code_word_layout(config.unit), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        bits = config.unit.converter.adc_bits
        code = _code(m, self.i.p.sum, config.forward_shift, bits)
        lane = Signal(range(config.lanes))
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid):
            m.d.sync += [
                self.o.p.codes[lane].eq(code),
                self.o.p.last.eq(self.i.p.last),
                lane.eq(Mux(self.i.p.last, 0, lane + 1)),
                self.o.valid.eq(self.i.p.last | (lane == config.lanes - 1)),
            ]
        return m


class BackCodes(wiring.Component):
    """Rounds a word of backward sums to codes: ``saturate(shift_round(sum, backward_shift))``.

    **Timing**: combinational.

    Parameters
    ----------
    config : EngineConfig
        Of an engine with a chi update.

    Members
    -------
    i : In(stream of column_word_layout), o : Out(stream of code_word_layout)
        Never stalled.
    """

    LATENCY = 0  # from i.valid to o.valid

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(column_word_layout(config), always_ready=True)),
                "o": Out(stream.Signature(code_word_layout(config.unit), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        bits, shift = config.error_bits, config.backward_shift
        m.d.comb += [self.o.valid.eq(self.i.valid), self.o.p.last.eq(self.i.p.last)]
        for total, code in zip(self.i.p.sums, self.o.p.codes, strict=True):
            m.d.comb += code.eq(_code(m, total, shift, bits))
        return m


class HiddenErrors(wiring.Component):
    """Errors of hidden units from their backward sums and activations, all of 32 bits::

        back  = saturate(shift_round(sum, backward_shift))
        error = shift_round(back * activation * (255 - activation), 16)

    It counts the words of a vector and asks for each word's activations.

    **Timing**: ``LATENCY`` = 2 cycles from a word at ``i`` to ``o.valid``; one word a cycle, never
    stalled.

    Parameters
    ----------
    config : EngineConfig
        Of an engine with a direct update.

    Members
    -------
    i : In(stream of column_word_layout)
    word : Out
        The word at ``i``.
    activations : In(ArrayLayout(unsigned(8), lanes))
        Its activations, one cycle later.
    o : Out(stream of error_vector_layout)
    """

    LATENCY = 2  # from i transfer to o.valid

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(column_word_layout(config), always_ready=True)),
                "word": Out(word_shape(config)),
                "activations": In(data.ArrayLayout(unsigned(8), config.lanes)),
                "o": Out(stream.Signature(error_vector_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        bits = config.error_bits

        # Cycle 0: round; ask for the activations.
        backs = Signal(data.ArrayLayout(signed(bits), config.lanes))
        valid, last = Signal(), Signal()
        m.d.sync += valid.eq(self.i.valid)
        with m.If(self.i.valid):
            m.d.sync += [self.word.eq(Mux(self.i.p.last, 0, self.word + 1)), last.eq(self.i.p.last)]
            for lane in range(config.lanes):
                code = _code(m, self.i.p.sums[lane], config.backward_shift, bits)
                m.d.sync += backs[lane].eq(code)

        # Cycle 1: multiply and shift. 255 - a is ~a: the eight bits inverted.
        m.d.sync += self.o.valid.eq(valid)
        with m.If(valid):
            m.d.sync += self.o.p.last.eq(last)
            for lane in range(config.lanes):
                activation = self.activations[lane]
                derivative = Signal(range(127 * 128 + 1), name=f"derivative_{lane}")
                product = Signal(signed(bits + 14), name=f"product_{lane}")
                m.d.comb += [
                    derivative.eq(activation * (~activation)[:8]),
                    product.eq(backs[lane] * derivative),
                ]
                shifted = shift_round(product, Const(DERIVATIVE_SHIFT, unsigned(6)), bits)
                m.d.sync += self.o.p.errors[lane].eq(shifted)
        return m
