"""``mixbar cosim`` for a training engine."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cocotb_tests.engine.cosim import cosimulate
from model.engine.config import EngineConfig
from model.engine.training import training_order
from model.inputs import adapt
from scripts import cli
from scripts.train import load_dataset

__all__ = ["cosim"]


def cosim(
    settings: EngineConfig,
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
    """Runs the emitted engine in Verilator beside the model; leaves cosim.json.

    ``fresh`` changes nothing: a run always starts over.

    Raises
    ------
    RequestError
        If a waveform is wanted.
    FailureError
        If gateware and model differ.
    """
    if waves:
        raise cli.RequestError("The co-simulation of a training engine writes no waveform.")
    dataset = adapt(settings.unit, load_dataset(data))
    if infer:
        order = np.arange(images) % len(dataset.test_labels)
        shown, labels = dataset.test_images[order], dataset.test_labels[order]
    else:
        order = training_order(settings, seed, len(dataset.train_labels), images)
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
            on_progress=progress,
            on_message=cli.say,
        )
    record = {**asdict(found), "seed": seed, "data": dataset.name}
    path = cli.write(out / settings.name / "cosim.json", json.dumps(record, indent=1) + "\n")
    cycles = found.cycles_per_image
    phases = ", ".join(f"{name} {mean:.1f}" for name, mean in cycles["by_phase"].items())
    compared = ", ".join(f"{count} {name}" for name, count in found.compared.items())
    result.set(
        {**record, "files": [path]},
        f"{found.config}: {found.images} images, {found.mismatches} mismatches "
        f"({found.simulator})\ncompared: {compared}\n"
        f"cycles an image: mean {cycles['mean']:.1f}, max {cycles['max']} ({phases})\n"
        f"{100 * found.accuracy:.1f} % classified correctly, each before its update; "
        f"{found.images_per_second:.1f} images/s\nwrote {path}",
    )
    if found.mismatch is not None:
        raise cli.FailureError(found.mismatch["text"])
