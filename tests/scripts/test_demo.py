"""The demo: its order of work on a small configuration, and its failures."""

import json
import os
import subprocess
import sys

import pytest

from scripts import cli
from scripts.demo import app


def demo(*arguments):
    return cli.run(app, list(map(str, arguments)))


@pytest.mark.slow
def test_demo(tmp_path, capfd):
    out = tmp_path / "with a space"
    assert demo("tiny_mca", "--images", 20, "--out", out) == 0
    stdout, stderr = capfd.readouterr()
    assert "20 training images in Verilator" in stdout
    assert ", 0 mismatches\n" in stdout
    for verb in ("emit", "cosim", "train", "report"):
        assert f" s] {verb} " in stderr
    files = ["report.html", "digital_unit_tiny_mca.v", "training.png", "cosim.json"]
    for name in files:
        path = out / "tiny_mca" / name
        assert path.is_file()
        assert f"  {path} " in stdout
    found = json.loads((out / "tiny_mca" / "cosim.json").read_text())
    assert found["images"] == 20
    assert found["mismatches"] == 0
    assert min(found["compared"].values()) > 0


def test_unknown_configuration(tmp_path, capfd):
    assert demo("no_such", "--out", tmp_path) == 2
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert stderr.startswith("mixbar: Unknown configuration 'no_such'")
    assert not any(tmp_path.iterdir())


def test_no_compiler(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "tiny_mca", "--out", str(tmp_path / "out")],
        env=dict(os.environ, PATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("mixbar: No C++ compiler on PATH")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_failing_verb_ends_the_demo(tmp_path, capfd, monkeypatch):
    """A failure of the one line of work is the demo's, in the verb's own sentence."""
    from scripts import demo as module

    monkeypatch.setattr(module, "_co_simulate", lambda *_: (None, None))
    out = tmp_path / "out"
    (out / "tiny_mca").mkdir(parents=True)
    (out / "tiny_mca" / "run.npz").mkdir()  # where the run is to be saved
    assert demo("tiny_mca", "--images", 1, "--out", out) == 1
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert stderr.splitlines()[-1].startswith("mixbar: ")
    assert "Traceback" not in stderr
