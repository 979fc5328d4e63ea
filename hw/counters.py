"""Activity counters: what the unit did, for the host and for the energy estimator."""

from collections.abc import Sequence

from amaranth.hdl import (
    Array,
    Const,
    Module,
    Mux,
    ShapeLike,
    Signal,
    Value,
    ValueLike,
    unsigned,
)
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Direction, product_word_layout
from hw.sequencer import Phase
from model.activity import Activity
from model.config import Config

__all__ = ["COUNTER_BITS", "Counters", "DriveMeter", "ones"]

PHASE_ORDER = (Phase.FORWARD, Phase.ERROR, Phase.BACKWARD, Phase.UPDATE)
"""The phases that count to an image, in the order of their counters."""

COUNTER_BITS = 64
"""Width of every counter: none overflows in the life of a chip."""


def ones(bits: Sequence[Value]) -> Value:
    """How many bits are set, by a tree of additions: a row has hundreds of columns."""
    half = len(bits) // 2
    return ones(bits[:half]) + ones(bits[half:]) if half else bits[0]


class DriveMeter(wiring.Component):
    """How many lines a drive vector drives, and for how many cycles in sum.

    Adds up the words of a vector as they pass: lines with a non-zero value and magnitudes.
    ``commit`` moves the totals to the outputs for one cycle and starts again from zero, as
    ``clear`` does without output.

    **Timing**: ``LATENCY`` = 2 cycles from ``commit`` to the outputs; a word before ``commit``, or
    in its cycle, belongs to the vector committed.

    Parameters
    ----------
    shape : ShapeLike
        Of a value; magnitudes up to 255.
    lanes : int
    n_lines : int
        Lines of the longest vector.
    bias_lines : int
        Lines driven at full scale besides the streamed ones, added to every vector.

    Members
    -------
    values : ``In(ArrayLayout(shape, lanes))``, ``valid`` : ``In(1)``
        A word that is transferred in this cycle.
    commit, clear : ``In(1)``
    lines, cycles : ``Out``
        Totals of the vector committed two cycles before, else 0.
    """

    LATENCY = 2  # from commit to lines and cycles

    def __init__(self, *, shape: ShapeLike, lanes: int, n_lines: int, bias_lines: int) -> None:
        self.bias_lines = bias_lines
        self.lanes = lanes
        self.lines_shape = range(n_lines + bias_lines + 1)
        self.cycles_shape = range((n_lines + bias_lines) * 255 + 1)
        super().__init__(
            {
                "values": In(data.ArrayLayout(shape, lanes)),
                "valid": In(1),
                "commit": In(1),
                "clear": In(1),
                "lines": Out(self.lines_shape),
                "cycles": Out(self.cycles_shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Cycle 0: register the word's sums.
        word_lines = Signal(range(self.lanes + 1))
        word_cycles = Signal(range(self.lanes * 255 + 1))
        commit = Signal()
        clear = Signal()
        m.d.sync += [
            commit.eq(self.commit),
            clear.eq(self.clear),
            word_lines.eq(0),
            word_cycles.eq(0),
        ]
        with m.If(self.valid):
            m.d.sync += [
                word_lines.eq(sum(value != 0 for value in self.values)),
                word_cycles.eq(sum(abs(value) for value in self.values)),
            ]

        # Cycle 1: add them to the vector's, or start again.
        lines = Signal(self.lines_shape)
        cycles = Signal(self.cycles_shape)
        m.d.sync += [
            lines.eq(lines + word_lines),
            cycles.eq(cycles + word_cycles),
            self.lines.eq(0),
            self.cycles.eq(0),
        ]
        with m.If(commit | clear):
            m.d.sync += [lines.eq(0), cycles.eq(0)]
        with m.If(commit):
            m.d.sync += [
                self.lines.eq(lines + word_lines + self.bias_lines),
                self.cycles.eq(cycles + word_cycles + 255 * self.bias_lines),
            ]
        return m


class Counters(wiring.Component):
    """One counter for every member of :class:`model.activity.Activity`, and one of idle cycles.

    **Timing**: a counter shows an event ``LATENCY`` = 2 cycles after it: first each event's amount
    is registered, then it is added, so that no lookup or sum stands in front of a carry of 64 bits.

    Members
    -------
    phase : ``In(Phase)``, done, skipped, scaled_done : ``In(1)``
        Of the sequencer; ``skipped`` is looked at in the cycle of ``done``.
    product : ``In(1)``, layer, direction
        A product was begun in this cycle, on the array of ``layer``.
    read : ``In(1)``, read_layer
        A row read was begun in this cycle; on another array a product may begin with it.
    error_layer : ``In``
        Layer of the errors that ``scaled_done`` ends.
    lines, cycles : ``In``
        Lines driven and their cycles, as measured in this cycle.
    products : ``In(ArrayLayout(signed(5), lanes))``, product_valid : ``In(1)``
        A chi word that is updated.
    pulse_word, set_pulse, reset_pulse, refreshed_pair : ``In(1)``
        Strobes.
    counters : ``Out(ArrayLayout(unsigned(64), len(Activity)))``
    cycles_idle : ``Out(64)``
        Cycles that belong to no image.
    """

    LATENCY = 2  # from an event to its counter

    def __init__(self, config: Config) -> None:
        self.config = config
        network = config.network
        layer = range(max(2, network.n_layers))
        n_lines = max(max(network.n_rows(k), network.n_cols(k)) for k in range(network.n_layers))
        super().__init__(
            {
                "phase": In(Phase),
                "done": In(1),
                "skipped": In(1),
                "scaled_done": In(1),
                "product": In(1),
                "layer": In(layer),
                "direction": In(Direction),
                "read": In(1),
                "read_layer": In(layer),
                "error_layer": In(layer),
                "lines": In(range(2 * n_lines + 1)),
                "cycles": In(range(2 * n_lines * 255 + 1)),
                "products": In(product_word_layout(config)["products"].shape),
                "product_valid": In(1),
                "pulse_word": In(1),
                "set_pulse": In(1),
                "reset_pulse": In(1),
                "refreshed_pair": In(1),
                "counters": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(Activity))),
                "cycles_idle": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network = self.config.network
        layers = range(network.n_layers)

        def add(counter: ValueLike, name: str, amount: ValueLike) -> None:
            total, value = Value.cast(counter), Value.cast(amount)
            held = Signal.like(value, name=f"amount_{name}")
            m.d.sync += [held.eq(value), total.eq(total + held)]

        def count(activity: Activity, amount: ValueLike) -> None:
            add(self.counters[activity], activity.name.lower(), amount)

        def by_layer(amounts: list[int], layer: ValueLike) -> ValueLike:
            return Array(Const(amount) for amount in amounts)[layer]

        units = [network.n_cols(k) for k in layers]
        col_codes = [network.n_cols(k) * self.config.row_tiles(k) for k in layers]
        row_codes = [network.n_rows(k) * self.config.col_tiles(k) for k in layers]
        is_forward = self.product & (self.direction == Direction.FORWARD)
        is_backward = self.product & (self.direction == Direction.BACKWARD)

        count(Activity.IMAGES, self.done)
        count(Activity.SKIPPED_IMAGES, self.done & self.skipped)
        for index, phase in enumerate(PHASE_ORDER):
            count(Activity(Activity.CYCLES_FORWARD + index), self.phase == phase)
        count(Activity.FORWARD_PRODUCTS, is_forward)
        count(Activity.BACKWARD_PRODUCTS, is_backward)
        count(Activity.ROW_READS, self.read)
        count(Activity.DRIVEN_LINES, self.lines + self.read)
        read_cycles = self.config.array.read_integration_cycles
        count(Activity.DRIVE_CYCLES, self.cycles + Mux(self.read, read_cycles, 0))
        # A read converts the columns of the one tile that holds the row.
        count(
            Activity.CONVERSIONS,
            Mux(is_forward, by_layer(col_codes, self.layer), 0)
            + Mux(is_backward, by_layer(row_codes, self.layer), 0)
            + Mux(self.read, by_layer(units, self.read_layer), 0),
        )
        count(Activity.ACTIVATIONS, Mux(is_forward, by_layer(units, self.layer), 0))
        count(Activity.ERRORS, Mux(self.scaled_done, by_layer(units, self.error_layer), 0))
        count(Activity.CHI_WORDS, self.product_valid)
        lanes = sum((product != 0 for product in self.products), start=Const(0))
        count(Activity.CHI_LANES, Mux(self.product_valid, lanes, 0))
        count(Activity.PULSE_WORDS, self.pulse_word)
        count(Activity.SET_PULSES, self.set_pulse)
        count(Activity.RESET_PULSES, self.reset_pulse)
        count(Activity.REFRESHED_PAIRS, self.refreshed_pair)
        add(self.cycles_idle, "idle", self.phase == Phase.IDLE)
        return m
