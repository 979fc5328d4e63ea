"""``mixbar train`` and ``mixbar infer`` of an in-situ learning system."""

import json
import signal

import pytest

from model.checkpoint import read_checkpoint
from model.in_situ.activity import Activity
from scripts import cli
from scripts.in_situ import train as verb
from scripts.mixbar import app

SAMPLE = ("--data", "mnist-sample")

SYSTEM = """\
extends = "tiny_in_situ"

[training]
images = 2_000
curve_images = 500
"""


@pytest.fixture
def system(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SYSTEM)
    return path


def mixbar(*arguments):
    return cli.run(app, [str(word) for word in arguments])


def contents(path):
    """A checkpoint without the wall-clock time in it."""
    checkpoint = read_checkpoint(path)
    header = {key: value for key, value in checkpoint.header.items() if key != "seconds"}
    return header, {name: array.tobytes() for name, array in checkpoint.arrays.items()}


def test_train_and_infer(system, tmp_path, capsys):
    assert mixbar("train", system, *SAMPLE, "--out", tmp_path, "--json") == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert (data["config"], data["images"], data["seed"]) == ("small", 2000, 1)
    assert [point["images"] for point in data["curve"]] == [500, 1000, 1500, 2000]
    assert data["test_accuracy"] == data["curve"][-1]["test_accuracy"] > 0.4
    assert data["test_accuracy"] <= data["best_test_accuracy"]
    assert 0 < data["nonzero_update_fraction"] < 1
    assert data["pulses_per_image"] > 0
    assert "500/2000 images: train" in err
    folder = tmp_path / "small"
    names = ["activity.json", "run.npz", "training.json", "training.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    activity = json.loads((folder / "activity.json").read_text())
    assert activity["counters"].keys() == {member.name.lower() for member in Activity}
    assert activity["counters"]["images"] == activity["images"] == 2000

    assert mixbar("infer", system, "--out", tmp_path, "--json") == 0
    inferred = json.loads(capsys.readouterr().out)
    assert inferred["test_accuracy"] == data["test_accuracy"]
    assert (inferred["trained_images"], inferred["run_seed"]) == (2000, 1)
    assert mixbar("infer", system, "--out", tmp_path, "--stuck", 1, "--json") == 0
    broken = json.loads(capsys.readouterr().out)
    assert broken["accuracy_loss"] == inferred["test_accuracy"] - broken["test_accuracy"] > 0.1
    assert mixbar("infer", system, "--out", tmp_path, "--after", "1d") == 2
    assert "need devices that drift" in capsys.readouterr().err
    assert mixbar("infer", system, "--out", tmp_path / "none") == 2
    assert f"run 'mixbar train {system}' first" in capsys.readouterr().err


def test_epochs(system, tmp_path, capsys):
    assert mixbar("train", system, *SAMPLE, "--epochs", 1, "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert out.startswith("small, seed 1, 2500 images: test accuracy ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_resumed(system, tmp_path, capsys, monkeypatch, number):
    line = verb._line

    def once(*arguments):
        monkeypatch.setattr(verb, "_line", line)
        signal.raise_signal(number)
        return line(*arguments)

    monkeypatch.setattr(verb, "_line", once)
    words = ("train", system, *SAMPLE, "--out", tmp_path / "cut")
    if number == signal.SIGTERM:
        with pytest.raises(SystemExit, match=str(128 + number)):
            mixbar(*words)
    else:
        assert mixbar(*words) == 128 + number
    assert "the same command goes on with it" in capsys.readouterr().err
    assert mixbar(*words) == 0
    assert "going on after 500 of 2000 images" in capsys.readouterr().err
    assert mixbar("train", system, *SAMPLE, "--out", tmp_path / "whole") == 0
    cut, whole = (contents(tmp_path / name / "small" / "run.npz") for name in ("cut", "whole"))
    assert cut == whole


def test_another_run_is_refused(system, tmp_path, capsys):
    assert mixbar("train", system, *SAMPLE, "--out", tmp_path) == 0
    words = ("train", system, *SAMPLE, "--out", tmp_path, "--seed", 2)
    assert mixbar(*words, "--resume") == 2
    assert "its seed is 1, not 2: --fresh starts over, --out DIR keeps both." in (
        capsys.readouterr().err
    )
