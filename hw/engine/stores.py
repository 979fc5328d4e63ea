"""Where an engine keeps its vectors: activations of all layers, errors."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layouts import error_vector_layout, layer_shape, unit_shape, word_shape
from hw.layouts import activation_word_layout
from model.activation_unit import BIAS
from model.engine.config import EngineConfig

__all__ = ["ActivationStore", "ErrorStore"]


def _bases(sizes: list[int]) -> Array:
    return Array(Const(sum(sizes[:k])) for k in range(len(sizes)))


class ActivationStore(wiring.Component):
    """Keeps the inputs of every layer; the bias, behind the last, is the constant 255.

    **Timing**: ``i`` is never stalled; ``activations`` belong to the ``layer`` and ``word`` of the
    cycle before (``LATENCY`` = 1), and a word written in cycle t is readable from t + 1. Contents
    are undefined until written, lanes beyond the bias zero.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of activation_word_layout)
        The vector without the bias, from word 0; the word after ``last`` is word 0 again.
    write_layer : In
        Whose inputs these are.
    layer, word : In
    activations : Out(ArrayLayout(unsigned(8), lanes))
    """

    LATENCY = 1  # from layer and word to activations

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        words = activation_word_layout(config.unit)
        super().__init__(
            {
                "i": In(stream.Signature(words, always_ready=True)),
                "write_layer": In(layer_shape(config)),
                "layer": In(layer_shape(config)),
                "word": In(word_shape(config)),
                "activations": Out(words["activations"].shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        layers = range(config.network.n_layers)
        sizes = [config.n_words(k) for k in layers]
        m.submodules.memory = vectors = memory.Memory(
            shape=self.activations.shape(), depth=sum(sizes), init=[]
        )
        write, read = vectors.write_port(), vectors.read_port()
        written = Signal.like(self.word)
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(_bases(sizes)[self.write_layer] + written),
            write.data.eq(self.i.p.activations),
            read.en.eq(1),
            read.addr.eq(_bases(sizes)[self.layer] + self.word),
        ]
        with m.If(self.i.valid):
            m.d.sync += written.eq(Mux(self.i.p.last, 0, written + 1))

        layer, word = Signal.like(self.layer), Signal.like(self.word)
        m.d.sync += [layer.eq(self.layer), word.eq(self.word)]
        m.d.comb += self.activations.eq(read.data)
        with m.Switch(layer):
            for k in layers:
                bias_word, bias_lane = divmod(config.network.n_rows(k) - 1, config.lanes)
                with m.Case(k):
                    with m.If(word == bias_word):
                        m.d.comb += self.activations[bias_lane].eq(BIAS)
                        for lane in range(bias_lane + 1, config.lanes):
                            m.d.comb += self.activations[lane].eq(0)
        return m


class ErrorStore(wiring.Component):
    """Keeps the errors of every layer's units, written by words and read one by one.

    **Timing**: ``i`` is never stalled; ``error`` belongs to the ``layer`` and ``unit`` of the cycle
    before (``LATENCY`` = 1). Contents are undefined until written.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of error_vector_layout)
        A vector from word 0; the word after ``last`` is word 0 again.
    write_layer : In
        Whose units these are.
    layer, unit : In
    error : Out(signed(error_bits))
    """

    LATENCY = 1  # from layer and unit to error

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(error_vector_layout(config), always_ready=True)),
                "write_layer": In(layer_shape(config)),
                "layer": In(layer_shape(config)),
                "unit": In(unit_shape(config)),
                "error": Out(signed(config.error_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        sizes = [config.unit_words(k) for k in range(config.network.n_layers)]
        m.submodules.memory = vectors = memory.Memory(
            shape=self.i.p.errors.shape(), depth=sum(sizes), init=[]
        )
        write, read = vectors.write_port(), vectors.read_port()
        written = Signal(range(max(2, max(sizes))))
        # `lanes` is a power of two: a unit's index is its word and lane side by side.
        lane_bits = config.lanes.bit_length() - 1
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(_bases(sizes)[self.write_layer] + written),
            write.data.eq(self.i.p.errors),
            read.en.eq(1),
            read.addr.eq(_bases(sizes)[self.layer] + (self.unit >> lane_bits)),
        ]
        with m.If(self.i.valid):
            m.d.sync += written.eq(Mux(self.i.p.last, 0, written + 1))

        lane = Signal(unsigned(lane_bits))
        m.d.sync += lane.eq(self.unit[:lane_bits])
        m.d.comb += self.error.eq(read.data[lane])
        return m
