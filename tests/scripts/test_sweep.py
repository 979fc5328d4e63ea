"""``mixbar sweep``: resuming, a scheduler in another process, workers that die."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import cli
from scripts.in_situ.sweep import RECORD_FILE, _finished
from scripts.mixbar import app

ROOT = Path(__file__).parents[2]

#: A system whose run takes about a second.
SYSTEM = """\
extends = "tiny_in_situ"

[training]
images = 100_000
curve_images = 100_000
"""


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", *(str(word) for word in arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def sweep(*arguments):
    words = ["sweep", *arguments, "--kinds", "in_situ", "--data", "mnist-sample", "--json"]
    return start("scripts.mixbar", *words)


def finished(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return json.loads(out), err


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    path = tmp_path_factory.mktemp("system") / "swept.toml"
    path.write_text(SYSTEM)
    return path


@pytest.fixture
def scheduler(tmp_path):
    """Address of a scheduler in a process of its own."""
    file = tmp_path / "scheduler.json"
    words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    process = start("distributed.cli.dask_scheduler", *words)
    try:
        for _ in range(1200):
            if file.exists() and file.read_text().strip():
                break
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def worker(address, folder):
    words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", folder]
    return start("distributed.cli.dask_worker", address, *words)


@pytest.mark.slow
def test_killed_worker_and_resume(system, scheduler, tmp_path):
    """A worker dies at its run: another makes that run again. What was finished is not repeated."""
    out = tmp_path / "out"
    record = out / "swept" / RECORD_FILE
    words = (system, "--stuck", "0,30", "--out", out, "--scheduler", scheduler)
    process = sweep(*words, "--seeds", "3")
    first = worker(scheduler, tmp_path)
    second = None
    try:
        while not (record.exists() and record.read_text().count("\n") >= 2):
            assert process.poll() is None, process.communicate()[1]
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        second = worker(scheduler, tmp_path)
        data, _ = finished(process)
    finally:
        for other in (first, second, process):
            if other is not None:
                other.kill()
                other.communicate()
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(lines) == len({line["digest"] for line in lines}) == 6
    assert [point["seeds"] for point in data["points"]] == [[1, 2, 3]] * 2
    assert all(len(point["accuracies"]) == 3 for point in data["points"])
    assert data["points"][0]["mean"] > data["points"][1]["mean"]

    # Half of it is lost, and a line is cut short: the rest comes back in the same bits, from
    # workers of this machine.
    text = record.read_text().splitlines()
    record.write_text("\n".join([*text[:3], text[3][:30]]))
    process = sweep(system, "--stuck", "0,30", "--out", out, "--seeds", "3", "--workers", "1")
    again, err = finished(process)
    assert "3 of 6 runs are there already" in err
    assert again["points"] == data["points"]
    assert len(_finished(record)) == 6
    names = sorted(path.name for path in (out / "swept").iterdir())
    assert names == ["sweep.json", "sweep.jsonl", "sweep.png"]
    assert (out / "swept" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def refused(capsys, *words):
    """Status and message of a request that never gets to a worker."""
    status = cli.run(app, ["sweep", *(str(word) for word in words), "--data", "mnist-sample"])
    return status, capsys.readouterr().err


def test_wrong_requests(capsys, tmp_path):
    out = ("--out", tmp_path)
    status, err = refused(capsys, "tiny_in_situ", "--stuck", "5:1", *out)
    assert (status, "Percentages are first:last:step" in err) == (2, True)
    status, err = refused(capsys, "tiny_in_situ", "--kinds", "in_situ,none", *out)
    assert (status, "--kinds are of in_situ, ex_situ" in err) == (2, True)
    status, err = refused(capsys, "tiny_mca", *out)
    assert (status, "does not take tiny_mca" in err) == (2, True)


def test_no_scheduler(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.in_situ.sweep.CONNECT_SECONDS", 0.5)
    words = ("--scheduler", "tcp://127.0.0.1:9", "--out", tmp_path)
    status, err = refused(capsys, "tiny_in_situ", *words)
    assert status == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9." in err
