"""``mixbar infer``: times, table, files, and what it refuses."""

import json

import pytest

from scripts import cli
from scripts.infer import parse_duration
from scripts.mixbar import app


def mixbar(*arguments):
    return cli.run(app, [str(word) for word in arguments])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where a trained tiny_mca lies."""
    out = tmp_path_factory.mktemp("build")
    assert mixbar("train", "tiny_mca", "--data", "mnist-sample", "--out", out) == 0
    return out


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("30d", 2592000), (" 1.5h", 5400), ("2us", 2e-6), ("1y", 31557600)],
)
def test_parse_duration(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "d", "30", "-1s", "1 month", "1e3s", "inf"])
def test_parse_duration_wrong(text):
    with pytest.raises(cli.RequestError, match="--after takes durations as 30d"):
        parse_duration(text)


def test_json(out, capsys):
    run = out / "tiny_mca" / "run.npz"
    before = run.read_bytes()
    assert mixbar("infer", "tiny_mca", "--after", "30d,1h", "--out", out, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["seconds_after_training"] == 2592000
    assert data["data"] == "mnist-sample"
    assert data["images"] == 500
    times = [point["seconds_after_training"] for point in data["points"]]
    assert times == [0, 3600, 2592000]
    assert data["test_accuracy"] == data["points"][-1]["test_accuracy"]
    first = data["points"][0]["test_accuracy"]
    assert data["accuracy_loss"] == pytest.approx(first - data["test_accuracy"])
    trained = json.loads((out / "tiny_mca" / "training.json").read_text())
    # The same arrays at the same time, other read noise.
    assert first == pytest.approx(trained["test_accuracy"], abs=0.05)
    assert json.loads((out / "tiny_mca" / "infer.json").read_text())["points"] == data["points"]
    assert (out / "tiny_mca" / "infer.png").read_bytes().startswith(b"\x89PNG")
    assert run.read_bytes() == before


def test_compensated(out, capsys):
    assert mixbar("infer", "tiny_mca", "--after", "1y", "--compensate", "--out", out, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["test_accuracy"] == data["points"][-1]["compensated_accuracy"]


def test_table(out, capsys):
    assert mixbar("infer", "tiny_mca", "--after", "30d", "--compensate", "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["after", "training", "accuracy", "compensated"]
    assert lines[1].split()[:2] == ["0", "s"]
    assert lines[2].split()[:2] == ["30", "d"]


def test_stuck(out, capsys):
    assert mixbar("infer", "tiny_mca", "--stuck", 1, "--out", out, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["test_accuracy"] < 0.4
    assert "devices failed" in captured.err


@pytest.mark.parametrize(
    ("options", "sentence", "status"),
    [
        (["--after", "soon"], "--after takes durations", 2),
        (["--stuck", "2"], "--stuck", 2),
        (["--run", "{out}/none.npz"], "run 'mixbar train tiny_mca' first", 2),
        (["--run", "{out}/tiny_mca/training.json"], "not a checkpoint", 1),
    ],
)
def test_wrong_request(out, capsys, options, sentence, status):
    options = [word.format(out=out) for word in options]
    assert mixbar("infer", "tiny_mca", *options, "--out", out) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err


def test_run_of_another_configuration(out, capsys):
    run = out / "tiny_mca" / "run.npz"
    assert mixbar("infer", "mca_mlp", "--run", run, "--out", out) == 2
    assert "of another configuration: its name is 'tiny_mca'" in capsys.readouterr().err
