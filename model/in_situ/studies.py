"""Studies: many independent runs of a system, one number each.

A :class:`Run` says which; :func:`accuracy` makes it, on any machine, from its arguments alone.
"""

import csv
import enum
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model import datasets
from model.in_situ.arrays import generators, new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.inputs import adapt
from model.in_situ.reference import (
    SOFTWARE_RATE,
    software_accuracy,
    train_float,
    train_software,
    transfer_codes,
)
from model.in_situ.training import Training, evaluate
from model.settings import require, shown, to_toml

__all__ = [
    "Kind",
    "Run",
    "accuracy",
    "dataset_digest",
    "parse_percents",
    "published",
    "run_digest",
    "single_layer",
    "with_stuck",
]

SINGLE_LAYER_FULL_SCALE_A = 512e-6
"""Output full scale of :func:`single_layer`: its currents come from all inputs and from every stuck
device. Chosen on held-out training images, see docs/in_situ/studies.md."""

SINGLE_LAYER_SHIFT = 12
"""Learning-rate shift of :func:`single_layer`, chosen in the same way."""


class Kind(enum.StrEnum):
    """What a run does with the devices."""

    #: Trained in the array, on the unit's integers.
    IN_SITU = "in_situ"
    #: Trained in software, written into the array once.
    EX_SITU = "ex_situ"
    #: As ``in_situ``, a network of one layer.
    ONE_LAYER = "one_layer"
    #: As ``in_situ``, nothing rounded.
    FLOAT = "float"
    #: Trained and tested in float32, no devices at all.
    SOFTWARE = "software"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a study."""

    kind: Kind
    stuck_percent: float
    """Devices stuck OFF."""
    seed: int


def with_stuck(config: InSituConfig, percent: float) -> InSituConfig:
    """The configuration with another fraction of devices stuck OFF."""
    return replace(config, device=replace(config.device, stuck_off_fraction=percent / 100))


def single_layer(config: InSituConfig) -> InSituConfig:
    """The same inputs and classes without a hidden layer, on the same devices."""
    layers = config.network.layers
    return replace(
        config,
        network=replace(config.network, layers=(layers[0], layers[-1])),
        converter=replace(config.converter, output_full_scale_a=SINGLE_LAYER_FULL_SCALE_A),
        update=replace(config.update, shifts=(SINGLE_LAYER_SHIFT,)),
    )


def dataset_digest(dataset: datasets.Dataset) -> str:
    """SHA-256 of all images and labels."""
    whole = hashlib.sha256()
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        whole.update(np.ascontiguousarray(getattr(dataset, name)).data)
    return whole.hexdigest()


def run_digest(config: InSituConfig, dataset_sha256: str, run: Run) -> str:
    """What a run's number depends on, as a SHA-256: system, images and the run itself.

    The configuration's name does not matter, nor its own fraction of stuck devices.
    """
    system = replace(with_stuck(config, run.stuck_percent), name="custom")
    if run.kind is Kind.ONE_LAYER:
        system = single_layer(system)
    parts: list[str | int | float] = [to_toml(system), dataset_sha256, run.kind.value, run.seed]
    if run.kind in (Kind.SOFTWARE, Kind.EX_SITU):
        parts.append(SOFTWARE_RATE)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def accuracy(config: InSituConfig, dataset: datasets.Dataset, run: Run) -> float:
    """Accuracy (0..1) on the test images at the end of a run.

    ``dataset``: as it was loaded; the run brings it to its network's size.

    Raises
    ------
    ConfigError
        If the images cannot be brought to the network's size.
    """
    config = with_stuck(config, run.stuck_percent)
    if run.kind is Kind.ONE_LAYER:
        config = single_layer(config)
    if run.kind in (Kind.IN_SITU, Kind.ONE_LAYER):
        # One point at the end: evaluations on the way would only cost time.
        whole = replace(config.training, curve_images=config.training.images)
        training = Training(replace(config, training=whole), dataset, seed=run.seed)
        for _ in training.run():
            pass
        return training.curve[-1].test_accuracy
    adapted = adapt(config, dataset)
    if run.kind is Kind.FLOAT:
        return train_float(config, adapted, seed=run.seed)
    weights = train_software(config, adapted, seed=run.seed)
    if run.kind is Kind.SOFTWARE:
        return software_accuracy(weights, adapted)
    arrays = new_arrays(config, run.seed)
    codes = transfer_codes(config, weights, adapted.train_images)
    for array, gates in zip(arrays, codes, strict=True):
        array.transfer(gates)
    rng = generators(config, run.seed)[-1]
    return evaluate(config, arrays, adapted.test_images, adapted.test_labels, rng)


def published() -> dict[Kind, list[tuple[float, float]]]:
    """Stuck devices and accuracy, both in per cent, of Li 2018, Figs. 4b and 4c, digitised."""
    path = Path(__file__).parent / "data" / "stuck_sweep.csv"
    points: dict[Kind, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            point = float(row["stuck_percent"]), float(row["accuracy_percent"])
            points.setdefault(Kind(row["kind"]), []).append(point)
    return points


def parse_percents(text: str) -> list[float]:
    """Percentages of ``first:last:step``, last included, or of a list with commas.

    Raises
    ------
    ConfigError
        If it is neither, or one is outside 0..100, or there are more than 1001.
    """
    message = (
        "Percentages are first:last:step or a list as 0,11, at most 1001 of them within 0 to 100, "
        f"not {shown(text)}."
    )
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            require(0 < step < np.inf and -1 < first <= last <= 100, message)
            require((last - first) / step < 1001, message)
            count = int((last - first) / step + 1e-9) + 1
            percents = [round(first + k * step, 9) for k in range(count)]
        else:
            percents = [float(part) for part in text.split(",")]
    except ValueError as error:
        require(False, message)
        raise error  # pragma: no cover (require has raised)
    require(all(0 <= percent <= 100 for percent in percents), message)
    return sorted(set(percents))
