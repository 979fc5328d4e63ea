"""Convolution layer: n replicas of the convolver at the same time. It only wires."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.cnn.convolver import Convolver
from hw.cnn.gather import Gather
from hw.cnn.layouts import (
    array_signature,
    feature_word_layout,
    n_copies,
    parameter_layout,
    product_events_layout,
)
from model.cnn.config import CnnConfig

__all__ = ["ConvolutionLayer"]


class ConvolutionLayer(wiring.Component):
    """All replicas of one convolution.

    In mode ``bands`` every replica has a copy of the one input map, computes its own band, and the
    bands are gathered to one output map. In mode ``images`` every replica has a map of its own from
    end to end, and those without an image stay idle.

    **Timing**: as of :class:`~hw.cnn.convolver.Convolver`; ``done`` comes ``Gather.LATENCY`` cycles
    after the last pooled pixel was taken, with the last word at the output. Bands that end in the
    same cycle are gathered one after the other.

    Parameters
    ----------
    config : CnnConfig
    layer : int
        A convolution.

    Members
    -------
    i_0, ... : ``In(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Words of the input map, or of each replica's; never stall.
    bank : ``In(1)``, first layer only
        See :class:`~hw.cnn.convolver.Convolver`.
    start : ``In(1)``
        Strobe: the inputs are complete.
    active : ``In(n)``
        Replicas that have an image; replica 0 always. In mode ``bands`` all.
    o_0, ... : ``Out(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Words of the output map, or of each replica's.
    done : ``Out(1)``
    i_parameters : ``In(stream)`` of :func:`hw.cnn.layouts.parameter_layout`
    array_0, ... : ``Out(array_signature(config, layer))``
    events_0, ... : ``Out`` of :func:`hw.cnn.layouts.product_events_layout`
        Of each replica.
    """

    def __init__(self, config: CnnConfig, layer: int) -> None:
        self.config = config
        self.layer = layer
        self.replicas = range(config.replicas.n)
        self.copies = range(n_copies(config))
        words = {
            "i": In(self._words(config.in_shape(layer))),
            "o": Out(self._words(config.out_shape(layer))),
        }
        super().__init__(
            {f"{name}_{copy}": port for name, port in words.items() for copy in self.copies}
            | {
                "start": In(1),
                "active": In(len(self.replicas)),
                "done": Out(1),
                "i_parameters": In(stream.Signature(parameter_layout(config), always_ready=True)),
            }
            | {f"array_{replica}": Out(array_signature(config, layer)) for replica in self.replicas}
            | {f"events_{replica}": Out(product_events_layout()) for replica in self.replicas}
            | ({} if layer else {"bank": In(1)})
        )

    def _words(self, shape: tuple[int, int, int]) -> stream.Signature:
        return stream.Signature(feature_word_layout(shape), always_ready=True)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self.config, self.layer
        bands = config.bands(layer)
        per_copy = len(bands)
        for copy in self.copies:
            m.submodules[f"gather_{copy}"] = gather = Gather(
                shape=config.out_shape(layer), first_rows=[band.pool_first for band in bands]
            )
            connect(m, gather.o, flipped(getattr(self, f"o_{copy}")))
            # All images take the same time, and the first replica always has one.
            if copy == 0:
                m.d.comb += self.done.eq(gather.done)
            for k, band in enumerate(bands):
                replica = copy * per_copy + k
                m.submodules[f"convolver_{replica}"] = convolver = Convolver(config, layer, band)
                words = getattr(self, f"i_{copy}")
                index = config.array_index(replica, layer)
                m.d.comb += [
                    convolver.i.valid.eq(words.valid),
                    convolver.i.p.eq(words.p),
                    convolver.start.eq(self.start & self.active[replica]),
                    convolver.i_parameters.p.eq(self.i_parameters.p),
                    convolver.i_parameters.valid.eq(
                        self.i_parameters.valid & (self.i_parameters.p.array == index)
                    ),
                ]
                connect(m, convolver.o, getattr(gather, f"i_{k}"))
                connect(m, convolver.array, flipped(getattr(self, f"array_{replica}")))
                m.d.comb += getattr(self, f"events_{replica}").eq(convolver.events)
                if layer == 0:
                    m.d.comb += convolver.bank.eq(self.bank)
        return m
