"""What in-situ learning on integers is measured against, in floating point.

* :func:`train_software`: the same network with the same inputs in float32, no devices.
* :func:`train_float`: in-situ learning on the same devices with nothing rounded: real currents,
  softmax, errors, gradients and gate voltages. Every device whose gradient is not zero is written
  in every batch, where the unit waits for a whole step of the DAC.
* :func:`transfer_codes`: ex situ, weights of the first written once into an array.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.datasets import Dataset
from model.in_situ.arrays import generators, image_order, new_arrays
from model.in_situ.config import DRIVE_MAX, InSituConfig
from model.in_situ.device import conductance_table
from model.jit import njit

__all__ = ["SOFTWARE_RATE", "software_accuracy", "train_float", "train_software", "transfer_codes"]

SOFTWARE_RATE = 1.2
"""Learning rate of :func:`train_software` for inputs and gradients in 0..1, falling linearly to
zero. Chosen on held-out training images, see docs/in_situ/training.md."""

HEADROOM = 99.9
"""Percentile of a hidden layer's positive currents on training images that ex-situ weights keep
within the ADC's full scale."""


def _places(config: InSituConfig, dataset: Dataset, seed: int, n_images: int) -> NDArray[np.int64]:
    """The order of the images of a run, as :class:`model.in_situ.training.Training` has it."""
    n_train = len(dataset.train_labels)
    epochs = range(-(-n_images // n_train))
    order = [image_order(config, seed, epoch, n_train) for epoch in epochs]
    return np.concatenate(order)[:n_images]


# Software


@njit
def _softmax(logits: NDArray[np.floating]) -> None:
    """In place, row by row."""
    for k in range(logits.shape[0]):
        row = logits[k]
        row[:] = np.exp(row - row.max())
        row /= row.sum()


@njit
def _software_batches(
    weights: tuple[NDArray[np.float32], ...],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
    batch: int,
    rate: float,
) -> None:
    n_layers, n_batches = len(weights), order.shape[0] // batch
    for index in range(n_batches):
        chosen = order[index * batch : (index + 1) * batch]
        # A layer's inputs; the tuple of layers is indexed at run time, so they are kept in a list.
        inputs = [images[chosen].astype(np.float32) / np.float32(DRIVE_MAX)]
        for layer in range(n_layers - 1):
            inputs.append(np.maximum(np.dot(inputs[layer], weights[layer]), np.float32(0)))
        errors = np.dot(inputs[n_layers - 1], weights[n_layers - 1])
        _softmax(errors)
        for k in range(batch):
            errors[k, labels[chosen[k]]] -= 1
        step = np.float32(rate * (1 - index / n_batches) / batch)
        for layer in range(n_layers - 1, -1, -1):
            gradient = np.dot(inputs[layer].T, errors)
            if layer > 0:
                below = np.dot(errors, weights[layer].T)
                errors = np.where(inputs[layer] > 0, below, np.float32(0))
            weights[layer][:] -= step * gradient


def train_software(
    config: InSituConfig, dataset: Dataset, *, seed: int, rate: float = SOFTWARE_RATE
) -> tuple[NDArray[np.float32], ...]:
    """Weights of the network trained in float32: rectified hidden units, softmax, cross-entropy,
    plain mini-batch descent, no bias.

    Float32 ``[n_inputs, n_cols]`` a layer, drawn at first from a Gaussian of variance 2 /
    n_inputs. ``dataset``: as :func:`model.in_situ.inputs.adapt` gives it; as many images and the
    same order as an in-situ run of the seed.
    """
    network = config.network
    rng = generators(config, seed)[-1]
    weights = tuple(
        rng.normal(
            0, np.sqrt(2 / network.n_inputs(k)), (network.n_inputs(k), network.n_cols(k))
        ).astype(np.float32)
        for k in range(network.n_layers)
    )
    order = _places(config, dataset, seed, config.training.images)
    images, labels = dataset.train_images, dataset.train_labels
    _software_batches(weights, images, labels, order, config.update.batch, rate)
    return weights


def software_accuracy(weights: Sequence[NDArray[np.float32]], dataset: Dataset) -> float:
    """Accuracy (0..1) of such weights on the test images."""
    values = dataset.test_images.astype(np.float32) / np.float32(DRIVE_MAX)
    for weight in weights[:-1]:
        values = np.maximum(values @ weight, 0)
    return float(np.mean((values @ weights[-1]).argmax(axis=1) == dataset.test_labels))


# In situ, nothing rounded


@njit
def _float_forward(
    weights: tuple[NDArray[np.float64], ...],
    inputs: list[NDArray[np.float64]],
    scales: NDArray[np.float64],
    gain: float,
) -> NDArray[np.float64]:
    """Appends hidden drives to ``inputs`` and returns the last layer's codes, unrounded."""
    n_layers = len(weights)
    for layer in range(n_layers - 1):
        currents = np.dot(inputs[layer], weights[layer]) * (scales[layer] * gain)
        inputs.append(np.minimum(np.maximum(currents, 0.0), float(DRIVE_MAX)))
    return np.dot(inputs[n_layers - 1], weights[n_layers - 1]) * scales[n_layers - 1]


@njit
def _float_batches(
    gates: tuple[NDArray[np.float64], ...],
    conductances: tuple[NDArray[np.float64], ...],
    stuck: tuple[NDArray[np.bool_], ...],
    weights: tuple[NDArray[np.float64], ...],
    generators: tuple[np.random.Generator, ...],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
    batch: int,
    rates: NDArray[np.float64],
    scales: NDArray[np.float64],
    backward_scale: float,
    gain: float,
    logit: float,
    table: NDArray[np.float64],
    spread_us: float,
    low: float,
    high: float,
) -> None:
    n_layers, n_batches = len(weights), order.shape[0] // batch
    codes = np.arange(table.shape[0]).astype(np.float64)
    for index in range(n_batches):
        chosen = order[index * batch : (index + 1) * batch]
        inputs = [images[chosen].astype(np.float64)]
        errors = _float_forward(weights, inputs, scales, gain) * logit
        _softmax(errors)
        for k in range(batch):
            errors[k, labels[chosen[k]]] -= 1
        errors *= DRIVE_MAX
        fall = 1 - index / n_batches
        for layer in range(n_layers - 1, -1, -1):
            gradient = np.dot(inputs[layer].T, errors)
            if layer > 0:
                below = np.dot(errors, weights[layer].T) * backward_scale
                errors = np.where(inputs[layer] > 0, below, 0.0)
            n_inputs, n_cols = gradient.shape
            for line in range(n_inputs):
                for col in range(n_cols):
                    step = -gradient[line, col] * rates[layer] * fall
                    if step == 0.0:
                        continue
                    for device in range(2):
                        row = device * n_inputs + line
                        gate = gates[layer][row, col] + (-step if device else step)
                        gate = min(max(gate, low), high)
                        gates[layer][row, col] = gate
                        if not stuck[layer][row, col]:
                            conductances[layer][row, col] = max(
                                np.interp(gate, codes, table)
                                + spread_us * generators[layer].standard_normal(),
                                0.0,
                            )
                    weights[layer][line, col] = (
                        conductances[layer][line, col] - conductances[layer][n_inputs + line, col]
                    )


@njit
def _float_classes(
    weights: tuple[NDArray[np.float64], ...],
    images: NDArray[np.uint8],
    scales: NDArray[np.float64],
    gain: float,
    classes: NDArray[np.uint8],
) -> None:
    for start in range(0, images.shape[0], 500):
        inputs = [images[start : start + 500].astype(np.float64)]
        codes = _float_forward(weights, inputs, scales, gain)
        for k in range(codes.shape[0]):
            classes[start + k] = np.argmax(codes[k])


def train_float(config: InSituConfig, dataset: Dataset, *, seed: int) -> float:
    """Accuracy (0..1) on the test images after in-situ learning without any rounding or ADC range.

    Devices, stuck devices, images, gains and learning rates are those of an in-situ run of the
    seed; the rate falls linearly. Series resistance and read noise are left out. ``dataset``: as
    :func:`model.in_situ.inputs.adapt` gives it.
    """
    arrays = new_arrays(config, seed)
    states = [array.state for array in arrays]
    mantissa = config.update.rate_start / 2 ** (config.update.rate_bits - 8)
    # Steps of the DAC for a unit of the gradient sum, at the start of the run.
    rates = np.array(
        [mantissa / 2 ** (shift + config.gate.fraction_bits) for shift in config.update.shifts]
    )
    weights = tuple(state.weight.copy() for state in states)
    scales = np.array([state.forward_scale for state in states])
    gain = float(2**config.converter.relu_shift)
    order = _places(config, dataset, seed, config.training.images)
    initial = float(config.gate.code_initial)
    _float_batches(
        tuple(np.full_like(state.conductance, initial) for state in states),
        tuple(state.conductance.copy() for state in states),
        tuple(state.stuck for state in states),
        weights,
        tuple(state.rng_write for state in states),
        dataset.train_images,
        dataset.train_labels,
        order,
        config.update.batch,
        rates,
        scales,
        states[0].backward_scale,
        gain,
        config.converter.softmax_lsb,
        states[0].table,
        states[0].spread_us,
        float(config.gate.code_min),
        float(config.gate.code_max),
    )
    classes = np.empty(len(dataset.test_labels), np.uint8)
    _float_classes(weights, dataset.test_images, scales, gain, classes)
    return float(np.mean(classes == dataset.test_labels))


# Ex situ


def transfer_codes(
    config: InSituConfig, weights: Sequence[NDArray[np.float32]], images: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], ...]:
    """Gate codes that write weights into arrays, uint8 ``[n_rows, n_cols]`` a layer.

    The mapping: ``G+- = G_mid +- s w / 2`` with the middle of the range of conductances and one
    factor s a layer, the largest with which every weight stays within the range and the hidden
    currents of ``images`` (all but a thousandth of the positive ones) within the ADC's. Symmetric
    as the two-pulse rule of in-situ learning, so a stuck device costs half the range and more.
    Scaling a layer changes no class: units are rectified linear, without bias.

    ``images``: uint8 ``[n, layers[0]]``, training images.
    """
    table, gate = conductance_table(config), config.gate
    codes = np.arange(gate.code_min, gate.code_max + 1)
    low_us, high_us = table[gate.code_min], table[gate.code_max]
    converter = config.converter
    drive_to_code = config.array.read_voltage_v / DRIVE_MAX * 1e-6 * 2 ** (converter.adc_bits - 1)
    result = []
    drives = images.astype(np.float64)
    for layer, weight in enumerate(weights):
        factor = (high_us - low_us) / np.abs(weight).max()
        if layer < len(weights) - 1:
            per_weight = drive_to_code / converter.hidden_full_scale_a
            sums = np.maximum(drives @ weight, 0) * per_weight
            peak = np.percentile(sums[sums > 0], HEADROOM) if (sums > 0).any() else 0.0
            factor = min(factor, converter.code_max / peak) if peak > 0 else factor
            scale = factor * 2**converter.relu_shift
            drives = np.minimum(sums * scale, DRIVE_MAX)
        half = factor * weight.astype(np.float64) / 2
        middle = (low_us + high_us) / 2
        wanted = np.concatenate([middle + half, middle - half])
        result.append(np.rint(np.interp(wanted, table[codes], codes)).astype(np.uint8))
    return tuple(result)
