"""Outer product: walks the non-zero part of errors x activations, a word of lanes a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.layouts import product_word_layout, update_command_layout
from hw.priority import encode, lowest, without_lowest
from model.config import Config

__all__ = [
    "ErrorCodes",
    "OuterProduct",
    "WordWalker",
    "error_code_word_layout",
    "nonzero_error_layout",
    "nonzero_layout",
]


def error_code_word_layout(config: Config) -> data.StructLayout:
    """``lanes`` update codes of a layer's errors."""
    return data.StructLayout(
        {
            # -3..3; lanes beyond the vector are zero.
            "codes": data.ArrayLayout(signed(3), config.update.lanes),
            # High in the last word of a vector.
            "last": unsigned(1),
        }
    )


def nonzero_layout(config: Config) -> data.ArrayLayout:
    """For each layer one flag a word of its activations: the word has a non-zero code."""
    n_layers = config.network.n_layers
    return data.ArrayLayout(unsigned(max(config.n_words(k) for k in range(n_layers))), n_layers)


def nonzero_error_layout(config: Config) -> data.StructLayout:
    """A unit with a non-zero update code."""
    return data.StructLayout(
        {
            "unit": product_word_layout(config)["unit"].shape,
            # -3..3, not 0.
            "error": signed(3),
        }
    )


class ErrorCodes(wiring.Component):
    """Holds the update codes of one layer's errors and gives the non-zero ones, units rising.

    Words of a vector come in order, ``last`` with the last of them; the first word of a vector
    drops what the vector before it left. Each non-zero code is given once.

    Timing: one word a cycle at ``i`` while ``enable`` is low, one unit a cycle at ``o`` while it is
    high; a word that comes in the cycle before ``enable`` is among them.

    Parameters
    ----------
    config : Config

    Members
    -------
    enable : In(1)
        Give instead of take. High until ``o.valid`` is low, once it is high.
    drop : In(1)
        Forget the vector.
    i : In(stream of error_code_word_layout)
    o : Out(stream of nonzero_error_layout)
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "enable": In(1),
                "drop": In(1),
                "i": In(stream.Signature(error_code_word_layout(config))),
                "o": Out(stream.Signature(nonzero_error_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network, lanes = self.config.network, self.config.update.lanes
        n_units = max(network.n_cols(layer) for layer in range(network.n_layers))
        n_words = self.config.rows_to_words(n_units)

        # The codes as three bit planes over the units, so that one-hot selection of a code is three
        # wide AND-ORs; and a flag for each unit that is still to come.
        planes = [Signal(n_units, name=f"errors_bit{bit}") for bit in range(3)]
        pending = Signal(n_units)
        fill = Signal(range(max(2, n_words)))
        codes = self.i.payload.codes
        m.d.comb += self.i.ready.eq(~self.enable)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += fill.eq(Mux(self.i.payload.last, 0, fill + 1))
            with m.If(fill == 0):
                m.d.sync += pending.eq(0)
            with m.Switch(fill):
                for word in range(n_words):
                    with m.Case(word):
                        for lane in range(min(lanes, n_units - word * lanes)):
                            unit = word * lanes + lane
                            m.d.sync += pending[unit].eq(codes[lane].any())
                            m.d.sync += [planes[b][unit].eq(codes[lane][b]) for b in range(3)]

        onehot = Signal(n_units)
        m.d.comb += [
            onehot.eq(lowest(pending)),
            self.o.valid.eq(self.enable & pending.any()),
            self.o.payload.unit.eq(encode(onehot)),
            self.o.payload.error.eq(Cat((onehot & plane).any() for plane in planes).as_signed()),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += pending.eq(without_lowest(pending))
        with m.If(self.drop):
            m.d.sync += pending.eq(0)
        return m


class WordWalker(wiring.Component):
    """Walks scalars x words: each scalar that comes meets every word with a non-zero code, rising.

    ::

        products[lane] = -codes[word, lane] * scalar
        address = base[layer] + unit * n_words[layer] + word

    What the scalars and the words are is the parent's: errors and activations, or the reverse.

    Timing: as of :class:`OuterProduct`, whose scalars come one a cycle from cycle 1 on.

    Parameters
    ----------
    units : sequence of int
        For each layer the number of scalars.
    words : sequence of int
        For each layer the number of words that a scalar may meet.
    scalar : data.StructLayout
        ``unit``, the scalar's index, and ``error``, its signed value, not 0.
    code : Shape
        Of a code, signed.
    command : data.StructLayout
        ``layer``; further fields leave with every word.
    product : data.StructLayout
        ``layer``, ``unit``, ``word``, ``address``, ``products``, and the command's further fields.

    Members
    -------
    i_command : In(stream of command)
        Ready while ``busy`` is low.
    i_scalars : In(stream of scalar)
        Of the running update; not valid when none is left.
    drop : Out(1)
        No word has a non-zero code: the scalars are not wanted.
    layer, code_address, codes, nonzero, o, busy
        As of :class:`OuterProduct`.
    """

    FIRST_WORD = 3  # from i_command transfer to o.valid of word 0
    EMPTY_CYCLES = 1  # cycles of busy when no word is touched

    def __init__(
        self,
        *,
        units: Sequence[int],
        words: Sequence[int],
        scalar: data.StructLayout,
        code: Shape,
        command: data.StructLayout,
        product: data.StructLayout,
    ) -> None:
        self.units = tuple(units)
        self.words = tuple(words)
        self.command = command
        super().__init__(
            {
                "i_command": In(stream.Signature(command)),
                "i_scalars": In(stream.Signature(scalar)),
                "drop": Out(1),
                "layer": Out(product["layer"].shape),
                "code_address": Out(product["word"].shape),
                "codes": In(data.ArrayLayout(code, product["products"].shape.length)),
                "nonzero": In(data.ArrayLayout(unsigned(max(words)), len(self.words))),
                "o": Out(stream.Signature(product)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layers, o = range(len(self.units)), self.o.payload
        scalars = self.i_scalars

        # Cycle 0: take the command.
        words, command = Signal.like(self.nonzero[0]), Signal(self.command)
        m.d.comb += self.i_command.ready.eq(~self.busy)
        with m.If(self.i_command.valid & self.i_command.ready):
            m.d.sync += [self.busy.eq(1), command.eq(self.i_command.payload)]
            with m.Switch(self.i_command.payload.layer):
                for layer in layers:
                    with m.Case(layer):
                        m.d.sync += words.eq(self.nonzero[layer])

        # Cycle 1: choose a unit, whenever the unit before it is at its last word.
        advance = Signal()
        pending_words = Signal.like(words)
        unit, unit_valid = Signal(o.unit.shape()), Signal()
        negated_error = Signal.like(scalars.payload.error)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            scalars.ready.eq(advance & ~without_lowest(pending_words).any()),
            self.drop.eq(self.busy & ~words.any()),
        ]
        with m.If(scalars.ready):
            m.d.sync += [
                unit.eq(scalars.payload.unit),
                unit_valid.eq(scalars.valid & words.any()),
                negated_error.eq(-scalars.payload.error),
                pending_words.eq(Mux(scalars.valid, words, 0)),
            ]
        with m.Elif(advance):
            m.d.sync += pending_words.eq(without_lowest(pending_words))

        # Cycle 2: choose a word of it and read its codes. A stalled word keeps its own address.
        word, base = Signal(o.word.shape()), Signal(o.address.shape())
        unit_at_o, word_at_o = Signal.like(unit), Signal.like(word)
        address_at_o, error_at_o = Signal.like(base), Signal.like(negated_error)
        m.d.comb += [
            word.eq(encode(lowest(pending_words))),
            self.code_address.eq(Mux(advance, word, word_at_o)),
            self.layer.eq(command.layer),
        ]
        with m.Switch(self.layer):
            first = 0
            for layer in layers:
                with m.Case(layer):
                    m.d.comb += base.eq(Const(first) + unit * Const(self.words[layer]))
                first += self.units[layer] * self.words[layer]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(unit_valid)
        with m.If(advance & unit_valid):
            m.d.sync += [
                unit_at_o.eq(unit),
                word_at_o.eq(word),
                address_at_o.eq(base + word),
                error_at_o.eq(negated_error),
            ]

        # Cycle 3: the codes are here: multiply.
        m.d.comb += [
            *(o[name].eq(command[name]) for name in self.command.members),
            o.unit.eq(unit_at_o),
            o.word.eq(word_at_o),
            o.address.eq(address_at_o),
            *(p.eq(code * error_at_o) for p, code in zip(o.products, self.codes, strict=True)),
        ]

        with m.If(self.busy & advance & ~unit_valid & ~(scalars.valid & words.any())):
            m.d.sync += self.busy.eq(0)
        return m


class OuterProduct(wiring.Component):
    """The words of one layer's update that change anything, in the order of the model.

    For every unit with a non-zero error code, rising, and every word of activations with a non-zero
    code, rising, as :func:`model.outer_product.word_products`::

        products[lane] = -codes[word, lane] * error[unit]
        address = chi_base(layer) + unit * n_words(layer) + word

    Zeros are never walked: priority selection finds the next unit and the next word.

    Error codes come first, words of a vector in order, ``last`` with the last of them. The first
    word of a vector drops what the vector before it left. A command then runs the update with the
    words transferred up to and with its own cycle, and consumes them: when ``busy`` falls, no
    non-zero error is left.

    Timing: with a command transferred in cycle 0 and N = (non-zero errors) x (non-zero words), word
    i is at ``o`` in cycle ``FIRST_WORD + i``, one a cycle without bubbles if never stalled, else
    later by the stalled cycles. ``busy`` is high from cycle 1 up to and with the last transfer; for
    N = 0 in ``EMPTY_CYCLES`` cycles.

    Parameters
    ----------
    config : Config
        Gives layer widths and ``update.lanes``.

    Members
    -------
    i_errors : In(stream of error_code_word_layout)
        Ready while ``busy`` is low.
    i_command : In(stream of update_command_layout)
        Ready while ``busy`` is low.
    layer : Out(range(n_layers))
        Layer of the running update: selects whose code buffer answers.
    code_address : Out(range(n_words))
        Word of activation codes to read.
    codes : In(ArrayLayout(signed(3), lanes))
        That word of that layer, one cycle later.
    nonzero : In(nonzero_layout)
        Which words have a non-zero code; sampled with the command. Bits beyond a layer are zero.
    o : Out(stream of product_word_layout)
    busy : Out(1)
        An update runs.

    Source
    ------
    Nandakumar 2020, Methods: 3-bit outer product, zeros skipped.
    """

    FIRST_WORD = WordWalker.FIRST_WORD
    EMPTY_CYCLES = WordWalker.EMPTY_CYCLES

    def __init__(self, config: Config) -> None:
        self.config = config
        product = product_word_layout(config)
        super().__init__(
            {
                "i_errors": In(stream.Signature(error_code_word_layout(config))),
                "i_command": In(stream.Signature(update_command_layout(config))),
                "layer": Out(product["layer"].shape),
                "code_address": Out(product["word"].shape),
                "codes": In(data.ArrayLayout(signed(3), config.update.lanes)),
                "nonzero": In(nonzero_layout(config)),
                "o": Out(stream.Signature(product)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, network = self.config, self.config.network
        layers = range(network.n_layers)
        m.submodules.error_codes = error_codes = ErrorCodes(config)
        m.submodules.walker = walker = WordWalker(
            units=[network.n_cols(layer) for layer in layers],
            words=[config.n_words(layer) for layer in layers],
            scalar=nonzero_error_layout(config),
            code=signed(3),
            command=update_command_layout(config),
            product=product_word_layout(config),
        )
        connect(m, flipped(self.i_errors), error_codes.i)
        connect(m, flipped(self.i_command), walker.i_command)
        connect(m, error_codes.o, walker.i_scalars)
        connect(m, walker.o, flipped(self.o))
        m.d.comb += [
            # Error codes come while no update runs.
            error_codes.enable.eq(walker.busy),
            error_codes.drop.eq(walker.drop),
            walker.codes.eq(self.codes),
            walker.nonzero.eq(self.nonzero),
            self.layer.eq(walker.layer),
            self.code_address.eq(walker.code_address),
            self.busy.eq(walker.busy),
        ]
        return m
