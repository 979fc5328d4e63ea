"""Sequencer: the order of one image's phases."""

from amaranth.hdl import Module, Mux, Signal, ValueLike, signed, unsigned
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Direction, update_command_layout
from hw.update_shift import UpdateShift
from model.config import Config

__all__ = ["Phase", "Sequencer", "SkipMode"]


class Phase(enum.Enum, shape=unsigned(3)):
    """What the sequencer is doing; the order of model.activity.PHASES."""

    #: Forward products, read-out and activation.
    FORWARD = 0
    #: Output error and its scaling.
    ERROR = 1
    #: Backward products and hidden errors.
    BACKWARD = 2
    #: The rest of the update, pulses included.
    UPDATE = 3
    #: Waiting for an image.
    IDLE = 4


class SkipMode(enum.Enum, shape=unsigned(2)):
    """Register values of model.config.SkipPolicy."""

    #: All products of every training image.
    NEVER = 0
    #: No backward product and no update when all output errors are zero.
    ZERO_ERROR = 1
    #: No backward product and no update when all codes of the output error are zero.
    ZERO_CODES = 2


class Sequencer(wiring.Component):
    """Runs the phases of one image after the other: LOAD, FORWARD, ERROR, BACKWARD, UPDATE.

    ::

        LOAD -> FORWARD[0] -> ... -> FORWARD[L-1] -> ERROR -> BACKWARD[L-1] -> ... ->
        BACKWARD[1] -> UPDATE
                                                  |  inference          |  skipped
                                                  ^
                                                  +---------------------+-------------------------------------+

    The outer product of layer l is commanded as soon as its error codes are complete, so that the
    update of every layer but the first runs beside the backward products below it; UPDATE waits for
    whatever is left: the first layer's outer product, pulses, refresh. No array computes then, so
    that pulses may be issued.

    With ``update.overlap`` UPDATE waits for refresh only if another training image waits; that
    image begins in the next cycle, and the update is ``carried`` beside its forward pass. On no
    array do a pulse and a product or read meet:

    - pulses of the upper layers come first, then their refresh, then the second product;
    - pulses of the first layer come behind its product and the refresh of the upper layers, and
      its refresh behind them;
    - the scaled errors wait, by ``settled``, until nothing of the carried update is left.

    **Timing**: LOAD waits for an image; the cycle in which it finds one is the first of the image
    and counts to FORWARD. A command is offered in the first cycle of its phase; the phase ends in
    the cycle after its ``*_done`` strobe. UPDATE takes at least one cycle.

    Members
    -------
    run, train : ``In(1)``
        From the host: take images; train on them or only classify.
    skip_policy : ``In(SkipMode)``
    learning_rate_log2 : ``In(signed(6))``, epsilon_log2 : ``In(range(chi_bits))``
    image_ready, result_ready, initialised : ``In(1)``
        An image is loaded; the result store is free; the chi memory is cleared.
    next_ready : ``In(1)``, with overlap only
        An image is loaded and its result has room beside that of the current image.
    load : ``Out(1)``
        Strobe: the loaded image becomes the current one.
    read_command : ``Out(1)``, layer, direction
        Ask the read-out of ``layer`` for a product; held until ``read_accepted``.
    forward_done, scaled_done : ``In(1)``
        Strobes: the last activation word of a layer, the last scaled error word was transferred.
    zero_error, zero_codes, update_exponent : ``In``
        Of the scaled vector, valid at ``scaled_done``.
    decay : ``Out(1)``
        Strobe: the image is skipped; the running maxima of the layers below the output layer decay.
    error_layer : ``Out``
        Layer whose units the errors under way belong to.
    update_command : ``Out(stream)``
        To the outer product.
    update_busy, pulse_busy, upper_busy, refresh_busy : ``In(1)``
        ``upper_busy``: of the pulses, those of the layers above the first.
    refresh_upper, refresh_first : ``Out(1)``
        Strobes: arrays other than the first, the first array, are free for refresh.
    first_window, upper_window : ``Out(1)``
        Pulses of the update may be issued on the first array, on the others.
    follows : ``Out(1)``
        The next image does not wait for the update of the current one; valid at ``done``.
    carried : ``Out(1)``
        The update of the image before is not over; always high in the first cycle of an image that
        did not wait for it.
    settled : ``Out(1)``
        Nothing is left of the update of the image before.
    training : ``Out(1)``
        Whether the current image trains.
    skipped : ``Out(1)``
        Whether the current image's update was skipped; valid at ``done``.
    done : ``Out(1)``
        Strobe in the last cycle of an image.
    phase : ``Out(Phase)``
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        layer = range(max(2, config.network.n_layers))
        super().__init__(
            {
                "run": In(1),
                "train": In(1),
                "skip_policy": In(SkipMode),
                "learning_rate_log2": In(signed(6)),
                "epsilon_log2": In(range(config.update.chi_bits)),
                "image_ready": In(1),
                "result_ready": In(1),
                "next_ready": In(1),
                "initialised": In(1),
                "load": Out(1),
                "read_command": Out(1),
                "read_accepted": In(1),
                "layer": Out(layer),
                "direction": Out(Direction),
                "forward_done": In(1),
                "scaled_done": In(1),
                "zero_error": In(1),
                "zero_codes": In(1),
                "update_exponent": In(range(config.scale_bits + 1)),
                "decay": Out(1),
                "error_layer": Out(layer),
                "update_command": Out(stream.Signature(update_command_layout(config))),
                "update_busy": In(1),
                "pulse_busy": In(1),
                "upper_busy": In(1),
                "refresh_busy": In(1),
                "refresh_upper": Out(1),
                "refresh_first": Out(1),
                "first_window": Out(1),
                "upper_window": Out(1),
                "follows": Out(1),
                "carried": Out(1),
                "settled": Out(1),
                "training": Out(1),
                "skipped": Out(1),
                "done": Out(1),
                "phase": Out(Phase),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_layer = self.config.network.n_layers - 1
        overlap = self.config.update.overlap

        # The update command is computed when a layer's error codes are complete and offered from
        # the next cycle on.
        m.submodules.update_shift = update_shift = UpdateShift(self.config)
        m.d.comb += [
            update_shift.layer.eq(self.error_layer),
            update_shift.error_exponent.eq(self.update_exponent),
            update_shift.learning_rate_log2.eq(self.learning_rate_log2),
            update_shift.epsilon_log2.eq(self.epsilon_log2),
        ]
        worth_updating = ~self.zero_codes & update_shift.keep
        with m.If(self.update_command.ready):
            m.d.sync += self.update_command.valid.eq(0)

        # Pulses of a carried update, and refresh: first of the upper arrays, then, its forward pass
        # over, of the first one.
        upper_due, first_due = Signal(), Signal()
        first_free = Signal()  # the first array's forward pass is over
        refreshing_upper = Signal()  # refresh may still hold an array other than the first
        over = ~(self.update_command.valid | self.update_busy | self.pulse_busy | self.refresh_busy)
        upper_over = ~(upper_due | self.refresh_busy)
        m.d.comb += [
            self.settled.eq(~self.carried | over),
            self.upper_window.eq(self.carried),
            self.first_window.eq(self.carried & first_free & upper_over),
        ]
        with m.If(over):
            m.d.sync += self.carried.eq(0)
        with m.If(upper_due & ~self.upper_busy):
            m.d.comb += self.refresh_upper.eq(1)
            m.d.sync += upper_due.eq(0)
        with m.If(first_due & upper_over & self.settled):
            m.d.comb += self.refresh_first.eq(1)
            m.d.sync += [first_due.eq(0), refreshing_upper.eq(0)]

        commanded = Signal()  # this phase's product has been accepted
        ready = self.run & self.image_ready & self.result_ready & self.initialised
        alone = Signal()  # the next image waits for the update of this one
        skip = (self.zero_error & (self.skip_policy == SkipMode.ZERO_ERROR)) | (
            self.zero_codes & (self.skip_policy == SkipMode.ZERO_CODES)
        )

        def offer_command(direction: ValueLike, wait: ValueLike) -> None:
            m.d.comb += [
                self.direction.eq(direction),
                self.read_command.eq(~(commanded | wait)),
            ]
            with m.If(self.read_command & self.read_accepted):
                m.d.sync += commanded.eq(1)

        with m.FSM():
            # Wait for an image, room for its result and the end of initialisation; then the loaded
            # image reaches the line drivers, and refresh may use the arrays not needed yet.
            with m.State("LOAD"):
                train = self.train | self.carried
                m.d.comb += [
                    self.load.eq(ready | self.carried),
                    self.phase.eq(Mux(self.load, Phase.FORWARD, Phase.IDLE)),
                ]
                with m.If(self.load):
                    m.d.sync += [
                        self.training.eq(train),
                        self.layer.eq(0),
                        commanded.eq(0),
                        refreshing_upper.eq(train),
                        self.skipped.eq(0),
                    ]
                    m.next = "FORWARD"
                if overlap:
                    with m.If(self.load):
                        m.d.sync += [upper_due.eq(train), alone.eq(0)]
                else:
                    m.d.comb += self.refresh_upper.eq(self.load & self.train)

            # One forward product after the other, each through read-out and activation unit.
            with m.State("FORWARD"):
                offer_command(Direction.FORWARD, (self.layer != 0) & refreshing_upper & ~upper_over)
                with m.If(self.forward_done):
                    m.d.sync += commanded.eq(0)
                    with m.If(self.layer == 0):
                        m.d.sync += [first_due.eq(self.training), first_free.eq(1)]
                    with m.If(self.layer == last_layer):
                        m.d.sync += self.error_layer.eq(last_layer)
                        m.next = "UPDATE"
                        with m.If(self.training):
                            m.next = "ERROR"
                    with m.Else():
                        m.d.sync += self.layer.eq(self.layer + 1)

            # The output error is scaled; then its layer's update starts and the products go
            # backwards.
            with m.State("ERROR"):
                m.d.comb += self.phase.eq(Phase.ERROR)
                with m.If(self.scaled_done):
                    self._command_update(m, update_shift, worth_updating & ~skip)
                    m.d.sync += self.skipped.eq(skip)
                    m.d.comb += self.decay.eq(skip)
                    m.next = "UPDATE"
                    if last_layer > 0:
                        with m.If(~skip):
                            m.next = "BACKWARD"

            # One backward product after the other; each ends with the scaled errors of the layer
            # below.
            if last_layer > 0:
                with m.State("BACKWARD"):
                    m.d.comb += self.phase.eq(Phase.BACKWARD)
                    offer_command(Direction.BACKWARD, wait=0)
                    with m.If(self.read_command & self.read_accepted):
                        m.d.sync += self.error_layer.eq(self.layer - 1)
                    with m.If(self.scaled_done):
                        self._command_update(m, update_shift, worth_updating)
                        m.d.sync += [commanded.eq(0), self.layer.eq(self.layer - 1)]
                        with m.If(self.layer == 1):
                            m.next = "UPDATE"

            # All products are done: pulses may be issued, until nothing is left to do or the next
            # image begins.
            with m.State("UPDATE"):
                m.d.comb += [
                    self.phase.eq(Phase.UPDATE),
                    self.upper_window.eq(~self.refresh_busy),
                    self.first_window.eq(~self.refresh_busy & ~self.follows),
                    self.done.eq(over | self.follows),
                ]
                with m.If(self.done):
                    m.next = "LOAD"
                if overlap:
                    m.d.comb += self.follows.eq(
                        self.run & self.train & self.next_ready & ~(alone | self.refresh_busy)
                    )
                    with m.If(self.done):
                        m.d.sync += [self.carried.eq(self.follows), first_free.eq(0)]
                    with m.Elif(~self.refresh_busy):
                        m.d.sync += alone.eq(1)
        return m

    def _command_update(
        self, m: Module, update_shift: UpdateShift, worth_updating: ValueLike
    ) -> None:
        with m.If(worth_updating):
            m.d.sync += [
                self.update_command.valid.eq(1),
                self.update_command.p.layer.eq(self.error_layer),
                self.update_command.p.shift.eq(update_shift.shift),
            ]
