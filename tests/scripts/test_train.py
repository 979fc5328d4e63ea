"""``mixbar train``: files, keys, stopping and going on."""

import functools
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from model import jit
from model.activity import Activity
from model.checkpoint import read_checkpoint
from model.configurations import tiny_mca
from scripts import cli
from scripts import train as verb
from scripts.mixbar import app

SAMPLE = ("--data", "mnist-sample")


def mixbar(*arguments):
    return cli.run(app, [str(word) for word in arguments])


def contents(path):
    """A checkpoint without the wall-clock time in it."""
    checkpoint = read_checkpoint(path)
    header = {key: value for key, value in checkpoint.header.items() if key != "seconds"}
    return header, {name: array.tobytes() for name, array in checkpoint.arrays.items()}


def test_json_and_files(tmp_path, capsys):
    assert mixbar("train", "tiny_mca", *SAMPLE, "--out", tmp_path, "--json") == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert out.count("\n") == 1
    assert (data["config"], data["epochs"], data["images"], data["seed"]) == (
        "tiny_mca",
        2,
        5000,
        1,
    )
    assert data["data"] == "mnist-sample"
    assert 0.3 < data["test_accuracy"] <= data["best_test_accuracy"] < 1
    assert data["train_accuracy"] == data["curve"][-1]["train_accuracy"]
    assert data["images_per_second"] > 0
    assert 0 < data["nonzero_update_fraction"] < 1
    assert data["pulses_per_image"] > 0
    assert len(data["curve"]) == 2
    assert "epoch  2/2: train" in err
    folder = tmp_path / "tiny_mca"
    names = ["activity.json", "run.npz", "training.json", "training.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert sorted(data["files"]) == [str(folder / name) for name in names]
    activity = json.loads((folder / "activity.json").read_text())
    assert (activity["config"], activity["images"], activity["source"]) == (
        "tiny_mca",
        5000,
        "model",
    )
    assert activity["counters"].keys() == {member.name.lower() for member in Activity}
    assert activity["counters"]["images"] == 5000
    assert json.loads((folder / "training.json").read_text())["curve"] == data["curve"]
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")


def test_text(tmp_path, capsys):
    assert mixbar("train", "tiny_mca", "--epochs", 1, *SAMPLE, "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiny_mca, seed 1, 1 epochs of 2500 images: test accuracy ")
    assert f"wrote {tmp_path / 'tiny_mca' / 'run.npz'}" in out


@pytest.fixture
def stop(monkeypatch):
    """Sends this process a signal once, when the first epoch's line is made."""

    def arm(number):
        line = verb._line

        def once(*arguments):
            monkeypatch.setattr(verb, "_line", line)
            signal.raise_signal(number)
            return line(*arguments)

        monkeypatch.setattr(verb, "_line", once)

    return arm


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_resumed_is_unbroken(tmp_path, capsys, stop, number, status):
    options = ("train", "tiny_mca", "--epochs", 3, *SAMPLE, "--out")
    assert mixbar(*options, tmp_path / "whole") == 0
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    stop(number)
    with pytest.raises(SystemExit) as ended:  # SIGTERM ends the process, as without a run to save
        raise SystemExit(mixbar(*options, tmp_path / "pieces"))
    assert ended.value.code == status
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    path = tmp_path / "pieces" / "tiny_mca" / "run.npz"
    assert read_checkpoint(path).header["epoch"] == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["run.npz"]
    capsys.readouterr()
    assert mixbar(*options, tmp_path / "pieces") == 0
    assert "going on after 1 of 3 epochs" in capsys.readouterr().err
    assert contents(path) == contents(tmp_path / "whole" / "tiny_mca" / "run.npz")


def test_killed_and_resumed_is_unbroken(tmp_path):
    """Killed outright after its first save, on one thread; whole and resumed on two."""
    options = ("train", "tiny_mca", "--epochs", 4, *SAMPLE, "--out")
    words = [str(word) for word in (*options, tmp_path / "pieces")]
    limits = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    threads = {number: os.environ | dict.fromkeys(limits, number) for number in ("1", "2")}
    command = [sys.executable, "-m", "scripts.mixbar"]
    with subprocess.Popen(
        command + words, stderr=subprocess.PIPE, text=True, env=threads["1"]
    ) as run:
        assert run.stderr is not None
        assert any("epoch  1/4" in line for line in run.stderr)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    subprocess.run(command + words, check=True, capture_output=True, env=threads["2"])
    words[-1] = str(tmp_path / "whole")
    subprocess.run(command + words, check=True, capture_output=True, env=threads["2"])
    pieces, whole = (tmp_path / name / "tiny_mca" / "run.npz" for name in ("pieces", "whole"))
    assert contents(pieces) == contents(whole)


@pytest.fixture
def uncompiled(tmp_path, monkeypatch):
    """A trainer of which nothing has been compiled, and whose compiler only takes notes."""
    mark, notes = tmp_path / "train-2.compiled", tmp_path / "notes"
    monkeypatch.setattr(jit, "compiled_mark", lambda name: mark if name == "train-2" else None)
    monkeypatch.setattr(verb, "_compile", functools.partial(note, notes))
    return mark, notes


def note(path, config, whole):
    """What stands for the compiler, in its process: this function's module is found there."""
    with path.open("a") as file:
        file.write(f"{config.name} {whole} {os.getpid()}\n")


def die(_config, _whole):
    os._exit(1)


def test_compile_apart(uncompiled):
    """In processes of their own, once; a mark remembers it."""
    mark, notes = uncompiled
    verb.compile_apart(tiny_mca)
    assert mark.exists()
    parts = [line.split() for line in notes.read_text().splitlines()]
    assert [part[:2] for part in parts] == [["tiny_mca", "False"], ["tiny_mca", "True"]]
    assert len({os.getpid(), *(int(part[2]) for part in parts)}) == 3
    verb.compile_apart(tiny_mca)
    assert len(notes.read_text().splitlines()) == 2


def test_compile_apart_killed(uncompiled, monkeypatch):
    """Whatever ends the compiler leaves no mark, and the work to the caller."""
    mark, _ = uncompiled
    monkeypatch.setattr(verb, "_compile", die)
    verb.compile_apart(tiny_mca)
    assert not mark.exists()


def test_compile_apart_without_cache(monkeypatch):
    monkeypatch.setattr(jit, "compiled_mark", lambda name: None)
    monkeypatch.setattr(verb, "_compile", None)
    verb.compile_apart(tiny_mca)


def test_finished_run(tmp_path, capsys):
    """Resumed, it only tells again; else a new one takes its place, with whatever seed."""
    options = ("train", "tiny_mca", "--epochs", 1, *SAMPLE, "--out", tmp_path, "--json")
    assert mixbar(*options) == 0
    first = json.loads(capsys.readouterr().out)
    assert mixbar(*options, "--resume") == 0
    assert json.loads(capsys.readouterr().out) == first
    assert mixbar(*options) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["curve"] == first["curve"]
    assert mixbar(*options, "--seed", 2) == 0
    assert json.loads(capsys.readouterr().out)["curve"] != first["curve"]


@pytest.fixture
def saved(tmp_path, capsys):
    """A finished run of one epoch and its bytes."""
    assert mixbar("train", "tiny_mca", "--epochs", 1, *SAMPLE, "--out", tmp_path) == 0
    capsys.readouterr()
    path = tmp_path / "tiny_mca" / "run.npz"
    return path, path.read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"--seed": 2}, "of another run: its seed is 1, not 2: --fresh starts over"),
        ({"--epochs": 7}, "of another run: its epochs is 1, not 7: --fresh"),
        ({"--data": "nope"}, "Unknown data set 'nope'"),
    ],
)
def test_resume_wrong_run(saved, capsys, options, sentence):
    path, before = saved
    arguments = {"--epochs": 1, "--data": "mnist-sample", **options}
    words = [word for pair in arguments.items() for word in pair]
    assert mixbar("train", "tiny_mca", *words, "--resume", "--out", path.parents[1]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert path.read_bytes() == before


def test_other_configuration_of_the_same_name(saved, tmp_path, capsys):
    path, before = saved
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "tiny_mca"\nname = "tiny_mca"\n[update]\ndecay_log2 = 9\n')
    options = ("train", mine, "--epochs", 1, *SAMPLE, "--out", tmp_path)
    for resume in ((), ("--resume",)):
        assert mixbar(*options, *resume) == 2
        err = capsys.readouterr().err
        assert "of another configuration: its update.decay_log2 is" in err
        assert "--fresh starts over" in err
        assert path.read_bytes() == before
    assert mixbar(*options, "--fresh") == 0


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_truncated(saved, capsys, resume):
    path, before = saved
    path.write_bytes(before[:-100])
    options = ("train", "tiny_mca", "--epochs", 1, *SAMPLE, "--out", path.parents[1])
    assert mixbar(*options, *resume) == 1
    err = capsys.readouterr().err
    assert "run.npz is truncated, damaged or not a checkpoint: --fresh starts over" in err
    assert path.read_bytes() == before[:-100]


def test_other_version(saved, capsys):
    path, _ = saved
    with path.open("wb") as file:
        np.savez(file, header=np.array('{"format": "mixbar checkpoint", "version": 99}'))
    before = path.read_bytes()
    options = ("train", "tiny_mca", "--epochs", 1, *SAMPLE, "--out", path.parents[1])
    assert mixbar(*options) == 1
    assert "has version 99; this program reads version" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_resume_without_a_run(tmp_path, capsys):
    assert mixbar("train", "tiny_mca", *SAMPLE, "--resume", "--out", tmp_path) == 1
    assert "There is no checkpoint" in capsys.readouterr().err
