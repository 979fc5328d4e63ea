"""Processes that are killed, meet on one folder, or have no room: nothing lost, nothing mixed."""

import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from model.checkpoint import read_checkpoint
from scripts import cli, runs
from scripts.mixbar import app

MIXBAR = [sys.executable, "-m", "scripts.mixbar"]
TRAIN = [*MIXBAR, "train", "tiny_mca", "--data", "mnist-sample"]


def call(command, **keywords):
    return subprocess.run(command, capture_output=True, text=True, check=False, **keywords)


def train(out, *options, **keywords):
    return call([*TRAIN, "--epochs", "3", "--out", str(out), *options], **keywords)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """SIGKILL, again and again: the same command ends in the same bits."""
    assert train(tmp_path / "whole").returncode == 0
    rng = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(
            [*TRAIN, "--epochs", "3", "--out", str(tmp_path / "cut")], stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.5, 3.0))
        process.kill()
        process.wait()
    (tmp_path / "cut" / "tiny_mca").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cut" / "tiny_mca" / ".run.npz.left").write_bytes(b"half")
    done = train(tmp_path / "cut")
    # A run that had come to its end before it was killed begins anew, and ends the same.
    assert done.returncode == 0, done.stderr
    whole, cut = (
        read_checkpoint(tmp_path / name / "tiny_mca" / "run.npz") for name in ("whole", "cut")
    )
    assert whole.arrays.keys() == cut.arrays.keys()
    for name, array in whole.arrays.items():
        assert np.array_equal(array, cut.arrays[name]), name
    names = {path.name for path in (tmp_path / "cut" / "tiny_mca").iterdir()}
    assert names == {"run.npz", "training.json", "training.png", "activity.json"}


def test_two_on_one_folder(tmp_path):
    with cli.locked(tmp_path / "tiny_mca"):
        cosim = [*MIXBAR, "cosim", "tiny_mca", "--images", "3", "--out", str(tmp_path)]
        for done in (train(tmp_path), call(cosim)):
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1].startswith("mixbar: Another process is writing to ")
        with (
            pytest.raises(cli.FailureError, match="Another process"),
            runs.held(tmp_path / "tiny_mca"),
        ):
            pass
    with runs.held(tmp_path / "tiny_mca"):  # free again
        pass
    assert list((tmp_path / "tiny_mca").iterdir()) == []


def unmeasured():
    """The environment without coverage's measure of child processes, whose file has no room."""
    return {name: v for name, v in os.environ.items() if not name.startswith("COVERAGE_")}


def test_disk_full(tmp_path):
    """A file that may not grow: one sentence, and nothing half-written."""
    run = tmp_path / "run.npz"
    run.write_bytes(b"old")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    program = (
        "import pathlib, sys\n"
        "from scripts import cli\n"
        "import typer\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def verb():\n"
        "    with cli.staged(pathlib.Path(sys.argv[1])) as stage:\n"
        "        (stage / 'small').write_text('x')\n"
        "        (stage / 'large').write_text('x' * 100_000)\n"
        "sys.exit(cli.run(app, []))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=unmeasured(),
        preexec_fn=limit,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    assert run.read_bytes() == b"old"


def test_disk_full_while_emitting(tmp_path):
    """Temporary files of Yosys have no room either; what it says of that is not the user's."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    out, cache = tmp_path / "out", tmp_path / "cache"
    out.mkdir()
    done = call(
        [*MIXBAR, "emit", "tiny_mixed4", "--out", str(out)],
        # Nothing is compiled yet: what is cannot be kept, and is used all the same.
        env={**unmeasured(), "XDG_CACHE_HOME": str(cache)},
        preexec_fn=limit,
    )
    assert done.returncode == 1
    assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
    assert done.stderr.startswith("mixbar: Yosys could not write the Verilog of ")
    assert "File too large" in done.stderr
    assert list(out.iterdir()) == []
    assert list(cache.rglob("*.nbi"))  # it was asked to compile


@pytest.mark.parametrize(
    "words",
    [
        *(("emit", name) for name in ("tiny_mca", "tiny_cnn")),
        ("train", "tiny_in_situ", "--data", "mnist-sample"),
        *(("report", name) for name in ("tiny_mca", "tiny_cnn")),
        ("synth", "tiny_mca"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("out", ["/proc/mixbar", "/proc/self", "/dev/null"])
def test_folder_that_takes_no_file(words, out, capsys):
    """Where even root may not write: one sentence."""
    refuses(words, out, capsys)


def test_folder_that_takes_no_simulation(capsys):
    refuses(("cosim", "tiny_mixed4", "--data", "mnist-sample"), "/proc/mixbar", capsys)


def refuses(words, out, capsys):
    assert cli.run(app, [*words, "--out", out]) in (1, 2)
    text, said = capsys.readouterr()
    last = said.splitlines()[-1]
    assert text == ""
    assert last.startswith("mixbar: ")
    assert last.endswith(".")
    assert "Unexpected" not in last


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_read_only_folder(tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert cli.run(app, ["emit", "tiny_mca", "--out", str(tmp_path)]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_sets_of_files_do_not_mix(tmp_path):
    """Two processes, again and again: at the end all files are of one of them."""
    program = (
        "import pathlib, sys\n"
        "from scripts import cli\n"
        "for turn in range(25):\n"
        "    with cli.staged(pathlib.Path(sys.argv[1])) as stage:\n"
        "        for k in range(20):\n"
        "            (stage / str(k)).write_text(sys.argv[2] + str(turn))\n"
    )
    for _ in range(2):
        both = [
            subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"
        ]
        assert [process.wait() for process in both] == [0, 0]
        assert len({path.read_text() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 20


def test_a_set_of_files_waits(tmp_path, monkeypatch):
    """Another process moves files: several wait for it, one alone mixes with nothing."""
    monkeypatch.setattr(cli, "MOVING_S", 0.2)

    def write(*names):
        with cli.staged(tmp_path) as stage:
            for name in names:
                (stage / name).write_text("x")

    with cli.locked(tmp_path):
        write("alone")
        with pytest.raises(cli.FailureError, match="Another process is writing to"):
            write("a", "b")
        assert [path.name for path in tmp_path.iterdir()] == ["alone"]
    write("a", "b")


def test_full_standard_output():
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "scripts.mixbar", "configs", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "mixbar: No space left on device.\n"


def test_abandoned_staging_directories(tmp_path):
    old, young, used = (tmp_path / f".staged-{name}" for name in ("old", "young", "used"))
    for stage in (old, young, used):
        stage.mkdir()
    for stage in (old, used):
        os.utime(stage, (0, 0))
    with cli.locked(used), cli.staged(tmp_path) as stage:
        (stage / "a").write_text("a")
    assert {path.name for path in tmp_path.iterdir()} == {"a", young.name, used.name}


def test_all_or_nothing_over_a_directory(tmp_path):
    (tmp_path / "b").mkdir()

    def write():
        with cli.staged(tmp_path) as stage:
            (stage / "a").write_text("new")
            (stage / "b").write_text("new")

    with pytest.raises(cli.RequestError, match="must be a file, but is a directory"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
