"""Accuracy against the rate of a fault, of any system.

    .venv/bin/python -m scripts.faults mca_mlp --fault adc_bits --rates 0,0.01,0.1

Kinds of faults are those of :mod:`model.faults`. Each is there from the start of training
(``trained``), or comes after a training without it (``after``). Every finished run is a file in a
folder of its settings in DIR/<configuration>_faults/, and none is repeated: a stopped study goes on
by the same command. Writes faults.json, table.md and faults.svg of all runs with the same settings.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import datasets
from model.cnn import fault_study as cnn_study
from model.cnn.config import CnnConfig
from model.config import ChiProtection, Config
from model.datasets import Dataset
from model.fault_study import accuracy_after, accuracy_trained
from model.faults import Fault
from model.in_situ import fault_study as in_situ_study
from model.in_situ.config import InSituConfig
from model.settings import ConfigError, System, to_toml
from scripts import cli

__all__ = ["Run", "figure", "main", "make", "parse_rates", "table"]

WHEN = ("trained", "after")
"""From the start of training, or after it."""

NAMES = {
    Fault.STUCK: "stuck devices",
    Fault.ADC_BITS: "converters with a stuck bit",
    Fault.DEAD_COLUMNS: "dead columns",
    Fault.REFERENCES: "spread of references",
    Fault.CHI_BITS: "flips of a bit of chi an image",
    Fault.TABLES: "inverted bits of tables",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a study."""

    fault: Fault
    when: str
    rate: float
    seed: int
    protection: str = ""
    """Of chi bits: the check bits."""

    @property
    def curve(self) -> str:
        """What the runs of one curve share."""
        if self.protection == ChiProtection.NONE:
            return "no check bits"
        return self.protection or self.when

    @property
    def stem(self) -> str:
        """Name of its file."""
        return "_".join(
            part
            for part in (self.fault, self.when, self.protection, f"{self.rate:g}", f"s{self.seed}")
            if part
        )


def parse_rates(text: str) -> list[float]:
    """The rates of a list with commas, rising.

    Raises
    ------
    RequestError
        If one is no number from 0 to 1.
    """
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = [math.nan]
    if not all(0 <= rate <= 1 for rate in rates):
        raise cli.RequestError(f"--rates are numbers from 0 to 1 with commas, not {text!r}.")
    return sorted(set(rates))


def make(
    config: System, dataset: Dataset, run: Run, folder: Path, length: int | None
) -> dict[str, Any]:
    """Makes one run; ``length``: its epochs, or images of an in-situ system, if not the
    configuration's."""
    saved = folder / f"trained_s{run.seed}.npz"
    fault, rate, seed = run.fault, run.rate, run.seed
    if isinstance(config, Config):
        if run.protection:
            update = dataclasses.replace(
                config.update, chi_protection=ChiProtection(run.protection)
            )
            config = dataclasses.replace(config, update=update)
        if run.when == "trained":
            return accuracy_trained(config, dataset, fault, rate, seed=seed, epochs=length)
        return accuracy_after(config, dataset, fault, rate, seed=seed, epochs=length, saved=saved)
    if isinstance(config, InSituConfig):
        if run.when == "trained":
            return in_situ_study.accuracy_trained(
                config, dataset, fault, rate, seed=seed, images=length
            )
        return in_situ_study.accuracy_after(
            config, dataset, fault, rate, seed=seed, images=length, saved=saved
        )
    assert isinstance(config, CnnConfig)
    if length is not None:
        settings = dataclasses.replace(config.training, epochs=length)
        config = dataclasses.replace(config, training=settings)
    if run.when == "trained":
        return cnn_study.accuracy_trained(config, dataset, fault, rate, seed=seed, software=saved)
    return cnn_study.accuracy_after(config, dataset, fault, rate, seed=seed, saved=saved)


def _runs(config: System, options: argparse.Namespace) -> list[Run]:
    """Every run that is asked for and makes sense, seeds slowest."""
    known = [fault.value for fault in Fault]
    wanted = known if options.fault == "all" else options.fault.split(",")
    for name in wanted:
        if name not in known:
            raise cli.RequestError(f"--fault is of {', '.join(known)}, not {name!r}.")
    if Fault.CHI_BITS in wanted and not isinstance(config, Config):
        if options.fault != "all":
            raise cli.RequestError(f"{config.name} has no chi memory.")
        wanted = [name for name in wanted if name != Fault.CHI_BITS]
    runs = []
    for seed in range(options.seed, options.seed + options.seeds):
        for name in wanted:
            fault = Fault(name)
            is_chi = fault is Fault.CHI_BITS
            runs += [
                Run(fault=fault, when=when, rate=rate, seed=seed, protection=protection)
                for when in (WHEN[:1] if is_chi else options.when.split(","))
                for protection in (options.protection.split(",") if is_chi else [""])
                for rate in parse_rates(options.rates)
            ]
    return runs


def _points(records: Sequence[tuple[Run, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A point a curve and rate: mean, standard deviation and lowest over seeds."""
    groups: dict[tuple[Fault, str, float], list[tuple[Run, dict[str, Any]]]] = {}
    for run, record in records:
        groups.setdefault((run.fault, run.curve, run.rate), []).append((run, record))
    points = []
    for (fault, curve, rate), members in sorted(groups.items()):
        values = [float(record["test_accuracy"]) for _, record in members]
        point: dict[str, Any] = {
            "fault": fault.value,
            "curve": curve,
            "rate": rate,
            "seeds": sorted(run.seed for run, _ in members),
            "mean": statistics.fmean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
            "lowest": min(values),
        }
        for name in ("flipped", "corrected", "lost"):
            if name in members[0][1]:
                point[name] = statistics.fmean(record[name] for _, record in members)
        points.append(point)
    return points


def table(points: Sequence[dict[str, Any]]) -> str:
    """The points in Markdown: a table a fault, a column a curve, accuracies in per cent."""
    lines: list[str] = []
    for fault in dict.fromkeys(point["fault"] for point in points):
        own = {(p["curve"], p["rate"]): p for p in points if p["fault"] == fault}
        curves = list(dict.fromkeys(curve for curve, _ in own))
        lines += [
            f"| {NAMES[Fault(fault)]} | {' | '.join(curves)} |",
            "|---" * (len(curves) + 1) + "|",
        ]
        for rate in sorted({rate for _, rate in own}):
            cells = []
            for curve in curves:
                point = own.get((curve, rate))
                if point is None:
                    cells.append("-")
                    continue
                cell = f"{100 * point['mean']:.1f}"
                if len(point["seeds"]) > 1:
                    cell += f" ± {100 * point['deviation']:.1f}"
                cells.append(cell)
            lines.append(f"| {rate:g} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def figure(name: str, points: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy over the rate of each fault as an SVG, a panel a fault; rate 0 at the left edge."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    faults = list(dict.fromkeys(point["fault"] for point in points))
    rows = -(-len(faults) // 3)
    sheet = Figure(figsize=(12, 3.6 * rows), dpi=100, layout="constrained")
    for axes, fault in zip(sheet.subplots(rows, 3, squeeze=False).flat, faults, strict=False):
        own = [point for point in points if point["fault"] == fault]
        least = min((point["rate"] for point in own if point["rate"] > 0), default=1.0)
        for curve in dict.fromkeys(point["curve"] for point in own):
            chosen = [point for point in own if point["curve"] == curve]
            axes.errorbar(
                [point["rate"] or least / 10 for point in chosen],
                [100 * point["mean"] for point in chosen],
                [100 * point["deviation"] for point in chosen],
                marker="o",
                capsize=3,
                label=curve,
            )
        axes.set_xscale("log")
        axes.set_xlabel(NAMES[Fault(fault)])
        axes.set_ylabel("test accuracy, %")
        axes.set_ylim(0, 100)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="lower left")
    for axes in list(sheet.axes)[len(faults) :]:
        axes.set_axis_off()
    sheet.suptitle(name)
    with mpl.rc_context({"svg.hashsalt": "mixbar", "svg.fonttype": "none"}):
        sheet.savefig(path, metadata={"Date": None, "Creator": None})


def _identity(config: System, dataset: Dataset, length: int | None) -> str:
    """What all runs of a folder share, as a digest."""
    whole = hashlib.sha256(to_toml(config).encode())
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        whole.update(getattr(dataset, name).tobytes())
    whole.update(repr(length).encode())
    return whole.hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faults", description="Accuracy against fault rate.")
    parser.add_argument("config")
    parser.add_argument("--fault", default="all", help="kinds, with commas, or all")
    parser.add_argument("--rates", default="0,0.001,0.01,0.1", help="with commas")
    parser.add_argument("--when", default="trained,after", help="trained, after, or both")
    parser.add_argument(
        "--protection", default="none,parity,secded", help="check bits, of the fault chi_bits"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--length", type=int, help="epochs, of the kind in_situ images, of a run")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--out", type=Path, default=cli.OUT)
    return parser


def main(arguments: list[str]) -> None:
    """Makes what runs are missing, then table and figure of all."""
    options = _parser().parse_args(arguments)
    config, dataset = cli.load_config(options.config), datasets.load(options.data)
    if not isinstance(config, Config | InSituConfig | CnnConfig):
        raise cli.RequestError(f"{config.name} has no arrays: no fault of these is known.")
    for name, known in (("when", WHEN), ("protection", [p.value for p in ChiProtection])):
        if not set(getattr(options, name).split(",")) <= set(known):
            raise cli.RequestError(f"--{name} is of {', '.join(known)}.")
    runs = _runs(config, options)
    identity = _identity(config, dataset, options.length)
    study = options.out / f"{config.name}_faults"
    folder = study / identity[:12]
    for run in runs:
        path = folder / f"{run.stem}.json"
        if path.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        record = {**dataclasses.asdict(run), **make(config, dataset, run, folder, options.length)}
        cli.write(path, cli.json_text(record))
        cli.say(f"{run.stem}: {100 * record['test_accuracy']:.2f} %")
    records = []
    for path in sorted(folder.glob("*_s*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        keys = (field.name for field in dataclasses.fields(Run))
        values = {key: record[key] for key in keys}
        records.append((Run(**{**values, "fault": Fault(values["fault"])}), record))
    points = _points(records)
    summary = {
        "config": config.name,
        "data": dataset.name,
        "length": options.length,
        "points": points,
    }
    cli.write(study / "faults.json", cli.json_text(summary))
    text = table(points)
    cli.write(study / "table.md", text)
    figure(config.name, points, study / "faults.svg")
    print(text)
    cli.say(f"wrote {study}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (cli.RequestError, ConfigError, datasets.DatasetError) as error:
        sentence, status = cli.describe(error)
        cli.say(f"faults: {sentence}")
        sys.exit(status)
