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

from cocotb_tests.coverage import (
    POINTS,
    RESET_POINT,
    Counts,
    add,
    holes,
    largest_maxima,
    new_counts,
)
from cocotb_tests.verilog_coverage import Bits, Point, constant_bits, read_points
from energy.html import render
from hw.registers import ERROR_FIELDS
from model.config import Config, ScalePolicy, SkipPolicy
from model.configurations import tiny_mca
from model.refresh_controller import refresh_thresholds
from model.settings import to_toml
from model.unit import SKIP_CODES, Settings
from scripts import cli

if TYPE_CHECKING:
    from cocotb_tests.simulator import Simulation

__all__ = ["CORNERS", "TARGETS", "configurations", "corners", "explained", "main", "stimulus"]

#: Percent that must be met: of lines and bits what is not explained, of Python's branches all.
TARGETS = {"line": 98.0, "toggle": 99.0, "python": 90.0}

#: Images of the sample shown to each unit, behind the corner cases.
N_IMAGES = 300

#: Images of a run that is cut off by resets, and how often each thing that the unit does is.
N_RESET_IMAGES, N_RESETS_EACH = 40, 12

#: Images of each of :data:`CORNERS`.
N_CORNER_IMAGES = 30

#: What the host sets, what all counters begin with, and the noise of the arrays in uS. Learning
#: rate and threshold are at the ends of their ranges and between, each bit of them high and low;
#: counters carry through all bits. Noise of many times the conductances makes codes be anywhere
#: between the ends of the converter, a little less makes images with many errors.
CORNERS: tuple[tuple[Settings, int, float], ...] = (
    (Settings(-3, 20, True, SKIP_CODES[SkipPolicy.ZERO_ERROR]), 2**20 - 1, 20.0),
    (Settings(8, 28, False, SKIP_CODES[SkipPolicy.NEVER]), 2**32 - 1, 20.0),
    (Settings(31, 27, True, SKIP_CODES[SkipPolicy.NEVER]), 2**48 - 1, 4.0),
    (Settings(-32, 2, False, SKIP_CODES[SkipPolicy.ZERO_CODES]), 2**62 - 1, 20.0),
    (Settings(-10, 3, True, SKIP_CODES[SkipPolicy.NEVER]), -1, 20.0),
    (Settings(8, 12, False, SKIP_CODES[SkipPolicy.NEVER]), -(2**62), 1.0),
    (Settings(-9, 12, True, SKIP_CODES[SkipPolicy.NEVER]), -(2**40), 20.0),
    (Settings(-17, 21, True, SKIP_CODES[SkipPolicy.ZERO_CODES]), -(2**30), 4.0),
    (Settings(4, 24, False, SKIP_CODES[SkipPolicy.ZERO_ERROR]), 2**55 - 1, 20.0),
)

#: Folders of the runs of the first unit, whose coverage is added up.
RUNS = ("train", "infer", "resets", "corners")

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
    flat = np.array([[value] * n_pixels for value in (0, 255, 63, 64, 191, 192)], np.uint8)
    labels = (np.arange(len(flat)) % n_classes).astype(np.uint8)
    return (
        np.concatenate([flat, sample.train_images[:N_IMAGES]]),
        np.concatenate([labels, sample.train_labels[:N_IMAGES]]),
    )


ANY_BIT = range(2**31)


@dataclass(frozen=True)
class Explanation:
    """Why some bits of the Verilog never change."""

    module: str
    """Of which instances: a pattern of the whole path."""
    signal: str
    """Of which signals: a pattern of the whole name."""
    why: str
    bits: range = ANY_BIT

    def fits(self, point: Point) -> bool:
        """Whether a point is of one of these bits."""
        return (
            point.kind == "toggle"
            and point.bit in self.bits
            and re.fullmatch(self.module, point.module) is not None
            and re.fullmatch(self.signal, point.signal) is not None
        )

    def row(self) -> dict[str, str]:
        """As the page shows it."""
        bits = "" if self.bits == ANY_BIT else f"from bit {self.bits.start}"
        bits = "bit 0" if self.bits == range(1) else bits
        module = re.sub(r"^(?=\||$)", "(top)", self.module)
        return {"module": module, "signal": self.signal, "bits": bits, "why": self.why}


def explained(config: Config) -> tuple[Explanation, ...]:
    """What the ranges of the numbers of a configuration of two layers exclude."""
    lanes = config.update.lanes
    n_outputs = config.network.layers[-1]
    upper, lower = (maximum.bit_length() for maximum in reversed(largest_maxima(config)))
    difference = refresh_thresholds(config).difference
    others = "|".join(rf"\[{lane}\]" for lane in range(n_outputs, lanes))
    outputs = f"{n_outputs} outputs in a word of {lanes} lanes: the others are zero"
    even = "h (255 - h) is even, and so is every exact error (model/error_unit.py)"

    def above(bit: int) -> range:
        return range(bit, ANY_BIT.stop)

    return (
        Explanation(
            r"quantiser\.scales",
            "maximum_1",
            f"exact errors of the outputs are below 2**{upper}",
            above(upper),
        ),
        Explanation(
            r"quantiser\.scales(\.code)?",
            r"maximum(_0|\$\d+)?|decayed\w*|\$like|\$signal",
            f"errors of hidden units, times the outputs' exponent, are below 2**{lower}",
            above(lower),
        ),
        Explanation(
            r"|host(\.result_buffer)?",
            rf"((m_axis_result|o)__tdata(\$\d+)?|read_port__data)({others})",
            outputs,
        ),
        Explanation(
            r"|host(\.result_buffer)?",
            r"(m_axis_result|o)__tdata(\$\d+)?|read_port__data",
            outputs,
            above(8 * n_outputs),
        ),
        Explanation(r"host\.result_buffer\.largest", r"held_\w+_1", outputs),
        Explanation(
            "",
            r"(array_0__)?row_codes(\[0\]){0,2}",
            "the first layer has no backward product: nothing reads its codes",
        ),
        Explanation(
            r"chi_memory\.threshold_\d",
            "below",
            "EPSILON is at most chi_bits - 4",
            above(config.update.chi_bits - 4),
        ),
        Explanation(
            r"host\.registers",
            "errors_sticky",
            "no error has this bit",
            above(len(ERROR_FIELDS)),
        ),
        Explanation(
            r"refresh_controller\.writer",
            "magnitude",
            "pairs further apart are not refreshed",
            above((difference - 1).bit_length()),
        ),
        Explanation(
            "activity", "amount_chi_lanes", "a word has no more lanes", above(lanes.bit_length())
        ),
        Explanation(
            r"|error_unit|quantiser(\.coder)?",
            r"(derivatives|.*errors|(read|\$signature)__data)\[\d\]",
            even,
            range(1),
        ),
        Explanation(r"quantiser(\.scales(\.drive)?)?", "maximum", even, range(1)),
        Explanation(
            r"outer_product(\.error_codes|\.walker)?",
            r"drop(\$\d+)?",
            "the bias drives every layer: no vector of activations is all zero",
        ),
    )


@dataclass(frozen=True)
class Covered:
    """What co-simulation covered."""

    counts: Counts
    points: Mapping[Point, int]
    """Of the Verilog of the first configuration."""
    constants: Bits
    """Its bits that never change."""


def _simulate(out: Path) -> Covered:
    """Runs all configurations; the first also in every corner, for the points of its Verilog."""
    from cocotb_tests import simulator
    from cocotb_tests.unit_probes import corner_probes, probes
    from hw.verilog import emit

    counts = new_counts()
    for config in configurations():
        cli.say(f"{config.name}: emitted, instrumented, trained beside the model ...")
        unit = emit(config, out)
        simulation = simulator.build(
            unit,
            probes=[*probes(config), *corner_probes()],
            quick=True,
            coverage=True,
            on_message=cli.say,
        )
        images = out / config.name / "images.npz"
        pixels, classes = config.network.layers[0], config.network.layers[-1]
        shown, labels = stimulus(pixels, classes)
        np.savez(images, images=shown, labels=labels)
        for train in (True, False):
            add(counts, _images(simulation, config, images, train))
        if config == tiny_mca:
            cli.say(f"{config.name}: reset in all that it does, driven into its corners ...")
            add(counts, _resets(simulation, config, images))
            _run(simulation, "corners", "bench_corners", corners(config, N_CORNER_IMAGES))
            place = simulation.directory.parent
            data = [place / name / "coverage.dat" for name in RUNS]
            points = read_points(data, unit.path, unit.top)
            constants = constant_bits(unit.path, unit.top, out / config.name)
    return Covered(counts, points, constants)


def _run(
    simulation: "Simulation", name: str, bench: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """What a bench reports; the coverage of the Verilog stays in the folder of this name."""
    from cocotb_tests import simulator

    place = simulation.directory.parent / name
    return simulator.run(simulation, f"cocotb_tests.{bench}", parameters, run_dir=place)


def _images(simulation: "Simulation", config: Config, images: Path, train: bool) -> Counts:
    """All images; the cases met."""
    from cocotb_tests import simulator

    parameters = {
        "config": to_toml(config),
        "seed": 1,
        "train": train,
        "images": str(images),
        "save": None,
        "resume": None,
        "coverage": True,
    }
    found = _run(simulation, "train" if train else "infer", "unit_bench", parameters)
    if found["mismatch"] is not None:
        raise simulator.SimulatorError(found["mismatch"]["text"])
    counts: Counts = found["coverage"]
    return counts


def _resets(simulation: "Simulation", config: Config, images: Path) -> Counts:
    """Resets in the middle of everything."""
    parameters = {
        "config": to_toml(config),
        "seed": 1,
        "images": str(images),
        "n_images": N_RESET_IMAGES,
        "n_each": N_RESETS_EACH,
    }
    return {RESET_POINT: _run(simulation, "resets", "bench_reset", parameters)["resets"]}


def corners(config: Config, n_images: int, n_cases: int | None = None) -> dict[str, Any]:
    """What :mod:`cocotb_tests.bench_corners` is given: the unit behind arrays of noise, from full
    memories, ``n_images`` under each of the first ``n_cases`` settings of :data:`CORNERS`."""
    return {
        "config": to_toml(config),
        "n_images": n_images,
        "cases": [
            {
                "config": to_toml(
                    replace(config, device=replace(config.device, noise_offset_us=noise_us))
                ),
                "settings": list(settings),
                "counters_start": start,
            }
            for settings, start, noise_us in CORNERS[:n_cases]
        ],
    }


def _verilog_rows(covered: Covered) -> list[dict[str, Any]]:
    """Of every module and kind: points, those met, constant, explained, and the open ones."""
    explanations = explained(tiny_mca)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for point, n in sorted(covered.points.items()):
        row = rows.setdefault(
            (point.kind, point.module),
            {
                "kind": point.kind,
                "module": point.module or "(top)",
                "points": 0,
                "met": 0,
                "constant": 0,
                "explained": 0,
                "open": [],
                "refuted": [],
            },
        )
        row["points"] += 1
        is_explained = any(explanation.fits(point) for explanation in explanations)
        if n:
            row["met"] += 1
            if is_explained:
                row["refuted"].append(point.where)
        elif point.is_constant(covered.constants):
            row["constant"] += 1
        elif is_explained:
            row["explained"] += 1
        else:
            row["open"].append(point.where)
    return list(rows.values())


def _share(rows: Sequence[Mapping[str, Any]], kind: str) -> float:
    """Percent of a kind's points that were met, of those that are neither constant nor
    explained."""
    chosen = [row for row in rows if row["kind"] == kind]
    reachable = sum(row["points"] - row["constant"] - row["explained"] for row in chosen)
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
    rows = _verilog_rows(covered)
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
        "refuted": [f"{row['module']}: {where}" for row in rows for where in row.pop("refuted")],
        "explained": [explanation.row() for explanation in explained(tiny_mca)],
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
    for where in report["refuted"]:
        print(f"met, but explained as never met: {where}")
    print(page)
    if missed or report["holes"] or report["refuted"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
