"""Accuracy of the convolutional network with a fault that is there before it is written, or comes
when it is trained."""

from pathlib import Path
from typing import Any

import numpy as np

from model.cnn.config import CnnConfig
from model.cnn.training import Stage, Training
from model.datasets import Dataset
from model.faults import Fault, flip_bits, stuck_bits

__all__ = ["FAULTS", "accuracy_after", "accuracy_trained", "inject", "test"]

FAULTS = tuple(fault for fault in Fault if fault is not Fault.CHI_BITS)
"""Those that the system can have: it has no chi memory."""

REFERENCE_IMAGES = 25
"""Images with one reference: its noise is slow beside the thousands of phases of an image."""


def inject(training: Training, fault: Fault, rate: float, rng: np.random.Generator) -> None:
    """Gives a unit a fault, from now on. Tables are the multipliers of the requantiser;
    references are those of :func:`test`."""
    config, unit = training.config, training.unit
    for arrays in unit.arrays:
        if fault is Fault.STUCK:
            arrays.break_devices(rate, rng)
        elif fault is Fault.ADC_BITS:
            arrays.faults = stuck_bits(
                arrays.faults.shape[1:],
                config.array.adc_bits,
                rate,
                rng,
                shared=config.array.lines_per_adc,
                signed=False,
            )
        elif fault is Fault.DEAD_COLUMNS:
            dead = rng.random(arrays.faults.shape[1:]) < rate
            arrays.faults[:, dead] = 0
    if fault is Fault.TABLES:
        bits = config.requantiser.multiplier_bits
        for replica in unit.requantisations:
            for layer, parameters in enumerate(replica):
                multipliers = flip_bits(parameters.multipliers, bits, rate, rng)
                replica[layer] = parameters._replace(multipliers=multipliers)
    training._features.clear()


def test(training: Training, reference_spread: float, rng: np.random.Generator) -> float:
    """Test accuracy (0..1) of a run's unit as it is; with a spread, each array's reference is drawn
    anew for every ``REFERENCE_IMAGES`` images."""
    unit, data = training.unit, training.dataset
    if reference_spread == 0.0:
        return unit.accuracy(data.test_images, data.test_labels)
    exact = [arrays.lsb for arrays in unit.arrays]
    correct = 0
    for first in range(0, len(data.test_labels), REFERENCE_IMAGES):
        for arrays, lsb in zip(unit.arrays, exact, strict=True):
            arrays.lsb = max(1, round(lsb * (1 + reference_spread * rng.standard_normal())))
        some = slice(first, first + REFERENCE_IMAGES)
        correct += int((unit.classify(data.test_images[some]) == data.test_labels[some]).sum())
    for arrays, lsb in zip(unit.arrays, exact, strict=True):
        arrays.lsb = lsb
    return correct / len(data.test_labels)


def _finish(training: Training) -> None:
    for _ in training.run():
        pass


def _spread(fault: Fault, rate: float) -> float:
    return rate if fault is Fault.REFERENCES else 0.0


def accuracy_trained(
    config: CnnConfig, dataset: Dataset, fault: Fault, rate: float, *, seed: int, software: Path
) -> dict[str, Any]:
    """Test accuracy (0..1) of a network written and tuned on a unit that had the fault.

    Calibration and hybrid training see it; tables are faulty from the calibration on. References
    are exact until the test. ``software``: where a run with the same FP32 network lies, or is saved
    when it is done.
    """
    training = Training(config, dataset, seed=seed)
    training.take_software(trained(config, dataset, seed, software))
    rng = np.random.default_rng([seed, 4])
    if fault is not Fault.TABLES:
        inject(training, fault, rate, rng)
    training.transfer()
    if fault is Fault.TABLES:
        inject(training, fault, rate, rng)
    _finish(training)
    return {"test_accuracy": test(training, _spread(fault, rate), rng)}


def trained(config: CnnConfig, dataset: Dataset, seed: int, saved: Path) -> Training:
    """A finished run without a fault, from its file or saved there."""
    training = Training(config, dataset, seed=seed)
    if saved.exists():
        training.restore(saved)
    if training.stage is not Stage.DONE:
        _finish(training)
        training.save(saved)
    return training


def accuracy_after(
    config: CnnConfig, dataset: Dataset, fault: Fault, rate: float, *, seed: int, saved: Path
) -> dict[str, Any]:
    """Test accuracy (0..1) if the fault comes after writing and tuning without it.

    ``saved``: where that run lies, or is saved when it is done.
    """
    training = trained(config, dataset, seed, saved)
    rng = np.random.default_rng([seed, 4])
    inject(training, fault, rate, rng)
    return {"test_accuracy": test(training, _spread(fault, rate), rng)}
