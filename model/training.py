"""Training runs: epochs over a data set, image by image, on the integers of the digital unit.

A :class:`Training` holds everything that a run needs to go on, and nothing of it depends on how
the run was cut into pieces: the order of the images and the learning-rate schedule are functions of
seed and position, the evaluation after each epoch uses a unit and generators of its own, and device
time passes only in training images. So a run that was saved anywhere and resumed ends in the same
bits as an unbroken one.
"""

import bisect
import dataclasses
import functools
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.activity import Activity
from model.arrays import image_order, new_arrays
from model.checkpoint import (
    CheckpointError,
    CheckpointMismatchError,
    check_config,
    header_count,
    header_number,
    header_records,
    read_checkpoint,
    write_checkpoint,
)
from model.config import Config, to_toml
from model.crossbar import Crossbar, CrossbarState
from model.datasets import Dataset
from model.inputs import adapt
from model.jit import njit
from model.unit import Settings, UnitState, infer_image, new_unit, settings, train_image
from model.unit_state import restore_unit, unit_arrays

__all__ = [
    "Epoch",
    "Training",
    "activity",
    "classify_images",
    "evaluate",
    "rate_drop_images",
    "train_images",
]

CHUNK_IMAGES = 1000
"""Images between two looks at the outside world: 50 ms of training."""


@njit
def train_images(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    run: Settings,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
    follows: bool,
) -> int:
    """Trains on ``images[order]``, one after the other; returns how many were classified correctly
    before their update.

    ``images``: uint8 ``[n, layers[0]]``; ``labels``: uint8 ``[n]``; ``order``: int64 ``[m]``;
    ``follows``: whether another training image follows the last one.
    """
    correct = 0
    for k in range(len(order)):
        image, label = images[order[k]], np.int64(labels[order[k]])
        correct += train_image(unit, arrays, run, image, label, follows or k + 1 < len(order))
    return correct


@njit
def classify_images(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    images: NDArray[np.uint8],
    time_s: float,
    classes: NDArray[np.uint8],
) -> None:
    """Classifies images, all of them at device time ``time_s``.

    ``images``: uint8 ``[n, layers[0]]``; ``classes``: uint8 ``[n]``, written.
    """
    for index in range(images.shape[0]):
        unit.device_time_s[0] = time_s
        classes[index] = infer_image(unit, arrays, images[index])


def evaluate(
    config: Config,
    arrays: tuple[CrossbarState, ...],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    *,
    time_s: float,
    rng: np.random.Generator,
) -> float:
    """Accuracy (0..1) of the arrays on a data set, read noise from ``rng``.

    All images are read at device time ``time_s``, which must not lie before the arrays' last
    operation. Neither conductances nor the arrays' own generators change; the arrays are brought to
    ``time_s``, as any operation at that time would.
    """
    children = rng.spawn(len(arrays))
    states = tuple(s._replace(rng=child) for s, child in zip(arrays, children, strict=True))
    classes = np.empty(len(images), np.uint8)
    classify_images(new_unit(config), states, images, time_s, classes)
    return float(np.mean(classes == labels))


def rate_drop_images(config: Config, n_images: int) -> list[int]:
    """Image numbers in a run of ``n_images`` from which the learning-rate exponent is one lower."""
    return sorted(math.ceil(drop * n_images) for drop in config.training.rate_drops)


def activity(counters: NDArray[np.int64]) -> dict[str, int]:
    """Counters by lower-case name of :class:`~model.activity.Activity`."""
    return {member.name.lower(): int(counters[member]) for member in Activity}


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch did: a point of the training curve."""

    epoch: int
    """1 for the first."""
    learning_rate_log2: int
    """Learning-rate exponent of its last image."""
    train_accuracy: float
    """Fraction of its images classified correctly before their update."""
    test_accuracy: float
    """Fraction of the test images classified correctly after it."""
    nonzero_update_fraction: float
    """Accumulators changed, as a fraction of all weights, mean over its images."""
    pulses_per_image: float
    """SET and RESET pulses an image, refresh included."""
    refreshed_pairs_per_image: float
    """Device pairs written again by refresh, an image."""
    cycles_per_image: float
    """Cycles an image, mean."""
    skipped_fraction: float
    """Fraction of its images whose backward products and update were skipped."""
    device_time_s: float
    """Device time at its end, in s."""


class Training:
    """A training run at some point of its course.

    Parameters
    ----------
    config
        The system.
    dataset
        Images and labels; brought to the network's size by :func:`model.inputs.adapt`.
    seed
        Seed of the devices, of all noise and of the order of the images.
    epochs
        Passes over the training images; the configuration's if not given. The learning-rate
        schedule stretches with it.

    Attributes
    ----------
    epoch
        Complete epochs.
    position
        Images of the current epoch that are done.
    correct
        How many of these were classified correctly before their update.
    curve
        One :class:`Epoch` for each complete epoch.
    seconds
        Wall-clock time spent in training images, evaluation and compilation not counted.

    Raises
    ------
    ConfigError
        If the images cannot be brought to the network's size, or the device model cannot be loaded.
    """

    def __init__(
        self, config: Config, dataset: Dataset, *, seed: int, epochs: int | None = None
    ) -> None:
        self.config = config
        self.dataset = adapt(config, dataset)
        self.seed = seed
        self.epochs = config.training.epochs if epochs is None else epochs
        self.crossbars = self.new_crossbars()
        self.unit = new_unit(config)
        self.epoch = 0
        self.position = 0
        self.correct = 0
        self.curve: list[Epoch] = []
        self.seconds = 0.0
        self._epoch_counters = np.zeros_like(self.unit.counters)

    def new_crossbars(self) -> tuple[Crossbar, ...]:
        """The arrays at the beginning; a reference with other synapses overrides it."""
        return new_arrays(self.config, self.seed)

    def train_images(self, run: Settings, order: NDArray[np.int64]) -> int:
        """:func:`train_images` on this run; a reference with another rule overrides it."""
        images, labels = self.dataset.train_images, self.dataset.train_labels
        follows = self.position + len(order) < self.images_per_epoch
        return train_images(self.unit, self.arrays, run, images, labels, order, follows)

    @property
    def arrays(self) -> tuple[CrossbarState, ...]:
        """The states of the crossbars, as compiled functions take them."""
        return tuple(crossbar.state for crossbar in self.crossbars)

    @property
    def images_per_epoch(self) -> int:
        """Training images of an epoch."""
        return len(self.dataset.train_labels)

    @property
    def images(self) -> int:
        """Training images of the whole run so far."""
        return self.epoch * self.images_per_epoch + self.position

    @property
    def finished(self) -> bool:
        """Whether all epochs are complete."""
        return self.epoch >= self.epochs

    @property
    def device_time_s(self) -> float:
        """Device time of the next image, in s."""
        return float(self.unit.device_time_s[0])

    @property
    def learning_rate_log2(self) -> int:
        """Learning-rate exponent of the next image."""
        return self._exponent(self.images)

    def _exponent(self, image: int) -> int:
        """Learning-rate exponent of an image of the run, 0 being the first."""
        drops = rate_drop_images(self.config, self.epochs * self.images_per_epoch)
        return self.config.update.learning_rate_log2 - bisect.bisect_right(drops, image)

    def warm_up(self) -> float:
        """Compiles what a run needs, or loads it from numba's cache; returns how many seconds."""
        start = time.perf_counter()
        self.train_images(settings(self.config), np.empty(0, np.int64))
        none = self.dataset.train_images[:0]
        classify_images(self.unit, self.arrays, none, 0.0, np.empty(0, np.uint8))
        return time.perf_counter() - start

    def run(self, chunk_images: int = CHUNK_IMAGES) -> Iterator[bool]:
        """Trains to the end, pausing after every chunk of images.

        Yields whether an epoch was completed in this step (its :class:`Epoch` is then the last of
        ``curve``). Between two steps the state is whole: it may be saved, and the iteration
        abandoned; where a chunk's last image left some of its update to the next, the step goes on.
        The chunk's size changes nothing in the result.
        """
        drops = rate_drop_images(self.config, self.epochs * self.images_per_epoch)
        while not self.finished:
            order = image_order(self.config, self.seed, self.epoch, self.images_per_epoch)
            while self.position < self.images_per_epoch:
                ahead = [drop - self.images for drop in drops if drop > self.images]
                n = min([chunk_images, *ahead])
                self._train(order[self.position : self.position + n])
                if self.position < self.images_per_epoch and self.unit.is_whole:
                    yield False
            self._close_epoch()
            yield True

    def _train(self, order: NDArray[np.int64]) -> None:
        run = settings(self.config, self.learning_rate_log2)
        start = time.perf_counter()
        self.correct += self.train_images(run, order)
        self.seconds += time.perf_counter() - start
        self.position += len(order)

    def _close_epoch(self) -> None:
        """Evaluates, and adds the epoch to the curve."""
        counted = self.unit.counters - self._epoch_counters
        n = self.images_per_epoch
        network = self.config.network
        n_weights = sum(network.n_rows(k) * network.n_cols(k) for k in range(network.n_layers))
        cycles = counted[Activity.CYCLES_FORWARD : Activity.CYCLES_UPDATE + 1].sum()
        pulses = counted[Activity.SET_PULSES] + counted[Activity.RESET_PULSES]
        record = Epoch(
            epoch=self.epoch + 1,
            learning_rate_log2=self._exponent(self.images - 1),
            train_accuracy=self.correct / n,
            test_accuracy=self.test(self.device_time_s),
            nonzero_update_fraction=float(counted[Activity.CHI_LANES] / (n * n_weights)),
            pulses_per_image=float(pulses / n),
            refreshed_pairs_per_image=float(counted[Activity.REFRESHED_PAIRS] / n),
            cycles_per_image=float(cycles / n),
            skipped_fraction=float(counted[Activity.SKIPPED_IMAGES] / n),
            device_time_s=self.device_time_s,
        )
        self.curve.append(record)
        self.epoch += 1
        self.position = 0
        self.correct = 0
        self._epoch_counters[:] = self.unit.counters

    def test(self, time_s: float) -> float:
        """Accuracy (0..1) on the test images at a device time; the same call gives the same."""
        # Its own generator for each epoch; the seed's other children are the run's.
        rng = np.random.default_rng([self.seed, self.epoch])
        return evaluate(
            self.config,
            self.arrays,
            self.dataset.test_images,
            self.dataset.test_labels,
            time_s=time_s,
            rng=rng,
        )

    # Saving

    @functools.cached_property
    def _dataset_sha256(self) -> str:
        return _digest(self.dataset)

    def save(self, path: Path) -> None:
        """Writes everything :meth:`restore` needs to ``path``, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written; a file that was there is untouched then.
        """
        header = {
            "config": to_toml(self.config),
            "dataset": self.dataset.name,
            "dataset_sha256": self._dataset_sha256,
            "seed": self.seed,
            "epochs": self.epochs,
            "epoch": self.epoch,
            "position": self.position,
            "correct": self.correct,
            "seconds": self.seconds,
            "curve": [dataclasses.asdict(record) for record in self.curve],
        }
        arrays = unit_arrays(self.unit, self.crossbars)
        write_checkpoint(path, header, arrays | {"epoch_counters": self._epoch_counters})

    def restore(self, path: Path) -> None:
        """Goes on where the run saved in ``path`` was.

        Raises
        ------
        CheckpointError
            If it is not a whole checkpoint of this version.
        CheckpointMismatchError
            If it is of another configuration, data set, seed or number of epochs.
        """
        checkpoint = read_checkpoint(path)
        check_config(checkpoint, self.config)
        header = checkpoint.header
        here = {
            "dataset": self.dataset.name,
            "dataset_sha256": self._dataset_sha256,
            "seed": self.seed,
            "epochs": self.epochs,
        }
        for key, value in here.items():
            if header.get(key) != value:
                raise CheckpointMismatchError(
                    f"The checkpoint {path} is of another run: its {key} is {header.get(key)}, "
                    f"not {value}."
                )
        checkpoint.copy_into({"epoch_counters": self._epoch_counters})
        restore_unit(checkpoint, self.unit, self.crossbars)
        try:
            self.curve = header_records(header, "curve", Epoch)
            self.epoch = header_count(header, "epoch", self.epochs)
            self.position = header_count(header, "position", self.images_per_epoch - 1)
            self.correct = header_count(header, "correct", self.position)
            self.seconds = float(header_number(header["seconds"]))
            if len(self.curve) != self.epoch:
                raise ValueError("a curve of another length")
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"The checkpoint {path} has an incomplete header.") from None


def _digest(dataset: Dataset) -> str:
    """SHA-256 of all images and labels, hexadecimal."""
    whole = hashlib.sha256()
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        whole.update(np.ascontiguousarray(getattr(dataset, name)).data)
    return whole.hexdigest()
