"""Calibration on about 1,000 training images: ADC full scales and requantisation, layer by layer.

What is measured here needs no float product in hardware: a histogram of line sums, and accumulators
of the calibration images; the rest is arithmetic on the host, once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import INPUT_BITS, UNITS_PER_US, CnnConfig
from model.cnn.convolver import Requantisation, convolve_accumulators
from model.cnn.crossbar import LayerArrays
from model.cnn.inference_unit import InferenceUnit
from model.cnn.product_tables import product_tables
from model.cnn.quantisation import LayerWeights
from model.cnn.requantiser import SHIFT_MAX
from model.cnn.software import SoftwareCnn
from model.jit import njit

__all__ = ["calibrate", "fixed_point", "sum_quantile"]

BIN_UNITS = 64
"""Conductance units of a bin of the histogram of line sums, 1/16 uS: far below any ADC code."""

PATCHES = 200_000
"""Patches from which a channel's gain and offset are fitted, at most."""


@njit
def _count_sums(
    units: NDArray[np.int32],
    features: NDArray[np.uint8],
    kernel: int,
    stride: int,
    counts: NDArray[np.int64],
) -> None:
    """Adds the line sums of all phases of a convolution of one map to a histogram."""
    inputs, lines = units.shape[1], units.shape[2]
    sums = np.empty(lines, np.int64)
    rows = (features.shape[0] - kernel) // stride + 1
    cols = (features.shape[1] - kernel) // stride + 1
    for y in range(rows):
        for x in range(cols):
            for chunk in range(units.shape[0]):
                for bit in range(8):
                    sums[:] = 0
                    for i in range(inputs):
                        pixel = features[y * stride + i // kernel, x * stride + i % kernel, chunk]
                        if (pixel >> bit) & 1:
                            for line in range(lines):
                                sums[line] += units[chunk, i, line]
                    for line in range(lines):
                        counts[sums[line] // BIN_UNITS] += 1


@njit
def _count_flat_sums(
    units: NDArray[np.int32], chunks: NDArray[np.uint8], counts: NDArray[np.int64]
) -> None:
    """The same for the fully connected layer: ``chunks`` uint8 ``[chunks, inputs]``."""
    sums = np.empty(units.shape[2], np.int64)
    for chunk in range(units.shape[0]):
        for bit in range(8):
            sums[:] = 0
            for i in range(units.shape[1]):
                if (chunks[chunk, i] >> bit) & 1:
                    sums += units[chunk, i]
            for line in range(sums.shape[0]):
                counts[sums[line] // BIN_UNITS] += 1


def sum_quantile(counts: NDArray[np.int64], quantile: float) -> int:
    """Conductance units below which a share of the non-empty sums lies, to the end of a bin."""
    share = np.cumsum(counts) / max(1, counts.sum())
    return int(np.searchsorted(share, quantile - 1e-12) + 1) * BIN_UNITS


def _adc_lsb(config: CnnConfig, quantile_units: int) -> int:
    return max(2, -(-quantile_units // config.array.code_max))


def _histogram(config: CnnConfig, layer: int) -> NDArray[np.int64]:
    largest = config.chunk_inputs(layer) * config.device.g_max_us
    return np.zeros(int(largest * UNITS_PER_US) // BIN_UNITS + 2, np.int64)


def fixed_point(config: CnnConfig, gains: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """Multipliers int32 and the one shift with ``multiplier / 2**shift`` nearest the gains.

    The shift is the largest for which the largest multiplier fits its bits.
    """
    limit = 2**config.requantiser.multiplier_bits - 1
    shift = 0
    while shift < SHIFT_MAX and np.rint(gains.max() * 2.0 ** (shift + 1)) <= limit:
        shift += 1
    return np.clip(np.rint(gains * 2.0**shift), 0, limit).astype(np.int32), shift


def _activation_scale(outputs: NDArray[np.float32]) -> float:
    """Real activation at code 255: the clip with the least mean-square error of rounding."""
    positive = outputs[outputs > 0]
    if positive.size == 0:
        return 1.0
    largest = float(positive.max())

    def error(scale: float) -> float:
        codes = np.minimum(np.rint(positive * np.float32(255 / scale)), 255)
        return float(np.mean((codes * np.float32(scale / 255) - positive) ** 2))

    return min((largest * k / 20 for k in range(8, 21)), key=error)


def _real_lsb(
    config: CnnConfig, lsb: int, weights: LayerWeights, in_scale: float
) -> NDArray[np.float64]:
    """One accumulator LSB of each output as a real number: an ADC code at one input LSB."""
    span_us = config.device.level_us * config.device.level_max
    weight = lsb / UNITS_PER_US / span_us * weights.clips
    return np.asarray(weight * in_scale / (2**INPUT_BITS - 1))


def _accumulators(
    config: CnnConfig, layer: int, arrays: LayerArrays, maps: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """int32 ``[images * patches, outs]`` of one replica."""
    network = config.network
    sums = np.empty((len(maps), *config.conv_shape(layer)), np.int32)
    tables = product_tables(arrays)
    for features, out in zip(maps, sums, strict=True):
        convolve_accumulators(tables, features, network.kernels[layer], network.strides[layer], out)
    return sums.reshape(-1, config.outs(layer))


def _fit(
    accumulators: NDArray[np.int32], wanted: NDArray[np.float32], gain: float
) -> tuple[float, float]:
    """Gain and offset with the least squares of ``gain * (accumulator + offset) - wanted``.

    Where nothing is driven the accumulator is 0 and so is what is wanted: those say nothing of the
    gain and would only hide an offset. Falls back to the nominal gain where there is no relation.
    """
    driven = accumulators != 0
    x, y = accumulators[driven].astype(np.float64), wanted[driven].astype(np.float64)
    if len(x) < 2 or x.var() == 0:
        return gain, 0.0
    slope = float(((x - x.mean()) * (y - y.mean())).mean() / x.var())
    if not 0.5 * gain <= slope <= 2 * gain:
        return gain, 0.0
    return slope, float(y.mean() / slope - x.mean())


def calibrate(
    unit: InferenceUnit,
    software: SoftwareCnn,
    weights: Sequence[LayerWeights],
    images: NDArray[np.uint8],
) -> float:
    """Sets the ADC's LSB of every layer and the requantisation of every replica.

    Layer by layer, each fed by the calibrated layers below: the LSB covers
    ``quantisation.adc_quantile`` of the line sums of all replicas together. The activation scale is
    that of the software's outputs with the least rounding error. A channel's nominal multiplier
    takes accumulators to that scale by its clip; with ``calibrate_offsets`` multiplier and offset
    are instead those that bring the accumulators of the written arrays closest to the software's
    sums.

    ``images``: training images uint8 ``[n, pixels]``. Returns the logit of one accumulator LSB of
    the fully connected layer, for the softmax of hybrid training.
    """
    config, network = unit.config, unit.config.network
    n = config.replicas.n
    floats = software.inputs(images)
    maps = [unit.as_maps(images)] * n
    in_scale = 1.0
    for layer in range(config.n_conv):
        counts = _histogram(config, layer)
        for replica in range(n):
            for features in maps[replica]:
                _count_sums(
                    unit.replicas[replica][layer].units,
                    features,
                    network.kernels[layer],
                    network.strides[layer],
                    counts,
                )
        counts[0] = 0
        lsb = _adc_lsb(config, sum_quantile(counts, config.quantisation.adc_quantile))
        wanted = software.sums(layer, floats).reshape(-1, config.outs(layer))
        pooled = software.pooled(layer, floats)
        scale = _activation_scale(pooled)
        nominal = _real_lsb(config, lsb, weights[layer], in_scale)
        for replica in range(n):
            arrays = unit.replicas[replica][layer]
            arrays.lsb = lsb
            gains, offsets = nominal.copy(), np.zeros(config.outs(layer))
            if config.quantisation.calibrate_offsets:
                sums = _accumulators(config, layer, arrays, maps[replica])
                stride = -(-len(sums) // PATCHES)
                for out in range(config.outs(layer)):
                    gains[out], offsets[out] = _fit(
                        sums[::stride, out], wanted[::stride, out], nominal[out]
                    )
            multipliers, shift = fixed_point(config, gains * 255 / scale)
            unit.requantisations[replica][layer] = Requantisation(
                np.rint(offsets).astype(np.int32), multipliers, shift
            )
            maps[replica] = unit.convolve(layer, maps[replica], replica)
        floats, in_scale = pooled, scale
    counts = _histogram(config, config.n_conv)
    for replica in range(n):
        for chunks in unit.features(images, replica):
            _count_flat_sums(unit.fully_connected.units, chunks, counts)
    counts[0] = 0
    unit.fully_connected.lsb = _adc_lsb(
        config, sum_quantile(counts, config.quantisation.adc_quantile)
    )
    return float(_real_lsb(config, unit.fully_connected.lsb, weights[-1], in_scale)[0])
