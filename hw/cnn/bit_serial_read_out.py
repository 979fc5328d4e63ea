"""Bit-serial read-out: shift-and-add over phases, difference of a pair, sum over chunks."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import array_signature, sums_layout
from model.cnn.config import INPUT_BITS, CnnConfig

__all__ = ["BitSerialReadOut"]


class BitSerialReadOut(wiring.Component):
    """Samples the codes of every phase and adds them up, exactly.

    ``o[m] = sum over phases of (codes[2 m] - codes[2 m + 1]) * 2**bit``, summed over tiles too:
    :func:`model.cnn.read_out.shift_add` and :func:`model.cnn.read_out.accumulate` in one. No
    saturation: the sums are as wide as they can become.

    **Timing**: ``held`` in cycle 0 says that a phase ended and its lines are held; line m is
    sampled in cycle ``(m mod lines_per_adc + 1) * conversion_cycles``. With ``last`` the sums are
    valid at ``o`` in the cycle after the last sample, ``phase_cycles + 1``, and in that cycle only.
    The next ``held`` may come ``phase_cycles`` cycles after the one before, no earlier.

    Parameters
    ----------
    config : CnnConfig
    layer : int

    Members
    -------
    held : ``In(1)``
    bit, last : ``In``
        With ``held``: weight of the phase's bit; the phase is the last of a product.
    slot : ``Out``, codes : ``In``
        Of the array, see :func:`hw.cnn.layouts.array_signature`.
    sampled : ``Out(1)``
        Strobe in the cycle in which the last lines of a phase are sampled.
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.sums_layout`
        Never stalls.
    """

    LATENCY = 1  # from the last sample to o.valid

    def __init__(self, config: CnnConfig, layer: int) -> None:
        self.config = config
        self.layer = layer
        array = array_signature(config, layer).members
        super().__init__(
            {
                "held": In(1),
                "bit": In(range(INPUT_BITS)),
                "last": In(1),
                "slot": array["slot"],
                "codes": array["codes"],
                "sampled": Out(1),
                "o": Out(stream.Signature(sums_layout(config, layer), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        array, tiles = self.config.array, self.config.tiles(self.layer)

        # Conversions of the phase that was held last.
        running, cycle = Signal(), Signal(range(array.conversion_cycles))
        bit, last = Signal.like(self.bit), Signal()
        sample, last_slot = Signal(), Signal()
        m.d.comb += [
            sample.eq(running & (cycle == array.conversion_cycles - 1)),
            last_slot.eq(self.slot == array.lines_per_adc - 1),
            self.sampled.eq(sample & last_slot),
        ]
        with m.If(running):
            m.d.sync += cycle.eq(Mux(sample, 0, cycle + 1))
        with m.If(sample):
            m.d.sync += self.slot.eq(Mux(last_slot, 0, self.slot + 1))
            with m.If(last_slot):
                m.d.sync += running.eq(0)
        with m.If(self.held):
            m.d.sync += [running.eq(1), bit.eq(self.bit), last.eq(self.last)]
        m.d.sync += self.o.valid.eq(self.sampled & last)

        # One adder an output; the next product begins from zero in the cycle in which the sums of
        # this one are shown.
        for output, total in enumerate(self.o.p):
            line = {sign: 2 * output + sign for sign in (0, 1)}
            terms = []
            for sign in (0, 1):
                code = sum(self.codes[tile][line[sign]] for tile in range(tiles))
                is_due = sample & (self.slot == line[sign] % array.lines_per_adc)
                terms.append(Mux(is_due, code, 0))
            m.d.sync += total.eq(Mux(self.o.valid, 0, total) + ((terms[0] - terms[1]) << bit))
        return m
