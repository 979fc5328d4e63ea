"""Max-pooling of a band in raster order, with partial windows at the lower and right edge."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import pixel_layout

__all__ = ["MaxPool"]


def _larger(left: Value, right: Value) -> Value:
    return Mux(left > right, left, right)


class MaxPool(wiring.Component):
    """Largest activation of every ``pool x pool`` window, by channel.

    Windows lie side by side; one over the edge counts the pixels that exist:
    :func:`model.cnn.pooling.max_pool`. The maxima of the windows begun in the lines above lie in a
    memory of one word a window; one word is emitted as a register (:mod:`hw.ram`).

    **Timing**: a pooled pixel is valid from the cycle after the last pixel of its window
    (``LATENCY`` = 1) until it is taken, which must be before the next window ends. One pixel a
    cycle.

    Parameters
    ----------
    width, height : int
        Pixels of a line, lines of a band.
    channels : int
    pool : int
        Edge of a window; 1 passes all pixels.

    Members
    -------
    start : ``In(1)``
        Strobe: the next pixel is the first of a band.
    i : ``In(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
        Never stalls.
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
    """

    LATENCY = 1  # from the last pixel of a window to o.valid

    def __init__(self, *, width: int, height: int, channels: int, pool: int) -> None:
        self.width = width
        self.height = height
        self.channels = channels
        self.pool = pool
        pixel = pixel_layout(channels)
        super().__init__(
            {
                "start": In(1),
                "i": In(stream.Signature(pixel, always_ready=True)),
                "o": Out(stream.Signature(pixel)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pool, take = self.pool, self.i.valid

        # Place of the next pixel: in the band, and in its window.
        row, col = Signal(range(self.height)), Signal(range(self.width))
        window_row, window_col = Signal(range(pool)), Signal(range(pool))
        last_row, last_col = row == self.height - 1, col == self.width - 1
        ends_row = Signal()  # the pixel is the last of its window's line
        ends_window = Signal()
        m.d.comb += [
            ends_row.eq((window_col == pool - 1) | last_col),
            ends_window.eq(ends_row & ((window_row == pool - 1) | last_row)),
        ]
        with m.If(take):
            m.d.sync += [col.eq(col + 1), window_col.eq(Mux(ends_row, 0, window_col + 1))]
            with m.If(last_col):
                m.d.sync += [col.eq(0), row.eq(Mux(last_row, 0, row + 1))]
                m.d.sync += window_row.eq(
                    Mux((window_row == pool - 1) | last_row, 0, window_row + 1)
                )
        with m.If(self.start):
            m.d.sync += [row.eq(0), col.eq(0), window_row.eq(0), window_col.eq(0)]

        maximum = Signal(pixel_layout(self.channels))
        if pool == 1:
            m.d.comb += maximum.eq(self.i.p)
        else:
            above = self._maxima_above(m, ends_row, last_col, maximum)
            # The maximum so far: of this line in a register, of the lines above in the memory.
            here = Signal(pixel_layout(self.channels))
            with m.If(take):
                m.d.sync += here.eq(maximum)
            for channel in range(self.channels):
                value = self.i.p[channel]
                with m.If(window_col != 0):
                    m.d.comb += maximum[channel].eq(_larger(here[channel], value))
                with m.Elif(window_row != 0):
                    m.d.comb += maximum[channel].eq(_larger(above[channel], value))
                with m.Else():
                    m.d.comb += maximum[channel].eq(value)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take & ends_window):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(maximum)]
        return m

    def _maxima_above(
        self, m: Module, ends_row: Value, last_col: Value, maximum: data.View
    ) -> data.View:
        """What the window of the next pixel had in the lines above; keeps what it has with each."""
        n_windows = -(-self.width // self.pool)
        window, next_window = Signal(range(n_windows)), Signal(range(n_windows))
        m.submodules.windows = windows = memory.Memory(
            shape=pixel_layout(self.channels), depth=n_windows, init=[]
        )
        write = windows.write_port()
        # The next window is read while this one is written; the only one of a line is itself the
        # next.
        read = windows.read_port(transparent_for=[write] if n_windows == 1 else [])
        ends = self.i.valid & ends_row
        m.d.comb += [
            next_window.eq(Mux(ends, Mux(last_col, 0, window + 1), window)),
            read.addr.eq(next_window),
            write.addr.eq(window),
            write.data.eq(maximum),
            write.en.eq(ends),
        ]
        with m.If(self.start):
            m.d.comb += next_window.eq(0)
        m.d.sync += window.eq(next_window)
        return read.data
