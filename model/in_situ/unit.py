"""The in-situ learning unit in integers: its state, and what images do to it.

:func:`train_images` composes the block functions of this package in the order of the gateware's
sequencer, calls the arrays at the analog boundary, and counts cycles with
:mod:`model.in_situ.cycles`. The trainer, the co-simulation and the tests all run it; there is no
other arithmetic.

Between two write phases no conductance changes, so the products of several images are taken
together: the matrix product that the arrays answer with, and the sum of outer products in the
gradient memory, both exact and therefore the same in any order. Everything that an image of the
current batch produced stays in :class:`Trace`, at its place in the batch, until the next batch.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.in_situ.activation_unit import relu
from model.in_situ.activity import PHASES, Activity
from model.in_situ.array import ArrayState, product_backward, product_forward, program_row
from model.in_situ.config import InSituConfig
from model.in_situ.cycles import (
    WRITE_LATENCY,
    Timing,
    accumulate_cycles,
    backward_cycles,
    error_cycles,
    forward_cycles,
    timing,
    write_row_cycles,
)
from model.in_situ.error_unit import drive_pass, hidden_error, output_error
from model.in_situ.gate_memory import gate_code, gate_step, move_gate, next_rate, rate_mantissa
from model.in_situ.outer_product import nonzero_count, nonzero_words
from model.in_situ.pulse_scheduler import RESET, SET, row_pulses
from model.in_situ.softmax import exponential_table, reciprocal_table, softmax
from model.jit import njit

__all__ = [
    "COUNT",
    "DECAY",
    "RATE",
    "Trace",
    "UnitState",
    "infer_images",
    "new_unit",
    "train_images",
]

COUNT = 0
"""Register: images of the current batch that are done."""

RATE = 1
"""Register: learning rate, falling."""

DECAY = 2
"""Register: what the rate loses at each update."""


class Trace(NamedTuple):
    """Everything the current batch produced. Rows are images by their place in the batch; tuples
    have one entry a weight layer."""

    activations: tuple[npt.NDArray[np.uint8], ...]
    """uint8 ``[batch, n_inputs]``: drives of a layer's rows."""
    codes: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[batch, n_cols]``: ADC codes of the forward product."""
    outputs: npt.NDArray[np.uint8]
    """uint8 ``[batch, n_classes]``: softmax."""
    errors: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[batch, n_cols]``: errors of a layer's units, zeros for a skipped image."""
    codes_back: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[batch, 2, n_inputs]``: ADC codes of the two backward passes, zeros for a skipped
    image; not used for the first layer."""
    skipped: npt.NDArray[np.bool_]
    """bool ``[batch]``: no output error, so neither backward pass nor accumulation."""
    cycles: npt.NDArray[np.int64]
    """int64 ``[batch, 5]``: cycles of the phases of model.in_situ.activity.PHASES."""
    gradients: tuple[npt.NDArray[np.int32], ...]
    """int32 ``[n_inputs, n_cols]``: the gradient memory. The write phase clears it in the gateware;
    here its last sums stay until the next batch begins."""
    pulses: npt.NDArray[np.int32]
    """int32 ``[2 * rows of all layers, 3]``: layer, row and kind of the pulses of the last write
    phase, in order."""
    gates: npt.NDArray[np.uint8]
    """uint8 ``[2 * rows of all layers + 2, most columns]``: their gate codes."""
    n_pulses: npt.NDArray[np.int64]
    """int64 ``[1]``: used entries of pulses and gates; 0 before a write phase."""


class Scratch(NamedTuple):
    """Work space: integers as the arrays' float64 drives."""

    drives: tuple[npt.NDArray[np.float64], ...]
    """float64 ``[batch, n_inputs]``: activations."""
    drives_back: tuple[npt.NDArray[np.float64], ...]
    """float64 ``[batch, 2, n_cols]``: errors, positive and negative ones."""
    errors: tuple[npt.NDArray[np.float64], ...]
    """float64 ``[batch, n_cols]``: errors, negated."""
    before: npt.NDArray[np.uint8]
    """uint8 ``[2, most columns]``: gate codes of a pair of rows before their update."""
    after: npt.NDArray[np.uint8]
    """uint8 ``[2, most columns]``: and after it."""


class UnitState(NamedTuple):
    """The unit's memories and registers, and the constants of its configuration."""

    gates: tuple[npt.NDArray[np.uint32], ...]
    """uint32 ``[2, n_inputs, n_cols]`` a layer: the gate memory, plus and minus devices."""
    registers: npt.NDArray[np.int64]
    """int64 ``[3]``: COUNT, RATE, DECAY."""
    counters: npt.NDArray[np.int64]
    """int64 ``[len(Activity)]``: totals since reset."""
    trace: Trace
    scratch: Scratch
    timing: Timing
    exponentials: npt.NDArray[np.uint16]
    reciprocals: npt.NDArray[np.uint16]
    shifts: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: shift of gradient times mantissa."""
    batch: int
    lanes: int
    relu_shift: int
    rate_bits: int
    fraction_bits: int
    gate_low: int
    gate_high: int


def new_unit(config: InSituConfig, n_updates: int = 0) -> UnitState:
    """The unit after reset: gates at their initial code, gradients, counters and count at zero.

    ``n_updates``: updates of the run, which decide how fast the rate falls; with 0 it falls to zero
    at the first one.
    """
    network, batch = config.network, config.update.batch
    layers = range(network.n_layers)
    most = max(network.n_cols(k) for k in layers)
    n_rows = sum(network.n_rows(k) for k in layers)
    n_classes = network.layers[-1]
    trace = Trace(
        activations=tuple(np.zeros((batch, network.n_inputs(k)), np.uint8) for k in layers),
        codes=tuple(np.zeros((batch, network.n_cols(k)), np.int16) for k in layers),
        outputs=np.zeros((batch, n_classes), np.uint8),
        errors=tuple(np.zeros((batch, network.n_cols(k)), np.int16) for k in layers),
        codes_back=tuple(np.zeros((batch, 2, network.n_inputs(k)), np.int16) for k in layers),
        skipped=np.zeros(batch, np.bool_),
        cycles=np.zeros((batch, len(PHASES)), np.int64),
        gradients=tuple(
            np.zeros((network.n_inputs(k), network.n_cols(k)), np.int32) for k in layers
        ),
        pulses=np.zeros((2 * n_rows, 3), np.int32),
        gates=np.zeros((2 * n_rows + 2, most), np.uint8),
        n_pulses=np.zeros(1, np.int64),
    )
    scratch = Scratch(
        drives=tuple(np.zeros((batch, network.n_inputs(k))) for k in layers),
        drives_back=tuple(np.zeros((batch, 2, network.n_cols(k))) for k in layers),
        errors=tuple(np.zeros((batch, network.n_cols(k))) for k in layers),
        before=np.zeros((2, most), np.uint8),
        after=np.zeros((2, most), np.uint8),
    )
    registers = np.zeros(3, np.int64)
    registers[RATE] = config.update.rate_start
    registers[DECAY] = config.rate_decay(n_updates)
    return UnitState(
        gates=tuple(
            np.full((2, network.n_inputs(k), network.n_cols(k)), config.gate.initial, np.uint32)
            for k in layers
        ),
        registers=registers,
        counters=np.zeros(len(Activity), np.int64),
        trace=trace,
        scratch=scratch,
        timing=timing(config),
        exponentials=exponential_table(config),
        reciprocals=reciprocal_table(),
        shifts=np.array(config.update.shifts, np.int64),
        batch=batch,
        lanes=config.update.lanes,
        relu_shift=config.converter.relu_shift,
        rate_bits=config.update.rate_bits,
        fraction_bits=config.gate.fraction_bits,
        gate_low=config.gate.low,
        gate_high=config.gate.high,
    )


@njit
def _predicted(outputs: npt.NDArray[np.uint8]) -> int:
    """The class with the largest output, the lowest among equals."""
    best = 0
    for unit in range(1, outputs.shape[0]):
        if outputs[unit] > outputs[best]:
            best = unit
    return best


@njit
def _count_drives(
    counters: npt.NDArray[np.int64], drives: npt.NDArray[np.float64], first: int, last: int
) -> None:
    for image in range(first, last):
        for line in range(drives.shape[1]):
            value = drives[image, line]
            counters[Activity.DRIVEN_LINES] += value > 0.0
            counters[Activity.DRIVE_SUM] += np.int64(value)


@njit
def _forward(
    unit: UnitState,
    arrays: tuple[ArrayState, ...],
    images: npt.NDArray[np.uint8],
    first: int,
) -> None:
    """Forward products and softmax of images, which take the places from ``first`` in the batch."""
    trace, counters = unit.trace, unit.counters
    n_layers, n = len(arrays), images.shape[0]
    last = first + n
    for layer in range(n_layers):
        activations, drives = trace.activations[layer], unit.scratch.drives[layer]
        for k in range(n):
            for line in range(drives.shape[1]):
                if layer == 0:
                    value = int(images[k, line])
                else:
                    value = relu(int(trace.codes[layer - 1][first + k, line]), unit.relu_shift)
                activations[first + k, line] = value
                drives[first + k, line] = value
        codes = trace.codes[layer]
        product_forward(arrays[layer], drives[first:last], codes[first:last])
        _count_drives(counters, drives, first, last)
        counters[Activity.CONVERSIONS] += n * codes.shape[1]
        if layer > 0:
            counters[Activity.ACTIVATIONS] += n * drives.shape[1]
    counters[Activity.FORWARD_PRODUCTS] += n * n_layers
    counters[Activity.IMAGES] += n
    for k in range(first, last):
        codes = trace.codes[n_layers - 1][k]
        softmax(codes, unit.exponentials, unit.reciprocals, trace.outputs[k])
        trace.cycles[k, :] = 0
        trace.cycles[k, 0] = forward_cycles(unit.timing)
        trace.cycles[k, 1] = error_cycles(unit.timing)
        counters[Activity.CYCLES_FORWARD] += trace.cycles[k, 0]
        counters[Activity.CYCLES_ERROR] += trace.cycles[k, 1]


@njit
def _backward(
    unit: UnitState, arrays: tuple[ArrayState, ...], layer: int, first: int, last: int
) -> None:
    """Errors of layer ``layer - 1``'s units, from those of ``layer``."""
    trace, counters = unit.trace, unit.counters
    errors, below = trace.errors[layer], trace.errors[layer - 1]
    drives, codes = unit.scratch.drives_back[layer], trace.codes_back[layer]
    n, n_cols, n_inputs = last - first, errors.shape[1], below.shape[1]
    for k in range(first, last):
        for col in range(n_cols):
            error = int(errors[k, col])
            drives[k, 0, col] = drive_pass(error, 0)
            drives[k, 1, col] = drive_pass(error, 1)
    passes = drives[first:last].reshape(2 * n, n_cols)
    product_backward(arrays[layer], passes, codes[first:last].reshape(2 * n, n_inputs))
    _count_drives(counters, passes, 0, 2 * n)
    negated = unit.scratch.errors[layer - 1]
    for k in range(first, last):
        for line in range(n_inputs):
            error = hidden_error(
                int(codes[k, 0, line]),
                int(codes[k, 1, line]),
                int(trace.activations[layer][k, line]),
            )
            below[k, line] = error
            negated[k, line] = -error
        if not trace.skipped[k]:
            trace.cycles[k, 2] += backward_cycles(unit.timing, layer)
            counters[Activity.BACKWARD_PRODUCTS] += 2
            counters[Activity.CONVERSIONS] += 2 * n_inputs
            counters[Activity.ERRORS] += n_inputs


@njit
def _accumulate(unit: UnitState, layer: int, first: int, last: int) -> None:
    """Outer products of a layer into its gradient memory.

    The sum over images of :func:`model.in_situ.outer_product.word_products`, as one exact matrix
    product of integers.
    """
    trace, counters = unit.trace, unit.counters
    gradients = trace.gradients[layer]
    sums = np.dot(unit.scratch.drives[layer][first:last].T, unit.scratch.errors[layer][first:last])
    for line in range(sums.shape[0]):
        for col in range(sums.shape[1]):
            gradients[line, col] += np.int32(sums[line, col])
    for k in range(first, last):
        if not trace.skipped[k]:
            active = nonzero_count(trace.activations[layer][k])
            words = nonzero_words(trace.errors[layer][k], unit.lanes)
            trace.cycles[k, 3] += accumulate_cycles(active, words)
            counters[Activity.GRADIENT_WORDS] += active * words
            counters[Activity.GRADIENT_LANES] += active * nonzero_count(trace.errors[layer][k])


@njit
def _write(unit: UnitState, arrays: tuple[ArrayState, ...]) -> int:
    """The write phase: moves all gates, issues the pulses, clears the gradients; returns its
    cycles."""
    trace, counters, scratch = unit.trace, unit.counters, unit.scratch
    mantissa = rate_mantissa(unit.registers[RATE], unit.rate_bits)
    low, high, bits = unit.gate_low, unit.gate_high, unit.fraction_bits
    cycles, n_pulses = WRITE_LATENCY, 0
    for layer in range(len(arrays)):
        gates, gradients = unit.gates[layer], trace.gradients[layer]
        n_inputs, n_cols = gradients.shape
        shift = unit.shifts[layer]
        for line in range(n_inputs):
            moved = False
            for col in range(n_cols):
                moved = moved or gradients[line, col] != 0
            set_pulses, reset_pulses = 0, 0
            # A row without gradients keeps its gates: nothing to compare.
            if moved:
                for col in range(n_cols):
                    step = gate_step(gradients[line, col], mantissa, shift)
                    for device in range(2):
                        gate = int(gates[device, line, col])
                        after = move_gate(gate, -step if device else step, low, high)
                        gates[device, line, col] = after
                        scratch.before[device, col] = gate_code(gate, bits)
                        scratch.after[device, col] = gate_code(after, bits)
                for device in range(2):
                    row = device * n_inputs + line
                    n_reset, n_set = row_pulses(
                        scratch.before[device, :n_cols],
                        scratch.after[device, :n_cols],
                        trace.gates[n_pulses],
                        trace.gates[n_pulses + 1],
                    )
                    if n_reset == 0:
                        trace.gates[n_pulses, :n_cols] = trace.gates[n_pulses + 1, :n_cols]
                    for kind, selected in ((RESET, n_reset), (SET, n_set)):
                        if selected > 0:
                            trace.pulses[n_pulses, 0] = layer
                            trace.pulses[n_pulses, 1] = row
                            trace.pulses[n_pulses, 2] = kind
                            trace.gates[n_pulses, n_cols:] = 0
                            program_row(arrays[layer], row, kind, trace.gates[n_pulses])
                            n_pulses += 1
                    reset_pulses += n_reset > 0
                    set_pulses += n_set > 0
                    counters[Activity.RESET_DEVICES] += n_reset
                    counters[Activity.SET_DEVICES] += n_set
            cycles += write_row_cycles(unit.timing, layer, set_pulses, reset_pulses)
            counters[Activity.SET_PULSES] += set_pulses
            counters[Activity.RESET_PULSES] += reset_pulses
        counters[Activity.GATE_WORDS] += n_inputs * unit.timing.unit_words[layer]
    trace.n_pulses[0] = n_pulses
    unit.registers[RATE] = next_rate(unit.registers[RATE], unit.registers[DECAY])
    counters[Activity.BATCHES] += 1
    return cycles


@njit
def train_images(
    unit: UnitState,
    arrays: tuple[ArrayState, ...],
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
) -> int:
    """Trains on images of one batch; the last of the batch brings the write phase.

    The result does not depend on how a batch is cut into calls. Returns how many images were
    classified correctly.

    ``images``: uint8 ``[n, layers[0]]``, at most as many as the batch still lacks; ``labels``:
    uint8 ``[n]``.

    Raises
    ------
    ValueError
        If there are more images than the batch lacks.
    """
    trace, counters = unit.trace, unit.counters
    first = unit.registers[COUNT]
    last = first + images.shape[0]
    if last > unit.batch:
        raise ValueError("More images than the batch lacks.")
    if first == 0:
        for layer in range(len(arrays)):
            trace.gradients[layer][:] = 0
        trace.n_pulses[0] = 0
    _forward(unit, arrays, images, first)
    top = len(arrays) - 1
    errors, negated = trace.errors[top], unit.scratch.errors[top]
    correct = 0
    for k in range(first, last):
        label = int(labels[k - first])
        correct += _predicted(trace.outputs[k]) == label
        trace.skipped[k] = True
        for col in range(errors.shape[1]):
            error = output_error(int(trace.outputs[k, col]), col == label)
            errors[k, col] = error
            negated[k, col] = -error
            if error != 0:
                trace.skipped[k] = False
        counters[Activity.ERRORS] += errors.shape[1]
        counters[Activity.SKIPPED_IMAGES] += trace.skipped[k]
    for layer in range(top, -1, -1):
        _accumulate(unit, layer, first, last)
        if layer > 0:
            _backward(unit, arrays, layer, first, last)
    unit.registers[COUNT] = last
    if last == unit.batch:
        trace.cycles[last - 1, 4] = _write(unit, arrays)
        unit.registers[COUNT] = 0
    for k in range(first, last):
        counters[Activity.CYCLES_BACKWARD] += trace.cycles[k, 2]
        counters[Activity.CYCLES_UPDATE] += trace.cycles[k, 3]
        counters[Activity.CYCLES_WRITE] += trace.cycles[k, 4]
    return correct


@njit
def infer_images(
    unit: UnitState,
    arrays: tuple[ArrayState, ...],
    images: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.uint8],
) -> None:
    """Classifies images; a unit in the middle of a batch keeps its place and its gradients.

    ``images``: uint8 ``[n, layers[0]]``; ``classes``: uint8 ``[n]``, written. The trace of the
    batch's remaining places is overwritten.
    """
    first = unit.registers[COUNT]
    free = unit.batch - first
    for start in range(0, images.shape[0], free):
        stop = min(start + free, images.shape[0])
        _forward(unit, arrays, images[start:stop], first)
        for k in range(stop - start):
            classes[start + k] = _predicted(unit.trace.outputs[first + k])
