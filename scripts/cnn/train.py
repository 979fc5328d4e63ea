"""``mixbar train`` for a convolutional network: FP32, 15 levels, transfer, hybrid training."""

import dataclasses
from pathlib import Path
from typing import Any

from model.checkpoint import CheckpointError
from model.cnn.config import CnnConfig
from model.cnn.modes import Mode, in_mode, with_replicas
from model.cnn.training import Stage, Training
from model.datasets import Dataset
from model.settings import shown
from scripts import cli, runs

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
        raise cli.RequestError(f"--mode must be one of {', '.join(known)}, not {shown(mode)}.")
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
    donor = out / select(settings, mode, None).name / runs.CHECKPOINT_FILE
    if epochs is not None:
        config = dataclasses.replace(
            config, training=dataclasses.replace(config.training, epochs=epochs)
        )
    training = Training(config, dataset, seed=seed, write_seed=write_seed)
    path = out / config.name / runs.CHECKPOINT_FILE
    goes_on = runs.restore(
        training,
        path,
        resume,
        is_finished=lambda header: header.get("stage") == Stage.DONE,
        position=lambda: f"at the stage {training.stage.value}",
    )
    if not goes_on and resume is not False:
        _borrow(training, donor)
    runs.train(
        training,
        path,
        total=config.training.epochs + config.training.hybrid_iterations,
        done=lambda: training.epoch + training.iteration,
        title=lambda: training.stage.value,
        line=lambda: _progress_line(training),
        stops_anywhere=False,
    )
    summary = _summary(training)
    file = cli.write(out / config.name / "training.json", cli.json_text(summary))
    result.set(
        {**summary, "checkpoint": path, "files": [path, file]},
        "\n".join([*_lines(summary), f"wrote {path}", f"wrote {file}"]),
    )


def _borrow(training: Training, donor: Path) -> None:
    """Takes the FP32 network of another run over, if there is one that fits."""
    try:
        training.restore_software(donor)
    except CheckpointError:
        return
    cli.say(f"FP32 weights from {donor}, {training.epoch} epochs")


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
