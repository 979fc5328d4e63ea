"""``mixbar infer`` for a convolutional network: test accuracy of a saved run, later."""

import copy
from pathlib import Path

import numpy as np

from model import datasets
from model.checkpoint import check_config, read_checkpoint
from model.cnn.config import CnnConfig
from model.cnn.cycles import image_cycles, images_per_second
from model.cnn.inputs import adapt
from model.cnn.training import load_unit
from scripts import cli, runs
from scripts.cnn.train import select
from scripts.infer import parse_duration

__all__ = ["infer"]


def infer(
    settings: CnnConfig,
    *,
    given: str,
    after: str,
    compensate: bool,
    stuck: float,
    run: Path | None,
    data: str | None,
    seed: int,
    out: Path,
    result: cli.Result,
    mode: str | None,
    replicas: int | None,
) -> None:
    """Reads the arrays of a saved run, lets devices fail and lie if asked, and classifies.

    Each time starts from the arrays as they were saved; ``seed`` is that of failure and retention.
    ``given``: CONFIG as the user gave it; the other parameters are the verb's options.

    Raises
    ------
    RequestError
        If there is no such run, or compensation is asked for.
    """
    if compensate:
        raise cli.RequestError(
            f"--compensate is for devices that drift together; those of {settings.name} spread."
        )
    config = select(settings, mode, replicas)
    path = out / config.name / runs.CHECKPOINT_FILE if run is None else run
    with runs.reading(path, f"'mixbar train {given}' with the same options"):
        check_config(read_checkpoint(path), config)
        config, saved, header = load_unit(path)
    dataset = adapt(config, datasets.load(str(header["dataset"]) if data is None else data))
    points = []
    for seconds in sorted({0.0, *(parse_duration(text) for text in after.split(","))}):
        unit = copy.deepcopy(saved)
        rng = np.random.default_rng([seed, 2])
        failed = sum(arrays.break_devices(stuck, rng) for arrays in unit.arrays)
        if seconds > 0:
            for arrays in unit.arrays:
                arrays.rng = rng.spawn(1)[0]
            unit.age(seconds)
        accuracy = unit.accuracy(dataset.test_images, dataset.test_labels)
        points.append({"seconds_after_training": seconds, "test_accuracy": accuracy})
    cycles = image_cycles(config)
    record = {
        "config": config.name,
        "data": dataset.name,
        "run": str(path),
        "run_seed": header["seed"],
        "write_seed": header["write_seed"],
        "seed": seed,
        "images": len(dataset.test_labels),
        "replicas": config.replicas.n,
        "stuck_fraction": stuck,
        "failed_devices": failed,
        "seconds_after_training": points[-1]["seconds_after_training"],
        "test_accuracy": points[-1]["test_accuracy"],
        "accuracy_loss": points[0]["test_accuracy"] - points[-1]["test_accuracy"],
        "cycles_per_image": cycles.total / cycles.images,
        "unit_images_per_second": images_per_second(config),
        "points": points,
    }
    file = cli.write(out / config.name / "infer.json", cli.json_text(record))
    lines = [
        f"{point['seconds_after_training']:>12g} s  {100 * point['test_accuracy']:6.2f} %"
        for point in points
    ]
    result.set(
        {**record, "files": [file]},
        "\n".join([f"{'after training':>14}  accuracy", *lines, f"wrote {file}"]),
    )
