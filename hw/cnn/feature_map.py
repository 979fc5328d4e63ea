"""Feature map: the memory of a layer's input, written pixel by pixel, read band by band."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import feature_word_layout, pixel_layout

__all__ = ["FeatureMap"]


class FeatureMap(wiring.Component):
    """A replica's copy of a map; sends the lines of its band, halo included, in raster order.

    ``o``: pixels ``first_row * width`` to ``end_row * width - 1``. Double-buffered, there are two
    maps: words go to the one that ``bank`` does not select, so that the next image may be loaded
    while this one is read.

    **Timing**: the first pixel is valid in the cycle after ``start`` (``LATENCY`` = 1), then one a
    cycle. A word transferred in a cycle can be read by a ``start`` in the next.

    Parameters
    ----------
    shape : tuple[int, int, int]
        Height, width, channels.
    first_row, end_row : int
        Lines that are sent.
    double_buffered : bool

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Always ready.
    start : ``In(1)``
        Strobe: send the band. Only when the band before was sent.
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
    bank : ``In(1)``, double-buffered only
        Which map is read; stable from ``start`` on.

    Raises
    ------
    ValueError
        If the band is empty or leaves the map.
    """

    LATENCY = 1  # from start to o.valid

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],
        first_row: int,
        end_row: int,
        double_buffered: bool = False,
    ) -> None:
        if not 0 <= first_row < end_row <= shape[0]:
            raise ValueError(
                f"A band must be rows of the map's {shape[0]}, not {first_row} to {end_row}."
            )
        self.shape = shape
        self.first_row = first_row
        self.end_row = end_row
        self.double_buffered = double_buffered
        ports = {
            "i": In(stream.Signature(feature_word_layout(shape), always_ready=True)),
            "start": In(1),
            "o": Out(stream.Signature(pixel_layout(shape[2]))),
        }
        super().__init__(ports | ({"bank": In(1)} if double_buffered else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height, width, channels = self.shape
        size = height * width
        m.submodules.pixels = pixels = memory.Memory(
            shape=pixel_layout(channels), depth=size * (1 + self.double_buffered), init=[]
        )
        read, write = pixels.read_port(), pixels.write_port()
        read_base, write_base = 0, 0
        if self.double_buffered:
            read_base, write_base = Mux(self.bank, size, 0), Mux(self.bank, 0, size)
        m.d.comb += [
            write.addr.eq(write_base + self.i.p.address),
            write.data.eq(self.i.p.pixel),
            write.en.eq(self.i.valid),
        ]

        # The pixel offered, and its number; the next one is read while it is transferred.
        number, next_number = Signal(range(size)), Signal(range(size))
        last = number == self.end_row * width - 1
        m.d.comb += [
            next_number.eq(number),
            read.addr.eq(read_base + next_number),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += number.eq(next_number)
        with m.If(self.start):
            m.d.comb += next_number.eq(self.first_row * width)
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.comb += next_number.eq(Mux(last, number, number + 1))
            m.d.sync += self.o.valid.eq(~last)
        return m
