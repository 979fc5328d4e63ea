"""Training runs of an engine: epochs over a data set, image by image."""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.arrays import image_order
from model.datasets import Dataset
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig
from model.engine.training_engine import (
    EngineState,
    infer_image,
    new_engine,
    new_weights,
    train_image,
)
from model.inputs import adapt
from model.jit import njit

__all__ = ["EngineEpoch", "EngineTraining", "activity", "classify", "training_order"]


@njit
def train_images(
    engine: EngineState,
    learning_rate_log2: int,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
) -> int:
    """Trains on ``images[order]``; returns how many were right before their update."""
    correct = 0
    for index in order:
        label = np.int64(labels[index])
        correct += train_image(engine, learning_rate_log2, images[index], label)
    return correct


@njit
def _classify(engine: EngineState, images: NDArray[np.uint8], classes: NDArray[np.uint8]) -> None:
    for index in range(images.shape[0]):
        classes[index] = infer_image(engine, images[index])


def classify(
    config: EngineConfig, weights: tuple[NDArray[np.int32], ...], images: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Predicted classes, uint8 ``[n]``; ``images``: uint8 ``[n, layers[0]]``."""
    classes = np.empty(len(images), np.uint8)
    _classify(new_engine(config, weights), images, classes)
    return classes


def activity(counters: NDArray[np.int64]) -> dict[str, int]:
    """Counters by lower-case name of :class:`~model.engine.activity.EngineActivity`."""
    return {member.name.lower(): int(counters[member]) for member in EngineActivity}


def training_order(config: EngineConfig, seed: int, n_set: int, n_images: int) -> NDArray[np.int64]:
    """Indices of the first images that a training shows, int64 ``[n_images]``."""
    orders = [
        image_order(config.unit, seed, epoch, n_set) for epoch in range(-(-n_images // n_set))
    ]
    return np.concatenate(orders)[:n_images]


@dataclass(frozen=True, kw_only=True)
class EngineEpoch:
    """A point of the training curve."""

    epoch: int
    """1 for the first."""
    learning_rate_log2: int
    """Learning-rate exponent of its last image."""
    train_accuracy: float
    """Fraction of its images classified correctly before their update."""
    test_accuracy: float
    """Fraction of the test images classified correctly after it."""
    steps_per_image: float
    """Weight words changed, mean over its images."""
    cycles_per_image: float
    """Cycles an image, mean over its images."""


class EngineTraining:
    """A training run.

    Parameters
    ----------
    config
        The engine.
    dataset
        Images and labels; brought to the network's size by :func:`model.inputs.adapt`.
    seed
        Seed of the weights and of the order of the images.
    epochs
        Passes over the training images; the configuration's if not given. The learning-rate
        schedule stretches with it.

    Attributes
    ----------
    engine
        The state.
    curve
        One :class:`EngineEpoch` for each complete epoch.
    seconds
        Wall-clock time spent in training images.

    Raises
    ------
    ConfigError
        If the images cannot be brought to the network's size.
    """

    def __init__(
        self, config: EngineConfig, dataset: Dataset, *, seed: int, epochs: int | None = None
    ) -> None:
        self.config = config
        self.dataset = adapt(config.unit, dataset)
        self.seed = seed
        self.epochs = config.epochs if epochs is None else epochs
        self.engine = new_engine(config, new_weights(config, seed))
        self.curve: list[EngineEpoch] = []
        self.seconds = 0.0

    @property
    def images_per_epoch(self) -> int:
        """Training images of an epoch."""
        return len(self.dataset.train_labels)

    def run(self) -> Iterator[EngineEpoch]:
        """Trains to the end, an epoch at a time."""
        drops = [math.ceil(d * self.epochs * self.images_per_epoch) for d in self.config.rate_drops]
        for epoch in range(len(self.curve), self.epochs):
            yield self._epoch(epoch, drops)

    def _epoch(self, epoch: int, drops: list[int]) -> EngineEpoch:
        n_images, data = self.images_per_epoch, self.dataset
        order = image_order(self.config.unit, self.seed, epoch, n_images)
        before, correct, start = self.engine.counters.copy(), 0, time.perf_counter()
        # In pieces that end where the learning rate drops.
        cuts = sorted({0, n_images, *(d - epoch * n_images for d in drops)})
        for first, end in itertools.pairwise(cuts):
            if 0 <= first < end <= n_images:
                rate = self._rate(epoch * n_images + first, drops)
                correct += train_images(
                    self.engine, rate, data.train_images, data.train_labels, order[first:end]
                )
        self.seconds += time.perf_counter() - start
        counted = self.engine.counters - before
        cycles = counted[EngineActivity.CYCLES_FORWARD : EngineActivity.CYCLES_UPDATE + 1].sum()
        found = classify(self.config, self.engine.weights, data.test_images)
        point = EngineEpoch(
            epoch=epoch + 1,
            learning_rate_log2=self._rate((epoch + 1) * n_images - 1, drops),
            train_accuracy=correct / n_images,
            test_accuracy=float(np.mean(found == data.test_labels)),
            steps_per_image=float(counted[EngineActivity.STEP_WORDS] / n_images),
            cycles_per_image=float(cycles / n_images),
        )
        self.curve.append(point)
        return point

    def _rate(self, image: int, drops: list[int]) -> int:
        return self.config.learning_rate_log2 - sum(image >= drop for drop in drops)
