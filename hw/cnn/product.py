"""Product: a patch through the arrays of a layer. It only wires."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.cnn.bit_serial_drivers import BitSerialDrivers
from hw.cnn.bit_serial_read_out import BitSerialReadOut
from hw.cnn.layouts import (
    ReadRange,
    array_signature,
    patch_layout,
    product_events_layout,
    sums_layout,
)
from model.cnn.config import CnnConfig

__all__ = ["Product"]


class Product(wiring.Component):
    """Sums of a patch times the weights: bit-serial drivers, array, bit-serial read-out.

    **Timing**: with F = ``array.phase_cycles``, the sums of a patch transferred in cycle 0 are
    valid in cycle ``(8 steps + 1) F + LATENCY``; a patch can follow every ``8 steps F`` cycles.

    Parameters
    ----------
    config : CnnConfig
    layer : int

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.patch_layout`
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.sums_layout`
        Never stalls.
    array : ``Out(array_signature(config, layer))``
    events : ``Out`` of :func:`hw.cnn.layouts.product_events_layout`
        Without ``pixel``.
    """

    LATENCY = BitSerialReadOut.LATENCY

    def __init__(self, config: CnnConfig, layer: int) -> None:
        self.config = config
        self.layer = layer
        super().__init__(
            {
                "i": In(stream.Signature(patch_layout(config, layer))),
                "o": Out(stream.Signature(sums_layout(config, layer), always_ready=True)),
                "array": Out(array_signature(config, layer)),
                "events": Out(product_events_layout()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.drivers = drivers = BitSerialDrivers(self.config, self.layer)
        m.submodules.read_out = read_out = BitSerialReadOut(self.config, self.layer)
        connect(m, flipped(self.i), drivers.i)
        connect(m, read_out.o, flipped(self.o))
        m.d.comb += [
            read_out.held.eq(drivers.held),
            read_out.bit.eq(drivers.bit),
            read_out.last.eq(drivers.last),
            self.array.phase.eq(drivers.phase),
            self.array.step.eq(drivers.step),
            self.array.drive.eq(drivers.drive),
            self.array.range.eq(ReadRange.COMPUTE),
            self.array.hold.eq(drivers.hold),
            self.array.slot.eq(read_out.slot),
            read_out.codes.eq(self.array.codes),
            self.events.patch.eq(self.i.valid & self.i.ready),
            self.events.converted.eq(read_out.sampled),
        ]
        return m
