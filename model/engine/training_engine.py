"""The training engine in integers: its state, and what one image does to it.

Both engines propagate alike::

    code       = saturate(shift_round(sum_i w[j, i] a[i], forward_shift))     8 bits
    activation = sigmoid_table[code]
    error_out  = (y - t) y (255 - y)                                          exact

A direct update keeps the errors as they are and changes every weight::

    back       = saturate(shift_round(sum_k w[k, j] error[k], backward_shift))  32 bits
    error      = shift_round(back h (255 - h), 16)
    w[j, i]    = saturate(w[j, i] - shift_round(error[j] a[i], update_shift))

A chi update codes the errors as the in-memory system does, with its functions: 7 bits and sign to
drive the weights backwards, signed 3 bits for the outer product, whose pulses each are one LSB of a
weight. All sums are exact; shifts round half away from zero.

All of an image's products use the weights before its update.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.activation_unit import BIAS, activate, sigmoid_table
from model.chi_memory import accumulate
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig
from model.engine.cycles import (
    DROPPED_CYCLES,
    Timing,
    chi_update_cycles,
    direct_update_cycles,
    timing,
)
from model.error_unit import derivative, hidden_error, output_error
from model.jit import njit
from model.outer_product import nonzero_words, update_shift, word_products
from model.quantiser import (
    DRIVE_CODE_MAX,
    UPDATE_CODE_MAX,
    activation_code,
    running_maximum,
    scale_exponent,
)
from model.rounding import saturate, shift_round

__all__ = [
    "DERIVATIVE_SHIFT",
    "EngineState",
    "EngineTrace",
    "infer_image",
    "new_engine",
    "new_weights",
    "train_image",
]

DERIVATIVE_SHIFT = 16
"""Right shift behind the derivative of a direct hidden error: 255**2 counts as 2**16."""


class EngineTrace(NamedTuple):
    """What the last image produced; tuples have one entry a weight layer unless said otherwise."""

    activations: tuple[npt.NDArray[np.uint8], ...]
    """uint8 ``[n_words * lanes]`` of the image and of every layer's units (n_layers + 1 entries);
    inputs of a layer have the bias behind the last unit, then zeros."""
    codes: tuple[npt.NDArray[np.int16], ...]
    """int16 ``[n_cols]``: codes of the sigmoid table."""
    errors: tuple[npt.NDArray[np.int64], ...]
    """int64 ``[n_cols]``: errors of a layer's units."""
    drives: tuple[npt.NDArray[np.int64], ...]
    """int64 ``[n_cols]``: what multiplies weights backwards: the error, or its code of 7 bits and
    sign."""
    error_codes: tuple[npt.NDArray[np.int8], ...]
    """int8 ``[n_cols]``: chi: -3..3."""
    update_codes: tuple[npt.NDArray[np.int8], ...]
    """int8 ``[n_words, lanes]``: chi: codes of a layer's inputs."""
    cycles: npt.NDArray[np.int64]
    """int64 ``[4]``: cycles of the phases of model.engine.activity.PHASES."""


class EngineState(NamedTuple):
    """The engine's memories and registers, and the constants of its configuration."""

    weights: tuple[npt.NDArray[np.int32], ...]
    """int32 ``[n_cols, n_words * lanes]`` a layer; zero beyond the bias."""
    chi: tuple[npt.NDArray[np.int32], ...]
    """int32 ``[n_cols, n_words, lanes]`` a layer."""
    maxima: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: running maxima of the error magnitudes."""
    counters: npt.NDArray[np.int64]
    """int64 ``[len(EngineActivity)]``: totals since reset."""
    trace: EngineTrace
    timing: Timing
    table: npt.NDArray[np.uint8]
    update_exponents: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: as of the in-memory system."""
    is_chi: bool
    code_max: int
    weight_max: int
    error_max: int
    forward_shift: int
    backward_shift: int
    update_shift: int
    """Direct: at a learning-rate exponent of 0."""
    epsilon_log2: int
    chi_bits: int
    decay_log2: int


def new_weights(config: EngineConfig, seed: int) -> tuple[npt.NDArray[np.int32], ...]:
    """Initial weights: normal, rounded to the LSB and saturated; int32 ``[n_cols, n_words *
    lanes]`` a layer."""
    network = config.network
    weights = []
    for layer, rng in enumerate(np.random.default_rng(seed).spawn(network.n_layers + 1)[:-1]):
        n_rows, n_cols = network.n_rows(layer), network.n_cols(layer)
        drawn = rng.normal(0.0, config.initial_std, (n_cols, n_rows))
        codes = np.rint(drawn * 2.0**-config.weight_lsb_log2)
        whole = np.zeros((n_cols, config.n_words(layer) * config.lanes), np.int32)
        whole[:, :n_rows] = np.clip(codes, -config.weight_max, config.weight_max)
        weights.append(whole)
    return tuple(weights)


def new_engine(config: EngineConfig, weights: tuple[npt.NDArray[np.int32], ...]) -> EngineState:
    """The engine after reset with ``weights`` loaded: chi, running maxima and counters are zero."""
    network, lanes, unit = config.network, config.lanes, config.unit
    layers = range(network.n_layers)
    activations = [np.zeros(config.n_words(k) * lanes, np.uint8) for k in layers]
    for k in layers:
        activations[k][network.layers[k]] = BIAS
    outputs = np.zeros(config.unit_words(layers[-1]) * lanes, np.uint8)
    chi_words = [config.n_words(k) if config.is_chi else 0 for k in layers]
    return EngineState(
        weights=tuple(weight.copy() for weight in weights),
        chi=tuple(np.zeros((network.n_cols(k), chi_words[k], lanes), np.int32) for k in layers),
        maxima=np.zeros(network.n_layers, np.int64),
        counters=np.zeros(len(EngineActivity), np.int64),
        trace=EngineTrace(
            activations=(*activations, outputs),
            codes=tuple(np.zeros(network.n_cols(k), np.int16) for k in layers),
            errors=tuple(np.zeros(network.n_cols(k), np.int64) for k in layers),
            drives=tuple(np.zeros(network.n_cols(k), np.int64) for k in layers),
            error_codes=tuple(np.zeros(network.n_cols(k), np.int8) for k in layers),
            update_codes=tuple(np.zeros((config.n_words(k), lanes), np.int8) for k in layers),
            cycles=np.zeros(4, np.int64),
        ),
        timing=timing(config),
        table=sigmoid_table(unit),
        update_exponents=np.array([unit.update_exponent(k) for k in layers], np.int64),
        is_chi=config.is_chi,
        code_max=config.code_max,
        weight_max=config.weight_max,
        error_max=2 ** (config.error_bits - 1) - 1,
        forward_shift=config.forward_shift,
        backward_shift=config.backward_shift,
        update_shift=config.update_shift(0),
        epsilon_log2=unit.update.epsilon_log2,
        chi_bits=unit.update.chi_bits,
        decay_log2=config.decay_log2,
    )


# Plain ints, usable inside compiled code.
_IMAGES = int(EngineActivity.IMAGES)
_CYCLES = int(EngineActivity.CYCLES_FORWARD)
_FORWARD = int(EngineActivity.FORWARD_WORDS)
_BACKWARD = int(EngineActivity.BACKWARD_WORDS)
_ACTIVATIONS = int(EngineActivity.ACTIVATIONS)
_ERRORS = int(EngineActivity.ERRORS)
_STEPS = int(EngineActivity.STEP_WORDS)
_CHI_WORDS = int(EngineActivity.CHI_WORDS)
_CHI_LANES = int(EngineActivity.CHI_LANES)


@njit
def _forward(engine: EngineState, image: npt.NDArray[np.uint8]) -> int:
    """All layers forward; returns the class: the first of the largest outputs."""
    trace, counters = engine.trace, engine.counters
    n_layers = len(engine.weights)
    trace.activations[0][: image.shape[0]] = image
    trace.cycles[:] = 0
    cycles = engine.timing.load
    for layer in range(n_layers):
        inputs, codes = trace.activations[layer], trace.codes[layer]
        weights = engine.weights[layer]
        driven = np.nonzero(inputs)[0]  # a product with zero adds nothing
        for unit in range(codes.shape[0]):
            total = 0
            for row in driven:
                total += int(weights[unit, row]) * int(inputs[row])
            code = shift_round(total, engine.forward_shift)
            codes[unit] = saturate(code, -engine.code_max - 1, engine.code_max)
        activate(engine.table, codes, trace.activations[layer + 1])
        counters[_FORWARD] += engine.timing.words[layer]
        counters[_ACTIVATIONS] += codes.shape[0]
        cycles += engine.timing.words[layer] + engine.timing.forward
    trace.cycles[0] = cycles
    outputs, best = trace.activations[n_layers], 0
    for unit in range(1, trace.codes[n_layers - 1].shape[0]):
        if outputs[unit] > outputs[best]:
            best = unit
    return best


@njit
def _scale_errors(engine: EngineState, layer: int, base_exponent: int) -> tuple[int, int]:
    """Chi: both codings of a layer's errors, as :func:`model.unit.train_image` does with a running
    scale; returns drive exponent and absolute update exponent."""
    trace = engine.trace
    errors, drives, codes = trace.errors[layer], trace.drives[layer], trace.error_codes[layer]
    maximum = 0
    for error in errors:
        maximum = max(maximum, abs(error))
    scaled = maximum << base_exponent
    engine.maxima[layer] = running_maximum(engine.maxima[layer], scaled, engine.decay_log2)
    drive_exponent = scale_exponent(maximum, DRIVE_CODE_MAX)
    exponent = max(scale_exponent(engine.maxima[layer], UPDATE_CODE_MAX), base_exponent)
    for k in range(errors.shape[0]):
        drives[k] = shift_round(errors[k], drive_exponent)
        codes[k] = shift_round(errors[k], exponent - base_exponent)
    return drive_exponent, exponent


@njit
def _backward(engine: EngineState, layer: int) -> None:
    """Errors of the units below ``layer`` from the drives of its units."""
    trace = engine.trace
    drives, errors = trace.drives[layer], trace.errors[layer - 1]
    hidden, weights = trace.activations[layer], engine.weights[layer]
    for row in range(errors.shape[0]):
        total = 0
        for unit in range(drives.shape[0]):
            total += int(weights[unit, row]) * drives[unit]
        back = shift_round(total, engine.backward_shift)
        back = saturate(back, -engine.error_max - 1, engine.error_max)
        if engine.is_chi:
            errors[row] = hidden_error(back, hidden[row])
        else:
            errors[row] = shift_round(back * derivative(hidden[row]), DERIVATIVE_SHIFT)
    engine.counters[_BACKWARD] += engine.timing.back_words[layer]
    engine.counters[_ERRORS] += errors.shape[0]


@njit
def _direct_update(engine: EngineState, layer: int, shift: int) -> int:
    """Every weight of a layer by its own step; returns the cycles."""
    errors, inputs = engine.trace.errors[layer], engine.trace.activations[layer]
    weights, limit = engine.weights[layer], engine.weight_max
    driven = np.nonzero(inputs)[0]  # a step of zero changes nothing
    for unit in range(errors.shape[0]):
        error = errors[unit]
        if error != 0:
            for row in driven:
                step = shift_round(error * int(inputs[row]), shift)
                weights[unit, row] = saturate(int(weights[unit, row]) - step, -limit, limit)
    engine.counters[_STEPS] += engine.timing.words[layer]
    return direct_update_cycles(engine.timing, layer)


@njit
def _chi_update(engine: EngineState, layer: int, exponent: int, learning_rate_log2: int) -> int:
    """The zero-skipped outer product of a layer into chi, whose counts step the weights; returns
    the cycles."""
    trace, counters = engine.trace, engine.counters
    update_codes, error_codes = trace.update_codes[layer], trace.error_codes[layer]
    inputs, weights, limit = trace.activations[layer], engine.weights[layer], engine.weight_max
    n_words, lanes = update_codes.shape
    shift = update_shift(
        exponent, engine.update_exponents[layer], learning_rate_log2, engine.epsilon_log2
    )
    if shift < 0:
        return DROPPED_CYCLES
    flat = update_codes.reshape(-1)
    for row in range(flat.shape[0]):
        flat[row] = activation_code(inputs[row])
    words = np.empty(n_words, np.int32)
    products, counts = np.empty(lanes, np.int8), np.empty(lanes, np.int8)
    hit = nonzero_words(update_codes, words)
    done, last = 0, 0
    for unit in range(error_codes.shape[0]):
        if error_codes[unit] == 0:
            continue
        for k in range(hit):
            word = words[k]
            counters[_CHI_LANES] += word_products(update_codes[word], error_codes[unit], products)
            done += 1
            chi = engine.chi[layer][unit, word]
            if accumulate(chi, products, shift, engine.epsilon_log2, engine.chi_bits, counts):
                counters[_STEPS] += 1
                last = done
                for lane in range(lanes):
                    row = word * lanes + lane
                    weight = int(weights[unit, row]) + int(counts[lane])
                    weights[unit, row] = saturate(weight, -limit, limit)
    counters[_CHI_WORDS] += done
    return chi_update_cycles(done, last)


@njit
def _finish(engine: EngineState) -> None:
    for phase in range(4):
        engine.counters[_CYCLES + phase] += engine.trace.cycles[phase]
    engine.counters[_IMAGES] += 1


@njit
def infer_image(engine: EngineState, image: npt.NDArray[np.uint8]) -> int:
    """Classifies one image, uint8 ``[layers[0]]``; changes no weight."""
    best = _forward(engine, image)
    engine.trace.cycles[0] += 1  # the result leaves
    _finish(engine)
    return best


@njit
def train_image(
    engine: EngineState,
    learning_rate_log2: int,
    image: npt.NDArray[np.uint8],
    label: int | np.int64,
) -> bool:
    """One training step on one image, uint8 ``[layers[0]]``; returns whether it was classified
    correctly before the update."""
    trace, constants = engine.trace, engine.timing
    best = _forward(engine, image)
    last = len(engine.weights) - 1
    outputs, errors = trace.activations[last + 1], trace.errors[last]
    for unit in range(errors.shape[0]):
        errors[unit] = output_error(outputs[unit], unit == label)
    engine.counters[_ERRORS] += errors.shape[0]
    trace.cycles[1] = constants.error
    base_exponent, drive_exponent, exponent = 0, 0, 0
    if engine.is_chi:
        drive_exponent, exponent = _scale_errors(engine, last, 0)
    else:
        trace.drives[last][:] = errors
    for layer in range(last, -1, -1):
        if layer > 0:
            _backward(engine, layer)
            trace.cycles[2] += constants.back_words[layer] + constants.backward
        if engine.is_chi:
            trace.cycles[3] += _chi_update(engine, layer, exponent, learning_rate_log2)
        else:
            shift = engine.update_shift - learning_rate_log2
            trace.cycles[3] += _direct_update(engine, layer, shift)
        if layer > 0:
            if engine.is_chi:
                base_exponent += drive_exponent
                drive_exponent, exponent = _scale_errors(engine, layer - 1, base_exponent)
            else:
                trace.drives[layer - 1][:] = trace.errors[layer - 1]
            trace.cycles[2] += constants.scaled[layer - 1]
    _finish(engine)
    return best == label
