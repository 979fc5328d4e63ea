"""``mixbar report`` for a convolutional network: energy of an image, from counters."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np

from energy import cnn, cnn_report
from energy.errors import EnergyError
from energy.formats import si
from model import configurations, datasets
from model.checkpoint import check_config, read_checkpoint
from model.cnn.activity import unit_activity
from model.cnn.config import CnnConfig, WriteModel
from model.cnn.crossbar import LayerArrays
from model.cnn.inference_unit import InferenceUnit
from model.cnn.inputs import adapt
from model.cnn.training import Training, load_unit
from model.cnn.write_verify import Decision
from model.settings import to_toml
from scripts import cli, runs

__all__ = ["load_activity", "report"]

COUNTED_IMAGES = 1000
"""Test images, at most, that are counted."""

ACTIVITY_FILE = "activity.json"

SAMPLE, SAMPLE_EPOCHS, SAMPLE_BATCHES = "mnist-sample", 4, 100
"""What is trained where there is no run."""


def report(settings: CnnConfig, *, seed: int, out: Path, result: cli.Result) -> None:
    """Counts what the test images of a run cause, and writes the report; where there is no run, a
    short training of the shipped sample serves."""
    path = out / settings.name / runs.CHECKPOINT_FILE
    if path.is_file():
        with runs.reading(path, f"'mixbar train {settings.name}'"):
            check_config(read_checkpoint(path), settings)
            _, unit, header = load_unit(path)
        dataset = adapt(settings, datasets.load(str(header["dataset"])))
        curve, source = header["curve"], f"{path}"
        presented = int(header["iteration"]) * settings.training.batch
        devices = sum(point["devices"] for point in curve)
    else:
        cli.say(f"There is no run of {settings.name} in {out}: training the shipped sample now.")
        training = settings.training
        small = dataclasses.replace(
            training,
            epochs=min(SAMPLE_EPOCHS, training.epochs),
            hybrid_iterations=min(SAMPLE_BATCHES, training.hybrid_iterations),
        )
        short = dataclasses.replace(settings, training=small)
        run = Training(short, datasets.load(SAMPLE), seed=seed)
        for _ in run.run():
            pass
        unit, dataset, presented = run.unit, run.dataset, run.iteration * run.batch
        devices = sum(point.devices for point in run.curve)
        source = f"{small.epochs} epochs of {SAMPLE}, seed {seed}"
    images = dataset.test_images[:COUNTED_IMAGES]
    per_image = devices / presented if presented else 0.0
    sets, resets = _pulses_per_device(unit)
    activity = cnn.CnnActivity(
        config=settings,
        images=len(images),
        counters=dict(unit_activity(unit, images)),
        conductance_us=tuple(float(arrays.conductance_us.mean()) for arrays in unit.arrays),
        set_pulses=per_image * sets,
        reset_pulses=per_image * resets,
        source=f"{len(images)} test images of {dataset.name}; {source}",
    )
    record = {**dataclasses.asdict(activity), "config": settings.name, "toml": to_toml(settings)}
    data = cnn_report.build(activity)
    contents = {
        ACTIVITY_FILE: cli.json_text(record),
        "report.html": cnn_report.to_html(data),
        "report.md": cnn_report.to_markdown(data),
        "report.json": cli.json_text(data),
    }
    with cli.staged(out) as stage:
        folder = stage / settings.name
        folder.mkdir()
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8")
    files = [out / settings.name / name for name in contents]
    head = data["headline"]
    result.set(
        {**data, "files": files},
        "\n".join(
            [
                f"{settings.name}, an image: {si(head['energy_j'], 'J')}, "
                f"{head['gops_per_w']:.0f} GOP/s/W",
                *(f"wrote {file}" for file in files),
            ]
        ),
    )


def load_activity(path: Path) -> cnn.CnnActivity:
    """What :func:`report` left.

    Raises
    ------
    EnergyError
        If it is no such file, or a counter is missing.
    """
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
        config = configurations.parse(record.pop("toml"))
        record["conductance_us"] = tuple(record["conductance_us"])
        return cnn.CnnActivity(**{**record, "config": config})
    except (KeyError, TypeError, ValueError):
        raise EnergyError(f"{path} does not hold the counters of 'mixbar report'.") from None


class _Counting(LayerArrays):
    """Arrays that count the devices of each kind of pulse."""

    sets = resets = 0

    def pulse(self, chunk: int, line_in: int, decision: Decision, mask: np.ndarray) -> None:
        if decision is Decision.SET:
            self.sets += int(mask.sum())
        else:
            self.resets += int(mask.sum())
        super().pulse(chunk, line_in, decision, mask)


def _pulses_per_device(unit: InferenceUnit) -> tuple[float, float]:
    """SET and RESET pulses that a device of the last layer takes in closed-loop writing, from the
    lowest level to where it is now."""
    config = unit.config
    device = dataclasses.replace(config.device, write_model=WriteModel.VERIFY)
    own = dataclasses.replace(config, device=device)
    arrays = _Counting(own, config.n_conv, copy.deepcopy(unit.fully_connected.rng))
    written = arrays.program(unit.fully_connected.conductance_us)
    return arrays.sets / written.devices, arrays.resets / written.devices
