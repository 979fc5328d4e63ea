"""Sequencer of a training engine: the phases of an image, one after the other."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layouts import layer_shape
from model.engine.config import EngineConfig

__all__ = ["EnginePhase", "EngineSequencer"]


class EnginePhase(enum.Enum, shape=unsigned(3)):
    """What the engine is doing."""

    #: Waiting for the last word of an image.
    IDLE = 0
    #: Products and activations, layer after layer.
    FORWARD = 1
    #: The output error.
    ERROR = 2
    #: A backward product and the hidden errors, which may wait to be sent.
    BACKWARD = 3
    #: The update of one layer.
    UPDATE = 4


class EngineSequencer(wiring.Component):
    """Commands the parts of an engine in the order of :mod:`model.engine.training_engine`.

    ::

        forward 0 .. last; if training: output error; for layer last .. 0:
            backward product of layer (but of the first), hidden errors kept back
            update of layer
            hidden errors sent

    A backward product comes before the update of its layer, so that it sees the weights of the
    forward pass.

    **Timing**: a command is offered in the cycle after the event that allows it; ``done`` is high
    for the last cycle of an image.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)
        The last word of an image is transferred in this cycle.
    training : In(1)
        Looked at with ``start`` and until ``done``.
    layer : Out
        Layer of the product or of the update.
    error_layer : Out
        Whose errors are computed or kept.
    product, backward : Out(1), product_ready : In(1)
        Asks for a product.
    forward_done, errors_done : In(1)
        Strobes: the last activations of a layer, the last errors of a vector are stored.
    hidden_done : In(1)
        Level: hidden errors of the backward product are there, to be sent.
    send : Out(1)
        Errors may be sent.
    update : Out(1), update_ready : In(1)
        Asks for an update.
    update_busy : In(1)
        Level, from the cycle after an accepted update.
    phase : Out(EnginePhase), done : Out(1)
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        layer = layer_shape(config)
        super().__init__(
            {
                "start": In(1),
                "training": In(1),
                "layer": Out(layer),
                "error_layer": Out(layer),
                "product": Out(1),
                "backward": Out(1),
                "product_ready": In(1),
                "forward_done": In(1),
                "errors_done": In(1),
                "hidden_done": In(1),
                "send": Out(1),
                "update": Out(1),
                "update_ready": In(1),
                "update_busy": In(1),
                "phase": Out(EnginePhase),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = self.config.network.n_layers - 1

        def errors_are_there() -> None:
            with m.If(self.layer == 0):
                m.next = "UPDATE"
            with m.Else():
                m.next = "BACKWARD"

        with m.FSM():
            # An image comes in.
            with m.State("IDLE"):
                # The output errors begin before the last activation is there.
                m.d.sync += [self.layer.eq(0), self.error_layer.eq(last)]
                with m.If(self.start):
                    m.next = "FORWARD"
            # Ask for a layer's sums.
            with m.State("FORWARD"):
                m.d.comb += [self.phase.eq(EnginePhase.FORWARD), self.product.eq(1)]
                with m.If(self.product_ready):
                    m.next = "ACTIVATE"
            # They become activations.
            with m.State("ACTIVATE"):
                m.d.comb += self.phase.eq(EnginePhase.FORWARD)
                with m.If(self.forward_done):
                    with m.If(self.layer != last):
                        m.d.sync += self.layer.eq(self.layer + 1)
                        m.next = "FORWARD"
                    with m.Elif(self.training):
                        m.next = "ERROR"
                    with m.Else():
                        m.next = "CLASSIFIED"
            # The outputs have left.
            with m.State("CLASSIFIED"):
                m.d.comb += [self.phase.eq(EnginePhase.FORWARD), self.done.eq(1)]
                m.next = "IDLE"
            # The output error is computed and sent.
            with m.State("ERROR"):
                m.d.comb += [self.phase.eq(EnginePhase.ERROR), self.send.eq(1)]
                with m.If(self.errors_done):
                    errors_are_there()
            # Ask for the back-propagated sums.
            with m.State("BACKWARD"):
                m.d.comb += [
                    self.phase.eq(EnginePhase.BACKWARD),
                    self.product.eq(1),
                    self.backward.eq(1),
                ]
                with m.If(self.product_ready):
                    m.d.sync += self.error_layer.eq(self.layer - 1)
                    m.next = "HIDDEN"
            # They become hidden errors.
            with m.State("HIDDEN"):
                m.d.comb += self.phase.eq(EnginePhase.BACKWARD)
                with m.If(self.hidden_done):
                    m.next = "UPDATE"
            # Ask for the update.
            with m.State("UPDATE"):
                m.d.comb += [self.phase.eq(EnginePhase.UPDATE), self.update.eq(1)]
                with m.If(self.update_ready):
                    m.next = "UPDATING"
            # Wait for its last word.
            with m.State("UPDATING"):
                m.d.comb += self.phase.eq(EnginePhase.UPDATE)
                with m.If(~self.update_busy):
                    with m.If(self.layer == 0):
                        m.d.comb += self.done.eq(1)
                        m.next = "IDLE"
                    with m.Else():
                        m.d.sync += self.layer.eq(self.layer - 1)
                        m.next = "SEND"
            # The hidden errors, kept back until the outer product was done with those above.
            with m.State("SEND"):
                m.d.comb += [self.phase.eq(EnginePhase.BACKWARD), self.send.eq(1)]
                with m.If(self.errors_done):
                    errors_are_there()
        return m
