"""Requantiser with ReLU: exact sums to 8-bit activations, one channel a cycle."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import parameter_layout, pixel_layout, sums_layout
from hw.rounding import shift_round
from model.cnn.config import CnnConfig

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """``o[m] = saturate(round((i[m] + offset[m]) * multiplier[m] / 2**shift[m]), 0, 255)``.

    Rounded half away from zero; the clip at 0 is the ReLU, see
    :func:`model.cnn.requantiser.requantise`. The parameters lie in a memory of a row a channel,
    which the host fills before the first image.

    **Timing**: sums transferred in cycle 0 are a pixel in cycle ``outs + LATENCY``, for that cycle.
    Sums may follow ``outs`` cycles after the ones before, no earlier. Parameters may change between
    pixels only.

    Parameters
    ----------
    config : CnnConfig
    layer : int
        A convolution.

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.sums_layout`
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
    i_parameters : ``In(stream)`` of :func:`hw.cnn.layouts.parameter_layout`
        Only those of this requantiser; ``array`` is not looked at.

    None of the streams stalls.
    """

    LATENCY = 3  # from i transfer to o.valid, on top of a cycle a channel

    def __init__(self, config: CnnConfig, layer: int) -> None:
        self.config = config
        self.layer = layer
        outs = config.outs(layer)
        super().__init__(
            {
                "i": In(stream.Signature(sums_layout(config, layer), always_ready=True)),
                "o": Out(stream.Signature(pixel_layout(outs), always_ready=True)),
                "i_parameters": In(stream.Signature(parameter_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outs, bits = self.config.outs(self.layer), self.config.psum_bits(self.layer)
        multiplier_bits = self.config.requantiser.multiplier_bits
        shift_shape = self.i_parameters.p.shape()["shift"].shape
        row = data.StructLayout(
            {"offset": signed(bits), "multiplier": unsigned(multiplier_bits), "shift": shift_shape}
        )
        m.submodules.parameters = parameters = memory.Memory(shape=row, depth=outs, init=[])
        read, write = parameters.read_port(), parameters.write_port()
        m.d.comb += [
            write.addr.eq(self.i_parameters.p.channel),
            write.en.eq(self.i_parameters.valid),
            *(write.data[name].eq(self.i_parameters.p[name]) for name, _ in row),
        ]

        # Cycle 0: take the sums; read the parameters of channel 0.
        waiting = Signal(sums_layout(self.config, self.layer))
        channel, next_channel, busy = Signal(range(outs)), Signal(range(outs)), Signal()
        last = Signal()
        m.d.comb += [
            last.eq(busy & (channel == outs - 1)),
            next_channel.eq(Mux(self.i.valid | ~busy | last, 0, channel + 1)),
            read.addr.eq(next_channel),
        ]
        m.d.sync += channel.eq(next_channel)
        with m.If(busy):
            m.d.sync += [first.eq(second) for first, second in pairwise(waiting)]
            m.d.sync += busy.eq(~last)
        with m.If(self.i.valid):
            m.d.sync += [waiting.eq(self.i.p), busy.eq(1)]

        # Cycle 1 + channel: add the offset.
        total, multiplier = Signal(signed(bits + 1)), Signal(multiplier_bits)
        shift_1, valid_1, last_1 = Signal(shift_shape), Signal(), Signal()
        m.d.sync += [
            total.eq(waiting[0] + read.data.offset),
            multiplier.eq(read.data.multiplier),
            shift_1.eq(read.data.shift),
            valid_1.eq(busy),
            last_1.eq(last),
        ]

        # Cycle 2 + channel: multiply.
        product = Signal(signed(bits + 1 + multiplier_bits))
        shift_2, valid_2, last_2 = Signal(shift_shape), Signal(), Signal()
        m.d.sync += [
            product.eq(total * multiplier),
            shift_2.eq(shift_1),
            valid_2.eq(valid_1),
            last_2.eq(last_1),
        ]

        # Cycle 3 + channel: round, clip, move into the pixel from its end.
        rounded = Signal.like(product)
        m.d.comb += rounded.eq(shift_round(product, shift_2, len(product)))
        with m.If(valid_2):
            m.d.sync += [first.eq(second) for first, second in pairwise(self.o.p)]
            m.d.sync += self.o.p[outs - 1].eq(
                Mux(rounded < 0, 0, Mux(rounded > 255, 255, rounded[:8]))
            )
        m.d.sync += self.o.valid.eq(last_2)
        return m
