"""Activity counters of the in-situ learning unit, for the host and for the energy estimator."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, ValueLike, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.counters import COUNTER_BITS, ones
from hw.in_situ.layouts import layer_shape, max_cols, max_inputs, product_word_layout
from hw.in_situ.sequencer import Phase
from hw.layouts import Direction, PulseKind
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig

__all__ = ["Counters"]

PHASE_ORDER = (Phase.FORWARD, Phase.ERROR, Phase.BACKWARD, Phase.UPDATE, Phase.WRITE)
"""The phases that count to an image, in the order of their counters."""


class Counters(wiring.Component):
    """One counter for every member of :class:`model.in_situ.activity.Activity`, and one of idle
    cycles.

    **Timing**: a counter shows an event ``LATENCY`` = 2 cycles after it, but for the counters of
    images, batches and cycles, which show it from the next cycle on.

    Members
    -------
    phase : ``In(Phase)``, done, skipped, write_done : ``In(1)``
        Of the sequencer; ``skipped`` is looked at in the cycle of ``done``.
    product : ``In(1)``, layer, direction
        A product was begun in this cycle, on the array of ``layer``.
    errors_done : ``In(1)``, error_layer
        The last error of a layer's units was stored.
    lines, drive_sum : ``In``
        Lines driven and the sum of their codes, as measured in this cycle.
    products : ``In(ArrayLayout)``, product_valid : ``In(1)``
        A gradient word that is updated.
    gate_word : ``In(1)``
        A gate word is updated.
    pulse : ``In(1)``, kind, gates
        A pulse has begun: high in its first cycle.
    counters : ``Out(ArrayLayout(unsigned(64), len(Activity)))``
    cycles_idle : ``Out(64)``
        Cycles that belong to no image.
    """

    LATENCY = 2  # from an event to its counter

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        layer = layer_shape(config)
        n_lines = 2 * max(max_inputs(config), max_cols(config))
        super().__init__(
            {
                "phase": In(Phase),
                "done": In(1),
                "skipped": In(1),
                "write_done": In(1),
                "product": In(1),
                "layer": In(layer),
                "direction": In(Direction),
                "errors_done": In(1),
                "error_layer": In(layer),
                "lines": In(range(2 * n_lines + 1)),
                "drive_sum": In(range(2 * n_lines * 255 + 1)),
                "products": In(product_word_layout(config)["products"].shape),
                "product_valid": In(1),
                "gate_word": In(1),
                "pulse": In(1),
                "kind": In(PulseKind),
                "gates": In(data.ArrayLayout(unsigned(8), max_cols(config))),
                "counters": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(Activity))),
                "cycles_idle": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network = self.config.network
        layers = range(network.n_layers)

        def count(activity: Activity, amount: ValueLike) -> None:
            """Adds an amount that takes some logic: registered first."""
            value = Value.cast(amount)
            held = Signal.like(value, name=f"amount_{activity.name.lower()}")
            m.d.sync += held.eq(value)
            m.d.sync += self.counters[activity].eq(self.counters[activity] + held)

        def count_one(activity: Activity, event: ValueLike) -> None:
            m.d.sync += self.counters[activity].eq(self.counters[activity] + event)

        def by_layer(amounts: list[int], layer: ValueLike) -> Value:
            return Value.cast(Array(Const(amount) for amount in amounts)[layer])

        units = [network.n_cols(k) for k in layers]
        inputs = [network.n_inputs(k) for k in layers]
        hidden = [*units[:-1], 0]
        is_forward = self.product & (self.direction == Direction.FORWARD)
        is_backward = self.product & (self.direction == Direction.BACKWARD)
        selected = ones([Value.cast(gate).any() for gate in self.gates])
        is_set = self.kind == PulseKind.SET

        count_one(Activity.IMAGES, self.done)
        count_one(Activity.SKIPPED_IMAGES, self.done & self.skipped)
        count_one(Activity.BATCHES, self.write_done)
        for index, phase in enumerate(PHASE_ORDER):
            count_one(Activity(Activity.CYCLES_FORWARD + index), self.phase == phase)
        count(Activity.FORWARD_PRODUCTS, is_forward)
        count(Activity.BACKWARD_PRODUCTS, is_backward)
        count(Activity.DRIVEN_LINES, self.lines)
        count(Activity.DRIVE_SUM, self.drive_sum)
        count(
            Activity.CONVERSIONS,
            Mux(is_forward, by_layer(units, self.layer), 0)
            + Mux(is_backward, by_layer(inputs, self.layer), 0),
        )
        count(Activity.ACTIVATIONS, Mux(is_forward, by_layer(hidden, self.layer), 0))
        count(Activity.ERRORS, Mux(self.errors_done, by_layer(units, self.error_layer), 0))
        count(Activity.GRADIENT_WORDS, self.product_valid)
        lanes = sum((product != 0 for product in self.products), start=Const(0))
        count(Activity.GRADIENT_LANES, Mux(self.product_valid, lanes, 0))
        count(Activity.GATE_WORDS, self.gate_word)
        count(Activity.SET_PULSES, self.pulse & is_set)
        count(Activity.RESET_PULSES, self.pulse & ~is_set)
        count(Activity.SET_DEVICES, Mux(self.pulse & is_set, selected, 0))
        count(Activity.RESET_DEVICES, Mux(self.pulse & ~is_set, selected, 0))
        with m.If(self.phase == Phase.IDLE):
            m.d.sync += self.cycles_idle.eq(self.cycles_idle + 1)
        return m
