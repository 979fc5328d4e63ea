"""Sequencer of the inference unit: one layer after the other."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import n_copies
from model.cnn.config import CnnConfig

__all__ = ["InferenceSequencer"]


class InferenceSequencer(wiring.Component):
    """Runs a group of images: every convolution for all replicas at once, then the fully connected
    layer for one image after the other.

    ::

        WAIT ─► CONVOLUTION 0 ─► ... ─► CONVOLUTION n - 1 ─► FULLY_CONNECTED image 0, 1, ... ─► WAIT

    **Timing**: the first convolution starts in the cycle in which a group is found, if nothing is
    being written, every other layer in the cycle after ``done`` of the one before. The fully
    connected layer waits until the result before has been taken; such cycles count as idle.

    Members
    -------
    group_ready : ``In(1)``, n_images : ``In``
        A group of images is complete.
    writing : ``In(1)``
        Devices are being written, or about to be: no group is begun.
    result_free : ``In(1)``
    idle : ``Out(1)``
        No group is under way: devices may be written.
    take : ``Out(1)``
        Strobe: the complete group becomes the current one.
    bank : ``Out(1)``
        Which of two input maps holds the current group, from ``take`` on.
    layer : ``Out(range(n_layers + 1))``
        Layer under way; ``n_layers`` while nothing is.
    start : ``Out(n_layers)``
        Strobes.
    done : ``In(n_layers)``
        Strobes.
    active : ``Out(n)``
        Replicas that have work.
    image : ``Out``
        Image of the group in the fully connected layer.
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        copies = n_copies(config)
        super().__init__(
            {
                "group_ready": In(1),
                "n_images": In(range(copies + 1)),
                "writing": In(1),
                "result_free": In(1),
                "idle": Out(1),
                "take": Out(1),
                "bank": Out(1),
                "layer": Out(range(config.n_layers + 1)),
                "start": Out(config.n_layers),
                "done": In(config.n_layers),
                "active": Out(config.replicas.n),
                "image": Out(range(copies)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, n_conv = self.config, self.config.n_conv
        copies = n_copies(config)

        # The group under way; what `take` brings counts at once.
        bank, images, held_images = Signal(), Signal.like(self.n_images), Signal.like(self.n_images)
        m.d.comb += [
            self.bank.eq(bank ^ self.take),
            images.eq(Mux(self.take, self.n_images, held_images)),
        ]
        m.d.sync += [bank.eq(self.bank), held_images.eq(images)]
        for replica in range(config.replicas.n):
            m.d.comb += self.active[replica].eq((replica < images) if copies > 1 else 1)

        # Strobes of all layers but the first, in the cycle after the end of the one before.
        due = Signal(config.n_layers)
        m.d.sync += due.eq(0)
        with m.FSM():
            # Wait for a group; its first layer starts at once.
            with m.State("WAIT"):
                m.d.comb += [
                    self.take.eq(self.group_ready & ~self.writing),
                    self.idle.eq(~self.take),
                    self.start[0].eq(self.take),
                    self.layer.eq(Mux(self.take, 0, config.n_layers)),
                ]
                m.d.sync += self.image.eq(0)
                with m.If(self.take):
                    m.next = "CONVOLUTION_0"

            # All bands of a convolution, or all images; then every pooled pixel is where it is
            # needed.
            for layer in range(n_conv):
                with m.State(f"CONVOLUTION_{layer}"):
                    m.d.comb += self.layer.eq(layer)
                    if layer:
                        m.d.comb += self.start[layer].eq(due[layer])
                    with m.If(self.done[layer]):
                        m.d.sync += due[layer + 1].eq(1)
                        m.next = f"CONVOLUTION_{layer + 1}" if layer + 1 < n_conv else "BEGIN"

            # The result before must be gone.
            with m.State("BEGIN"):
                m.d.comb += [
                    self.start[n_conv].eq(self.result_free),
                    self.layer.eq(Mux(self.result_free, n_conv, config.n_layers)),
                ]
                with m.If(self.result_free):
                    m.next = "FULLY_CONNECTED"

            # One image; then the next of the group.
            with m.State("FULLY_CONNECTED"):
                m.d.comb += self.layer.eq(n_conv)
                with m.If(self.done[n_conv]):
                    m.d.sync += self.image.eq(self.image + 1)
                    m.next = "BEGIN"
                    with m.If(self.image + 1 == images):
                        m.next = "WAIT"
        return m
