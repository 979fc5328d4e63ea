"""Fully connected layer: pooled maps as flat vectors, their product, the largest score."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.cnn.layouts import (
    array_signature,
    feature_word_layout,
    n_copies,
    patch_layout,
    product_events_layout,
    result_layout,
    sums_layout,
)
from hw.cnn.product import Product
from model.cnn.config import CnnConfig

__all__ = ["Classifier", "Flatten", "FullyConnected"]


class Flatten(wiring.Component):
    """Collects the words of a map into one vector of chunks, raster order, channels innermost.

    ``vector`` is :func:`model.cnn.fully_connected.flatten` of the map, zeros beyond its last input.

    **Timing**: a word transferred in a cycle is on ``vector`` from the next.

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Never stalls.
    vector : ``Out`` of :func:`hw.cnn.layouts.patch_layout`
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.shape = config.out_shape(config.n_conv - 1)
        super().__init__(
            {
                "i": In(stream.Signature(feature_word_layout(self.shape), always_ready=True)),
                "vector": Out(patch_layout(config, config.n_conv)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height, width, _ = self.shape
        # One register and one enable a word: never an index into the whole vector.
        words = [Signal(self.i.p.pixel.shape(), name=f"word_{k}") for k in range(height * width)]
        with m.If(self.i.valid):
            with m.Switch(self.i.p.address):
                for address, word in enumerate(words):
                    with m.Case(address):
                        m.d.sync += word.eq(self.i.p.pixel)
        values = [value for word in words for value in word]
        n_inputs = self.config.array.n_inputs
        for index in range(self.config.chunks(self.config.n_conv) * n_inputs):
            value = values[index] if index < len(values) else Const(0, 8)
            m.d.comb += self.vector[index // n_inputs][index % n_inputs].eq(value)
        return m


class Classifier(wiring.Component):
    """Number of the largest score, of equal ones the lowest: one comparison a cycle.

    **Timing**: scores transferred in cycle 0 are a result in cycle ``classes + LATENCY``, until it
    is taken. No scores may come before that.

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.sums_layout`
        Never stalls.
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.result_layout`
    done : ``Out(1)``
        Strobe in the first cycle of a result.
    """

    LATENCY = 1  # from i transfer to o.valid, on top of a cycle a class

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        scores = sums_layout(config, config.n_conv)
        super().__init__(
            {
                "i": In(stream.Signature(scores, always_ready=True)),
                "o": Out(stream.Signature(result_layout(config))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        classes = self.config.network.classes
        scores = sums_layout(self.config, self.config.n_conv)

        # The scores go round once, the one to compare in front.
        ring, number, busy = Signal(scores), Signal(range(classes)), Signal()
        largest, predicted = Signal(scores.elem_shape), Signal(range(classes))
        better = Signal()
        m.d.comb += better.eq((number == 0) | (ring[0] > largest))
        m.d.sync += self.done.eq(0)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(busy):
            m.d.sync += [ring[k].eq(ring[(k + 1) % classes]) for k in range(classes)]
            m.d.sync += number.eq(number + 1)
            with m.If(better):
                m.d.sync += [largest.eq(ring[0]), predicted.eq(number)]
            with m.If(number == classes - 1):
                m.d.sync += [busy.eq(0), self.o.valid.eq(1), self.done.eq(1)]
        with m.If(self.i.valid):
            m.d.sync += [ring.eq(self.i.p), number.eq(0), busy.eq(1)]
        m.d.comb += [self.o.p.predicted.eq(predicted), self.o.p.scores.eq(ring)]
        return m


class FullyConnected(wiring.Component):
    """The last layer: one product an image, and its class. It only wires.

    **Timing**: with F = ``array.phase_cycles``, ``start`` in cycle 0 gives the result, and
    ``done``, in cycle ``(8 steps + 1) F + Product.LATENCY + classes + Classifier.LATENCY``. The
    vector may change from the cycle after ``start`` on.

    Parameters
    ----------
    config : CnnConfig

    Members
    -------
    i_0, ... : ``In(stream)`` of :func:`hw.cnn.layouts.feature_word_layout`
        Words of the last map, or of each replica's; never stall.
    start : ``In(1)``
        Strobe: the map is complete. Only while nothing is under way and ``o`` is taken.
    image : ``In``
        With ``start``: number of the map.
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.result_layout`
    done : ``Out(1)``
    array : ``Out(array_signature(config, n_conv))``
    events : ``Out`` of :func:`hw.cnn.layouts.product_events_layout`
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.copies = range(n_copies(config))
        words = feature_word_layout(config.out_shape(config.n_conv - 1))
        super().__init__(
            {f"i_{copy}": In(stream.Signature(words, always_ready=True)) for copy in self.copies}
            | {
                "start": In(1),
                "image": In(range(len(self.copies))),
                "o": Out(stream.Signature(result_layout(config))),
                "done": Out(1),
                "array": Out(array_signature(config, config.n_conv)),
                "events": Out(product_events_layout()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.product = product = Product(self.config, self.config.n_conv)
        m.submodules.classifier = classifier = Classifier(self.config)
        m.d.comb += product.i.valid.eq(self.start)
        with m.Switch(self.image):
            for copy in self.copies:
                m.submodules[f"flatten_{copy}"] = flatten = Flatten(self.config)
                connect(m, flipped(getattr(self, f"i_{copy}")), flatten.i)
                with m.Case(copy):
                    m.d.comb += product.i.p.eq(flatten.vector)
        connect(m, product.array, flipped(self.array))
        connect(m, product.o, classifier.i)
        connect(m, classifier.o, flipped(self.o))
        m.d.comb += [self.done.eq(classifier.done), self.events.eq(product.events)]
        return m
