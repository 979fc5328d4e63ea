"""``mixbar train`` for a convolutional network: FP32, 15 levels, transfer, hybrid training."""

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

from model.checkpoint import (
    CheckpointError,
    CheckpointMismatchError,
    check_config,
    read_checkpoint,
)
from model.cnn.config import CnnConfig
from model.cnn.modes import Mode, in_mode, with_replicas
from model.cnn.training import Stage, Training
from model.datasets import Dataset
from scripts import cli
from scripts.train import CHECKPOINT_FILE, stop_requests

__all__ = ["STAGES", "select", "train"]

STAGES = {
    "software": "FP32 software",
    "quantised": "15 levels, software",
    "transferred": "after transfer",
    "hybrid": "after hybrid training",
}
"""What the accuracies of a run are called."""


def select(settings: CnnConfig, mode: str | None, replicas: int | None) -> CnnConfig:
    """The configuration that ``--mode`` and ``--replicas`` ask for.

    Raises
    ------
    RequestError
        If there is no such mode.
    ConfigError
        If the replicas do not fit the network.
    """
    known = [member.value for member in Mode]
    if mode is not None and mode not in known:
        raise cli.RequestError(f"--mode must be one of {', '.join(known)}, not {mode!r}.")
    if replicas is not None:
        settings = with_replicas(settings, replicas)
    return in_mode(settings, Mode(mode or Mode.BEST))


def train(
    settings: CnnConfig,
    *,
    epochs: int | None,
    seed: int,
    dataset: Dataset,
    resume: bool | None,
    out: Path,
    result: cli.Result,
    mode: str | None,
    replicas: int | None,
    write_seed: int | None,
) -> None:
    """Trains, saves the run, and sets the result: the accuracy after every stage.

    Another run of the same network, of one replica and the same seed, lends its FP32 weights,
    which it would only compute again; not with ``--fresh``.
    """
    config = select(settings, mode, replicas)
    donor = out / select(settings, mode, None).name / CHECKPOINT_FILE
    if epochs is not None:
        config = dataclasses.replace(
            config, training=dataclasses.replace(config.training, epochs=epochs)
        )
    training = Training(config, dataset, seed=seed, write_seed=write_seed)
    path = out / config.name / CHECKPOINT_FILE
    if not _restore(training, path, resume) and resume is not False:
        _borrow(training, donor)
    _train(training, path)
    summary = _summary(training)
    file = out / config.name / "training.json"
    cli.write(file, json.dumps(summary, allow_nan=False, indent=1) + "\n")
    result.set(
        {**summary, "checkpoint": path, "files": [path, file]},
        "\n".join([*_lines(summary), f"wrote {path}", f"wrote {file}"]),
    )


def _restore(training: Training, path: Path, resume: bool | None) -> bool:
    """Goes on with the saved run if ``--resume`` and ``--fresh`` let it; whether it does."""
    if resume is False or (resume is None and not path.exists()):
        return False
    advice = "--fresh starts over, --out DIR keeps both"
    try:
        if resume is None:
            # A finished run of this configuration is a result, to be replaced by a new one.
            saved = read_checkpoint(path)
            check_config(saved, training.config)
            if saved.header.get("stage") == Stage.DONE:
                return False
        training.restore(path)
    except CheckpointMismatchError as error:
        raise cli.RequestError(f"{str(error).rstrip('.')}: {advice}.") from None
    except ValueError as error:
        raise cli.FailureError(f"{str(error).rstrip('.')}: {advice}.") from None
    cli.say(f"{path}: going on at the stage {training.stage.value}")
    return True


def _borrow(training: Training, donor: Path) -> None:
    """Takes the FP32 network of another run over, if there is one that fits."""
    try:
        training.restore_software(donor)
    except CheckpointError:
        return
    cli.say(f"FP32 weights from {donor}, {training.epoch} epochs")


def _train(training: Training, path: Path) -> None:
    """Trains to the end, saving where it is worth it; a stop request saves and ends."""
    settings = training.config.training
    total = settings.epochs + settings.hybrid_iterations
    with (
        stop_requests() as stopped,
        cli.progress(total, f"training {training.config.name}") as advance,
    ):
        before = 0
        for worth_saving in training.run():
            done = training.epoch + training.iteration
            advance(done - before, training.stage.value)
            before = done
            if not worth_saving:
                continue
            training.save(path)
            cli.say(_progress_line(training))
            number = stopped()
            if number is not None and not training.finished:
                cli.say(f"wrote {path}: the same command goes on with it")
                if number == signal.SIGTERM:
                    raise SystemExit(128 + number)
                raise KeyboardInterrupt


def _progress_line(training: Training) -> str:
    if training.stage is Stage.SOFTWARE:
        return (
            f"FP32 epoch {training.epoch}/{training.config.training.epochs}: "
            f"loss {training.losses[-1]:.4f}"
        )
    if training.stage is Stage.HYBRID and not training.curve:
        accuracy = training.results["transferred"]["test_accuracy"]
        return f"written and calibrated: test {100 * accuracy:.2f} %"
    point = training.curve[-1] if training.curve else None
    if training.stage is Stage.DONE or point is None:
        return f"done: test {100 * training.results['hybrid']['test_accuracy']:.2f} %"
    return (
        f"batch {point.iteration}/{training.config.training.hybrid_iterations}: "
        f"{100 * point.batch_accuracy:.2f} % of the batches, {point.devices} devices written"
    )


def _summary(training: Training) -> dict[str, Any]:
    """The JSON object of the verb; counts are of the hybrid training."""
    config, curve = training.config, training.curve
    presented = training.iteration * training.batch
    weights = config.flat_inputs * config.outs(config.n_conv)
    changed = sum(point.weights for point in curve)
    pulses = sum(point.pulses for point in curve)
    return {
        "config": config.name,
        "data": training.dataset.name,
        "seed": training.seed,
        "write_seed": training.write_seed,
        "replicas": config.replicas.n,
        "epochs": training.epoch,
        "images": training.images,
        "hybrid_iterations": training.iteration,
        "test_accuracy": training.results["hybrid"]["test_accuracy"],
        "train_accuracy": training.results["hybrid"]["train_accuracy"],
        "images_per_second": training.images / training.seconds if training.seconds else None,
        "nonzero_update_fraction": changed / (presented * weights) if presented else 0.0,
        "pulses_per_image": pulses / presented if presented else 0.0,
        "devices_written": sum(point.devices for point in curve),
        "devices_failed": sum(point.failed for point in curve),
        "stages": training.results,
        "losses": training.losses,
        "curve": [dataclasses.asdict(point) for point in curve],
    }


def _lines(summary: dict[str, Any]) -> list[str]:
    lines = [f"{summary['config']}, seed {summary['seed']}, devices {summary['write_seed']}:"]
    for stage, title in STAGES.items():
        record = summary["stages"][stage]
        line = f"{title:>22}  {100 * record['test_accuracy']:6.2f} %"
        if "replica_test_accuracy" in record:
            alone = ", ".join(f"{100 * value:.2f}" for value in record["replica_test_accuracy"])
            line += f"  (each replica alone {alone})"
        lines.append(line)
    lines.append(
        f"{summary['devices_written']} devices written in {summary['hybrid_iterations']} batches"
    )
    return lines
