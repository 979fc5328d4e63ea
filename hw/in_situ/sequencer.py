"""Sequencer of the in-situ learning unit: the order of one image's phases."""

from amaranth.hdl import Module, Mux, Signal, ValueLike, unsigned
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import layer_shape, update_command_layout
from hw.layouts import Direction
from model.in_situ.config import InSituConfig

__all__ = ["Phase", "Sequencer"]


class Phase(enum.Enum, shape=unsigned(3)):
    """What the sequencer is doing; the order of model.in_situ.activity.PHASES."""

    #: Forward products, read-out and activation.
    FORWARD = 0
    #: Softmax and output error.
    ERROR = 1
    #: Backward products, two passes each, and hidden errors.
    BACKWARD = 2
    #: Outer products into the gradient memory.
    UPDATE = 3
    #: Gates and pulses, after a batch's last image.
    WRITE = 4
    #: Waiting for an image.
    IDLE = 5


class Sequencer(wiring.Component):
    """Runs the phases of one image after the other.

    ::

        LOAD -> FORWARD[0] -> ... -> FORWARD[L-1] -> ERROR -> DECIDE ->
        UPDATE[L-1] -> BACKWARD[L-1] -> UPDATE[L-2] -> ... -> UPDATE[0] -> WRITE
                                                                |  batch goes on
        DECIDE ends an inference image, and a training image without an output error unless its
        batch is full.

    **Timing**: LOAD waits for an image; the cycle in which it finds one is the first of the image
    and counts to FORWARD. A command is offered in the first cycle of its phase; a phase ends in the
    cycle after its ``*_done`` strobe. DECIDE takes one cycle and counts to ERROR.

    Members
    -------
    run, train : ``In(1)``
        From the host: take images; train on them or only classify.
    image_ready, result_ready, initialised : ``In(1)``
        An image is loaded; the result store is free; the memories are initialised.
    load : ``Out(1)``
        Strobe: the loaded image becomes the current one.
    read_command : ``Out(1)``, layer, direction, negative
        Ask the read-out of ``layer`` for a product; held until ``read_accepted``. The two passes of
        a backward product differ in ``negative``.
    forward_done : ``In(1)``
        Strobe: the last activation word of a hidden layer, or the last code word of the output
        layer was transferred.
    pass_done : ``In(1)``
        Strobe: the last code word of a backward pass was transferred.
    errors_done : ``In(1)``
        Strobe: the last error word was transferred.
    zero_error : ``In(1)``
        All output errors are zero; looked at in the cycle after ``errors_done``.
    error_layer : ``Out``
        Layer whose units the errors under way belong to.
    update_command : ``Out(stream)``
        To the outer product.
    update_busy : ``In(1)``
    write : ``Out(1)``, write_done : ``In(1)``
        Strobes: begin the write phase; it has ended.
    training : ``Out(1)``
        Whether the current image trains.
    skipped : ``Out(1)``
        Whether the current image had no output error; valid at ``done``.
    done : ``Out(1)``
        Strobe in the last cycle of an image.
    phase : ``Out(Phase)``
    """

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        layer = layer_shape(config)
        super().__init__(
            {
                "run": In(1),
                "train": In(1),
                "image_ready": In(1),
                "result_ready": In(1),
                "initialised": In(1),
                "load": Out(1),
                "read_command": Out(1),
                "read_accepted": In(1),
                "layer": Out(layer),
                "direction": Out(Direction),
                "negative": Out(1),
                "forward_done": In(1),
                "pass_done": In(1),
                "errors_done": In(1),
                "zero_error": In(1),
                "error_layer": Out(layer),
                "update_command": Out(stream.Signature(update_command_layout(config))),
                "update_busy": In(1),
                "write": Out(1),
                "write_done": In(1),
                "training": Out(1),
                "skipped": Out(1),
                "done": Out(1),
                "phase": Out(Phase),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_layer, batch = self.config.network.n_layers - 1, self.config.update.batch
        ready = self.run & self.image_ready & self.result_ready & self.initialised
        commanded = Signal()  # this phase's command has been accepted
        was_skipped = Signal()  # for the end of a write phase
        images, batch_ends = Signal(range(batch)), Signal()
        m.d.comb += batch_ends.eq(images == batch - 1)
        with m.If(self.done & self.training):
            m.d.sync += images.eq(Mux(batch_ends, 0, images + 1))

        def offer_command(direction: ValueLike) -> None:
            m.d.comb += [self.direction.eq(direction), self.read_command.eq(~commanded)]
            with m.If(self.read_command & self.read_accepted):
                m.d.sync += commanded.eq(1)

        def end_or_write() -> None:
            with m.If(batch_ends):
                m.next = "WRITE"
            with m.Else():
                m.d.comb += self.done.eq(1)
                m.next = "LOAD"

        with m.FSM():
            # Wait for an image, room for its result and the end of initialisation.
            with m.State("LOAD"):
                m.d.comb += [
                    self.load.eq(ready),
                    self.phase.eq(Mux(self.load, Phase.FORWARD, Phase.IDLE)),
                ]
                m.d.sync += [self.layer.eq(0), commanded.eq(0), self.negative.eq(0)]
                with m.If(self.load):
                    m.d.sync += self.training.eq(self.train)
                    m.next = "FORWARD"

            # One forward product after the other, each through read-out and activation unit; the
            # last ends in the softmax.
            with m.State("FORWARD"):
                offer_command(Direction.FORWARD)
                with m.If(self.forward_done):
                    m.d.sync += commanded.eq(0)
                    with m.If(self.layer == last_layer):
                        m.d.sync += self.error_layer.eq(last_layer)
                        m.next = "ERROR"
                    with m.Else():
                        m.d.sync += self.layer.eq(self.layer + 1)

            # Softmax; its words become output errors.
            with m.State("ERROR"):
                m.d.comb += self.phase.eq(Phase.ERROR)
                with m.If(self.errors_done):
                    m.next = "DECIDE"

            # All errors are there, and whether one is not zero.
            with m.State("DECIDE"):
                m.d.comb += [
                    self.phase.eq(Phase.ERROR),
                    self.skipped.eq(self.training & self.zero_error),
                ]
                m.d.sync += was_skipped.eq(self.zero_error)
                with m.If(~self.training):
                    m.d.comb += self.done.eq(1)
                    m.next = "LOAD"
                with m.Elif(self.zero_error):
                    end_or_write()
                with m.Else():
                    m.next = "UPDATE"

            # The outer product of the layer whose errors are complete.
            with m.State("UPDATE"):
                m.d.comb += [
                    self.phase.eq(Phase.UPDATE),
                    self.update_command.valid.eq(~commanded),
                    self.update_command.p.layer.eq(self.layer),
                ]
                with m.If(self.update_command.ready):
                    m.d.sync += commanded.eq(1)
                with m.If(commanded & ~self.update_busy):
                    m.d.sync += commanded.eq(0)
                    with m.If(self.layer == 0):
                        end_or_write()
                    if last_layer > 0:
                        with m.Else():
                            m.d.sync += self.error_layer.eq(self.layer - 1)
                            m.next = "BACKWARD"

            # Both passes of a backward product; the second gives the errors of the layer below.
            if last_layer > 0:
                with m.State("BACKWARD"):
                    m.d.comb += self.phase.eq(Phase.BACKWARD)
                    offer_command(Direction.BACKWARD)
                    with m.If(self.pass_done & ~self.negative):
                        m.d.sync += [commanded.eq(0), self.negative.eq(1)]
                    with m.If(self.errors_done):
                        m.d.sync += [
                            commanded.eq(0),
                            self.negative.eq(0),
                            self.layer.eq(self.layer - 1),
                        ]
                        m.next = "UPDATE"

            # All layers' gates, and the pulses that they ask for.
            with m.State("WRITE"):
                m.d.comb += [
                    self.phase.eq(Phase.WRITE),
                    self.write.eq(~commanded),
                    self.done.eq(self.write_done),
                    self.skipped.eq(was_skipped),
                ]
                m.d.sync += commanded.eq(1)
                with m.If(self.done):
                    m.next = "LOAD"
        return m
