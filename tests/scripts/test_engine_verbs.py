"""The verbs of the command on training engines."""

import json
from pathlib import Path
from typing import Any

import pytest

from cocotb_tests.cosim import CosimResult
from cocotb_tests.netlist_unit import Gates
from scripts import cli
from scripts.mixbar import app
from tests.scripts.cosim_result import NOTHING_TRAINED


def mixbar(*arguments: str) -> int:
    return cli.run(app, list(arguments))


def test_emit_is_the_same_to_the_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for name in ("one", "two"):
        assert mixbar("emit", "tiny_mixed4", "--out", str(tmp_path / name), "--json") == 0
        (file,) = json.loads(capsys.readouterr().out)["files"]
        texts.append(Path(file).read_bytes())
    assert texts[0] == texts[1]
    assert b"module engine_tiny_mixed4" in texts[0]
    assert b'// system = "engine"' in texts[0]


def test_train_leaves_counters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path)
    arguments = ("train", "tiny_fixed32", "--epochs", "1", "--data", "mnist-sample", "--out", out)
    assert mixbar(*arguments, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cycles_per_image"] == 50 + 2 + 15 + 80
    record = json.loads((tmp_path / "tiny_fixed32" / "activity.json").read_text(encoding="utf-8"))
    assert record["counters"]["images"] == record["images"] == summary["images"]
    assert mixbar(*arguments, "--resume") == 2
    assert "none can be resumed" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["infer", "synth"])
def test_verbs_that_engines_do_not_have(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mixbar(verb, "tiny_fixed32") == 2
    assert "does not take tiny_fixed32" in capsys.readouterr().err


def test_no_waveform(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mixbar("cosim", "tiny_fixed32", "--waves", "--out", str(tmp_path)) == 2
    assert "writes no waveform" in capsys.readouterr().err


def test_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are simulated where they are asked for."""
    wanted: list[Gates | None] = []

    def cosimulate(*_: Any, gates: Gates | None = None, **__: Any) -> CosimResult:
        wanted.append(gates)
        return CosimResult(config="tiny_fixed32", images=200, **NOTHING_TRAINED)

    monkeypatch.setattr("scripts.engine.cosim.cosimulate", cosimulate)
    command = ("cosim", "tiny_fixed32", "--data", "mnist-sample", "--out", str(tmp_path))
    assert mixbar(*command) == 0
    assert mixbar(*command, "--gates") == 0
    assert wanted == [None, Gates()]


def test_power_needs_a_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hw.liberty.DEFAULT", tmp_path / "none.lib")
    assert mixbar("power", "tiny_mca", "--out", str(tmp_path)) == 2
    assert "needs a cell library" in capsys.readouterr().err
    assert mixbar("power", "tiny_fixed32", "--out", str(tmp_path)) == 2
    assert "does not take tiny_fixed32" in capsys.readouterr().err
