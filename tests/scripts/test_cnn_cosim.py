"""``mixbar emit`` and ``mixbar cosim`` of a convolutional network."""

import json
from pathlib import Path

import numpy as np
import pytest

from cocotb_tests.cnn.cosim import Batch, CnnCosimResult, Images
from cocotb_tests.netlist_unit import Gates
from model.cnn.cycles import image_cycles
from model.cnn.modes import with_replicas
from model.configurations import tiny_cnn
from scripts import cli
from scripts.cnn import cosim
from scripts.mixbar import app
from tests.scripts.cosim_result import NOTHING


def mixbar(*arguments):
    return cli.run(app, list(map(str, arguments)))


def test_emit(tmp_path, capsys):
    assert mixbar("emit", "tiny_cnn", "--replicas", 2, "--out", tmp_path, "--json") == 0
    output = json.loads(capsys.readouterr().out)
    path = tmp_path / "tiny_cnn_x2" / "inference_unit_tiny_cnn_x2.v"
    assert output["files"] == [str(path)]
    assert path.stat().st_size == output["bytes"]
    assert f"module {output['top']}(" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mca_mlp", "--replicas", "2"), "--replicas is no option of mca_mlp"),
        (("tiny_cnn", "--waves"), "writes no waveform"),
        (("tiny_cnn", "--replicas", "9"), "leaves a band without rows"),
    ],
)
def test_wrong_requests(arguments, message, tmp_path, capsys):
    assert mixbar("cosim", *arguments, "--data", "mnist-sample", "--out", tmp_path) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_cosim(tmp_path, capsys, monkeypatch):
    """What the simulator is asked for, and what is made of its answer; the simulation itself is
    tested with the bench."""
    asked, wanted = [], []

    def simulate(unit, stages, **options):
        asked.append((unit, stages))
        wanted.append((options["seed"], options.get("gates")))
        cycles = image_cycles(unit.config)
        images = sum(len(stage.images) for stage in stages if isinstance(stage, Images))
        changes = {
            "config": unit.config.name,
            "images": images,
            "compared": {"classes": images},
            "cycles_per_image": {"mean": cycles.total, "max": cycles.total, "by_phase": {}},
        }
        return CnnCosimResult(**{**NOTHING, **changes})

    monkeypatch.setattr(cosim, "cosimulate", simulate)
    command = ("cosim", "tiny_cnn", "--replicas", 2, "--images", 30, "--data", "mnist-sample")
    assert mixbar(*command, "--out", tmp_path, "--json") == 0
    output = json.loads(capsys.readouterr().out)
    config = with_replicas(tiny_cnn, 2)
    assert output["config"] == config.name
    assert output["images"] == 30
    assert output["compared"] == {"classes": 80}  # two batches of 20, ten again after them
    assert json.loads(Path(output["files"][0]).read_text())["compared"] == output["compared"]
    (unit, (shown,)), (again, (*batches, last)) = asked
    assert unit.config == config
    assert len(shown.images) == 30
    assert [len(batch.images) for batch in batches] == [tiny_cnn.training.batch] * 2
    assert all(isinstance(batch, Batch) for batch in batches)
    assert not isinstance(last, Batch)
    assert len(last.images) == 10
    # The written devices are kept: the next run has the same.
    assert mixbar(*command, "--out", tmp_path, "--infer") == 0
    assert len(asked) == 3
    for mine, theirs in zip(unit.arrays, asked[-1][0].arrays, strict=True):
        assert np.array_equal(mine.units, theirs.units)
    assert again.config == config
    assert wanted == [(1, None)] * 3
    # The gates are those of all that is simulated.
    assert mixbar(*command, "--gates", "--seed", 2, "--out", tmp_path) == 0
    assert wanted[3:] == [(2, Gates())] * 2


def test_whole_images(tmp_path, monkeypatch):
    """The same devices as with bands, another way to share the work."""
    units = []

    def simulate(unit, stages, **options):
        units.append(unit)
        raise cli.FailureError("enough")

    monkeypatch.setattr(cosim, "cosimulate", simulate)
    for way in ("--bands", "--whole-images"):
        arguments = ("--replicas", 2, "--data", "mnist-sample", "--infer", "--out", tmp_path)
        assert mixbar("cosim", "tiny_cnn", way, *arguments) == 1
    bands, whole = units
    assert (bands.config.replicas.mode, whole.config.replicas.mode) == ("bands", "images")
    for mine, theirs in zip(bands.arrays, whole.arrays, strict=True):
        assert np.array_equal(mine.units, theirs.units)
