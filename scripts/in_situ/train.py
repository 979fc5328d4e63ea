"""``mixbar train`` for an in-situ learning system."""

import dataclasses
from pathlib import Path
from typing import Any

from model.datasets import Dataset
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig
from model.in_situ.training import Point, Training, activity
from scripts import cli, runs

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
    path = out / settings.name / runs.CHECKPOINT_FILE
    title = f"training {settings.name}"
    runs.restore(
        training,
        path,
        resume,
        is_finished=lambda header: header.get("done") == header.get("images"),
        position=lambda: f"after {training.done} of {training.images} images",
    )
    runs.train(
        training,
        path,
        total=training.images,
        done=lambda: training.done,
        title=lambda: title,
        line=lambda: _line(training, training.curve[-1]),
        prepare=lambda: cli.say(f"{title}: compiled in {training.warm_up():.1f} s"),
    )
    summary = _summary(training)
    files = runs.write_files(
        settings,
        summary,
        activity(training.unit.counters),
        out,
        plot=lambda path: _plot(training, path),
    )
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


def _plot(training: Training, path: Path) -> None:
    """The curve as a picture: accuracies above, devices written below."""
    images = [point.images for point in training.curve]
    title = f"{training.config.name}, seed {training.seed}: training curve"
    figure, _, below = runs.accuracy_figure(title, images, training.curve)
    below.plot(images, [point.set_devices_per_image for point in training.curve], marker=".")
    below.set_ylabel("devices written, an image")
    below.set_xlabel("training images")
    figure.savefig(path, metadata={"Software": None})
