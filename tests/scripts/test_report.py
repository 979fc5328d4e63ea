"""``mixbar report``."""

import json
import shutil
from pathlib import Path

import pytest

from energy import cnn_report
from energy.errors import EnergyError
from scripts import cli
from scripts.cnn.report import load_activity
from scripts.mixbar import app

SAMPLE = Path(__file__).parents[1] / "energy" / "activity_sample.json"


def mixbar(*arguments):
    return cli.run(app, [str(word) for word in arguments])


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out put" / "mca_mlp"
    folder.mkdir(parents=True)
    shutil.copy(SAMPLE, folder / "activity.json")
    return folder.parent


def test_writes_three_forms(out, capsys):
    assert mixbar("report", "mca_mlp", "--out", out, "--json") == 0
    stdout, stderr = capsys.readouterr()
    data = json.loads(stdout)
    assert stderr == ""
    assert {"tables", "plots", "files"} <= data.keys()
    assert [Path(name).name for name in data["files"]] == [
        "report.html",
        "report.md",
        "report.json",
    ]
    for name in data["files"]:
        assert Path(name).is_file()
    assert data["images"] == 1000
    assert json.loads((out / "mca_mlp" / "report.json").read_text())["tables"] == data["tables"]
    # The sample states an accuracy: it is a point of the curve.
    assert [row["label"] for row in data["tables"]["trade_off"]] == ["mca_mlp"]


def test_for_a_person(out, capsys):
    assert mixbar("report", "mca_mlp", "--out", out) == 0
    stdout = capsys.readouterr().out
    assert stdout.startswith("mca_mlp, a training image: ")
    assert "485 cycles" in stdout
    assert "report.html" in stdout


def test_node(out, capsys):
    totals = []
    for node in (14, 7):
        assert mixbar("report", "mca_mlp", "--out", out, "--node", node, "--json") == 0
        totals.append(json.loads(capsys.readouterr().out)["headline"]["energy_j"]["value"])
    assert totals[1] < totals[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "Unknown configuration 'nope'"),
        (["mca_mlp", "--node", "3"], "between 7 and 180 nm, not 3 nm"),
        (["tiny_cnn", "--node", "7"], "--node is no option of tiny_cnn"),
        (["li_mlp"], "'mixbar report' does not take li_mlp, a system of the kind"),
        (["mca_mlp", "--vdd", "2"], "within a quarter of 0.80 V, not 2 V"),
        (["mca_mlp", "--activity", "no/such.json"], "There is no activity file no/such.json."),
        (["tiny_mca", "--activity", SAMPLE], "holds the activity of mca_mlp, not tiny_mca."),
    ],
)
def test_wrong_request(arguments, sentence, tmp_path, capsys):
    assert mixbar("report", *arguments, "--out", tmp_path) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert list(tmp_path.rglob("*")) == []


def test_damaged_activity(out, capsys):
    (out / "mca_mlp" / "activity.json").write_text('{"config": "mca_mlp"}')
    assert mixbar("report", "mca_mlp", "--out", out) == 1
    assert "must hold config, images, counters and source" in capsys.readouterr().err
    assert [path.name for path in (out / "mca_mlp").iterdir()] == ["activity.json"]


def test_synthesis_is_picked_up(out, capsys):
    (out / "mca_mlp" / "synth.json").write_text('{"library": "osu018", "cells": 123}')
    assert mixbar("report", "mca_mlp", "--out", out, "--json") == 0
    gates = json.loads(capsys.readouterr().out)["tables"]["gates"]
    assert {"figure": "cells", "value": 123} in gates
    (out / "mca_mlp" / "synth.json").write_text("{")
    assert mixbar("report", "mca_mlp", "--out", out) == 1
    assert "synth.json is not JSON" in capsys.readouterr().err


def test_without_a_run_one_is_counted(tmp_path, capsys):
    assert mixbar("report", "tiny_mca", "--out", tmp_path, "--seed", 3, "--json") == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert data["images"] == 8 * 2500
    assert "seed 3" in data["activity_source"]
    assert "training 20000 images now" in err
    assert data["headline"]["energy_j"]["value"] > 0


def test_convolutional_network(tmp_path, capsys):
    """An image from the counters of a short run, and the same counters in the other report."""
    assert mixbar("report", "tiny_cnn", "--out", tmp_path, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    names = ["activity.json", "report.html", "report.md", "report.json"]
    assert [Path(name).name for name in data["files"]] == names
    groups = {row["group"]: row["energy_j"] for row in data["tables"]["groups"]}
    assert sum(groups.values()) == pytest.approx(data["headline"]["energy_j"])
    steps = data["tables"]["yao"]["network_steps"]
    assert steps[-1]["energy_j"] == pytest.approx(data["headline"]["energy_j"])
    counters = {row["counter"]: row["per_image"] for row in data["tables"]["counters"]}
    assert counters["images"] == 1
    page = (tmp_path / "tiny_cnn" / "report.html").read_text()
    assert "http-equiv" not in page
    assert "<script" not in page
    activity = load_activity(tmp_path / "tiny_cnn" / "activity.json")
    assert cnn_report.build(activity)["headline"] == data["headline"]
    (tmp_path / "tiny_cnn" / "activity.json").write_text("{}")
    with pytest.raises(EnergyError, match="does not hold the counters"):
        load_activity(tmp_path / "tiny_cnn" / "activity.json")
