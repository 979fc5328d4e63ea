"""The digital unit in integers: its state, and what one image does to it.

:func:`train_image` and :func:`infer_image` compose the block functions of this package in the order
of the gateware's sequencer, call the crossbars at the analog boundary, and count cycles with
:mod:`model.cycles`. The trainer, the co-simulation and the tests all run these two functions; there
is no other arithmetic.

Everything an image produced (codes, activations, errors, chi words, pulses, cycles) stays in
:class:`Trace` until the next image, so that a test bench compares it and the trainer pays nothing
for it.

Device time has the resolution of one image: every product, read and pulse of an image happens at
its start time.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.activation_unit import BIAS, activate, sigmoid_table
from model.activity import Activity
from model.chi_memory import accumulate
from model.config import Config, ScalePolicy, SkipPolicy
from model.crossbar import CrossbarState, product_backward, product_forward, program, read_row
from model.cycles import (
    REFRESH_START_CYCLES,
    Timing,
    backward_cycles,
    forward_cycles,
    refresh_row_cycles,
    scaled_end,
    timing,
)
from model.devices import RESET, SET
from model.error_unit import hidden_error, output_error
from model.jit import njit, njit_inner
from model.outer_product import nonzero_words, update_shift, word_products
from model.pulse_scheduler import MINUS, PLUS, PULSES_PER_LANE, expand
from model.quantiser import (
    DRIVE_CODE_MAX,
    UPDATE_CODE_MAX,
    activation_code,
    crowded_maximum,
    running_maximum,
    scale_exponent,
)
from model.read_out import partial_sum
from model.refresh_controller import (
    RefreshThresholds,
    refresh_pulses,
    refresh_thresholds,
    saturated,
)
from model.rounding import shift_round
from model.update_timing import (
    FIRST,
    NEVER,
    UPPER,
    UpdateTiming,
    drain,
    new_timing,
    open_window,
    postpone,
    pulses_end,
    reset_timing,
    update_timing,
)

__all__ = ["Settings", "Trace", "UnitState", "infer_image", "new_unit", "settings", "train_image"]

SKIP_CODES = {SkipPolicy.NEVER: 0, SkipPolicy.ZERO_ERROR: 1, SkipPolicy.ZERO_CODES: 2}
"""Register values of the skip policies."""

SCALE_CODES = {ScalePolicy.OWN: 0, ScalePolicy.RUNNING: 1}
"""Register values of the scale policies."""


class Settings(NamedTuple):
    """What the host can change between images, as register values."""

    learning_rate_log2: int
    epsilon_log2: int
    running_scale: bool
    skip: int


def settings(config: Config, learning_rate_log2: int | None = None) -> Settings:
    """The settings of a configuration, with another learning-rate exponent if given."""
    rate = config.update.learning_rate_log2 if learning_rate_log2 is None else learning_rate_log2
    return Settings(
        learning_rate_log2=rate,
        epsilon_log2=config.update.epsilon_log2,
        running_scale=config.update.scale_policy is ScalePolicy.RUNNING,
        skip=SKIP_CODES[config.update.skip_policy],
    )


class Trace(NamedTuple):
    """Everything the last image produced. Tuples have one entry a weight layer, unless said
    otherwise."""

    activations: tuple[npt.NDArray[np.uint8], ...]
    """uint8 ``[n_words * lanes]`` of the image and of every layer's units (n_layers + 1 entries);
    inputs of a layer have the bias behind the last unit, then zeros."""
    update_codes: tuple[npt.NDArray[np.int8], ...]
    """int8 ``[n_words, lanes]``: activations of a layer's rows, as update codes."""
    tile_codes: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[row_tiles, n_cols]``: ADC codes of the forward product."""
    codes: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[n_cols]``: their saturated sum."""
    tile_codes_back: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[col_tiles, n_rows]``: ADC codes of the backward product; not used for the first
    layer."""
    codes_back: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[n_rows]``: their saturated sum; the bias row's is not used."""
    read_codes: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[2, n_cols]``: codes of the last row read by refresh, plus and minus devices."""
    errors: tuple[npt.NDArray[np.int64], ...]
    """int64 ``[n_cols]``: exact errors of a layer's units."""
    drives: tuple[npt.NDArray[np.int8], ...]
    """int8 ``[n_cols]``: the same, 7 bits and sign."""
    error_codes: tuple[npt.NDArray[np.int8], ...]
    """int8 ``[n_cols]``: the same, -3..3."""
    exponents: npt.NDArray[np.int64]
    """int64 ``[n_layers, 3]``: drive exponent, absolute update exponent, update shift (-1: no
    update)."""
    words: npt.NDArray[np.int32]
    """int32 ``[chi_depth, 3]``: layer, unit, word of the chi words updated, in order."""
    counts: npt.NDArray[np.int8]
    """int8 ``[chi_depth, lanes]``: their pulse counts."""
    refreshed: npt.NDArray[np.int32]
    """int32 ``[n, 4]``: layer, row, column, signed SET pulses of the pairs refreshed, in order."""
    refreshed_rows: npt.NDArray[np.int32]
    """int32 ``[n, 2]``: layer, row read by refresh, in order."""
    sizes: npt.NDArray[np.int64]
    """int64 ``[4]``: used entries of words and refreshed; whether the update was skipped; used
    entries of refreshed_rows."""
    cycles: npt.NDArray[np.int64]
    """int64 ``[4]``: cycles of the phases of model.activity.PHASES."""


class Scratch(NamedTuple):
    """Work space of the update."""

    products: npt.NDArray[np.int8]
    """int8 ``[lanes]``."""
    words: npt.NDArray[np.int32]
    """int32 ``[max_words]``: non-zero words of a vector."""
    positions: npt.NDArray[np.int32]
    """int32 ``[chi_depth]``: which words of a layer's update make pulses."""
    pulses: npt.NDArray[np.int32]
    """int32 ``[chi_depth]``: how many pulses each of these makes."""


class UnitState(NamedTuple):
    """The digital unit's memories and registers, and the constants of its configuration."""

    chi: tuple[npt.NDArray[np.int32], ...]
    """int32 ``[n_cols, n_words, lanes]`` a layer: accumulated updates in LSBs of 2**-epsilon_log2
    epsilon."""
    maxima: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: running maxima of the error magnitudes."""
    refresh: npt.NDArray[np.int64]
    """int64 ``[3]``: layer and row that refresh reads next; training images since the last
    refresh."""
    counters: npt.NDArray[np.int64]
    """int64 ``[len(Activity)]``: totals since reset."""
    device_time_s: npt.NDArray[np.float64]
    """float64 ``[1]``: device time of the next image."""
    carried: npt.NDArray[np.int64]
    """int64 ``[6]``: what the last image left of its update, see the names of the entries in the
    source; its pulses are in ``trace`` until the next update."""
    trace: Trace
    scratch: Scratch
    update_timing: UpdateTiming
    timing: Timing
    table: npt.NDArray[np.uint8]
    thresholds: RefreshThresholds
    update_exponents: npt.NDArray[np.int64]
    tiles: npt.NDArray[np.int64]
    """int64 ``[n_layers, 2]``: row and column tiles."""
    code_max: int
    chi_bits: int
    decay_log2: int
    crowded_codes: int
    scale_bits: int
    overlap: bool
    refresh_interval: int
    refresh_rows: int
    read_integration_cycles: int
    clock_period_s: float
    seconds_per_image: float

    @property
    def is_whole(self) -> bool:
        """Whether the last image left nothing of its update to the next."""
        return not self.carried[0]


def new_unit(config: Config) -> UnitState:
    """The unit after reset: chi, running maxima, counters and device time are zero."""
    network, lanes = config.network, config.update.lanes
    layers = range(network.n_layers)
    n_pairs = sum(network.n_rows(k) * network.n_cols(k) for k in layers)
    n_rows = sum(network.n_rows(k) for k in layers)
    largest_row = max(network.n_cols(k) for k in layers)
    activations = [np.zeros((config.n_words(k), lanes), dtype=np.uint8) for k in layers]
    for k in layers:
        activations[k].reshape(-1)[network.layers[k]] = BIAS
    outputs = np.zeros(config.rows_to_words(network.layers[-1]) * lanes, dtype=np.uint8)
    trace = Trace(
        activations=(*(a.reshape(-1) for a in activations), outputs),
        update_codes=tuple(np.zeros((config.n_words(k), lanes), dtype=np.int8) for k in layers),
        tile_codes=tuple(
            np.zeros((config.row_tiles(k), network.n_cols(k)), dtype=np.int16) for k in layers
        ),
        codes=tuple(np.zeros(network.n_cols(k), dtype=np.int16) for k in layers),
        tile_codes_back=tuple(
            np.zeros((config.col_tiles(k), network.n_rows(k)), dtype=np.int16) for k in layers
        ),
        codes_back=tuple(np.zeros(network.n_rows(k), dtype=np.int16) for k in layers),
        read_codes=tuple(np.zeros((2, network.n_cols(k)), dtype=np.int16) for k in layers),
        errors=tuple(np.zeros(network.n_cols(k), dtype=np.int64) for k in layers),
        drives=tuple(np.zeros(network.n_cols(k), dtype=np.int8) for k in layers),
        error_codes=tuple(np.zeros(network.n_cols(k), dtype=np.int8) for k in layers),
        exponents=np.zeros((network.n_layers, 3), dtype=np.int64),
        words=np.zeros((config.chi_depth, 3), dtype=np.int32),
        counts=np.zeros((config.chi_depth, lanes), dtype=np.int8),
        refreshed=np.zeros((largest_row if config.refresh.rows else n_pairs, 4), dtype=np.int32),
        refreshed_rows=np.zeros((1 if config.refresh.rows else n_rows, 2), dtype=np.int32),
        sizes=np.zeros(4, dtype=np.int64),
        cycles=np.zeros(4, dtype=np.int64),
    )
    return UnitState(
        chi=tuple(
            np.zeros((network.n_cols(k), config.n_words(k), lanes), dtype=np.int32) for k in layers
        ),
        maxima=np.zeros(network.n_layers, dtype=np.int64),
        refresh=np.zeros(3, dtype=np.int64),
        counters=np.zeros(len(Activity), dtype=np.int64),
        device_time_s=np.zeros(1),
        carried=np.zeros(6, dtype=np.int64),
        trace=trace,
        scratch=Scratch(
            products=np.zeros(lanes, dtype=np.int8),
            words=np.zeros(max(config.n_words(k) for k in layers), dtype=np.int32),
            positions=np.zeros(config.chi_depth, dtype=np.int32),
            pulses=np.zeros(config.chi_depth, dtype=np.int32),
        ),
        update_timing=new_timing(config),
        timing=timing(config),
        table=sigmoid_table(config),
        thresholds=refresh_thresholds(config),
        update_exponents=np.array([config.update_exponent(k) for k in layers], dtype=np.int64),
        tiles=np.array(
            [[config.row_tiles(k), config.col_tiles(k)] for k in layers], dtype=np.int64
        ),
        code_max=config.converter.code_max,
        chi_bits=config.update.chi_bits,
        decay_log2=config.update.decay_log2,
        crowded_codes=config.update.crowded_codes,
        scale_bits=config.scale_bits,
        overlap=config.update.overlap,
        refresh_interval=config.refresh.interval,
        refresh_rows=config.refresh.rows,
        read_integration_cycles=config.array.read_integration_cycles,
        clock_period_s=config.clock_period_s,
        seconds_per_image=config.device.seconds_per_image,
    )


# The plain ints below make IntEnum members usable inside compiled code.
_IMAGES = int(Activity.IMAGES)
_SKIPPED = int(Activity.SKIPPED_IMAGES)
_CYCLES = int(Activity.CYCLES_FORWARD)
_FORWARD = int(Activity.FORWARD_PRODUCTS)
_BACKWARD = int(Activity.BACKWARD_PRODUCTS)
_READS = int(Activity.ROW_READS)
_LINES = int(Activity.DRIVEN_LINES)
_DRIVE = int(Activity.DRIVE_CYCLES)
_CONVERSIONS = int(Activity.CONVERSIONS)
_ACTIVATIONS = int(Activity.ACTIVATIONS)
_ERRORS = int(Activity.ERRORS)
_CHI_WORDS = int(Activity.CHI_WORDS)
_CHI_LANES = int(Activity.CHI_LANES)
_PULSE_WORDS = int(Activity.PULSE_WORDS)
_SETS = int(Activity.SET_PULSES)
_RESETS = int(Activity.RESET_PULSES)
_PAIRS = int(Activity.REFRESHED_PAIRS)

# Entries of UnitState.carried; times are those of the image that they are carried into.
_LEFT = 0  # whether an update was left
_LEFT_ENTRIES = 1  # its chi words in the trace
_LEFT_COMMAND = 2  # cycle of the first layer's update command; NEVER without
_LEFT_WORDS = 3  # chi words of the first layer
_LEFT_PULSE_WORDS = 4  # those that make pulses
_LEFT_END = 5  # the chi memory is idle from here if there is no command


@njit_inner
def _load(unit: UnitState, image: npt.NDArray[np.uint8]) -> None:
    """The image becomes the first layer's activations."""
    inputs = unit.trace.activations[0]
    for pixel in range(image.shape[0]):
        inputs[pixel] = image[pixel]
    unit.trace.cycles[:] = 0
    unit.trace.sizes[:] = 0


@njit_inner
def _forward_layer(
    unit: UnitState, arrays: tuple[CrossbarState, ...], layer: int, time_s: float
) -> None:
    """Product, read-out and activation of one layer; also the update codes of its inputs."""
    trace, counters = unit.trace, unit.counters
    tile_codes, codes = trace.tile_codes[layer], trace.codes[layer]
    inputs = trace.activations[layer]
    n_rows = arrays[layer].n_rows
    update_codes = trace.update_codes[layer].reshape(-1)
    for row in range(n_rows):
        update_codes[row] = activation_code(inputs[row])
        counters[_LINES] += inputs[row] != 0
        counters[_DRIVE] += inputs[row]
    product_forward(arrays[layer], inputs[:n_rows], time_s, tile_codes)
    partial_sum(tile_codes, unit.code_max, codes)
    activate(unit.table, codes, trace.activations[layer + 1])
    counters[_FORWARD] += 1
    counters[_CONVERSIONS] += tile_codes.size
    counters[_ACTIVATIONS] += codes.size


@njit_inner
def _scale_errors(unit: UnitState, run: Settings, layer: int, base_exponent: int) -> int:
    """Both codings of a layer's exact errors; returns their maximum magnitude.

    ``base_exponent``: E, the drive exponents of all layers above, so that exact errors times 2**E
    are comparable from image to image.
    """
    trace = unit.trace
    errors, drives, codes = trace.errors[layer], trace.drives[layer], trace.error_codes[layer]
    maximum = 0
    for error in errors:
        maximum = max(maximum, abs(error))
    scaled = maximum << base_exponent
    unit.maxima[layer] = (
        running_maximum(unit.maxima[layer], scaled, unit.decay_log2)
        if run.running_scale
        else scaled
    )
    drive_exponent = scale_exponent(maximum, DRIVE_CODE_MAX)
    exponent = max(scale_exponent(unit.maxima[layer], UPDATE_CODE_MAX), base_exponent)
    for k in range(errors.shape[0]):
        drives[k] = shift_round(errors[k], drive_exponent)
        codes[k] = shift_round(errors[k], exponent - base_exponent)
    unit.maxima[layer] = crowded_maximum(
        unit.maxima[layer],
        int(np.count_nonzero(codes)),
        unit.crowded_codes,
        unit.decay_log2,
        unit.scale_bits,
    )
    trace.exponents[layer, 0] = drive_exponent
    trace.exponents[layer, 1] = exponent
    unit.counters[_ERRORS] += errors.shape[0]
    return maximum


@njit_inner
def _backward_layer(
    unit: UnitState, arrays: tuple[CrossbarState, ...], layer: int, time_s: float
) -> None:
    """Backward product of a layer's array, and the exact errors of the units below."""
    trace, counters = unit.trace, unit.counters
    tile_codes, codes, drives = (
        trace.tile_codes_back[layer],
        trace.codes_back[layer],
        trace.drives[layer],
    )
    for drive in drives:
        counters[_LINES] += drive != 0
        counters[_DRIVE] += abs(drive)
    product_backward(arrays[layer], drives, time_s, tile_codes)
    partial_sum(tile_codes, unit.code_max, codes)
    hidden, errors = trace.activations[layer], trace.errors[layer - 1]
    for k in range(errors.shape[0]):
        errors[k] = hidden_error(codes[k], hidden[k])
    counters[_BACKWARD] += 1
    counters[_CONVERSIONS] += tile_codes.size


@njit_inner
def _update_layer(unit: UnitState, run: Settings, layer: int, scratch: Scratch) -> tuple[int, int]:
    """The zero-skipped outer product of one layer into chi; pulse counts are noted, not issued.

    Returns the numbers of words and of words with pulses; ``scratch.positions`` and
    ``scratch.pulses`` say which these are and how many pulses each makes.
    """
    trace, counters = unit.trace, unit.counters
    update_codes, error_codes = trace.update_codes[layer], trace.error_codes[layer]
    shift = trace.exponents[layer, 2]
    n_nonzero = nonzero_words(update_codes, scratch.words)
    n_words, n_pulse_words = 0, 0
    for col in range(error_codes.shape[0]):
        if error_codes[col] == 0:
            continue
        for k in range(n_nonzero):
            word = scratch.words[k]
            products = scratch.products
            counters[_CHI_LANES] += word_products(update_codes[word], error_codes[col], products)
            entry = trace.sizes[0]
            trace.sizes[0] += 1
            trace.words[entry, 0] = layer
            trace.words[entry, 1] = col
            trace.words[entry, 2] = word
            counts = trace.counts[entry]
            chi = unit.chi[layer][col, word]
            if accumulate(chi, products, shift, run.epsilon_log2, unit.chi_bits, counts):
                pulses = 0
                for count in counts:
                    pulses += abs(count)
                scratch.positions[n_pulse_words] = n_words
                scratch.pulses[n_pulse_words] = pulses
                n_pulse_words += 1
            n_words += 1
    counters[_CHI_WORDS] += n_words
    counters[_PULSE_WORDS] += n_pulse_words
    return n_words, n_pulse_words


@njit_inner
def _refresh_row(
    unit: UnitState, arrays: tuple[CrossbarState, ...], layer: int, row: int, time_s: float
) -> int:
    """Reads a row of pairs and writes the saturated ones again; returns the cycles it takes."""
    trace, counters = unit.trace, unit.counters
    array, codes = arrays[layer], trace.read_codes[layer]
    for device in range(2):
        read_row(array, row, device, time_s, codes[device])
    counters[_READS] += 2
    counters[_LINES] += 2
    counters[_DRIVE] += 2 * unit.read_integration_cycles
    counters[_CONVERSIONS] += 2 * codes.shape[1]
    pairs, set_pulses = 0, 0
    for col in range(codes.shape[1]):
        plus, minus = int(codes[0, col]), int(codes[1, col])
        if saturated(plus, minus, unit.thresholds):
            count = refresh_pulses(plus, minus, unit.thresholds)
            entry = trace.sizes[1]
            trace.refreshed[entry, 0] = layer
            trace.refreshed[entry, 1] = row
            trace.refreshed[entry, 2] = col
            trace.refreshed[entry, 3] = count
            trace.sizes[1] += 1
            program(array, row, col, PLUS, RESET, time_s)
            program(array, row, col, MINUS, RESET, time_s)
            for _ in range(abs(count)):
                program(array, row, col, PLUS if count > 0 else MINUS, SET, time_s)
            pairs += 1
            set_pulses += abs(count)
    counters[_PAIRS] += pairs
    counters[_RESETS] += 2 * pairs
    counters[_SETS] += set_pulses
    entry = trace.sizes[3]
    trace.refreshed_rows[entry, 0] = layer
    trace.refreshed_rows[entry, 1] = row
    trace.sizes[3] += 1
    return refresh_row_cycles(unit.timing, layer, pairs, set_pulses)


@njit_inner
def _refresh(unit: UnitState, arrays: tuple[CrossbarState, ...], first: bool, time_s: float) -> int:
    """Refresh of the first array or of all others, if due; returns the cycles it takes."""
    layer, row = unit.refresh[0], unit.refresh[1]
    due = unit.refresh_interval > 0 and unit.refresh[2] >= unit.refresh_interval
    if not due or (layer == 0) != first:
        return 0
    cycles = REFRESH_START_CYCLES
    while True:
        cycles += _refresh_row(unit, arrays, layer, row, time_s)
        row += 1
        if row == arrays[layer].n_rows:
            row = 0
            layer = layer + 1 if layer + 1 < len(arrays) else 0
        if unit.refresh_rows == 1 or (layer == 0) != first or (layer == 0 and row == 0):
            break
    unit.refresh[0], unit.refresh[1] = layer, row
    if unit.refresh_rows == 1 or layer == 0:
        unit.refresh[2] = 0
    return cycles


@njit_inner
def _issue_pulses(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    entries: int,
    lowest: int,
    highest: int,
    time_s: float,
) -> None:
    """The pulses of an update's first ``entries`` chi words, as the scheduler issues them, on the
    arrays from ``lowest`` to ``highest``."""
    trace = unit.trace
    n_pulses = PULSES_PER_LANE * trace.counts.shape[1]
    rows = np.empty(n_pulses, dtype=np.int32)
    devices = np.empty(n_pulses, dtype=np.int8)
    for entry in range(entries):
        layer, col, word = trace.words[entry]
        if lowest <= layer <= highest:
            n_pulses = expand(word, trace.counts[entry], rows, devices)
            for k in range(n_pulses):
                program(arrays[layer], rows[k], col, devices[k], SET, time_s)
            unit.counters[_SETS] += n_pulses


@njit_inner
def _carry_update(
    unit: UnitState,
    cycles: int,
    command: int,
    n_words: int,
    n_pulse_words: int,
    update_end: int,
) -> None:
    """Leaves the update to the next image, which begins ``cycles`` after this one."""
    carried = unit.carried
    carried[_LEFT] = 1
    carried[_LEFT_ENTRIES] = unit.trace.sizes[0]
    carried[_LEFT_COMMAND] = command if command >= NEVER else command - cycles
    carried[_LEFT_WORDS] = n_words
    carried[_LEFT_PULSE_WORDS] = n_pulse_words
    carried[_LEFT_END] = update_end - cycles
    postpone(unit.update_timing, cycles)


@njit_inner
def _end_update(
    unit: UnitState, arrays: tuple[CrossbarState, ...], window: int, time_s: float
) -> int:
    """The rest of the update that the image before left: the first layer's, whose pulses may begin
    in cycle ``window``. Returns the cycle from which nothing of it is left."""
    carried, scratch = unit.carried, unit.scratch
    update_end = carried[_LEFT_END]
    open_window(unit.update_timing, FIRST, window)
    if carried[_LEFT_COMMAND] < NEVER:
        _, update_end = update_timing(
            unit.update_timing,
            carried[_LEFT_COMMAND],
            carried[_LEFT_WORDS],
            scratch.positions,
            scratch.pulses,
            carried[_LEFT_PULSE_WORDS],
            FIRST,
        )
    _issue_pulses(unit, arrays, carried[_LEFT_ENTRIES], 0, 0, time_s)
    carried[_LEFT] = 0
    return max(update_end, drain(unit.update_timing))


@njit_inner
def _finish(unit: UnitState) -> None:
    """Counts the image and lets device time pass."""
    counters, cycles = unit.counters, unit.trace.cycles
    total = 0
    for phase in range(4):
        counters[_CYCLES + phase] += cycles[phase]
        total += cycles[phase]
    counters[_IMAGES] += 1
    unit.device_time_s[0] += (
        unit.seconds_per_image if unit.seconds_per_image > 0 else total * unit.clock_period_s
    )


@njit
def infer_image(
    unit: UnitState, arrays: tuple[CrossbarState, ...], image: npt.NDArray[np.uint8]
) -> int:
    """Classifies one image; returns the predicted class (the first of the largest outputs).

    ``image``: uint8 ``[layers[0]]``. Changes no weight; read noise advances the arrays' generators,
    and device time passes as in training.
    """
    time_s = unit.device_time_s[0]
    _load(unit, image)
    cycles = unit.trace.cycles
    cycles[0] = 1
    for layer in range(len(arrays)):
        _forward_layer(unit, arrays, layer, time_s)
        cycles[0] += forward_cycles(unit.timing, layer)
    cycles[3] = 1
    _finish(unit)
    outputs = unit.trace.activations[len(arrays)]
    best = 0
    for k in range(1, unit.trace.codes[len(arrays) - 1].shape[0]):
        if outputs[k] > outputs[best]:
            best = k
    return best


@njit
def train_image(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    run: Settings,
    image: npt.NDArray[np.uint8],
    label: int | np.int64,
    follows: bool,
) -> bool:
    """One training step on one image; returns whether the image was classified correctly before the
    update.

    Order on every array, as in the gateware: refresh of the arrays other than the first, forward
    products, refresh of the first array, backward products, then the pulses of the update, last
    layer first. ``image``: uint8 ``[layers[0]]``; ``label``: its class.

    ``follows``: the next training image waits when the products are done. With ``update.overlap``
    the pulses then belong to that image: those of the upper arrays come before their refresh, those
    of the first array between its forward product and its refresh.
    Source: Nandakumar 2020, Figure 2 and Methods; error scaling as in design notes of
    docs/quantiser.md.
    """
    n_layers = len(arrays)
    last = n_layers - 1
    time_s = unit.device_time_s[0]
    trace, counters, constants = unit.trace, unit.counters, unit.timing
    scratch = unit.scratch
    carried = unit.carried
    follows = follows and unit.overlap

    _load(unit, image)
    unit.refresh[2] += 1
    # With overlap, refresh of the upper arrays begins behind their pulses and the first cycle.
    upper_end = 0
    if carried[_LEFT]:
        upper_end = pulses_end(unit.update_timing)
        _issue_pulses(unit, arrays, carried[_LEFT_ENTRIES], 1, last, time_s)
    if unit.overlap:
        upper_end = max(1, upper_end)
        upper_end += max(1, _refresh(unit, arrays, False, time_s))
    else:
        upper_end = _refresh(unit, arrays, False, time_s)
    settled, refresh_end = 0, 0

    # Forward. `now` is the cycle in which the next command is offered.
    now = 1
    for layer in range(n_layers):
        if layer == 1:
            now = max(now, upper_end)
        _forward_layer(unit, arrays, layer, time_s)
        now += forward_cycles(constants, layer)
        if layer == 0:
            refresh_end = max(now, upper_end)
            if carried[_LEFT]:
                settled = max(upper_end, _end_update(unit, arrays, refresh_end, time_s))
                refresh_end = max(refresh_end, settled)
            refresh_end += _refresh(unit, arrays, True, time_s)
    trace.cycles[0] = now

    # Output error. Its codes wait until nothing of the update before is left.
    outputs, errors = trace.activations[n_layers], trace.errors[last]
    best = 0
    for k in range(errors.shape[0]):
        errors[k] = output_error(outputs[k], k == label)
        if outputs[k] > outputs[best]:
            best = k
    maximum = _scale_errors(unit, run, last, 0)
    zero_codes = not trace.error_codes[last].any()
    forward_end = now
    now = scaled_end(constants, last, now, settled)
    trace.cycles[1] = now - forward_end
    skipped = (run.skip == 1 and maximum == 0) or (run.skip == 2 and zero_codes)
    trace.sizes[2] = skipped
    counters[_SKIPPED] += skipped
    if skipped:  # no vector comes for the layers below
        for layer in range(last):
            unit.maxima[layer] = running_maximum(unit.maxima[layer], 0, unit.decay_log2)

    # Backward; every layer's update starts when its error codes are complete, beside the product
    # below it.
    reset_timing(unit.update_timing)
    base_exponent, update_end = 0, 0
    command, n_words, n_pulse_words = NEVER, 0, 0
    backward_start = now
    for layer in range(last, -1, -1):
        trace.exponents[layer, 2] = -1
        if skipped:
            continue
        if trace.error_codes[layer].any():
            trace.exponents[layer, 2] = update_shift(
                trace.exponents[layer, 1],
                unit.update_exponents[layer],
                run.learning_rate_log2,
                run.epsilon_log2,
            )
        if layer == 0:
            trace.cycles[2] = now - backward_start
            open_window(unit.update_timing, UPPER, max(now, refresh_end))
            open_window(unit.update_timing, FIRST, max(now, refresh_end))
        codes_free = now
        if trace.exponents[layer, 2] >= 0:
            n_words, n_pulse_words = _update_layer(unit, run, layer, scratch)
            if layer == 0 and follows:
                command = now
            else:
                codes_free, update_end = update_timing(
                    unit.update_timing,
                    now,
                    n_words,
                    scratch.positions,
                    scratch.pulses,
                    n_pulse_words,
                    FIRST if layer == 0 else UPPER,
                )
        if layer > 0:
            base_exponent += trace.exponents[layer, 0]
            _backward_layer(unit, arrays, layer, time_s)
            _scale_errors(unit, run, layer - 1, base_exponent)
            now += backward_cycles(constants, layer)
            now = scaled_end(constants, layer - 1, now, codes_free)

    end = max(now, refresh_end)
    if follows:
        if not skipped:
            _carry_update(unit, end + 1, command, n_words, n_pulse_words, update_end)
    else:
        _issue_pulses(unit, arrays, trace.sizes[0], 0, last, time_s)
        end = max(end, update_end, drain(unit.update_timing))
    trace.cycles[3] = end + 1 - now
    _finish(unit)
    return best == label
