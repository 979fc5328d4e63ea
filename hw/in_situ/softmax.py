"""Softmax: output codes to probabilities of eight bits, one class a cycle."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.layouts import activation_word_layout, code_word_layout
from hw.line_drivers import LineDrivers
from model.in_situ.config import InSituConfig
from model.in_situ.softmax import (
    EXPONENTIAL_BITS,
    RECIPROCAL_BITS,
    exponential_table,
    reciprocal_table,
)

__all__ = ["Normaliser", "Reciprocal", "Softmax"]

NUMBER_BITS = 16
"""Width of an exponential and of a reciprocal."""


class Reciprocal(wiring.Component):
    """``reciprocal ~ 255 * 2**8 / (total / 2**(15 + scale))``, by table. Combinational.

    The middle of :func:`model.in_situ.softmax.softmax`: the table is addressed by the eight bits
    behind the total's leading one.

    Parameters
    ----------
    n_classes : int

    Members
    -------
    total : ``In``
        Sum of the exponentials, ``2**15`` to ``n_classes * 2**15``.
    scale : ``Out``
        Place of its leading one above that of one exponential.
    reciprocal : ``Out(16)``
    """

    def __init__(self, n_classes: int) -> None:
        self.max_scale = n_classes.bit_length() - 1
        super().__init__(
            {
                "total": In(EXPONENTIAL_BITS + self.max_scale + 1),
                "scale": Out(range(self.max_scale + 1)),
                "reciprocal": Out(NUMBER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entries = [int(entry) for entry in reciprocal_table()]
        m.submodules.table = table = memory.Memory(
            shape=NUMBER_BITS, depth=len(entries), init=entries
        )
        entry = table.read_port(domain="comb")
        # The last assignment wins, and so the leading one.
        for scale in range(self.max_scale + 1):
            leading = EXPONENTIAL_BITS + scale
            with m.If(self.total[leading]):
                m.d.comb += [
                    self.scale.eq(scale),
                    entry.addr.eq(self.total[leading - RECIPROCAL_BITS : leading]),
                ]
        m.d.comb += self.reciprocal.eq(entry.data)
        return m


class Normaliser(wiring.Component):
    """``outputs[c] = min(255, round(exponential * reciprocal / 2**(23 + scale)))``, in words.

    Rounds half away from zero. Classes come in order; lane k of word w is class w * lanes + k,
    lanes beyond the classes are zero.

    **Timing**: a class accepted in cycle t (``valid`` and ``advance``) is in the word at ``o`` from
    t + ``LATENCY`` on, valid if it is the last of the word. ``advance`` is low while a word waits.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    valid, unit, exponential : ``In``
        A class and its exponential.
    reciprocal, scale : ``In``
        Of the sum; stable from the first class to the last.
    advance : ``Out(1)``
    o : ``Out(stream)`` of :func:`hw.layouts.activation_word_layout`
    """

    LATENCY = 2  # from a class to its word

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        self.n_classes = config.network.layers[-1]
        super().__init__(
            {
                "valid": In(1),
                "unit": In(range(self.n_classes)),
                "exponential": In(NUMBER_BITS),
                "reciprocal": In(NUMBER_BITS),
                "scale": In(range(self.n_classes.bit_length())),
                "advance": Out(1),
                "o": Out(stream.Signature(activation_word_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.update.lanes
        m.d.comb += self.advance.eq(~self.o.valid | self.o.ready)

        # Cycle 0: multiply.
        product, unit, valid = Signal(2 * NUMBER_BITS), Signal.like(self.unit), Signal()
        with m.If(self.advance):
            m.d.sync += [
                product.eq(self.exponential * self.reciprocal),
                unit.eq(self.unit),
                valid.eq(self.valid),
            ]

        # Cycle 1: round and put into its lane; twice the quotient, plus one, is halved. At most
        # one exponential of a sum is whole, so nine bits are enough.
        lane = unit[: lanes.bit_length() - 1]  # lanes is a power of two
        doubled, rounded, output = Signal(10), Signal(9), Signal(8)
        m.d.comb += [
            doubled.eq(product[EXPONENTIAL_BITS + 7 :] >> self.scale),
            rounded.eq((doubled + 1) >> 1),
            output.eq(Mux(rounded[8], 255, rounded)),
        ]
        is_last = unit == self.n_classes - 1
        with m.If(self.advance):
            m.d.sync += self.o.valid.eq(valid & (is_last | lane.all()))
        with m.If(self.advance & valid):
            m.d.sync += self.o.p.last.eq(is_last)
            for k in range(lanes):
                with m.If(lane == k):
                    m.d.sync += self.o.p.activations[k].eq(output)
                with m.Elif(lane == 0):
                    m.d.sync += self.o.p.activations[k].eq(0)
        return m


class Softmax(wiring.Component):
    """``outputs[c] ~ 255 exp(codes[c]) / sum(exp(codes))``: :func:`model.in_situ.softmax.softmax`.

    Three passes over the classes, one class a cycle, with one table of exponentials, one of
    reciprocals and one multiplier::

        codes ─► largest ─► distance ─► exponential ─┬─► sum ─► Reciprocal
                                                     │             ▼
                                                     └───────► Normaliser ─► outputs

    **Timing**: with the last code word transferred in cycle -1, of C classes, the last output word
    is valid in cycle ``PASSES * C + LATENCY - 1`` and a word before it as many cycles earlier as
    classes come after it, if never stalled. ``i`` does not accept from its last word to the
    transfer of the last output word.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.code_word_layout`
        Codes of the last layer.
    o : ``Out(stream)`` of :func:`hw.layouts.activation_word_layout`
        Lanes beyond the classes are zero.

    Source
    ------
    Li 2018, Methods: softmax of the output currents, there in software.
    """

    PASSES = 3
    LATENCY = 2 + Normaliser.LATENCY  # the register of an exponential and the sum's last addition

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        self.n_classes = config.network.layers[-1]
        super().__init__(
            {
                "i": In(stream.Signature(code_word_layout(config))),
                "o": Out(stream.Signature(activation_word_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.config.converter.adc_bits
        m.submodules.codes = codes = LineDrivers(
            n_lines=self.n_classes, shape=signed(bits), lanes=self.config.update.lanes
        )
        m.submodules.reciprocal = reciprocal = Reciprocal(self.n_classes)
        m.submodules.normaliser = normaliser = Normaliser(self.config)
        entries = [int(entry) for entry in exponential_table(self.config)]
        m.submodules.table = table = memory.Memory(
            shape=NUMBER_BITS, depth=len(entries), init=entries
        )
        entry = table.read_port(domain="comb")
        connect(m, normaliser.o, flipped(self.o))
        m.d.comb += [
            codes.i.valid.eq(self.i.valid & self.i.ready),
            codes.i.p["values"].eq(self.i.p.codes),
            codes.i.p.last.eq(self.i.p.last),
        ]

        # The class of this cycle, and the exponential of its distance to the largest.
        unit, following = Signal(range(self.n_classes)), Signal(range(self.n_classes))
        is_last, total = Signal(), Signal.like(reciprocal.total)
        code, largest = Signal(signed(bits)), Signal(signed(bits))
        exponential, is_summand = Signal(NUMBER_BITS), Signal()
        m.d.comb += [
            is_last.eq(unit == self.n_classes - 1),
            following.eq(Mux(is_last, 0, unit + 1)),
            entry.addr.eq(largest - code),
            normaliser.exponential.eq(exponential),
            reciprocal.total.eq(total),
        ]
        with m.Switch(unit):
            for index in range(self.n_classes):
                with m.Case(index):
                    m.d.comb += code.eq(codes.drive[index])
        with m.If(normaliser.advance):
            m.d.sync += exponential.eq(entry.data)
        with m.If(is_summand):
            m.d.sync += total.eq(total + exponential)
        m.d.sync += is_summand.eq(0)

        with m.FSM():
            # Code words come in.
            with m.State("LOAD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [largest.eq(-(2 ** (bits - 1))), total.eq(0)]
                with m.If(self.i.valid & self.i.p.last):
                    m.next = "LARGEST"
            # First pass: the largest code.
            with m.State("LARGEST"):
                m.d.sync += unit.eq(following)
                with m.If(code > largest):
                    m.d.sync += largest.eq(code)
                with m.If(is_last):
                    m.next = "SUM"
            # Second pass: each exponential is registered, and added one cycle later.
            with m.State("SUM"):
                m.d.sync += [unit.eq(following), is_summand.eq(1)]
                with m.If(is_last):
                    m.next = "LAST SUMMAND"
            # The last exponential is added.
            with m.State("LAST SUMMAND"):
                m.next = "OUTPUT"
            # Third pass: each exponential is multiplied. The sum is complete in the first cycle;
            # its reciprocal is registered with the first exponential.
            with m.State("OUTPUT"):
                with m.If(unit == 0):
                    m.d.sync += [
                        normaliser.reciprocal.eq(reciprocal.reciprocal),
                        normaliser.scale.eq(reciprocal.scale),
                    ]
                with m.If(normaliser.advance):
                    m.d.sync += [
                        unit.eq(following),
                        normaliser.unit.eq(unit),
                        normaliser.valid.eq(1),
                    ]
                    with m.If(is_last):
                        m.next = "DRAIN"
            # The last outputs leave.
            with m.State("DRAIN"):
                with m.If(normaliser.advance):
                    m.d.sync += normaliser.valid.eq(0)
                with m.If(self.o.valid & self.o.ready & self.o.p.last):
                    m.next = "LOAD"
        return m
