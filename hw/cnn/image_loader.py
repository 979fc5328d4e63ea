"""Image loader: images from the host, pixel by pixel, to the feature maps of the first layer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import feature_word_layout, n_copies, pixel_layout
from model.cnn.config import CnnConfig

__all__ = ["ImageLoader", "image_word_layout"]


def image_word_layout(config: CnnConfig) -> data.StructLayout:
    """A pixel of an image from the host."""
    return data.StructLayout(
        {
            "pixel": pixel_layout(config.network.channels),
            # With the last pixel of an image: the group is complete though it has fewer images
            # than there are replicas. Without meaning else, and in mode bands.
            "last": 1,
        }
    )


class ImageLoader(wiring.Component):
    """Collects a group of images: one in mode ``bands``, up to one a replica in mode ``images``.

    Pixels come in raster order, image after image; image k of a group goes to ``o_k``.

    **Timing**: a pixel a cycle, at the output in the cycle of its transfer. ``ready`` rises in the
    cycle after the group's last pixel and stays until ``take``; meanwhile the input stalls, up to
    and including the cycle of ``take``.

    Parameters
    ----------
    config : CnnConfig

    Members
    -------
    i : ``In(stream)`` of :func:`image_word_layout`
    o_0, ... : ``Out(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Never stall.
    ready : ``Out(1)``
        A group is complete.
    n_images : ``Out(range)``
        Its images; valid with ``ready``.
    take : ``In(1)``
        Strobe: the group has become the current one. Only with ``ready``.
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.copies = range(n_copies(config))
        words = stream.Signature(feature_word_layout(config.in_shape(0)), always_ready=True)
        super().__init__(
            {"i": In(stream.Signature(image_word_layout(config)))}
            | {f"o_{copy}": Out(words) for copy in self.copies}
            | {"ready": Out(1), "n_images": Out(range(len(self.copies) + 1)), "take": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height, width, _ = self.config.in_shape(0)
        address, image = Signal(range(height * width)), Signal(range(len(self.copies)))
        accept, last_pixel = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~self.ready),
            accept.eq(self.i.valid & self.i.ready),
            last_pixel.eq(address == height * width - 1),
        ]
        for copy in self.copies:
            port = getattr(self, f"o_{copy}")
            m.d.comb += [
                port.valid.eq(accept & (image == copy)),
                port.p.address.eq(address),
                port.p.pixel.eq(self.i.p.pixel),
            ]
        with m.If(accept):
            m.d.sync += address.eq(Mux(last_pixel, 0, address + 1))
            with m.If(last_pixel):
                last_image = (image == len(self.copies) - 1) | self.i.p.last
                m.d.sync += [
                    image.eq(Mux(last_image, 0, image + 1)),
                    self.ready.eq(last_image),
                    self.n_images.eq(image + 1),
                ]
        with m.If(self.take):
            m.d.sync += self.ready.eq(0)
        return m
