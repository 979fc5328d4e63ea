"""Hybrid training: the arrays run forward, only the fully connected layer learns, in place.

A batch runs through the unit, bit for bit; its accumulators become probabilities and a gradient on
the host, as on the paper's processor. A weight changes only where the step is at least
``training.threshold_us``; its device is then written in a closed loop. Source: Yao 2020, Methods;
the learning rate and how a step is split over the pair are not published.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import UNITS_PER_US, CnnConfig
from model.cnn.crossbar import LayerArrays, convert
from model.cnn.inference_unit import InferenceUnit
from model.cnn.software import softmax

__all__ = [
    "Update",
    "apply_update",
    "gradient",
    "plan_batch",
    "plan_update",
    "read_all",
    "train_batch",
]


@dataclass(frozen=True)
class Update:
    """What a batch did."""

    correct: int
    """Images of the batch classified correctly, before the update."""
    weights: int
    """Weights that changed."""
    devices: int
    """Devices written."""
    pulses: int
    """Pulses, one a device with the write model ``sigma``."""
    failed: int
    """Devices that did not reach their targets."""


def read_all(arrays: LayerArrays) -> NDArray[np.int32]:
    """Verify codes of every device of a layer, int32 ``[chunks, inputs, lines]``: one read a
    row."""
    config = arrays.config
    codes = convert(arrays.units, config.read_lsb_units, config.array.code_max).astype(np.int32)
    return np.asarray(arrays.forced(codes, slice(0, len(codes))))


def gradient(
    features: NDArray[np.uint8],
    accumulators: NDArray[np.int32],
    labels: NDArray[np.uint8],
    logit_scale: float,
) -> NDArray[np.float64]:
    """``sum_i V_i (y_i - t_i)`` over a batch, float64 ``[chunks, inputs, classes]``.

    ``features``: uint8 ``[n, chunks, inputs]``, V = feature / 255; ``accumulators``: int32 ``[n,
    classes]``; y is the softmax of ``accumulators * logit_scale``, t the one-hot label.
    """
    error = softmax(accumulators * logit_scale)
    error[np.arange(len(labels)), labels] -= 1
    flat = features.reshape(len(features), -1) / 255.0
    return np.asarray(flat.T @ error).reshape(*features.shape[1:], -1)


def plan_update(
    config: CnnConfig, codes: NDArray[np.int32], steps_us: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Targets and enables of the devices, in verify codes, int32 and bool ``[chunks, inputs,
    lines]``.

    ``codes``: as read now, the same shape; ``steps_us``: wanted change of each difference,
    ``[chunks, inputs, outs]``. Steps below the threshold are dropped. The larger device of a pair
    moves, within the window of the levels (``level_us`` to its ``level_max + 1``-fold); what does
    not fit there moves the other one the other way. So mostly one device of a pair is written, and
    it makes up for the errors of both.
    """
    device, lsb = config.device, config.read_lsb_us
    low = round(device.level_us / lsb)
    high = round(device.level_us * (1 + device.level_max) / lsb)
    plus, minus = codes[..., 0::2], codes[..., 1::2]
    wanted = np.where(np.abs(steps_us) >= config.training.threshold_us, steps_us, 0.0)
    step = np.rint(wanted / lsb).astype(np.int32)
    moves = step != 0
    first_is_plus = plus >= minus
    first = np.where(first_is_plus, plus, minus)
    second = np.where(first_is_plus, minus, plus)
    sign = np.where(first_is_plus, 1, -1)
    first_target = np.clip(first + sign * step, low, high)
    rest = sign * step - (first_target - first)
    second_target = np.where(rest != 0, np.clip(second - rest, low, high), second)
    targets = np.empty_like(codes)
    targets[..., 0::2] = np.where(first_is_plus, first_target, second_target)
    targets[..., 1::2] = np.where(first_is_plus, second_target, first_target)
    enables = (targets != codes) & np.repeat(moves, 2, axis=-1)
    return np.where(enables, targets, codes).astype(np.int32), enables


def plan_batch(
    unit: InferenceUnit,
    features: NDArray[np.uint8],
    accumulators: NDArray[np.int32],
    labels: NDArray[np.uint8],
    logit_scale: float,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Targets and enables, as of :func:`plan_update`, of a batch that gave these accumulators."""
    steps = -unit.config.training.hybrid_rate_us * gradient(
        features, accumulators, labels, logit_scale
    )
    return plan_update(unit.config, read_all(unit.fully_connected), steps)


def apply_update(
    arrays: LayerArrays, targets: NDArray[np.int32], enables: NDArray[np.bool_]
) -> tuple[int, int]:
    """Writes the enabled devices to target codes; pulses and failed devices."""
    lsb_us = arrays.config.read_lsb_units / UNITS_PER_US
    report = arrays.program(targets.astype(np.float64) * lsb_us, enables)
    return report.pulses, report.failed


def train_batch(
    unit: InferenceUnit,
    features: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    logit_scale: float,
) -> Update:
    """One batch through the fully connected layer, and its update.

    ``features``: of the batch's images, see :meth:`InferenceUnit.features`; the convolver does not
    learn, so they may be computed once.
    """
    accumulators = unit.accumulators(features)
    targets, enables = plan_batch(unit, features, accumulators, labels, logit_scale)
    pulses, failed = apply_update(unit.fully_connected, targets, enables)
    return Update(
        correct=int((accumulators.argmax(axis=1) == labels).sum()),
        weights=int((enables[..., 0::2] | enables[..., 1::2]).sum()),
        devices=int(enables.sum()),
        pulses=pulses,
        failed=failed,
    )
