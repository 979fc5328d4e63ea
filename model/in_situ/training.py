"""Training runs: mini-batches of images, each followed by its write phase, on the unit's integers.

A :class:`Training` holds everything that a run needs to go on, and nothing of it depends on how
the run was cut into pieces: the order of the images is a function of seed and position, and the
evaluation uses a unit of its own. So a run that was saved anywhere and resumed ends in the same
bits as an unbroken one.
"""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import (
    Checkpoint,
    CheckpointError,
    CheckpointMismatchError,
    check_config,
    header_count,
    header_number,
    header_records,
    read_checkpoint,
    write_checkpoint,
)
from model.datasets import Dataset
from model.in_situ.activity import Activity
from model.in_situ.array import ArrayState, OneTransistorArray
from model.in_situ.arrays import image_order, new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.inputs import adapt
from model.in_situ.unit import UnitState, infer_images, new_unit, train_images
from model.jit import njit
from model.settings import to_toml

__all__ = [
    "Point",
    "Training",
    "activity",
    "evaluate",
    "load_arrays",
    "train_batches",
]

CHUNK_BATCHES = 100
"""Batches between two looks at the outside world: 20 ms of training."""


@njit
def train_batches(
    unit: UnitState,
    arrays: tuple[ArrayState, ...],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
) -> int:
    """Trains on ``images[order]``, batch after batch; returns how many were classified correctly
    before their batch's write phase.

    ``images``: uint8 ``[n, layers[0]]``; ``labels``: uint8 ``[n]``; ``order``: int64 ``[m]``, m a
    multiple of the batch.
    """
    correct = 0
    for start in range(0, order.shape[0], unit.batch):
        chosen = order[start : start + unit.batch]
        correct += train_images(unit, arrays, images[chosen], labels[chosen])
    return correct


def evaluate(
    config: InSituConfig,
    arrays: tuple[OneTransistorArray, ...],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
) -> float:
    """Accuracy (0..1) of the arrays on a data set, read noise from ``rng``; the arrays do not
    change."""
    children = rng.spawn(len(arrays))
    states = tuple(
        array.state._replace(rng_forward=child)
        for array, child in zip(arrays, children, strict=True)
    )
    classes = np.empty(len(images), np.uint8)
    infer_images(new_unit(config), states, images, classes)
    return float(np.mean(classes == labels))


def activity(counters: NDArray[np.int64]) -> dict[str, int]:
    """Counters by lower-case name of :class:`~model.in_situ.activity.Activity`."""
    return {member.name.lower(): int(counters[member]) for member in Activity}


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the training curve; fractions and means are over the images since the one
    before."""

    images: int
    """Images trained on so far."""
    train_accuracy: float
    """Fraction of these images classified correctly before their batch's update."""
    test_accuracy: float
    """Fraction of the test images classified correctly now."""
    set_devices_per_image: float
    """Devices written, an image."""
    row_pulses_per_image: float
    """Row-parallel pulses, RESET and SET, an image."""
    cycles_per_image: float
    """Cycles an image, write phases included."""
    skipped_fraction: float
    """Images without an output error."""


class Training:
    """A training run at some point of its course.

    Parameters
    ----------
    config
        The system.
    dataset
        Images and labels; brought to the network's size by :func:`model.in_situ.inputs.adapt`.
    seed
        Seed of the devices, of all noise and of the order of the images.
    images
        Length of the run, a multiple of the batch; the configuration's if not given. The learning
        rate falls to zero over it.

    Attributes
    ----------
    done
        Images trained on.
    curve
        A :class:`Point` every ``training.curve_images`` and at the end.
    seconds
        Wall-clock time spent in training images, evaluation and compilation not counted.

    Raises
    ------
    ConfigError
        If the images cannot be brought to the network's size, or the map of stuck devices cannot
        be read.
    """

    def __init__(
        self, config: InSituConfig, dataset: Dataset, *, seed: int, images: int | None = None
    ) -> None:
        self.config = config
        self.dataset = adapt(config, dataset)
        self.seed = seed
        self.images = config.training.images if images is None else images
        self.arrays = new_arrays(config, seed)
        self.unit = new_unit(config, self.images // config.update.batch)
        self.done = 0
        self.curve: list[Point] = []
        self.seconds = 0.0
        self._correct = 0
        self._point_counters = np.zeros_like(self.unit.counters)

    @property
    def states(self) -> tuple[ArrayState, ...]:
        """The states of the arrays, as compiled functions take them."""
        return tuple(array.state for array in self.arrays)

    @property
    def finished(self) -> bool:
        """Whether all images are done."""
        return self.done >= self.images

    def order(self, first: int, last: int) -> NDArray[np.int64]:
        """Which training images the places ``first .. last - 1`` of the run are; int64."""
        n_images = len(self.dataset.train_labels)
        epochs = range(first // n_images, (last - 1) // n_images + 1)
        whole = np.concatenate([self._epoch_order(epoch) for epoch in epochs])
        start = first - epochs[0] * n_images
        return whole[start : start + last - first]

    @functools.lru_cache(maxsize=2)  # noqa: B019 (a run lives as long as its process)
    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        return image_order(self.config, self.seed, epoch, len(self.dataset.train_labels))

    def warm_up(self) -> float:
        """Compiles what a run needs, or loads it from numba's cache; returns how many seconds."""
        start = time.perf_counter()
        self._train_batches(np.empty(0, np.int64))
        none = self.dataset.train_images[:0]
        infer_images(self.unit, self.states, none, np.empty(0, np.uint8))
        return time.perf_counter() - start

    def _train_batches(self, order: NDArray[np.int64]) -> int:
        images, labels = self.dataset.train_images, self.dataset.train_labels
        return train_batches(self.unit, self.states, images, labels, order)

    def run(self, chunk_batches: int = CHUNK_BATCHES) -> Iterator[bool]:
        """Trains to the end, pausing after every chunk of batches.

        Yields whether a point of the curve was completed in this step. Between two steps the state
        is whole: it may be saved, and the iteration abandoned. The chunk's size changes nothing in
        the result.
        """
        step = self.config.training.curve_images
        while not self.finished:
            point = min((self.done // step + 1) * step, self.images)
            last = min(self.done + chunk_batches * self.config.update.batch, point)
            order = self.order(self.done, last)
            start = time.perf_counter()
            self._correct += self._train_batches(order)
            self.seconds += time.perf_counter() - start
            self.done = last
            if last == point:
                self._close_point()
            yield last == point

    def _close_point(self) -> None:
        """Evaluates, and adds the point to the curve."""
        counted = self.unit.counters - self._point_counters
        n = counted[Activity.IMAGES]
        cycles = counted[Activity.CYCLES_FORWARD : Activity.CYCLES_WRITE + 1].sum()
        pulses = counted[Activity.SET_PULSES] + counted[Activity.RESET_PULSES]
        self.curve.append(
            Point(
                images=self.done,
                train_accuracy=float(self._correct / n),
                test_accuracy=self.test(),
                set_devices_per_image=float(counted[Activity.SET_DEVICES] / n),
                row_pulses_per_image=float(pulses / n),
                cycles_per_image=float(cycles / n),
                skipped_fraction=float(counted[Activity.SKIPPED_IMAGES] / n),
            )
        )
        self._correct = 0
        self._point_counters[:] = self.unit.counters

    def test(self) -> float:
        """Accuracy (0..1) on the test images; the same call gives the same."""
        # Its own generator at each place of the run; the seed's other children are the run's.
        rng = np.random.default_rng([self.seed, self.done])
        dataset = self.dataset
        return evaluate(self.config, self.arrays, dataset.test_images, dataset.test_labels, rng)

    # Saving

    @functools.cached_property
    def _dataset_sha256(self) -> str:
        whole = hashlib.sha256()
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            whole.update(np.ascontiguousarray(getattr(self.dataset, name)).data)
        return whole.hexdigest()

    @property
    def _identity(self) -> dict[str, object]:
        """What a saved run must agree in besides the configuration."""
        return {
            "dataset": self.dataset.name,
            "dataset_sha256": self._dataset_sha256,
            "seed": self.seed,
            "images": self.images,
        }

    def _own_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The run's state besides the device arrays; at a batch's end gradients are spent."""
        own: dict[str, NDArray[np.generic]] = {
            "registers": self.unit.registers,
            "counters": self.unit.counters,
            "point_counters": self._point_counters,
        }
        return own | {f"gates{layer}": gates for layer, gates in enumerate(self.unit.gates)}

    def save(self, path: Path) -> None:
        """Writes everything :meth:`restore` needs to ``path``, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written; a file that was there is untouched then.
        """
        header = {
            "config": to_toml(self.config),
            **self._identity,
            "done": self.done,
            "correct": self._correct,
            "seconds": self.seconds,
            "curve": [dataclasses.asdict(point) for point in self.curve],
        }
        arrays = dict(self._own_arrays())
        for layer, array in enumerate(self.arrays):
            arrays |= {f"array{layer}.{name}": value for name, value in array.save().items()}
        write_checkpoint(path, header, arrays)

    def restore(self, path: Path) -> None:
        """Goes on where the run saved in ``path`` was.

        Raises
        ------
        CheckpointError
            If it is not a whole checkpoint of this version.
        CheckpointMismatchError
            If it is of another configuration, data set, seed or length.
        """
        checkpoint = read_checkpoint(path)
        check_config(checkpoint, self.config)
        for key, value in self._identity.items():
            if checkpoint.header.get(key) != value:
                raise CheckpointMismatchError(
                    f"The checkpoint {path} is of another run: its {key} is "
                    f"{checkpoint.header.get(key)}, not {value}."
                )
        checkpoint.copy_into(self._own_arrays())
        load_arrays(checkpoint, self.arrays)
        header = checkpoint.header
        try:
            self.curve = header_records(header, "curve", Point)
            self.done = header_count(header, "done", self.images)
            self._correct = header_count(header, "correct", self.done)
            self.seconds = float(header_number(header["seconds"]))
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"The checkpoint {path} has an incomplete header.") from None


def load_arrays(checkpoint: Checkpoint, arrays: tuple[OneTransistorArray, ...]) -> None:
    """Brings arrays of the same configuration to their saved state.

    Raises
    ------
    CheckpointError
        If the saved arrays do not fit them.
    """
    for layer, array in enumerate(arrays):
        prefix = f"array{layer}."
        saved = {
            name.removeprefix(prefix): values
            for name, values in checkpoint.arrays.items()
            if name.startswith(prefix)
        }
        try:
            array.load(saved)
        except ValueError as error:
            raise CheckpointError(f"The checkpoint {checkpoint.path}: {error}") from None
