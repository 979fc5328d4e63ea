"""What the tests cover: ``python -m scripts.coverage``, behind ``make coverage``.

Three measures, on one page: the cases that co-simulation met (:mod:`cocotb_tests.coverage`), the
lines and bits of the emitted Verilog that it moved (:mod:`cocotb_tests.verilog_coverage`), and the
branches of the Python code that the test suite took (pytest-cov). Each has a target; the command
fails where one is missed.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from cocotb_tests.coverage import POINTS, RESET_POINT, Counts, add, holes, new_counts
from cocotb_tests.verilog_coverage import Point, read_points
from energy.html import render
from model.config import Config, ScalePolicy, SkipPolicy
from model.configurations import tiny_mca
from scripts import cli

if TYPE_CHECKING:
    from cocotb_tests.simulator import Simulation

__all__ = ["EXPLAINED", "TARGETS", "configurations", "main", "stimulus"]

#: Percent that must be met: of lines and toggles what is not explained, of Python's branches all.
TARGETS = {"line": 97.0, "toggle": 90.0, "python": 90.0}

#: Images of the sample shown to each unit, behind the corner cases.
N_IMAGES = 300

#: Cycles after which a run is cut off by a reset; the last is behind the last image.
CUTS = (*range(60, 900, 7), 20_000)

#: Points of the Verilog that these runs cannot reach: module, place, and why.
EXPLAINED: tuple[tuple[str, str, str], ...] = (
    (r"activity", r"\[(1[6-9]|[2-6]\d)\]", "upper bits of 64-bit counters: years of images"),
    (r"activity", r"\[\d{3,}\]", "all 64-bit counters as one vector: their upper bits"),
    (
        r"host\.registers|host$",
        r".*",
        "registers of the host: tests/cocotb_tests/test_host_interface_cosim.py",
    ),
    (r"host\.chi_window", r".*", "read-back of chi: tests/hw/test_digital_unit.py"),
    (r"host\.input_buffer", r"line .*", "malformed frames: test_host_interface_cosim.py"),
    (r"watchdog", r".*", "an array that never answers: tests/hw/test_watchdog.py"),
)

PAGE = "index.html"
TEMPLATE = Path(__file__).parent / "templates" / "coverage.html.j2"


def configurations() -> tuple[Config, ...]:
    """``tiny_mca``, and units of its size at the ends of their ranges."""
    update, converter = tiny_mca.update, tiny_mca.converter
    return (
        tiny_mca,
        replace(
            tiny_mca,
            name="tiny_saturated",
            array=replace(tiny_mca.array, max_rows=8, max_cols=4),
            converter=replace(
                converter,
                adc_bits=5,
                weight_us=2.0,
                forward_full_scale=1.0,
                backward_full_scale=0.25,
            ),
            update=replace(
                update,
                learning_rate_log2=5,
                scale_policy=ScalePolicy.OWN,
                skip_policy=SkipPolicy.ZERO_ERROR,
                crowded_codes=0,
            ),
            refresh=replace(tiny_mca.refresh, saturated_us=2.0, difference_us=2.0),
        ),
        replace(
            tiny_mca,
            name="tiny_steep",
            converter=replace(
                converter,
                adc_bits=4,
                weight_us=1.0,
                forward_full_scale=16.0,
                backward_full_scale=16.0,
            ),
            update=replace(
                update, learning_rate_log2=2, decay_log2=2, skip_policy=SkipPolicy.ZERO_CODES
            ),
        ),
        replace(
            tiny_mca,
            name="tiny_slow",
            update=replace(
                update,
                chi_bits=8,
                epsilon_log2=4,
                learning_rate_log2=-6,
                scale_policy=ScalePolicy.OWN,
            ),
        ),
    )


def stimulus(n_pixels: int, n_classes: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Corners first (nothing, everything, the roundings' boundaries), then images of the sample."""
    from model import datasets
    from model.inputs import adapt

    sample = adapt(tiny_mca, datasets.load("mnist-sample"))
    corners = np.array([[value] * n_pixels for value in (0, 255, 63, 64, 191, 192)], np.uint8)
    labels = (np.arange(len(corners)) % n_classes).astype(np.uint8)
    return (
        np.concatenate([corners, sample.train_images[:N_IMAGES]]),
        np.concatenate([labels, sample.train_labels[:N_IMAGES]]),
    )


@dataclass(frozen=True)
class Covered:
    """What co-simulation covered."""

    counts: Counts
    points: Mapping[Point, int]


def _simulate(out: Path) -> Covered:
    """Runs all configurations; the points of the Verilog are those of the first."""
    from cocotb_tests import simulator
    from cocotb_tests.unit_probes import probes, reset_probe
    from hw.verilog import emit

    counts = new_counts()
    data: list[Path] = []
    for number, config in enumerate(configurations()):
        cli.say(f"{config.name}: emitted, instrumented, trained beside the model ...")
        simulation = simulator.build(
            emit(config, out),
            probes=[*probes(config), reset_probe()],
            quick=True,
            coverage=True,
            on_message=cli.say,
        )
        images = simulation.directory.parent / "images.npz"
        pixels, classes = config.network.layers[0], config.network.layers[-1]
        shown, labels = stimulus(pixels, classes)
        np.savez(images, images=shown, labels=labels)
        runs = [_run(simulation, config, images, train) for train in (True, False)]
        runs += [_cut(simulation, config, images)] if number == 0 else []
        for found, _ in runs:
            add(counts, found)
        if number == 0:
            data = [path for _, path in runs]
    return Covered(counts, read_points(data))


def _run(
    simulation: "Simulation", config: Config, images: Path, train: bool
) -> tuple[Counts, Path]:
    """One run through all images; cases met, and the coverage of the Verilog."""
    from cocotb_tests import simulator
    from model.settings import to_toml

    place = simulation.directory.parent / ("train" if train else "infer")
    parameters = {
        "config": to_toml(config),
        "seed": 1,
        "train": train,
        "images": str(images),
        "save": None,
        "resume": None,
        "coverage": True,
    }
    found = simulator.run(simulation, "cocotb_tests.unit_bench", parameters, run_dir=place)
    if found["mismatch"] is not None:
        raise simulator.SimulatorError(found["mismatch"]["text"])
    return found["coverage"], place / "coverage.dat"


def _cut(simulation: "Simulation", config: Config, images: Path) -> tuple[Counts, Path]:
    """Resets in the middle of everything."""
    from cocotb_tests import simulator
    from model.settings import to_toml

    place = simulation.directory.parent / "resets"
    parameters = {
        "config": to_toml(config),
        "seed": 1,
        "images": str(images),
        "n_images": 20,
        "cuts": list(CUTS),
    }
    found = simulator.run(simulation, "cocotb_tests.bench_reset", parameters, run_dir=place)
    return {RESET_POINT: found["resets"]}, place / "coverage.dat"


def _explanation(point: Point) -> str | None:
    return next(
        (
            why
            for module, where, why in EXPLAINED
            if re.search(module, point.module) and re.search(where, point.where)
        ),
        None,
    )


def _verilog_rows(points: Mapping[Point, int]) -> list[dict[str, Any]]:
    """Of every module and kind: points, those met, those explained, and the open ones."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for point, n in sorted(points.items()):
        # The top's name stands before its instances'.
        module = point.module.partition(".")[2] or "(top)"
        row = rows.setdefault(
            (point.kind, module),
            {
                "kind": point.kind,
                "module": module,
                "points": 0,
                "met": 0,
                "explained": 0,
                "open": [],
            },
        )
        row["points"] += 1
        if n:
            row["met"] += 1
        elif _explanation(point):
            row["explained"] += 1
        else:
            row["open"].append(point.where)
    return list(rows.values())


def _share(rows: Sequence[Mapping[str, Any]], kind: str) -> float:
    """Percent of a kind's points that were met, of those that are not explained."""
    chosen = [row for row in rows if row["kind"] == kind]
    reachable = sum(row["points"] - row["explained"] for row in chosen)
    return 100 * sum(row["met"] for row in chosen) / reachable


def _python(out: Path) -> dict[str, Any]:
    """Runs the test suite under pytest-cov; branch coverage by package."""
    report = out / "python.json"
    status = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"),
            *("--cov", "--cov-branch", f"--cov-report=json:{report}"),
            f"--cov-report=html:{out / 'python'}",
        ],
        check=False,
        stdout=sys.stderr,
    ).returncode
    if status != 0:
        raise cli.FailureError("The test suite failed; its output is above.")
    found = json.loads(report.read_text(encoding="utf-8"))
    packages: dict[str, dict[str, int]] = {}
    for name, file in found["files"].items():
        summary = file["summary"]
        package = packages.setdefault(Path(name).parts[0], {"points": 0, "met": 0})
        package["points"] += summary["num_statements"] + summary["num_branches"]
        package["met"] += summary["covered_lines"] + summary["covered_branches"]
    return {"packages": packages, "percent": found["totals"]["percent_covered"]}


def _write(out: Path, report: dict[str, Any]) -> Path:
    cli.write(out / "coverage.json", cli.json_text(report))
    return cli.write(out / PAGE, render(TEMPLATE, **report))


def main(
    out: cli.OutOption = cli.OUT,
    python: Annotated[
        bool,
        typer.Option(help="Whether to run the test suite for the branches of the Python code."),
    ] = True,
) -> None:
    """Measures, writes the page, and fails where a target is missed."""
    place = (out / "coverage").resolve()
    place.mkdir(parents=True, exist_ok=True)
    covered = _simulate(place)
    rows = _verilog_rows(covered.points)
    shares = {kind: _share(rows, kind) for kind in ("line", "toggle")}
    report: dict[str, Any] = {
        "points": [
            {
                "name": point.name,
                "block": point.block,
                "bins": [
                    {"case": case, "n": n, "why": point.impossible.get(case, "")}
                    for case, n in covered.counts[point.name].items()
                ],
            }
            for point in POINTS
        ],
        "holes": holes(covered.counts),
        "verilog": rows,
        "explained": EXPLAINED,
        "python": _python(place) if python else None,
        "shares": shares,
        "targets": TARGETS,
    }
    if report["python"]:
        shares["python"] = report["python"]["percent"]
    page = _write(place, report)
    print(f"{len(POINTS)} points, {len(report['holes'])} cases not met")
    for name, case in report["holes"]:
        print(f"  not met: {name}: {case}")
    missed = [f"{kind} {share:.1f} %" for kind, share in shares.items() if share < TARGETS[kind]]
    for kind, share in shares.items():
        print(f"{kind}: {share:.1f} %, target {TARGETS[kind]:g} %")
    print(page)
    if missed or report["holes"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
