"""``mixbar cosim`` for a convolutional network: the emitted inference unit beside the model."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cocotb_tests.cnn.cosim import Batch, CnnCosimResult, Images, cosimulate
from model.checkpoint import CheckpointError
from model.cnn.config import CnnConfig, ReplicaMode
from model.cnn.hybrid import plan_batch
from model.cnn.inference_unit import InferenceUnit
from model.cnn.inputs import adapt
from model.cnn.modes import with_replicas
from model.cnn.training import Training, load_unit, randomise
from model.datasets import Dataset
from scripts import cli
from scripts.cosim import Request, describe, of_gates, progress
from scripts.runs import CHECKPOINT_FILE
from scripts.train import load_dataset

__all__ = ["cosim"]

MOST_BATCHES = 50
"""Batches, at most, that are looked through for one that changes a weight by the threshold."""

RANDOMISED = 0.1
"""Share of the weights that are randomised before the update. Source: Yao 2020."""

AFTER_UPDATE = 10
"""Images that are classified again after the co-simulated update."""


def cosim(
    settings: CnnConfig,
    request: Request,
    result: cli.Result,
    *,
    replicas: int | None,
    whole_images: bool | None,
) -> None:
    """Classifies test images in Verilator beside the model; leaves cosim.json.

    Unless ``request.infer``, a round of hybrid training is co-simulated too, a batch for each
    replica, after a tenth of the last layer's weights was randomised: each batch is classified, its
    update follows from the gateware's own maps and scores, its rows are written by the gateware's
    write-verify scheduler; then some images are classified again. The devices are those of the
    trained run of this configuration, if there is one; otherwise a network is trained in FP32,
    written, and saved as the beginning of such a run. ``request.warm_up`` changes nothing: all
    images take the same cycles.

    Raises
    ------
    RequestError
        If a waveform is wanted.
    """
    if request.waves:
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
    out = request.out
    simulate = partial(of_gates(cosimulate, request), seed=request.seed)
    source_set = load_dataset(request.data)
    folder = out / config.name
    with cli.locked(folder):
        unit, logit_scale, source = _devices(config, settings, source_set, request.seed, out)
        dataset = adapt(config, source_set)
        order = np.arange(request.images) % len(dataset.test_labels)
        shown = Images(dataset.test_images[order], dataset.test_labels[order])
        with progress(config.name, request.images) as on_progress:
            found = simulate(
                unit,
                [shown],
                out_dir=out,
                resume=not request.fresh,
                identity={"data": dataset.name, "devices": _digest(unit)},
                on_progress=on_progress,
                on_message=cli.say,
            )
        record: dict[str, Any] = {
            **found.to_json(),
            "seed": request.seed,
            "data": dataset.name,
            "devices": source,
        }
        path = cli.write(folder / "cosim.json", cli.json_text(record))
        if not request.infer and found.mismatch is None:
            again = _cosimulate_update(simulate, unit, dataset, logit_scale, shown, out)
            record["compared"] = dict(Counter(found.compared) + Counter(again.compared))
            record["mismatches"], record["mismatch"] = again.mismatches, again.mismatch
            record["update"] = asdict(again)
            cli.write(path, cli.json_text(record))
    result.set({**record, "files": [path]}, describe(record, path, trained=False))
    if record["mismatch"] is not None:
        result.fail(record["mismatch"]["text"])


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


def _round(unit: InferenceUnit, dataset: Dataset, logit_scale: float) -> tuple[list[Batch], int]:
    """A round of hybrid training, a batch for each replica, and the devices that the first changes.

    Begins with the first batch of training images that changes a weight.
    """
    size = min(unit.config.training.batch, len(dataset.train_labels))
    batches: list[Batch] = []
    changed = 0
    for first in range(0, MOST_BATCHES * size, size):
        images = dataset.train_images[first : first + size]
        labels = dataset.train_labels[first : first + size]
        if not batches and first < (MOST_BATCHES - 1) * size:
            features = unit.features(images)
            sums = unit.accumulators(features)
            changed = int(plan_batch(unit, features, sums, labels, logit_scale)[1].sum())
            if not changed:
                continue
        batches.append(Batch(images, labels, logit_scale))
        if len(batches) == unit.config.replicas.n:
            break
    return batches, changed


def _cosimulate_update(
    simulate: Callable[..., CnnCosimResult],
    unit: InferenceUnit,
    dataset: Dataset,
    logit_scale: float,
    shown: Images,
    out: Path,
) -> CnnCosimResult:
    """A round of hybrid training in gateware, then some images again.

    A share of the layer's weights is randomised first, as in the paper's test of what tuning
    repairs: a trained network gives no batch an update for a long time.
    """
    disturbed = InferenceUnit(unit.config, np.random.default_rng(0))
    disturbed.load(unit.save())
    randomise(disturbed, RANDOMISED, np.random.default_rng(0))
    batches, changed = _round(disturbed, dataset, logit_scale)
    cli.say(
        f"co-simulating a round of {len(batches)} batches of hybrid training, "
        f"{changed} devices in the first update"
    )
    again = Images(shown.images[:AFTER_UPDATE], shown.labels[:AFTER_UPDATE])
    return simulate(disturbed, [*batches, again], out_dir=out, on_message=cli.say)
