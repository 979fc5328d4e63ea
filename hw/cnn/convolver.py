"""Convolver: one replica of a convolution on its band of lines. It only wires."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.cnn.feature_map import FeatureMap
from hw.cnn.layouts import (
    array_signature,
    feature_word_layout,
    parameter_layout,
    pixel_layout,
    product_events_layout,
)
from hw.cnn.line_buffer import LineBuffer
from hw.cnn.max_pool import MaxPool
from hw.cnn.product import Product
from hw.cnn.requantiser import Requantiser
from model.cnn.config import Band, CnnConfig

__all__ = ["Convolver"]


class Convolver(wiring.Component):
    """From a copy of the layer's input to the pooled pixels of a band.

    ::

        i ─► FeatureMap ─► LineBuffer ─► Product ─► Requantiser ─► MaxPool ─► o
                                           │
                                           ▼
                                         array

    **Timing**: ``start`` in cycle 0; the first patch is taken in cycle ``FEED_LATENCY`` + its
    pixels, and a patch every ``config.product_cycles(layer)`` cycles or, if later, when its pixels
    are there. From the last patch to the last pooled pixel ``o.valid`` take ``(8 steps + 1)
    phase_cycles + Product.LATENCY + outs + Requantiser.LATENCY + MaxPool.LATENCY`` cycles. ``o``
    must be taken before the next pixel is pooled.

    Parameters
    ----------
    config : CnnConfig
    layer : int
        A convolution.
    band : Band

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Of the layer's input; never stalls.
    bank : ``In(1)``, first layer only
        Which of two input maps is read, the other being written.
    start : ``In(1)``
        Strobe: the input is complete.
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
        The band's pooled pixels in raster order.
    i_parameters : ``In(stream)`` of :func:`hw.cnn.layouts.parameter_layout`
    array : ``Out(array_signature(config, layer))``
    events : ``Out`` of :func:`hw.cnn.layouts.product_events_layout`
    """

    FEED_LATENCY = FeatureMap.LATENCY  # from start to the transfer of the first pixel

    def __init__(self, config: CnnConfig, layer: int, band: Band) -> None:
        self.config = config
        self.layer = layer
        self.band = band
        word = feature_word_layout(config.in_shape(layer))
        super().__init__(
            {
                "i": In(stream.Signature(word, always_ready=True)),
                "start": In(1),
                "o": Out(stream.Signature(pixel_layout(config.outs(layer)))),
                "i_parameters": In(stream.Signature(parameter_layout(config), always_ready=True)),
                "array": Out(array_signature(config, layer)),
                "events": Out(product_events_layout()),
            }
            | ({} if layer else {"bank": In(1)})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer, network = self.config, self.layer, self.config.network
        m.submodules.feature_map = feature_map = FeatureMap(
            shape=config.in_shape(layer),
            first_row=self.band.in_first,
            end_row=self.band.in_end,
            double_buffered=layer == 0,
        )
        _, width, channels = config.in_shape(layer)
        m.submodules.line_buffer = line_buffer = LineBuffer(
            width=width,
            channels=channels,
            kernel=network.kernels[layer],
            stride=network.strides[layer],
        )
        m.submodules.product = product = Product(config, layer)
        m.submodules.requantiser = requantiser = Requantiser(config, layer)
        m.submodules.max_pool = max_pool = MaxPool(
            width=config.conv_shape(layer)[1],
            height=self.band.conv_rows,
            channels=config.outs(layer),
            pool=network.pools[layer],
        )
        connect(m, flipped(self.i), feature_map.i)
        connect(m, feature_map.o, line_buffer.i)
        connect(m, line_buffer.o, product.i)
        connect(m, product.array, flipped(self.array))
        connect(m, product.o, requantiser.i)
        connect(m, flipped(self.i_parameters), requantiser.i_parameters)
        connect(m, requantiser.o, max_pool.i)
        connect(m, max_pool.o, flipped(self.o))
        m.d.comb += [
            feature_map.start.eq(self.start),
            line_buffer.start.eq(self.start),
            max_pool.start.eq(self.start),
            self.events.pixel.eq(feature_map.o.valid & feature_map.o.ready),
            self.events.patch.eq(product.events.patch),
            self.events.converted.eq(product.events.converted),
        ]
        if layer == 0:
            m.d.comb += feature_map.bank.eq(self.bank)
        return m
