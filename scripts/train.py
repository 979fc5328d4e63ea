"""``mixbar train``: trains on the model."""

import contextlib
import dataclasses
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli, runs

if TYPE_CHECKING:
    from model.config import Config
    from model.datasets import Dataset
    from model.training import Epoch, Training

__all__ = [
    "DataOption",
    "ModeOption",
    "ReplicasOption",
    "compile_apart",
    "load_dataset",
    "train",
]

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME",
        help="mnist or mnist-sample; the full set unless told, if 'mixbar data mnist' got it.",
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option("--epochs", min=1, help="Passes over the set; the configuration's unless told."),
]
ResumeOption = Annotated[
    bool | None,
    typer.Option(
        "--resume/--fresh",
        help="Insist on going on with the saved run, or on starting over. Unless told: an "
        "unfinished run goes on, after a finished one a new one starts. A run of the kind engine "
        "always starts over.",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option("--mode", metavar="MODE", help="Of the kind cnn: best (the default) or paper."),
]
ReplicasOption = Annotated[
    int | None,
    typer.Option("--replicas", min=1, help="Of the kind cnn: copies of the convolver."),
]
WriteSeedOption = Annotated[
    int | None,
    typer.Option(
        "--write-seed", min=0, help="Of the kind cnn: seed of the devices; --seed unless told."
    ),
]


def load_dataset(name: str | None) -> "Dataset":
    """The data set of ``--data``; says on standard error which one was chosen if none was named.

    Raises
    ------
    model.datasets.DatasetError
        If it cannot be had.
    """
    from model import datasets

    if name is not None:
        return datasets.load(name)
    dataset = datasets.default()
    hint = " ('mixbar data mnist' gets the full set)" if dataset.name == "mnist-sample" else ""
    cli.say(f"data: {dataset.name}, {len(dataset.train_labels)} training images{hint}")
    return dataset


def train(
    config: cli.ConfigArgument,
    epochs: EpochsOption = None,
    seed: cli.SeedOption = 1,
    data: DataOption = None,
    mode: ModeOption = None,
    replicas: ReplicasOption = None,
    write_seed: WriteSeedOption = None,
    resume: ResumeOption = None,
    out: cli.OutOption = cli.OUT,
    allow_code: cli.AllowCodeOption = False,
    json: cli.JsonOption = False,
) -> None:
    """Train on the model, with all device physics, and save the run.

    Writes to DIR/<configuration>/: run.npz (the run, at every point of the curve and on Ctrl-C;
    'mixbar infer' reads it), training.json and training.png (the curve), activity.json (counters,
    for 'mixbar report'). A run that was stopped goes on by the same command and ends in the same
    bits as one that was not.

    The kind cnn learns in FP32, is written, and learns on: --epochs are of the first part, and
    there is no picture and no activity.json. The kind engine has no devices; its runs take minutes
    and are not saved, and there is no picture.

    \b
    Examples:
      mixbar train mca_mlp
      mixbar train mca_mlp --epochs 1 --data mnist-sample
      mixbar train mca_mlp --seed 2 --out build/seed2 --json
      mixbar train yao_cnn --mode paper --replicas 3
    """
    with cli.result(json) as result, contextlib.ExitStack() as held:
        settings = cli.load_config(config, allow_code)
        from model.config import Config

        own = cli.own_options(settings, "cnn", mode=mode, replicas=replicas, write_seed=write_seed)
        dataset = load_dataset(data)
        held.enter_context(runs.held(out / settings.name))
        if not isinstance(settings, Config):
            cli.of_system(settings, "train").train(
                settings,
                epochs=epochs,
                seed=seed,
                dataset=dataset,
                resume=resume,
                out=out,
                result=result,
                **own,
            )
            return
        compile_apart(settings)
        from model.training import Training, activity

        training = Training(settings, dataset, seed=seed, epochs=epochs)
        path = out / settings.name / runs.CHECKPOINT_FILE
        runs.restore(
            training,
            path,
            resume,
            is_finished=lambda header: header.get("epoch") == header.get("epochs"),
            position=lambda: (
                f"after {training.epoch} of {training.epochs} epochs"
                + (f" and {training.position} images" if training.position else "")
            ),
        )
        runs.train(
            training,
            path,
            total=training.epochs * training.images_per_epoch,
            done=lambda: training.images,
            title=lambda: _title(training),
            line=lambda: _line(training, training.curve[-1]),
            prepare=training.warm_up,
        )
        summary, last = _summary(training), training.curve[-1]
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
                    f"{settings.name}, seed {seed}, {training.epochs} epochs of "
                    f"{training.images_per_epoch} images: test accuracy "
                    f"{100 * last.test_accuracy:.2f} %",
                    f"{100 * summary['nonzero_update_fraction']:.3f} % non-zero updates, "
                    f"{summary['pulses_per_image']:.3f} pulses and "
                    f"{summary['cycles_per_image']:.1f} cycles an image; "
                    f"{summary['images_per_second']:.0f} images/s",
                    *(f"wrote {file}" for file in (path, *files)),
                ]
            ),
        )


def compile_apart(config: "Config") -> None:
    """Compiles what training ``config`` takes, if that is to be done, in processes of their own.

    The compiler takes more memory than a run, and does not give it back: this process only loads
    what the others have put into the cache, and they share the work, so that none becomes large.
    Without a writable cache nothing is done here.
    """
    from model.jit import compiled_mark

    mark = compiled_mark(f"train-{config.network.n_layers}")
    if mark is None or mark.exists():
        return
    cli.say("compiling the trainer ...")
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    # A compiler that was killed, or a full disk, leaves the work to this process.
    with contextlib.suppress(BrokenProcessPool, OSError):
        for whole in (False, True):
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                pool.submit(_compile, config, whole).result()
        mark.touch()
    cli.say(f"compiled in {time.perf_counter() - start:.0f} s")


def _compile(config: "Config", whole: bool) -> None:
    """Compiles inference, or all, for arrays of a few devices: their types are those of any
    size."""
    from model import datasets
    from model.config import NetworkConfig
    from model.training import Training

    network = NetworkConfig(layers=(20, *[4] * config.network.n_layers))
    small = dataclasses.replace(config, network=network)
    training = Training(small, datasets.load("mnist-sample"), seed=0)
    if whole:
        training.warm_up()
    else:
        training.test(0.0)


def _title(training: "Training") -> str:
    if not training.curve:
        return f"epoch 1/{training.epochs}"
    last = training.curve[-1]
    return (
        f"epoch {min(training.epoch + 1, training.epochs)}/{training.epochs}  "
        f"test {100 * last.test_accuracy:.2f} %  pulses {last.pulses_per_image:.2f}  "
        f"non-zero {100 * last.nonzero_update_fraction:.2f} %"
    )


def _line(training: "Training", epoch: "Epoch") -> str:
    return (
        f"epoch {epoch.epoch:>2}/{training.epochs}: train {100 * epoch.train_accuracy:.2f} %, "
        f"test {100 * epoch.test_accuracy:.2f} %, rate 2^{epoch.learning_rate_log2}, "
        f"{epoch.pulses_per_image:.3f} pulses, {100 * epoch.nonzero_update_fraction:.3f} % "
        f"non-zero, {epoch.cycles_per_image:.1f} cycles an image"
    )


def _summary(training: "Training") -> dict[str, Any]:
    """The JSON object of the verb; means are over the whole run."""
    curve = training.curve
    last = curve[-1]

    def mean(field: str) -> float:
        return sum(getattr(epoch, field) for epoch in curve) / len(curve)

    seconds = training.seconds
    return {
        "config": training.config.name,
        "data": training.dataset.name,
        "seed": training.seed,
        "epochs": training.epochs,
        "images": training.images,
        "test_accuracy": last.test_accuracy,
        "best_test_accuracy": max(epoch.test_accuracy for epoch in curve),
        "train_accuracy": last.train_accuracy,
        "images_per_second": training.images / seconds if seconds > 0 else None,
        "nonzero_update_fraction": mean("nonzero_update_fraction"),
        "pulses_per_image": mean("pulses_per_image"),
        "refreshed_pairs_per_image": mean("refreshed_pairs_per_image"),
        "cycles_per_image": mean("cycles_per_image"),
        "skipped_fraction": mean("skipped_fraction"),
        "device_time_s": training.device_time_s,
        "curve": [dataclasses.asdict(epoch) for epoch in curve],
    }


def _plot(training: "Training", path: Path) -> None:
    """The curve as a picture: accuracies above, activity of the update below."""
    from matplotlib.ticker import MaxNLocator

    curve = training.curve
    epochs = [epoch.epoch for epoch in curve]
    title = f"{training.config.name}: training curve"
    figure, _, below = runs.accuracy_figure(title, epochs, curve)
    below.semilogy(epochs, [e.pulses_per_image for e in curve], marker=".", label="pulses an image")
    below.semilogy(
        epochs,
        [100 * e.nonzero_update_fraction for e in curve],
        marker=".",
        label="non-zero updates, % of all weights",
    )
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.legend(loc="upper right")
    # Without the version of Matplotlib in it the picture is the same from machine to machine.
    figure.savefig(path, metadata={"Software": None})
