"""Gather: the pooled pixels of all bands as words of the next layer's feature map."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import feature_word_layout, pixel_layout

__all__ = ["Gather"]


class Gather(wiring.Component):
    """Puts an address to every pixel and sends them one a cycle; the lowest input goes first.

    Pixels of input k come in raster order from line ``first_rows[k]`` on. Bands have all their
    pixels within one pass; then the inputs begin at their first line again.

    **Timing**: a pixel transferred in cycle 0 is at ``o`` in cycle 1 (``LATENCY`` = 1). ``done`` is
    high with the last word of the map. With n inputs a pixel waits n - 1 cycles at most.

    Parameters
    ----------
    shape : tuple[int, int, int]
        Of the map: height, width, channels.
    first_rows : sequence of int
        First line of each band, rising, the first of them 0.

    Members
    -------
    i_0, i_1, ... : ``In(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Never stalls.
    done : ``Out(1)``
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, *, shape: tuple[int, int, int], first_rows: Sequence[int]) -> None:
        self.shape = shape
        self.first_rows = tuple(first_rows)
        pixel = stream.Signature(pixel_layout(shape[2]))
        super().__init__(
            {f"i_{k}": In(pixel) for k in range(len(self.first_rows))}
            | {
                "o": Out(stream.Signature(feature_word_layout(shape), always_ready=True)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height, width, _ = self.shape
        firsts = [row * width for row in self.first_rows]
        ends = [*firsts[1:], height * width]

        m.d.sync += self.o.valid.eq(0)
        earlier = Signal(len(firsts))  # bit k: some input before k has a pixel
        for k, (first, end) in enumerate(zip(firsts, ends, strict=True)):
            port = getattr(self, f"i_{k}")
            m.d.comb += port.ready.eq(~earlier[k])
            if k + 1 < len(firsts):
                m.d.comb += earlier[k + 1].eq(earlier[k] | port.valid)
            address = Signal(range(height * width), init=first, name=f"address_{k}")
            with m.If(port.valid & port.ready):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.p.address.eq(address),
                    self.o.p.pixel.eq(port.p),
                    address.eq(address + 1),
                ]
                with m.If(address == end - 1):
                    m.d.sync += address.eq(first)

        words = Signal(range(height * width))
        with m.If(self.o.valid):
            m.d.sync += words.eq(words + 1)
            with m.If(words == height * width - 1):
                m.d.sync += words.eq(0)
                m.d.comb += self.done.eq(1)
        return m
