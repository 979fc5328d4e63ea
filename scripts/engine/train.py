"""``mixbar train`` for a training engine."""

from dataclasses import asdict
from pathlib import Path

from model.datasets import Dataset
from model.engine.config import EngineConfig
from model.engine.training import EngineTraining, activity
from scripts import cli, runs

__all__ = ["train"]


def train(
    settings: EngineConfig,
    *,
    epochs: int | None,
    seed: int,
    dataset: Dataset,
    resume: bool | None,
    out: Path,
    result: cli.Result,
) -> None:
    """Trains on the model; leaves training.json and activity.json.

    Raises
    ------
    RequestError
        If a run is to go on: an engine's runs, minutes long, are not saved.
    """
    if resume:
        raise cli.RequestError("A training engine's run is not saved, so none can be resumed.")
    run = EngineTraining(settings, dataset, seed=seed, epochs=epochs)
    with cli.progress(run.epochs, f"training {settings.name}") as advance:
        for point in run.run():
            advance(1, f"{settings.name}, {100 * point.test_accuracy:.2f} % of the test set")
    counters, last = activity(run.engine.counters), run.curve[-1]
    images = counters["images"]
    summary = {
        "config": settings.name,
        "epochs": run.epochs,
        "images": images,
        "seed": seed,
        "data": dataset.name,
        "test_accuracy": last.test_accuracy,
        "train_accuracy": last.train_accuracy,
        "images_per_second": round(images / run.seconds, 1),
        "cycles_per_image": last.cycles_per_image,
        "curve": [asdict(point) for point in run.curve],
    }
    files = runs.write_files(
        settings,
        summary,
        counters,
        out,
        source=f"model, {run.epochs} epochs of {dataset.name}, seed {seed}",
    )
    result.set(
        {**summary, "files": files},
        "\n".join(
            [
                f"{settings.name}, seed {seed}, {run.epochs} epochs of {run.images_per_epoch} "
                f"images: test accuracy {100 * last.test_accuracy:.2f} %",
                f"{last.cycles_per_image:.1f} cycles and {last.steps_per_image:.2f} weight words "
                f"written an image; {summary['images_per_second']:.0f} images/s",
                *(f"wrote {file}" for file in files),
            ]
        ),
    )
