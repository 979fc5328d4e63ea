"""``mixbar train`` for an in-situ learning system."""

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

from model.checkpoint import CheckpointMismatchError, check_config, read_checkpoint
from model.datasets import Dataset
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig
from model.in_situ.training import Point, Training, activity
from scripts import cli
from scripts.train import CHECKPOINT_FILE, stop_requests

__all__ = ["train"]


def train(
    settings: InSituConfig,
    *,
    epochs: int | None,
    seed: int,
    dataset: Dataset,
    resume: bool | None,
    out: Path,
    result: cli.Result,
) -> None:
    """Trains, saves the run and its curve, and sets the result.

    The run is as long as ``training.images`` says, or ``epochs`` passes over the set down to whole
    batches. It is saved at every point of the curve and when it is stopped.
    """
    n_images = None
    if epochs is not None:
        batch = settings.update.batch
        n_train = len(dataset.train_labels) - settings.training.held_out
        n_images = max(epochs * n_train // batch, 1) * batch
    training = Training(settings, dataset, seed=seed, images=n_images)
    path = out / settings.name / CHECKPOINT_FILE
    _restore(training, path, resume)
    _train(training, path)
    summary = _summary(training)
    files = _write(training, summary, out)
    result.set(
        {**summary, "checkpoint": path, "files": [path, *files]},
        "\n".join(
            [
                f"{settings.name}, seed {seed}, {training.done} images: test accuracy "
                f"{100 * summary['test_accuracy']:.2f} %",
                f"{summary['set_devices_per_image']:.1f} devices and "
                f"{summary['pulses_per_image']:.2f} row pulses written and "
                f"{summary['cycles_per_image']:.1f} cycles an image; "
                f"{summary['images_per_second'] or 0:.0f} images/s",
                *(f"wrote {file}" for file in (path, *files)),
            ]
        ),
    )


def _restore(training: Training, path: Path, resume: bool | None) -> None:
    """Decides between the saved run and a new one, as ``--resume`` and ``--fresh`` say."""
    if resume is False or (resume is None and not path.exists()):
        return
    advice = "--fresh starts over, --out DIR keeps both"
    try:
        if resume is None:
            # A finished run of this configuration is a result, to be replaced by a new one.
            saved = read_checkpoint(path)
            check_config(saved, training.config)
            if saved.header.get("done") == saved.header.get("images"):
                return
        training.restore(path)
    except CheckpointMismatchError as error:
        raise cli.RequestError(f"{str(error).rstrip('.')}: {advice}.") from None
    except ValueError as error:
        raise cli.FailureError(f"{str(error).rstrip('.')}: {advice}.") from None
    cli.say(f"{path}: going on after {training.done} of {training.images} images")


def _train(training: Training, path: Path) -> None:
    """Trains to the end, saving at each point; a stop request saves and ends the process."""
    title = f"training {training.config.name}"
    with (
        stop_requests() as stopped,
        cli.progress(training.images, title, done=training.done) as advance,
    ):
        if not training.finished:
            cli.say(f"{title}: compiled in {training.warm_up():.1f} s")
        before = training.done
        for point_complete in training.run():
            advance(training.done - before)
            before = training.done
            if point_complete:
                training.save(path)
                cli.say(_line(training, training.curve[-1]))
            number = stopped()
            if number is not None and not training.finished:
                training.save(path)
                cli.say(f"wrote {path}: the same command goes on with it")
                if number == signal.SIGTERM:
                    raise SystemExit(128 + number)
                raise KeyboardInterrupt


def _line(training: Training, point: Point) -> str:
    return (
        f"{point.images:>7}/{training.images} images: train {100 * point.train_accuracy:.2f} %, "
        f"test {100 * point.test_accuracy:.2f} %, {point.set_devices_per_image:.1f} devices "
        f"written, {point.cycles_per_image:.1f} cycles an image"
    )


def _summary(training: Training) -> dict[str, Any]:
    """The JSON object of the verb; means are over the whole run."""
    counters, last, n = training.unit.counters, training.curve[-1], training.done
    network = training.config.network
    n_weights = sum(network.n_inputs(k) * network.n_cols(k) for k in range(network.n_layers))
    cycles = counters[Activity.CYCLES_FORWARD : Activity.CYCLES_WRITE + 1].sum()
    pulses = counters[Activity.SET_PULSES] + counters[Activity.RESET_PULSES]
    seconds = training.seconds
    return {
        "config": training.config.name,
        "data": training.dataset.name,
        "seed": training.seed,
        "epochs": n / len(training.dataset.train_labels),
        "images": n,
        "test_accuracy": last.test_accuracy,
        "best_test_accuracy": max(point.test_accuracy for point in training.curve),
        "train_accuracy": last.train_accuracy,
        "images_per_second": n / seconds if seconds > 0 else None,
        "nonzero_update_fraction": float(counters[Activity.GRADIENT_LANES] / (n * n_weights)),
        "pulses_per_image": float(pulses / n),
        "set_devices_per_image": float(counters[Activity.SET_DEVICES] / n),
        "reset_devices_per_image": float(counters[Activity.RESET_DEVICES] / n),
        "cycles_per_image": float(cycles / n),
        "skipped_fraction": float(counters[Activity.SKIPPED_IMAGES] / n),
        "curve": [dataclasses.asdict(point) for point in training.curve],
    }


def _write(training: Training, summary: dict[str, Any], out: Path) -> list[Path]:
    """Writes curve and counters; returns the files."""
    name = training.config.name
    record = {
        "config": name,
        "images": training.done,
        "source": "model",
        "test_accuracy": summary["test_accuracy"],
        "train_accuracy": summary["train_accuracy"],
        "counters": activity(training.unit.counters),
    }
    names = ["activity.json", "training.json", "training.png"]
    with cli.staged(out) as stage:
        folder = stage / name
        folder.mkdir()
        for file, content in zip(names, (record, summary), strict=False):
            text = json.dumps(content, allow_nan=False, indent=1) + "\n"
            (folder / file).write_text(text, encoding="utf-8")
        _plot(training, folder / names[2])
    return [out / name / file for file in names]


def _plot(training: Training, path: Path) -> None:
    """The curve as a picture: accuracies above, devices written below."""
    from matplotlib.figure import Figure

    images = [point.images for point in training.curve]
    figure = Figure(figsize=(7, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for label, field in (("test", "test_accuracy"), ("training", "train_accuracy")):
        values = [100 * getattr(point, field) for point in training.curve]
        above.plot(images, values, marker=".", label=f"{label}, last {values[-1]:.2f} %")
    above.set_ylabel("accuracy, %")
    above.set_title(f"{training.config.name}, seed {training.seed}: training curve")
    above.legend(loc="lower right")
    below.plot(images, [point.set_devices_per_image for point in training.curve], marker=".")
    below.set_ylabel("devices written, an image")
    below.set_xlabel("training images")
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, metadata={"Software": None})
