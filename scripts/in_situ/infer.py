"""``mixbar infer`` for an in-situ learning system: test accuracy of a saved run."""

from pathlib import Path

import numpy as np

from model import datasets
from model.checkpoint import LARGEST_SEED, check_config, header_count, read_checkpoint
from model.in_situ.arrays import new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.inputs import adapt
from model.in_situ.training import evaluate, load_arrays
from scripts import cli, runs
from scripts.infer import parse_duration

__all__ = ["infer"]


def infer(
    settings: InSituConfig,
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
) -> None:
    """Reads the arrays of a saved run, lets devices fail if asked, and classifies the test images.

    ``given``: CONFIG as the user gave it; the other parameters are the verb's options.

    Raises
    ------
    RequestError
        If a time of drift or its compensation is asked for: the devices' retention is not modelled.
    """
    if compensate or any(parse_duration(text) > 0 for text in after.split(",")):
        raise cli.RequestError(
            "--after and --compensate need devices that drift; the ones of "
            f"{settings.name} are taken as they were written."
        )
    path = out / settings.name / runs.CHECKPOINT_FILE if run is None else run
    arrays = new_arrays(settings, 0)
    with runs.reading(path, f"'mixbar train {given}'"):
        checkpoint = read_checkpoint(path)
        check_config(checkpoint, settings)
        load_arrays(checkpoint, arrays)
    header = checkpoint.header
    try:
        name = str(header["dataset"])
        run_seed = header_count(header, "seed", LARGEST_SEED)
        images = header_count(header, "done", 10**12)
    except (KeyError, TypeError, ValueError):
        raise cli.FailureError(f"The checkpoint {path} has an incomplete header.") from None
    dataset = adapt(settings, datasets.load(name if data is None else data))
    test_images, test_labels = dataset.test_images, dataset.test_labels
    rng = np.random.default_rng([seed, 2])
    before = evaluate(settings, arrays, test_images, test_labels, rng.spawn(1)[0])
    failed = sum(array.break_devices(stuck, rng) for array in arrays)
    accuracy = before
    if failed:
        cli.say(f"{failed} devices failed")
        accuracy = evaluate(settings, arrays, test_images, test_labels, rng.spawn(1)[0])
    record = {
        "config": settings.name,
        "data": dataset.name,
        "run": path,
        "run_seed": run_seed,
        "trained_images": images,
        "seed": seed,
        "images": len(test_labels),
        "stuck_fraction": stuck,
        "seconds_after_training": 0.0,
        "test_accuracy": accuracy,
        "accuracy_loss": before - accuracy,
    }
    file = cli.write(out / settings.name / "infer.json", cli.json_text(record))
    line = f"{settings.name}, seed {run_seed} after {images} images: {100 * accuracy:.2f} %"
    if failed:
        line += f" with {failed} more devices stuck, {100 * before:.2f} % before"
    result.set({**record, "files": [file]}, f"{line}\nwrote {file}")
