"""``mixbar cosim`` of the digital unit: what is asked of the gates, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from cocotb_tests import cosim as cosim_module
from cocotb_tests.cosim import CosimResult
from cocotb_tests.netlist_unit import Gates
from scripts import cli
from scripts.mixbar import app
from tests.hw import toy_liberty
from tests.scripts.cosim_result import NOTHING_TRAINED


def mixbar(*arguments: object) -> int:
    return cli.run(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("tiny_mca", "--liberty", "cells.lib"), "--liberty needs --gates"),
        (("tiny_mca", "--gates", "--waves"), "--gates and --waves exclude each other"),
        (("tiny_mca", "--gates", "--liberty", "gone.lib"), "gone.lib"),
    ],
)
def test_refused(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mixbar("cosim", *options, "--data", "mnist-sample", "--out", tmp_path) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Gates] = []

    def cosimulate(config: Any, images: Any, labels: Any, *, gates: Gates, **_: Any) -> CosimResult:
        asked.append(gates)
        mismatch = {"image": 2, "text": "Image 2, error unit: wrong."}
        changes = {"config": config.name, "images": 2, "mismatches": 1, "mismatch": mismatch}
        return CosimResult(**{**NOTHING_TRAINED, **changes})

    monkeypatch.setattr(cosim_module, "cosimulate", cosimulate)
    library = tmp_path / "toy.lib"
    library.write_text(toy_liberty.liberty(), encoding="utf-8")
    command = ("cosim", "tiny_mca", "--gates", "--data", "mnist-sample", "--out", tmp_path)
    assert mixbar(*command) == 1
    assert mixbar(*command, "--liberty", library, "--seed", 4) == 1
    assert asked[0].library is None
    assert asked[1].library is not None
    assert asked[1].library.name == "toy"
    replay = f"mixbar cosim tiny_mca --images 3 --seed 4 --gates --liberty {library}"
    assert replay in capsys.readouterr().err
