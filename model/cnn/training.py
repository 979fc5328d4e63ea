"""A whole run: FP32 ex situ, 15 levels, transfer, calibration, hybrid training; resumable.

A run is saved whole after every epoch, after the transfer and every few batches, and goes on bit
for bit. The FP32 part depends on the network and the seed alone, not on the devices, so that one
trained network may be written many times (``write_seed``).
"""

import dataclasses
import enum
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from model.cnn.calibration import calibrate
from model.cnn.config import CnnConfig
from model.cnn.hybrid import Update, train_batch
from model.cnn.inference_unit import InferenceUnit
from model.cnn.inputs import adapt
from model.cnn.quantisation import LayerWeights, quantise_layer, split_targets
from model.cnn.software import SoftwareCnn
from model.datasets import Dataset
from model.settings import ConfigError, from_toml, to_toml

__all__ = ["HybridPoint", "Stage", "Training", "load_config", "load_unit", "randomise"]

POINT_BATCHES = 50
"""Batches of hybrid training between saved points of the curve."""

TRAIN_IMAGES = 10_000
"""Training images, at most, on which the training accuracy is measured."""


class Stage(enum.StrEnum):
    """How far a run has come."""

    #: FP32 training.
    SOFTWARE = "software"
    #: Written and calibrated; hybrid training.
    HYBRID = "hybrid"
    #: Finished.
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class HybridPoint:
    """The run after some batches of hybrid training; sums since the point before."""

    iteration: int
    """Batches done."""
    batch_accuracy: float
    """Accuracy (0..1) of the batches, each before its own update."""
    weights: int
    """Weights changed."""
    devices: int
    """Devices written."""
    pulses: int
    """Pulses, one a device with the write model ``sigma``."""
    failed: int
    """Devices that did not reach their targets."""


class Training:
    """One run.

    Parameters
    ----------
    config
        The system, its ``training`` section included.
    dataset
        Adapted to the network; the last ``training.held_out`` training images, or a tenth of the
        set if that is less, are never trained on.
    seed
        Of the FP32 network.
    write_seed
        Of the devices and everything after the FP32 network; ``seed`` unless given.

    Attributes
    ----------
    results
        Accuracies and counts by stage: ``software``, ``quantised``, ``transferred``, ``hybrid``.
    """

    def __init__(
        self, config: CnnConfig, dataset: Dataset, *, seed: int, write_seed: int | None = None
    ) -> None:
        self.config = config
        self.dataset = adapt(config, dataset)
        self.seed = seed
        self.write_seed = seed if write_seed is None else write_seed
        n = len(self.dataset.train_labels)
        self.n_train = n - min(config.training.held_out, n // 10)
        self.batch = min(config.training.batch, self.n_train)
        self.software = SoftwareCnn(config, seed=seed)
        self.epoch = 0
        self.losses: list[float] = []
        self.stage = Stage.SOFTWARE
        self.iteration = 0
        self.seconds = 0.0
        self.logit_scale = 1.0
        self.results: dict[str, Any] = {}
        self.curve: list[HybridPoint] = []
        self.unit = self._new_unit()
        self._updates: list[Update] = []  # since the last point of the curve
        self._features: dict[tuple[str, int | None], NDArray[np.uint8]] = {}
        self._clock = time.perf_counter()

    def _new_unit(self) -> InferenceUnit:
        return InferenceUnit(self.config, np.random.default_rng([self.write_seed, 1]))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.stage is Stage.DONE

    @property
    def images(self) -> int:
        """Images presented in training, over both parts."""
        per_epoch = self.n_train // self.batch * self.batch
        return self.epoch * per_epoch + self.iteration * self.batch

    # The stages

    def run(self) -> Iterator[bool]:
        """Goes on to the end; yields after every epoch and batch, True where it is worth saving."""
        self._clock = time.perf_counter()
        if self.stage is Stage.SOFTWARE:
            for _ in self.train_software():
                yield True
            self.transfer()
            yield True
        while self.iteration < self.config.training.hybrid_iterations:
            yield self._tune()
        if self.stage is Stage.HYBRID:
            self.results["hybrid"] = self._evaluate()
            self.stage = Stage.DONE
            self._count_seconds()
            yield True

    def train_software(self) -> Iterator[float]:
        """The FP32 part: one epoch at a time, the mean loss of each."""
        images, labels = self._training_set()
        while self.epoch < self.config.training.epochs:
            loss = self.software.train_epoch(images, labels)
            self.epoch += 1
            self.losses.append(loss)
            self._count_seconds()
            yield loss

    def take_software(self, other: "Training") -> None:
        """Takes over the FP32 network of another run."""
        self.software.load(other.software.save())
        self.epoch, self.losses = other.epoch, list(other.losses)

    def quantised(self) -> list[LayerWeights]:
        """The FP32 weights in levels."""
        return [
            quantise_layer(self.config, layer, weights)
            for layer, weights in enumerate(self.software.weights)
        ]

    def transfer(self) -> None:
        """Quantises, writes all arrays, calibrates, and measures every step."""
        config, data = self.config, self.dataset
        test = (data.test_images, data.test_labels)
        weights = self.quantised()
        self.results["software"] = {"test_accuracy": self.software.accuracy(*test)}
        as_floats = [layer.weights for layer in weights]
        self.results["quantised"] = {
            "test_accuracy": self.software.accuracy(*test, as_floats),
            "clips": [float(layer.clips.mean()) for layer in weights],
        }
        reports = []
        for arrays in self.unit.arrays:
            differences = weights[arrays.layer].levels * config.device.level_us
            reports.append(arrays.program(split_targets(config, arrays.layer, differences)))
        images = data.train_images[: self.n_train][: config.quantisation.calibration_images]
        self.logit_scale = calibrate(self.unit, self.software, weights, images)
        self._features.clear()
        self.results["transferred"] = {
            **self._evaluate(),
            "devices": sum(report.devices for report in reports),
            "pulses": sum(report.pulses for report in reports),
            "failed": sum(report.failed for report in reports),
        }
        self.stage = Stage.HYBRID
        self._count_seconds()

    def _tune(self) -> bool:
        """One batch of hybrid training; whether a point of the curve is complete."""
        labels = self._training_set()[1]
        epoch, position = divmod(self.iteration, self.n_train // self.batch)
        order = np.random.default_rng([self.write_seed, 2, epoch]).permutation(self.n_train)
        chosen = order[position * self.batch : (position + 1) * self.batch]
        replica = self.iteration % self.config.replicas.n
        features = self._batch_features(chosen, replica)
        update = train_batch(self.unit, features, labels[chosen], self.logit_scale)
        self._updates.append(update)
        self.iteration += 1
        complete = (
            self.iteration % POINT_BATCHES == 0
            or self.iteration == self.config.training.hybrid_iterations
        )
        if complete:
            sums = {
                name: sum(getattr(update, name) for update in self._updates)
                for name in ("correct", "weights", "devices", "pulses", "failed")
            }
            correct = sums.pop("correct")
            presented = len(self._updates) * self.batch
            self.curve.append(
                HybridPoint(iteration=self.iteration, batch_accuracy=correct / presented, **sums)
            )
            self._updates = []
            self._count_seconds()
        return complete

    def _training_set(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        data = self.dataset
        return data.train_images[: self.n_train], data.train_labels[: self.n_train]

    def _evaluate(self) -> dict[str, Any]:
        """Accuracies of the unit as it is; with several replicas also of each alone."""
        n = self.config.replicas.n
        result: dict[str, Any] = {
            "test_accuracy": self._accuracy("test", None),
            "train_accuracy": self._accuracy("train", None),
        }
        if n > 1:
            result["replica_test_accuracy"] = [
                self._accuracy("test", replica) for replica in range(n)
            ]
        return result

    def _accuracy(self, part: str, replica: int | None) -> float:
        """Accuracy on the test images or on the first training images."""
        data = self.dataset
        if part == "test":
            images, labels = data.test_images, data.test_labels
        else:
            n = min(TRAIN_IMAGES, self.n_train)
            images, labels = data.train_images[:n], data.train_labels[:n]
        # The convolver stays as it is from the transfer on, so each map is computed once.
        key = (part, replica)
        if key not in self._features:
            self._features[key] = self.unit.features(images, replica)
        sums = self.unit.accumulators(self._features[key])
        return float(np.mean(sums.argmax(axis=1) == labels))

    def _batch_features(self, chosen: NDArray[np.int64], replica: int) -> NDArray[np.uint8]:
        """Features of training images through one replica.

        Of all images at once where each will be needed, else of these.
        """
        settings, images = self.config.training, self._training_set()[0]
        if settings.hybrid_iterations * self.batch < self.n_train * self.config.replicas.n:
            return self.unit.features(images[chosen], replica)
        key = ("all", replica)
        if key not in self._features:
            self._features[key] = self.unit.features(images, replica)
        return self._features[key][chosen]

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = now

    # Saving

    def save(self, path: Path) -> None:
        """Writes the run, whole or not at all. Between points of the curve the batches since the
        last one are lost, so :meth:`run` says when it is worth it."""
        arrays = {f"software.{name}": value for name, value in self.software.save().items()}
        if self.stage is not Stage.SOFTWARE:
            arrays |= {f"unit.{name}": value for name, value in self.unit.save().items()}
        header = {
            "config": to_toml(self.config),
            "seed": self.seed,
            "write_seed": self.write_seed,
            "dataset": self.dataset.name,
            "stage": self.stage.value,
            "epoch": self.epoch,
            "losses": self.losses,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "logit_scale": self.logit_scale,
            "results": self.results,
            "curve": [dataclasses.asdict(point) for point in self.curve],
        }
        write_checkpoint(path, header, arrays)

    def restore(self, path: Path) -> None:
        """Takes over a saved run of the same configuration, seeds and data set.

        Raises
        ------
        CheckpointError
            If it is damaged or incomplete.
        CheckpointMismatchError
            If it is of another run.
        """
        checkpoint = read_checkpoint(path)
        check_config(checkpoint, self.config)
        try:
            for name, here in (
                ("seed", self.seed),
                ("write_seed", self.write_seed),
                ("dataset", self.dataset.name),
            ):
                if checkpoint.header[name] != here:
                    raise CheckpointMismatchError(
                        f"The checkpoint {path} is of another run: its {name} is "
                        f"{checkpoint.header[name]!r}, not {here!r}."
                    )
            self._load_software(checkpoint)
            header = checkpoint.header
            self.stage = Stage(header["stage"])
            self.iteration = header_count(header, "iteration", 10**9)
            self.logit_scale = float(header_number(header["logit_scale"]))
            self.seconds = float(header_number(header["seconds"]))
            self.results = dict(header["results"])
            self.curve = header_records(header, "curve", HybridPoint)
            if self.stage is not Stage.SOFTWARE:
                self.unit.load(_part(checkpoint, "unit."))
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"The checkpoint {path} is incomplete.") from None

    def restore_software(self, path: Path) -> None:
        """Takes over only the FP32 network of a saved run: same network and FP32 settings, seed and
        data set, whatever its devices.

        Raises
        ------
        CheckpointError
            If it is damaged, incomplete or of another network.
        """
        checkpoint = read_checkpoint(path)
        saved = load_config(checkpoint, self.config)
        same = (
            saved.network == self.config.network
            and _software_settings(saved) == _software_settings(self.config)
            and checkpoint.header.get("seed") == self.seed
            and checkpoint.header.get("dataset") == self.dataset.name
        )
        if not same:
            raise CheckpointMismatchError(f"The checkpoint {path} is of another network.")
        try:
            self._load_software(checkpoint)
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"The checkpoint {path} is incomplete.") from None

    def _load_software(self, checkpoint: Checkpoint) -> None:
        self.software.load(_part(checkpoint, "software."))
        self.epoch = header_count(checkpoint.header, "epoch", 10**9)
        self.losses = [float(header_number(loss)) for loss in checkpoint.header["losses"]]


def _part(checkpoint: Checkpoint, prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): value
        for name, value in checkpoint.arrays.items()
        if name.startswith(prefix)
    }


def _software_settings(config: CnnConfig) -> tuple[Any, ...]:
    training = config.training
    return (
        training.epochs,
        training.batch,
        training.rate,
        training.weight_noise,
        training.held_out,
    )


def load_config(checkpoint: Checkpoint, base: CnnConfig) -> CnnConfig:
    """The configuration that a checkpoint holds.

    Raises
    ------
    CheckpointError
        If it holds none of this system.
    """
    try:
        return from_toml(str(checkpoint.header["config"]), type(base)())
    except (KeyError, ConfigError):
        raise CheckpointError(
            f"The checkpoint {checkpoint.path} holds no valid configuration."
        ) from None


def load_unit(path: Path) -> tuple[CnnConfig, InferenceUnit, dict[str, Any]]:
    """The written and calibrated unit of a saved run, its configuration, and the run's header.

    Raises
    ------
    CheckpointError
        If it is damaged, or nothing had been written yet.
    """
    checkpoint = read_checkpoint(path)
    config = load_config(checkpoint, CnnConfig())
    if checkpoint.header.get("stage") == Stage.SOFTWARE:
        raise CheckpointError(f"The run {path} has not been written to arrays yet.")
    unit = InferenceUnit(config, np.random.default_rng(0))  # every draw is overwritten
    try:
        unit.load(_part(checkpoint, "unit."))
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"The checkpoint {path} is incomplete.") from None
    return config, unit, dict(checkpoint.header)


def randomise(unit: InferenceUnit, fraction: float, rng: np.random.Generator) -> int:
    """Writes a share of the fully connected weights to levels drawn at random; how many.

    The paper's test of what tuning repairs: 10 % of the target weights randomised.
    """
    config, arrays = unit.config, unit.fully_connected
    device, layer = config.device, config.n_conv
    chosen = rng.random((config.flat_inputs, config.outs(layer))) < fraction
    levels = rng.integers(-device.level_max, device.level_max + 1, chosen.shape)
    targets = split_targets(config, layer, levels * device.level_us)
    pairs = np.zeros((config.chunks(layer) * config.array.n_inputs, config.outs(layer)), bool)
    pairs[: len(chosen)] = chosen
    mask = np.repeat(pairs, 2, axis=1).reshape(arrays.stuck.shape)
    arrays.program(targets, mask)
    return int(chosen.sum())
