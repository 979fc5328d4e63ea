"""Line buffer: a feature map in raster order, one pixel a word, to the patches under a kernel."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import pixel_layout

__all__ = ["LineBuffer"]


class LineBuffer(wiring.Component):
    """Holds the last ``kernel - 1`` lines and shows the patch under the kernel at every stop.

    ``o[c][ky * kernel + kx] = pixel(y * stride + ky, x * stride + kx)[c]`` for y, x in raster
    order: the patches of :func:`model.cnn.line_buffer.patches`. Pixels behind the last patch of a
    line are taken and dropped.

    ::

        i ──┬─► column of kernel pixels ─► window of kernel x kernel ─► o
            └──── last kernel - 1 lines ──┘

    **Timing**: a patch is valid from the cycle after the transfer of its last pixel
    (``LATENCY`` = 1). While it waits no pixel is taken; in the cycle of its transfer one is. One
    pixel a cycle otherwise. The first pixel may come in the cycle after ``start``.

    Parameters
    ----------
    width : int
        Pixels of a line, at least ``kernel``.
    channels : int
    kernel, stride : int
        Edge of the kernel, distance of its stops.

    Members
    -------
    start : ``In(1)``
        Strobe: the next pixel is the first of a map or band. Only whole lines in between.
    i : ``In(stream)`` of :func:`hw.cnn.layouts.pixel_layout`
    o : ``Out(stream)`` of ``ArrayLayout(ArrayLayout(8, kernel**2), channels)``

    Raises
    ------
    ValueError
        If the kernel is wider than a line.
    """

    LATENCY = 1  # from the transfer of a patch's last pixel to o.valid

    def __init__(self, *, width: int, channels: int, kernel: int, stride: int) -> None:
        if not 1 <= kernel <= width:
            raise ValueError(f"kernel must be between 1 and the width {width}, not {kernel}.")
        self.width = width
        self.channels = channels
        self.kernel = kernel
        self.stride = stride
        patch = data.ArrayLayout(data.ArrayLayout(8, kernel**2), channels)
        super().__init__(
            {
                "start": In(1),
                "i": In(stream.Signature(pixel_layout(channels))),
                "o": Out(stream.Signature(patch)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kernel, stride, width = self.kernel, self.stride, self.width
        pixel = pixel_layout(self.channels)

        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            accept.eq(self.i.valid & self.i.ready),
        ]

        # The column of pixels that ends with the new one, oldest first. A column is read a cycle
        # before its pixel can come, and written back without its oldest when it does.
        col, next_col = Signal(range(width)), Signal(range(width))
        m.d.comb += next_col.eq(Mux(accept, Mux(col == width - 1, 0, col + 1), col))
        with m.If(self.start):
            m.d.comb += next_col.eq(0)
        m.d.sync += col.eq(next_col)
        column = [self.i.p]
        if kernel > 1:
            lines = data.ArrayLayout(pixel, kernel - 1)
            m.submodules.lines = store = memory.Memory(shape=lines, depth=width, init=[])
            read, write = store.read_port(), store.write_port()
            column = [*(read.data[ky] for ky in range(kernel - 1)), self.i.p]
            m.d.comb += [
                read.addr.eq(next_col),
                write.addr.eq(col),
                write.en.eq(accept),
                *(write.data[ky].eq(column[ky + 1]) for ky in range(kernel - 1)),
            ]

        # The window moves one column at a time.
        window = Signal(data.ArrayLayout(data.ArrayLayout(pixel, kernel), kernel))
        with m.If(accept):
            for ky in range(kernel):
                for kx in range(kernel - 1):
                    m.d.sync += window[ky][kx].eq(window[ky][kx + 1])
                m.d.sync += window[ky][kernel - 1].eq(column[ky])
        for channel in range(self.channels):
            for ky in range(kernel):
                for kx in range(kernel):
                    tap = window[ky][kx][channel]
                    m.d.comb += self.o.p[channel][ky * kernel + kx].eq(tap)

        # Lines and columns until the kernel's next stop.
        lines_left = Signal(range(max(kernel, stride)), init=kernel - 1)
        cols_left = Signal(range(max(kernel, stride)), init=kernel - 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(accept):
            m.d.sync += cols_left.eq(Mux(cols_left == 0, stride - 1, cols_left - 1))
            with m.If((lines_left == 0) & (cols_left == 0)):
                m.d.sync += self.o.valid.eq(1)
            with m.If(col == width - 1):
                m.d.sync += [
                    cols_left.eq(kernel - 1),
                    lines_left.eq(Mux(lines_left == 0, stride - 1, lines_left - 1)),
                ]
        with m.If(self.start):
            m.d.sync += [lines_left.eq(kernel - 1), cols_left.eq(kernel - 1)]
        return m
