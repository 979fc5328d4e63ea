"""``mixbar cosim`` for an in-situ learning system."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from cocotb_tests.in_situ.cosim import cosimulate
from model.in_situ.config import InSituConfig
from model.in_situ.training import Training
from scripts import cli
from scripts.cosim import describe
from scripts.train import load_dataset

__all__ = ["cosim"]


def cosim(
    settings: InSituConfig,
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
) -> None:
    """Runs the emitted unit in Verilator beside the model, and sets the result.

    Images, their order, devices and learning rate are those of the run that 'mixbar train' makes of
    the same configuration and seed; the co-simulation is its beginning. A run that was stopped goes
    on from the end of a batch.
    """
    training = Training(settings, load_dataset(data), seed=seed)
    dataset = training.dataset
    if infer:
        order = np.arange(images) % len(dataset.test_labels)
        shown, labels = dataset.test_images[order], dataset.test_labels[order]
    else:
        order = training.order(0, images)
        shown, labels = dataset.train_images[order], dataset.train_labels[order]
    done = 0
    with cli.progress(images, f"co-simulating {settings.name}") as advance:

        def progress(now: int, accuracy: float) -> None:
            nonlocal done
            advance(now - done, f"{settings.name}, {100 * accuracy:.1f} % correct")
            done = now

        found = cosimulate(
            settings,
            shown,
            labels,
            out_dir=out,
            seed=seed,
            train=not infer,
            warm_up=warm_up,
            resume=not (fresh or waves),
            identity={"data": dataset.name},
            waves=waves,
            on_progress=progress,
            on_message=cli.say,
        )
    record = {**dataclasses.asdict(found), "seed": seed, "data": dataset.name}
    path = out / settings.name / "cosim.json"
    cli.write(path, json.dumps(record, allow_nan=False, indent=1) + "\n")
    result.set({**record, "files": [path]}, describe(found, path))
    if found.mismatch is not None:
        raise cli.FailureError(
            f"{found.mismatch['text']} Replay: mixbar cosim {settings.name} --images "
            f"{found.mismatch['image'] + 1} --seed {seed} --waves{' --infer' if infer else ''}"
        )
