"""Line drivers: the registers that hold the pulse width of every line of an array."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from model.activation_unit import BIAS

__all__ = ["LineDrivers", "line_word_layout"]


def line_word_layout(shape: ShapeLike, lanes: int) -> data.StructLayout:
    """``lanes`` line values of ``shape``; lane k of word w drives line w * lanes + k."""
    return data.StructLayout({"values": data.ArrayLayout(shape, lanes), "last": 1})


class LineDrivers(wiring.Component):
    """Collects words of line values until all lines of an array can be driven at once.

    ``drive[w * lanes + k] = values[k]`` of word w, for every line that a word reaches; lanes beyond
    the lines are ignored. ``last`` ends a vector: the next word is word 0 again. A vector of fewer
    words leaves the remaining lines as they were. Turning a value into a pulse width is the
    array macro's work.

    **Timing**: single-buffered, a word transferred in cycle t is on ``drive`` from t + 1 and ``i``
    is always ready. Double-buffered, words fill registers behind the drivers; ``apply`` in cycle t
    puts them on ``drive`` from t + 1. ``i`` does not accept from the transfer of ``last`` until
    that ``apply`` or ``rewind``, and again from the cycle after it. After reset every line but the
    bias is 0.

    Parameters
    ----------
    n_lines : int
        Lines of the array, the bias line included.
    shape : ShapeLike
        ``unsigned(8)`` for rows, ``signed(8)`` for columns.
    lanes : int
        Values a word.
    double_buffered : bool
        Whether the next vector may be loaded while this one drives the array.
    bias : bool
        Whether the last line is the bias: driven at the constant 255, not streamed.

    Members
    -------
    i : ``In(stream)`` of :func:`line_word_layout`
        At most ``n_words`` words a vector, the last of them with ``last``.
    drive : ``Out(ArrayLayout(shape, n_lines))``
    apply : ``In(1)``, double-buffered only
        Strobe: the loaded vector becomes the driven one. Only after its ``last``.
    rewind : ``In(1)``, double-buffered only
        Strobe: the vector being loaded, complete or not, is dropped; wins over a word transferred
        in the same cycle.

    Raises
    ------
    ValueError
        If there is no line to stream to.
    """

    def __init__(
        self,
        *,
        n_lines: int,
        shape: ShapeLike,
        lanes: int,
        double_buffered: bool = False,
        bias: bool = False,
    ) -> None:
        if n_lines - bias < 1:
            raise ValueError(f"n_lines must leave a line besides the bias, not {n_lines}.")
        if lanes < 1:
            raise ValueError(f"lanes must be positive, not {lanes}.")
        if bias and Shape.cast(shape).signed:
            raise ValueError(f"The bias line needs an unsigned shape, not {shape!r}.")
        self.n_lines = n_lines
        self.shape = shape
        self.lanes = lanes
        self.double_buffered = double_buffered
        self.bias = bias
        self.n_values = n_lines - bias
        self.n_words = -(-self.n_values // lanes)
        word = stream.Signature(line_word_layout(shape, lanes), always_ready=not double_buffered)
        ports = {"i": In(word), "drive": Out(data.ArrayLayout(shape, n_lines))}
        if double_buffered:
            ports |= {"apply": In(1), "rewind": In(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = Shape.cast(self.shape).width
        # One register and one enable a word: never an index into the whole vector.
        lines = [min(self.lanes, self.n_values - k * self.lanes) for k in range(self.n_words)]
        driven = [Signal(n * bits, name=f"driven_{k}") for k, n in enumerate(lines)]
        loading = driven
        if self.double_buffered:
            loading = [Signal(n * bits, name=f"loading_{k}") for k, n in enumerate(lines)]

        bias = [Const(BIAS, bits)] if self.bias else []
        m.d.comb += self.drive.as_value().eq(Cat(*driven, *bias))

        word = Signal(range(self.n_words))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += word.eq(Mux(self.i.p.last, 0, word + 1))
            with m.Switch(word):
                for index, register in enumerate(loading):
                    with m.Case(index):
                        m.d.sync += register.eq(Value.cast(self.i.p["values"]))

        if self.double_buffered:
            full = Signal()
            m.d.comb += self.i.ready.eq(~full)
            with m.If(self.i.valid & self.i.ready & self.i.p.last):
                m.d.sync += full.eq(1)
            with m.If(self.apply):
                m.d.sync += full.eq(0)
                m.d.sync += [d.eq(source) for d, source in zip(driven, loading, strict=True)]
            with m.If(self.rewind):
                m.d.sync += [word.eq(0), full.eq(0)]
        return m
