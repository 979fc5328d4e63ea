"""``mixbar cosim`` for a convolutional network: the emitted inference unit beside the model."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.cnn.checker import WriteCommand
from cocotb_tests.cnn.cosim import CnnCosimResult, Images, cosimulate
from model.checkpoint import CheckpointError
from model.cnn.config import CnnConfig, ReplicaMode
from model.cnn.hybrid import gradient, plan_update, read_all
from model.cnn.inference_unit import InferenceUnit
from model.cnn.inputs import adapt
from model.cnn.modes import with_replicas
from model.cnn.training import Training, load_unit, randomise
from model.datasets import Dataset
from scripts import cli
from scripts.train import CHECKPOINT_FILE, load_dataset

__all__ = ["cosim"]

MOST_BATCHES = 50
"""Batches, at most, that are looked through for one that changes a weight by the threshold."""

RANDOMISED = 0.1
"""Share of the weights that are randomised before the update. Source: Yao 2020."""

AFTER_UPDATE = 10
"""Images that are classified again after the co-simulated update."""


def cosim(
    settings: CnnConfig,
    *,
    images: int,
    seed: int,
    data: str | None,
    warm_up: int,
    infer: bool,
    waves: bool,
    fresh: bool,
    out: Path,
    result: cli.Result,
    replicas: int | None,
    whole_images: bool | None,
) -> None:
    """Classifies test images in Verilator beside the model; leaves cosim.json.

    Unless ``infer``, the update of one batch of hybrid training is co-simulated too, after a tenth
    of the last layer's weights was randomised: its rows are written by the gateware's write-verify
    scheduler, and some images classified again. The devices
    are those of the trained run of this configuration, if there is one; otherwise a network is
    trained in FP32, written, and saved as the beginning of such a run. ``warm_up`` changes nothing:
    all images take the same cycles.

    Raises
    ------
    RequestError
        If a waveform is wanted.
    FailureError
        If gateware and model differ.
    """
    if waves:
        raise cli.RequestError(
            f"The co-simulation of {settings.name} writes no waveform; its images are too long."
        )
    config = settings if replicas is None else with_replicas(settings, replicas)
    if whole_images and config.replicas.mode is not ReplicaMode.IMAGES:
        config = replace(
            config,
            name=f"{config.name}_images",
            replicas=replace(config.replicas, mode=ReplicaMode.IMAGES),
        )
    source_set = load_dataset(data)
    unit, logit_scale, source = _devices(config, settings, source_set, seed, out)
    dataset = adapt(config, source_set)
    order = np.arange(images) % len(dataset.test_labels)
    shown = Images(dataset.test_images[order], dataset.test_labels[order])
    with cli.progress(images, f"co-simulating {config.name}") as advance:
        done = 0

        def progress(now: int, accuracy: float) -> None:
            nonlocal done
            advance(now - done, f"{config.name}, {100 * accuracy:.1f} % correct")
            done = now

        found = cosimulate(
            unit,
            [shown],
            out_dir=out,
            resume=not fresh,
            identity={"data": dataset.name, "devices": _digest(unit)},
            on_progress=progress,
            on_message=cli.say,
        )
    record: dict[str, Any] = {**found.to_json(), "data": dataset.name, "devices": source}
    path = cli.write(out / config.name / "cosim.json", json.dumps(record, indent=1) + "\n")
    if not infer and found.mismatch is None:
        again = _cosimulate_update(unit, dataset, logit_scale, shown, out)
        record["compared"] = dict(Counter(found.compared) + Counter(again.compared))
        record["mismatches"], record["mismatch"] = again.mismatches, again.mismatch
        record["update"] = asdict(again)
        cli.write(path, json.dumps(record, indent=1) + "\n")
    result.set({**record, "seed": seed, "files": [path]}, _describe(record, path))
    if record["mismatch"] is not None:
        raise cli.FailureError(record["mismatch"]["text"])


def _devices(
    config: CnnConfig, base: CnnConfig, dataset: Dataset, seed: int, out: Path
) -> tuple[InferenceUnit, float, str]:
    """Written and calibrated devices, the scale of their scores, and where they come from."""
    bands = config.name.removesuffix("_images")
    for name in dict.fromkeys((config.name, bands)):
        path = out / name / CHECKPOINT_FILE
        try:
            saved, unit, header = load_unit(path)
        except CheckpointError:
            continue
        # The mode of the replicas makes no difference to the devices.
        if replace(saved, name=config.name, replicas=config.replicas) == config and (
            saved.replicas.n == config.replicas.n
        ):
            own = InferenceUnit(config, np.random.default_rng(0))
            own.load(unit.save())
            return own, float(header["logit_scale"]), str(path)
    training = Training(config, dataset, seed=seed)
    donor = out / base.name / CHECKPOINT_FILE
    try:
        training.restore_software(donor)
        source = f"FP32 weights of {donor}, written with seed {seed}"
    except CheckpointError:
        cli.say(f"There is no run of {config.name} in {out}: training in FP32.")
        for _ in training.train_software():
            pass
        source = f"trained in FP32 and written with seed {seed}"
    training.transfer()
    path = out / config.name / CHECKPOINT_FILE
    if not path.exists():
        training.save(path)  # 'mixbar train' goes on with it
    return training.unit, training.logit_scale, source


def _digest(unit: InferenceUnit) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(unit.save().items()):
        digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _first_update(
    unit: InferenceUnit, dataset: Dataset, logit_scale: float
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Targets and enables of the first batch of training images that changes a weight."""
    config, size = unit.config, unit.config.training.batch
    for first in range(0, MOST_BATCHES * size, size):
        images = dataset.train_images[first : first + size]
        labels = dataset.train_labels[first : first + size]
        features = unit.features(images, 0)
        steps = -config.training.hybrid_rate_us * gradient(
            features, unit.accumulators(features), labels, logit_scale
        )
        targets, enables = plan_update(config, read_all(unit.fully_connected), steps)
        if enables.any():
            break
    return targets, enables


def _cosimulate_update(
    unit: InferenceUnit, dataset: Dataset, logit_scale: float, shown: Images, out: Path
) -> CnnCosimResult:
    """An update of the fully connected layer in gateware, then some images again.

    A share of the layer's weights is randomised first, as in the paper's test of what tuning
    repairs: a trained network gives no batch an update for a long time.
    """
    disturbed = InferenceUnit(unit.config, np.random.default_rng(0))
    disturbed.load(unit.save())
    randomise(disturbed, RANDOMISED, np.random.default_rng(0))
    unit = disturbed
    targets, enables = _first_update(unit, dataset, logit_scale)
    commands = [
        WriteCommand(
            array=len(unit.arrays) - 1,
            chunk=int(chunk),
            input=int(line),
            targets=targets[chunk, line],
            enables=enables[chunk, line],
        )
        for chunk, line in zip(*np.nonzero(enables.any(axis=2)), strict=True)
    ]
    cli.say(f"co-simulating an update of {int(enables.sum())} devices in {len(commands)} rows")
    again = Images(shown.images[:AFTER_UPDATE], shown.labels[:AFTER_UPDATE])
    return cosimulate(unit, [commands, again], out_dir=out, on_message=cli.say)


def _describe(record: dict[str, Any], path: Path) -> str:
    compared = ", ".join(f"{count} {name}" for name, count in record["compared"].items())
    cycles = record["cycles_per_image"]
    phases = ", ".join(f"{name} {mean:.1f}" for name, mean in cycles["by_phase"].items())
    return (
        f"{record['config']}: {record['images']} images, {record['mismatches']} mismatches "
        f"({record['simulator']})\ndevices: {record['devices']}\ncompared: {compared}\n"
        f"cycles an image: mean {cycles['mean']:.1f} ({phases})\n"
        f"{100 * record['accuracy']:.2f} % classified correctly; "
        f"{record['images_per_second']:.1f} images/s\nwrote {path}"
    )
