"""``mixbar sweep`` for an in-situ learning system, on Dask."""

import contextlib
import functools
import json
import logging
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import datasets
from model.configurations import parse
from model.datasets import Dataset
from model.in_situ.config import InSituConfig
from model.in_situ.studies import (
    Kind,
    Run,
    accuracy,
    dataset_digest,
    parse_percents,
    published,
    run_digest,
)
from model.settings import shown, to_toml
from scripts import cli

__all__ = ["run_on_worker", "sweep"]

RECORD_FILE = "sweep.jsonl"

MOST_RUNS = 100_000
"""Runs of one sweep."""

CONNECT_SECONDS = 20
"""How long a scheduler may take to answer."""

NAMES = {
    Kind.IN_SITU: "in situ",
    Kind.EX_SITU: "ex situ",
    Kind.ONE_LAYER: "in situ, one layer",
    Kind.FLOAT: "in situ, nothing rounded",
    Kind.SOFTWARE: "software",
}


# On the workers


@functools.lru_cache(maxsize=1)
def _dataset(name: str, sha256: str) -> Dataset:
    """The set as this worker's machine has it, checked against the one of the command."""
    dataset = datasets.load(name)
    if dataset_digest(dataset) != sha256:
        raise datasets.DatasetError(f"The data set {name} of a worker is another one than here.")
    return dataset


def run_on_worker(config: str, dataset: str, sha256: str, run: Run) -> float:
    """Makes one run; everything in plain texts, so that any machine can.

    ``config``: TOML; ``dataset``: name of the set, which the worker loads itself, and its digest.

    Raises
    ------
    DatasetError
        If the worker's machine does not have the set, or another one of that name.
    """
    settings = parse(config)
    assert isinstance(settings, InSituConfig)
    return accuracy(settings, _dataset(dataset, sha256), run)


# Here


def sweep(
    settings: InSituConfig,
    *,
    stuck: str,
    seeds: Sequence[int],
    kinds: str,
    scheduler: str | None,
    workers: int | None,
    fresh: bool,
    dataset: Dataset,
    out: Path,
    result: cli.Result,
) -> None:
    """Makes what runs are missing, then table and figure of all; see :func:`scripts.sweep.sweep`.

    Raises
    ------
    RequestError
        If a kind is unknown or no scheduler answers.
    FailureError
        If runs failed; all others are kept.
    """
    names, percents = _kinds(kinds), parse_percents(stuck)
    n_runs = len(seeds) * len(names) * len(percents)
    if n_runs > MOST_RUNS:
        raise cli.RequestError(f"A sweep makes at most {MOST_RUNS:,} runs, not {n_runs:,}.")
    runs = [
        Run(kind=kind, stuck_percent=percent, seed=seed)
        for seed in seeds
        for kind in names
        for percent in percents
    ]
    sha256 = dataset_digest(dataset)
    digests = {run: run_digest(settings, sha256, run) for run in runs}
    record = out / settings.name / RECORD_FILE
    done = {} if fresh else _finished(record)
    missing = [run for run in runs if digests[run] not in done]
    if len(missing) < len(runs):
        cli.say(f"{record}: {len(runs) - len(missing)} of {len(runs)} runs are there already")
    if missing:
        with _append(record) as file:
            for run, value in _compute(settings, dataset.name, sha256, missing, scheduler, workers):
                done[digests[run]] = value
                line = {
                    "kind": run.kind.value,
                    "stuck_percent": run.stuck_percent,
                    "seed": run.seed,
                    "accuracy": value,
                    "digest": digests[run],
                }
                # A line at once, on the disk: what is finished is never lost.
                file.write(json.dumps(line, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
                cli.say(
                    f"{NAMES[run.kind]}, {run.stuck_percent:g} % stuck, seed {run.seed}: "
                    f"{100 * value:.2f} %"
                )
    values = {run: done[digests[run]] for run in runs}
    summary = _summary(settings, dataset, values)
    with cli.staged(out) as stage:
        folder = stage / settings.name
        folder.mkdir()
        text = cli.json_text(summary)
        (folder / "sweep.json").write_text(text, encoding="utf-8")
        _plot(settings, summary["points"], folder / "sweep.png")
    files = [record, *(out / settings.name / name for name in ("sweep.json", "sweep.png"))]
    result.set(
        {**summary, "files": files},
        "\n".join([*_table(summary["points"]), *(f"wrote {file}" for file in files)]),
    )


def _kinds(text: str) -> list[Kind]:
    """The kinds of a list with commas."""
    known = [kind.value for kind in Kind]
    names = text.split(",")
    for name in names:
        if name not in known:
            raise cli.RequestError(f"--kinds are of {', '.join(known)}, not {shown(name)}.")
    return [Kind(name) for name in dict.fromkeys(names)]


def _finished(record: Path) -> dict[str, float]:
    """Accuracies of finished runs by digest; a line cut short by a crash is passed over."""
    done = {}
    with contextlib.suppress(FileNotFoundError):
        for text in record.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                line = json.loads(text)
                done[str(line["digest"])] = float(line["accuracy"])
    return done


@contextlib.contextmanager
def _append(record: Path) -> Iterator[Any]:
    """The record, open at its end; a line cut short is ended first."""
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("a+", encoding="utf-8") as file:
        file.seek(0)
        text = file.read()
        if text and not text.endswith("\n"):
            file.write("\n")
        yield file


@contextlib.contextmanager
def _client(scheduler: str | None, workers: int | None, n_runs: int) -> Iterator[Any]:
    """A Dask client of the scheduler, or of workers of its own on this machine."""
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError):
            raise cli.RequestError(f"No Dask scheduler answers at {scheduler}.") from None
        with client:
            yield client
        return
    count = min(workers or os.cpu_count() or 1, n_runs)
    cluster = LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )
    client = Client(cluster)
    try:
        yield client
    finally:
        # A machine too busy to say goodbye in time takes nothing back of what was computed.
        for part in (client, cluster):
            with contextlib.suppress(TimeoutError):
                part.close()


def _compute(
    settings: InSituConfig,
    dataset: str,
    sha256: str,
    runs: Sequence[Run],
    scheduler: str | None,
    workers: int | None,
) -> Iterator[tuple[Run, float]]:
    """Every run with its accuracy, as they finish.

    The scheduler gives a run whose worker died to another one. A run that fails ends nothing: the
    failures are reported when all others are done.
    """
    from distributed import as_completed

    failures: dict[Run, BaseException] = {}
    with (
        _client(scheduler, workers, len(runs)) as client,
        cli.progress(len(runs), f"sweep {settings.name}") as advance,
    ):
        config = to_toml(settings)
        futures = {
            client.submit(run_on_worker, config, dataset, sha256, run, pure=False): run
            for run in runs
        }
        for future in as_completed(list(futures)):
            run = futures[future]
            error = future.exception()
            if error is None:
                yield run, float(future.result())
            else:
                failures[run] = error
            advance(1)
    if failures:
        run, error = next(iter(failures.items()))
        raise cli.FailureError(
            f"{len(failures)} of {len(runs)} runs failed, the first ({NAMES[run.kind]}, "
            f"{run.stuck_percent:g} % stuck, seed {run.seed}) with: {error}"
        )


def _summary(
    settings: InSituConfig, dataset: Dataset, values: Mapping[Run, float]
) -> dict[str, Any]:
    """The JSON object of the verb; the spread is the standard deviation over seeds."""
    points = []
    for kind in dict.fromkeys(run.kind for run in values):
        for percent in sorted({run.stuck_percent for run in values}):
            chosen = {
                run.seed: value
                for run, value in values.items()
                if run.kind is kind and run.stuck_percent == percent
            }
            numbers = list(chosen.values())
            points.append(
                {
                    "kind": kind.value,
                    "stuck_percent": percent,
                    "seeds": list(chosen),
                    "mean": statistics.fmean(numbers),
                    "deviation": statistics.stdev(numbers) if len(numbers) > 1 else 0.0,
                    "lowest": min(numbers),
                    "highest": max(numbers),
                    "accuracies": numbers,
                }
            )
    return {
        "config": settings.name,
        "data": dataset.name,
        "images": settings.training.images,
        "runs": len(values),
        "points": points,
    }


def _table(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a fraction, a column a kind: mean +- deviation (lowest)."""
    kinds = list(dict.fromkeys(point["kind"] for point in points))
    cells = {(point["kind"], point["stuck_percent"]): point for point in points}
    lines = [f"{'stuck':>7}" + "".join(f"  {NAMES[Kind(kind)]:>24}" for kind in kinds)]
    for percent in sorted({point["stuck_percent"] for point in points}):
        line = f"{percent:>5g} %"
        for kind in kinds:
            point = cells[kind, percent]
            mean, deviation, lowest = (
                100 * point[name] for name in ("mean", "deviation", "lowest")
            )
            line += f"  {f'{mean:.2f} +- {deviation:.2f} ({lowest:.2f})':>24}"
        lines.append(line)
    return [*lines, "accuracy in per cent: mean +- standard deviation (lowest) over seeds"]


def _plot(settings: InSituConfig, points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Accuracy over stuck devices, with the paper's points where the system is the paper's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    paper = published() if settings.network.layers == (64, 54, 10) else {}
    for index, kind in enumerate(dict.fromkeys(point["kind"] for point in points)):
        own = [point for point in points if point["kind"] == kind]
        axes.errorbar(
            [point["stuck_percent"] for point in own],
            [100 * point["mean"] for point in own],
            [100 * point["deviation"] for point in own],
            marker="o",
            capsize=3,
            color=f"C{index}",
            label=NAMES[Kind(kind)],
        )
        if Kind(kind) in paper:
            axes.plot(
                *zip(*paper[Kind(kind)], strict=True),
                marker="x",
                linestyle=":",
                color=f"C{index}",
                label=f"{NAMES[Kind(kind)]}: Li 2018, digitised",
            )
    axes.set_xlabel("devices stuck OFF, %")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(f"{settings.name}, {settings.training.images} images")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Software": None})
