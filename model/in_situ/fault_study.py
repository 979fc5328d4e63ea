"""Accuracy of in-situ learning with a fault that is there from the start, or comes after it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model.datasets import Dataset
from model.faults import Fault, break_converters, cut_columns, flip_bits
from model.in_situ.config import InSituConfig
from model.in_situ.training import Training
from model.in_situ.unit import infer_images, new_unit

__all__ = ["FAULTS", "FaultyTraining", "accuracy_after", "accuracy_trained", "inject"]

FAULTS = tuple(fault for fault in Fault if fault is not Fault.CHI_BITS)
"""Those that the system can have: it has no chi memory."""


class FaultyTraining(Training):
    """A training run whose unit may be faulty."""

    def test(self) -> float:
        """As of :class:`Training`, with the unit's own tables."""
        children = np.random.default_rng([self.seed, self.done]).spawn(len(self.arrays))
        states = tuple(
            state._replace(rng_forward=child)
            for state, child in zip(self.states, children, strict=True)
        )
        unit = new_unit(self.config)._replace(
            exponentials=self.unit.exponentials, reciprocals=self.unit.reciprocals
        )
        classes = np.empty(len(self.dataset.test_images), np.uint8)
        infer_images(unit, states, self.dataset.test_images, classes)
        return float(np.mean(classes == self.dataset.test_labels))


def inject(training: FaultyTraining, fault: Fault, rate: float, rng: np.random.Generator) -> None:
    """Gives a run a fault, from now on. Tables are those of the softmax."""
    for array in training.arrays:
        faults = array.state.faults
        if fault is Fault.STUCK:
            array.break_devices(rate, rng)
        elif fault is Fault.ADC_BITS:
            break_converters(faults, training.config.converter.adc_bits, rate, rng)
        elif fault is Fault.DEAD_COLUMNS:
            cut_columns(faults, rate, rng)
        elif fault is Fault.REFERENCES:
            faults.spread[0] = rate
    if fault is Fault.TABLES:
        unit = training.unit
        training.unit = unit._replace(
            exponentials=flip_bits(unit.exponentials, 16, rate, rng),
            reciprocals=flip_bits(unit.reciprocals, 16, rate, rng),
        )


def _new(config: InSituConfig, dataset: Dataset, seed: int, images: int | None) -> FaultyTraining:
    n = config.training.images if images is None else images
    # One point at the end: evaluations on the way would only cost time.
    config = replace(config, training=replace(config.training, images=n, curve_images=n))
    return FaultyTraining(config, dataset, seed=seed)


def _finish(training: FaultyTraining) -> None:
    for _ in training.run():
        pass


def accuracy_trained(
    config: InSituConfig,
    dataset: Dataset,
    fault: Fault,
    rate: float,
    *,
    seed: int,
    images: int | None,
) -> dict[str, Any]:
    """Test accuracy (0..1) of a run that had the fault from its start."""
    training = _new(config, dataset, seed, images)
    inject(training, fault, rate, np.random.default_rng([seed, 4]))
    _finish(training)
    return {"test_accuracy": training.curve[-1].test_accuracy}


def accuracy_after(
    config: InSituConfig,
    dataset: Dataset,
    fault: Fault,
    rate: float,
    *,
    seed: int,
    images: int | None,
    saved: Path,
) -> dict[str, Any]:
    """Test accuracy (0..1) if the fault comes after a training without it.

    ``saved``: where that training lies, or is saved when it is done.
    """
    training = _new(config, dataset, seed, images)
    if saved.exists():
        training.restore(saved)
    else:
        _finish(training)
        training.save(saved)
    inject(training, fault, rate, np.random.default_rng([seed, 4]))
    return {"test_accuracy": training.test()}
