"""The accuracy table of a convolutional network, over trained networks and write seeds.

    .venv/bin/python -m scripts.cnn.accuracy yao_cnn --networks 3 --writes 4

Trains every network once for each mode, writes it with every write seed for one and for three
replicas, tunes, and measures each stage on the test set; for the best mode also the read-out
against float products on the same conductances, and the repair of 10 % randomised weights. Every
finished run is a file in DIR/<configuration>_accuracy/, and none is repeated: a stopped table goes
on by the same command. Prints means with their standard deviations and lowest values, and writes
them to table.md there. ``--only paper_x3`` makes and shows the runs alone whose file's name begins
with these words.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from model import datasets
from model.cnn.config import CnnConfig
from model.cnn.float_read_out import FloatReadOut
from model.cnn.modes import Mode, in_mode, with_replicas
from model.cnn.training import Training, randomise
from model.datasets import Dataset
from model.settings import ConfigError
from scripts import cli
from scripts.cnn.train import STAGES

__all__ = [
    "accuracy_folder",
    "load_network",
    "main",
    "software",
    "spread",
    "study_parser",
    "table",
]

RANDOMISED = 0.1
"""Share of the fully connected weights that are randomised. Source: Yao 2020."""

SUBSET, PASSES = 5500, 10
"""Images and passes with which randomised weights are tuned. Source: Yao 2020."""


def accuracy_folder(config: CnnConfig, out: Path) -> Path:
    """Where the runs of the table and their FP32 networks lie."""
    return out / f"{config.name}_accuracy"


def software(config: CnnConfig, dataset: Dataset, seed: int, folder: Path) -> Training:
    """A trained network, from its file or trained and saved epoch by epoch."""
    path = folder / f"{config.name}_network{seed}.npz"
    training = Training(config, dataset, seed=seed)
    if path.exists():
        training.restore(path)
    for loss in training.train_software():
        training.save(path)
        cli.say(f"{path.stem}: epoch {training.epoch}/{config.training.epochs}, loss {loss:.4f}")
    return training


def _chain(
    config: CnnConfig,
    mode: Mode,
    n: int,
    dataset: Dataset,
    seed: int,
    write: int,
    folder: Path,
) -> dict[str, Any]:
    """One run with ``n`` replicas, from the FP32 network to the end."""
    network = software(in_mode(config, mode), dataset, seed, folder)
    chosen = in_mode(with_replicas(config, n), mode)
    training = Training(chosen, dataset, seed=seed, write_seed=write)
    training.take_software(network)
    for _ in training.run():
        pass
    record: dict[str, Any] = {
        "stages": training.results,
        "devices": sum(point.devices for point in training.curve),
        "failed": sum(point.failed for point in training.curve),
    }
    if n == 1:
        data = training.dataset
        classes = FloatReadOut(training.unit).classify(data.test_images)
        record["float_read_out"] = float(np.mean(classes == data.test_labels))
    return record


def _repair(
    config: CnnConfig, dataset: Dataset, seed: int, write: int, folder: Path
) -> dict[str, Any]:
    """Randomises weights of a written network and tunes it on a few images."""
    network = software(config, dataset, seed, folder)
    small = dataclasses.replace(
        config,
        training=dataclasses.replace(
            config.training, hybrid_iterations=PASSES * SUBSET // config.training.batch
        ),
    )
    training = Training(small, dataset, seed=seed, write_seed=write)
    training.n_train = min(SUBSET, training.n_train)
    training.take_software(network)
    training.transfer()
    randomise(training.unit, RANDOMISED, np.random.default_rng([write, 3]))
    data = training.dataset
    before = training.unit.accuracy(data.test_images, data.test_labels)
    for _ in training.run():
        pass
    return {"before": before, "after": training.results["hybrid"]["test_accuracy"]}


def _runs(
    config: CnnConfig, replicas: int, networks: int, writes: int, dataset: Dataset, folder: Path
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every run of the table: its file's stem, and what does it.

    Write seeds go slowest, networks fastest: a table that was stopped compares networks first.
    """
    for write in range(1, writes + 1):
        for mode, n in itertools.product((Mode.BEST, Mode.PAPER), (1, replicas)):
            for seed in range(1, networks + 1):
                yield (
                    f"{mode}_x{n}_network{seed}_write{write}",
                    partial(_chain, config, mode, n, dataset, seed, write, folder),
                )
        for seed in range(1, networks + 1):
            yield (
                f"repair_network{seed}_write{write}",
                partial(_repair, config, dataset, seed, write, folder),
            )


def spread(values: list[float]) -> str:
    """Mean, standard deviation, lowest, in percent, and of how many runs."""
    percent = [100 * value for value in values]
    mean = f"{statistics.fmean(percent):.2f}"
    if len(percent) == 1:
        return f"{mean} (n = 1)"
    deviation = statistics.stdev(percent)
    return f"{mean} ± {deviation:.2f} (n = {len(percent)}, lowest {min(percent):.2f})"


def _stage(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda record: float(record["stages"][name]["test_accuracy"])


def _read_out(record: dict[str, Any]) -> float:
    return _stage("hybrid")(record) - float(record["float_read_out"])


def table(records: dict[str, dict[str, Any]], replicas: int) -> str:
    """The table in Markdown, of the records by their files' stems."""
    rows: list[tuple[str, str, Callable[[dict[str, Any]], float]]] = [
        *((title, "{mode}_x1_", _stage(stage)) for stage, title in STAGES.items()),
        *(
            (f"{replicas} replicas in bands, {STAGES[stage]}", f"{{mode}}_x{replicas}_", value)
            for stage, value in ((name, _stage(name)) for name in ("transferred", "hybrid"))
        ),
        ("10 % of the FC weights randomised", "repair_", lambda record: record["before"]),
        ("the same, tuned on 5,500 images", "repair_", lambda record: record["after"]),
        ("integers less float products", "{mode}_x1_", _read_out),
    ]
    lines = ["| | paper mode, % | best mode, % |", "|---|---|---|"]
    for title, prefix, value in rows:
        cells = []
        for mode in (Mode.PAPER, Mode.BEST):
            # The repair is of the best mode alone.
            start = prefix.format(mode=mode)
            skip = start == prefix and mode is Mode.PAPER
            column = [
                value(record)
                for stem, record in records.items()
                if stem.startswith(start) and not skip
            ]
            cells.append(spread(column) if column else "-")
        if any(cell != "-" for cell in cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def study_parser(
    name: str, description: str, networks: int, writes: int
) -> argparse.ArgumentParser:
    """Arguments of a study over trained networks and write seeds."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("config")
    parser.add_argument("--networks", type=int, default=networks)
    parser.add_argument("--writes", type=int, default=writes)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--out", type=Path, default=cli.OUT)
    return parser


def load_network(source: str) -> CnnConfig:
    """The configuration of a convolutional network.

    Raises
    ------
    RequestError
        If it is of another system.
    """
    config = cli.load_config(source)
    if not isinstance(config, CnnConfig):
        raise cli.RequestError(f"{config.name} is no convolutional network.")
    return config


def main(arguments: list[str]) -> None:
    """Runs what is missing of the table and prints it."""
    parser = study_parser("accuracy", "The accuracy table of a convolutional network.", 3, 4)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORDS", help="runs whose name begins so")
    options = parser.parse_args(arguments)
    config = load_network(options.config)
    dataset = datasets.load(options.data)
    folder = accuracy_folder(config, options.out)
    records: dict[str, dict[str, Any]] = {}
    every = _runs(config, options.replicas, options.networks, options.writes, dataset, folder)
    runs = [(stem, work) for stem, work in every if stem.startswith(options.only)]
    if not runs:
        raise cli.RequestError(f"No run's name begins with {options.only!r}.")
    for stem, work in runs:
        path = folder / f"{stem}.json"
        if not path.exists():
            record = work()
            cli.write(path, cli.json_text(record))
            cli.say(f"wrote {path}")
        records[stem] = json.loads(path.read_text(encoding="utf-8"))
    text = table(records, options.replicas)
    cli.write(folder / "table.md", text + "\n")
    print(text)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (cli.RequestError, ConfigError, datasets.DatasetError) as error:
        sentence, status = cli.describe(error)
        cli.say(f"accuracy: {sentence}")
        sys.exit(status)
