"""Stopping and saving, whichever the system: a run that only counts its steps."""

import json
import signal

import pytest

from model.configurations import CONFIGURATIONS, parse, tiny_mca
from scripts import runs

STEPS = 6
POINT = 3


class CountingRun:
    """Six steps, a point at every third; sends itself a signal after some of them."""

    config = tiny_mca

    def __init__(self, signals=()):
        self.done = 0
        self.saved = []
        self._signals = dict(signals)

    @property
    def finished(self):
        return self.done >= STEPS

    def run(self):
        while not self.finished:
            self.done += 1
            if self.done in self._signals:
                signal.raise_signal(self._signals[self.done])
            yield self.done % POINT == 0

    def save(self, path):
        self.saved.append(self.done)

    def restore(self, path):
        raise AssertionError("no run is saved")


def train(run, path, **options):
    return runs.train(
        run,
        path,
        total=STEPS,
        done=lambda: run.done,
        title=lambda: "",
        line=lambda: f"at {run.done}",
        **options,
    )


def test_saved_at_points(tmp_path, capsys):
    run = CountingRun()
    prepared = []
    train(run, tmp_path / "run.npz", prepare=lambda: prepared.append(run.done))
    assert run.saved == [3, 6]
    assert prepared == [0]
    assert capsys.readouterr().err == "at 3\nat 6\n"
    train(run, tmp_path / "run.npz", prepare=lambda: prepared.append(run.done))
    assert prepared == [0]  # nothing was left to do


@pytest.mark.parametrize(
    ("step", "anywhere", "saved"),
    [(1, True, [1]), (1, False, [3]), (3, True, [3]), (3, False, [3]), (5, True, [3, 5])],
)
def test_stopped(step, anywhere, saved, tmp_path, capsys):
    run = CountingRun({step: signal.SIGINT})
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(run, tmp_path / "run.npz", stops_anywhere=anywhere)
    assert run.saved == saved
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err.endswith("run.npz: the same command goes on with it\n")


@pytest.mark.parametrize("step", [5, 6])
def test_stopped_at_the_end_is_finished(step, tmp_path):
    run = CountingRun({step: signal.SIGTERM})
    train(run, tmp_path / "run.npz", stops_anywhere=False)
    assert run.saved == [3, 6]


def test_terminated(tmp_path):
    with pytest.raises(SystemExit, match="143"):
        train(CountingRun({2: signal.SIGTERM}), tmp_path / "run.npz")


@pytest.mark.parametrize("resume", [None, False])
def test_nothing_to_go_on_with(resume, tmp_path):
    assert not runs.restore(
        CountingRun(),
        tmp_path / "run.npz",
        resume,
        is_finished=lambda header: False,
        position=lambda: "",
    )


@pytest.mark.parametrize("name", ["tiny_mca", "tiny_in_situ", "tiny_mixed4"])
def test_files(name, tmp_path):
    """The counters' record holds the configuration, so that it can be read on its own."""
    config = CONFIGURATIONS[name]
    summary = {
        "config": name,
        "images": 7,
        "test_accuracy": 0.5,
        "train_accuracy": 0.25,
        "curve": [],
    }
    files = runs.write_files(
        config, summary, {"images": 7}, tmp_path, plot=lambda path: path.write_text("a picture")
    )
    assert [file.name for file in files] == ["activity.json", "training.json", "training.png"]
    record, training = (json.loads(file.read_text()) for file in files[:2])
    assert training == summary
    assert parse(record.pop("toml")) == config
    assert record == {
        "config": name,
        "images": 7,
        "test_accuracy": 0.5,
        "train_accuracy": 0.25,
        "source": "model",
        "counters": {"images": 7},
    }
