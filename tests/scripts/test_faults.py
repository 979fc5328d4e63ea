"""``python -m scripts.faults``: runs of every system, files, going on, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from model import datasets
from model.configurations import tiny_mca
from model.faults import Fault
from model.inputs import adapt
from model.settings import ConfigError
from scripts import cli, faults

POINT = {"seeds": [1], "deviation": 0.0, "lowest": 0.5}


def run(out: Path, config: str, *options: str) -> dict[str, Any]:
    faults.main([config, *options, "--data", "mnist-sample", "--out", str(out)])
    folder = out / f"{config}_faults"
    assert (folder / "faults.svg").stat().st_size > 1000
    assert (folder / "table.md").read_text().startswith("| ")
    summary: dict[str, Any] = json.loads((folder / "faults.json").read_text())
    return summary


def test_runs_are_files_and_none_is_repeated(tmp_path: Path, monkeypatch: Any) -> None:
    """A higher rate goes on with what is there; a fault that breaks everything shows."""
    options = ("--fault", "dead_columns", "--length", "1")
    run(tmp_path, "tiny_mca", *options, "--rates", "0")
    made = []
    make = faults.make
    monkeypatch.setattr(faults, "make", lambda *given: (made.append(given[2]), make(*given))[1])
    summary = run(tmp_path, "tiny_mca", *options, "--rates", "0,1")
    assert [(each.when, each.rate) for each in made] == [("trained", 1.0), ("after", 1.0)]
    points = {(point["curve"], point["rate"]): point["mean"] for point in summary["points"]}
    assert points["trained", 0.0] == points["after", 0.0] > 0.2
    # All outputs equal: every image is of class 0.
    labels = adapt(tiny_mca, datasets.load("mnist-sample")).test_labels
    assert points["trained", 1.0] == points["after", 1.0] == float((labels == 0).mean())


def test_chi_bits_by_their_check_bits(tmp_path: Path) -> None:
    options = ("--fault", "chi_bits", "--length", "1", "--protection", "none,secded")
    summary = run(tmp_path, "tiny_mca", *options, "--rates", "0,1e-5")
    points = {(point["curve"], point["rate"]): point for point in summary["points"]}
    assert len(points) == 4
    plain, secded = (points[name, 1e-5] for name in ("no check bits", "secded"))
    assert plain["flipped"] > 50
    assert plain["corrected"] == plain["lost"] == 0
    assert 0 < secded["corrected"] <= secded["flipped"]
    clean = points["no check bits", 0.0]["mean"]
    assert points["secded", 0.0]["mean"] == clean
    if secded["lost"] == 0:
        assert secded["mean"] == clean


def test_in_situ(tmp_path: Path) -> None:
    summary = run(tmp_path, "tiny_in_situ", "--fault", "tables", "--rates", "0", "--length", "1000")
    first, second = summary["points"]
    assert {first["curve"], second["curve"]} == {"trained", "after"}
    assert first["mean"] == second["mean"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("tiny_in_situ", "--fault", "chi_bits"), "tiny_in_situ has no chi memory."),
        (("tiny_mca", "--fault", "rust"), "--fault is of stuck, "),
        (("tiny_mca", "--rates", "0,2"), "--rates are numbers from 0 to 1"),
        (("tiny_mca", "--rates", "x"), "--rates are numbers from 0 to 1"),
        (("tiny_mca", "--when", "now"), "--when is of trained, after."),
        (("fixed32",), "fixed32 has no arrays"),
    ],
)
def test_refused(options: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises((cli.RequestError, ConfigError), match=sentence.replace(".", r"\.")):
        faults.main([*options, "--data", "mnist-sample", "--out", str(tmp_path)])


def test_table() -> None:
    points = [
        {**POINT, "fault": Fault.STUCK.value, "curve": curve, "rate": rate, "mean": mean}
        for curve, rate, mean in (("after", 0.1, 0.5), ("trained", 0.0, 0.925))
    ]
    assert faults.table(points).splitlines() == [
        "| stuck devices | after | trained |",
        "|---|---|---|",
        "| 0 | - | 92.5 |",
        "| 0.1 | 50.0 | - |",
    ]
