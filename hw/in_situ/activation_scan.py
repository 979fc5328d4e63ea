"""Activation scan: the non-zero activations of a layer's inputs, straight from its line drivers."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import scalar_layout
from hw.priority import encode, lowest, select, without_lowest
from model.in_situ.config import InSituConfig

__all__ = ["ActivationScan"]


class ActivationScan(wiring.Component):
    """Gives each input with a non-zero activation once, inputs rising.

    What :class:`hw.outer_product.ErrorCodes` is to the MCA unit; it stores no activation, because
    the line drivers hold them until the next image.

    **Timing**: ``start`` in cycle t offers the first input from t + 1 on; one input a cycle.

    Parameters
    ----------
    config : InSituConfig
    layer : int
        Whose inputs.

    Members
    -------
    drive : ``In(ArrayLayout(unsigned(8), n_inputs))``
        The activations; stable from ``start`` until the last input is taken.
    start : ``In(1)``
        Strobe: begin.
    drop : ``In(1)``
        Strobe, in the cycle of a transfer: the rest is not wanted.
    o : ``Out(stream)`` of :func:`hw.in_situ.layouts.scalar_layout`
    """

    def __init__(self, config: InSituConfig, layer: int) -> None:
        self.config = config
        self.layer = layer
        self.n_inputs = config.network.n_inputs(layer)
        super().__init__(
            {
                "drive": In(data.ArrayLayout(unsigned(8), self.n_inputs)),
                "start": In(1),
                "drop": In(1),
                "o": Out(stream.Signature(scalar_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pending, onehot = Signal(self.n_inputs), Signal(self.n_inputs)
        m.d.comb += [
            onehot.eq(lowest(pending)),
            self.o.valid.eq(pending.any()),
            self.o.p.unit.eq(encode(onehot)),
            self.o.p.error.eq(select(onehot, self.drive)),
        ]
        with m.If(self.start):
            m.d.sync += pending.eq(Cat(Value.cast(drive).any() for drive in self.drive))
        with m.Elif(self.drop):
            m.d.sync += pending.eq(0)
        with m.Elif(self.o.ready):
            m.d.sync += pending.eq(without_lowest(pending))
        return m
