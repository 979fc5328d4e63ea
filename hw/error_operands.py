"""Operands of the error unit: where a layer's factors and activations come from."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import activation_word_layout, code_word_layout, operand_word_layout
from model.config import Config
from model.frames import UnitSizes

__all__ = ["HiddenOperands", "OutputOperands"]

TARGET = 255
"""Target activation of the labelled class; the target of every other class is 0."""


class OutputOperands(wiring.Component):
    """Subtracts the target from the output activations: ``factor = y - (255 if labelled else 0)``.

    Unit ``w * lanes + k`` is lane k of word w since the last ``last``. Lanes beyond the classes
    have activation 0 at ``i``, so their error is 0.

    **Timing**: ``LATENCY`` = 0, combinational but for the word counter; ``i`` stalls with ``o``.

    Parameters
    ----------
    config : UnitSizes

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.activation_word_layout`
    o : ``Out(stream)`` of :func:`hw.layouts.operand_word_layout`
    label : ``In(range(n_classes))``
        Stable while a vector passes.
    """

    LATENCY = 0  # from i.valid to o.valid

    def __init__(self, config: UnitSizes) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(activation_word_layout(config))),
                "o": Out(stream.Signature(operand_word_layout(config))),
                "label": In(range(config.network.layers[-1])),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.update.lanes
        word = Signal(range(self.config.rows_to_words(self.config.network.layers[-1])))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += word.eq(Mux(self.i.p.last, 0, word + 1))

        m.d.comb += [
            self.i.ready.eq(self.o.ready),
            self.o.valid.eq(self.i.valid),
            self.o.p.last.eq(self.i.p.last),
            self.o.p.activations.eq(self.i.p.activations),
        ]
        # `lanes` is a power of two: a unit's index is its word and lane side by side.
        lane_bits = lanes.bit_length() - 1
        labelled_word = Signal()
        m.d.comb += labelled_word.eq(word == self.label >> lane_bits)
        for lane in range(lanes):
            labelled = labelled_word & (self.label[:lane_bits] == lane)
            m.d.comb += self.o.p.factors[lane].eq(
                self.i.p.activations[lane] - Mux(labelled, TARGET, 0)
            )
        return m


class HiddenOperands(wiring.Component):
    """Keeps the hidden activations and joins them with the codes of the backward products.

    A vector of activations is stored as it leaves the activation unit. Word k of the codes at
    ``i`` leaves with word k of the activations of the units of ``layer``. Layers are numbered by
    the weight layer whose columns the units are, 0 .. n_layers - 2; the same vector drives the
    rows of layer + 1. Storing and joining the same layer at the same time is not supported.

    **Timing**: ``LATENCY`` = 1 cycle from the transfer at ``i`` to ``o.valid``, the memory's; one
    word a cycle, ``i`` stalls with ``o``. ``i_activations`` is always ready; a word written in
    cycle t may be joined from t + 1. Memory contents are undefined until written.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.code_word_layout`
        Backward codes.
    layer : ``In(range(n_layers))``
        Whose units the codes belong to; stable from a vector's first word to its last.
    i_activations : ``In(stream)`` of :func:`hw.layouts.activation_word_layout`
        Hidden activations; never the output layer's.
    write_layer : ``In(range(n_layers))``
        Whose units the activations belong to; sampled with every word.
    o : ``Out(stream)`` of :func:`hw.layouts.operand_word_layout`

    Raises
    ------
    ValueError
        If the network has no hidden layer.
    """

    LATENCY = 1  # from i transfer to o.valid

    def __init__(self, config: Config) -> None:
        n_layers = config.network.n_layers
        if n_layers < 2:
            raise ValueError(f"A network of {n_layers} weight layer has no hidden activations.")
        self.config = config
        #: Words of the hidden vectors, by layer.
        self.n_words = [config.rows_to_words(width) for width in config.network.layers[1:-1]]
        activation_words = activation_word_layout(config)
        super().__init__(
            {
                "i": In(stream.Signature(code_word_layout(config))),
                "layer": In(range(n_layers)),
                "i_activations": In(stream.Signature(activation_words, always_ready=True)),
                "write_layer": In(range(n_layers)),
                "o": Out(stream.Signature(operand_word_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, depth = self.config.update.lanes, sum(self.n_words)
        m.submodules.memory = activations = memory.Memory(
            shape=data.ArrayLayout(unsigned(8), lanes), depth=depth, init=[]
        )
        write, read = activations.write_port(), activations.read_port()

        write_word = Signal(range(max(self.n_words)))
        self._address(m, write.addr, self.write_layer, write_word)
        m.d.comb += [
            write.en.eq(self.i_activations.valid),
            write.data.eq(self.i_activations.p.activations),
        ]
        with m.If(self.i_activations.valid):
            m.d.sync += write_word.eq(Mux(self.i_activations.p.last, 0, write_word + 1))

        # Cycle 0: register codes, read memory; both hold while the output is stalled.
        read_word = Signal(range(max(self.n_words)))
        self._address(m, read.addr, self.layer, read_word)
        m.d.comb += [
            self.i.ready.eq(self.o.ready | ~self.o.valid),
            read.en.eq(self.i.valid & self.i.ready),
            self.o.p.activations.eq(read.data),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(read.en):
            m.d.sync += [
                self.o.p.last.eq(self.i.p.last),
                read_word.eq(Mux(self.i.p.last, 0, read_word + 1)),
            ]
            for lane in range(lanes):
                m.d.sync += self.o.p.factors[lane].eq(self.i.p.codes[lane])
        return m

    def _address(self, m: Module, address: Signal, layer: Signal, word: Signal) -> None:
        """``address = base(layer) + word``."""
        with m.Switch(layer):
            for index in range(len(self.n_words)):
                with m.Case(index):
                    m.d.comb += address.eq(sum(self.n_words[:index]) + word)
