"""The synthesised gates of a small inference unit behind its bench, from unknown states."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocotb_tests import netlist_unit
from cocotb_tests.cnn.cosim import Batch, CnnCosimResult, Images, cosimulate
from cocotb_tests.netlist_unit import Gates
from hw.gate_tables import read_netlists
from tests.cocotb_tests.cnn.random_cnns import draw_writes
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import random_images, random_unit

pytestmark = pytest.mark.slow

#: With a pooling window a line, whose maxima are a register instead of a memory.
config = VARIANTS["adc_a_line"]


@pytest.fixture(scope="module")
def run(build_dir: Path) -> Any:
    """A function in which the gates classify, learn, are written, and classify again."""
    unit = random_unit(config, 3)
    images = random_images(config, 3, 3)
    labels = unit.classify(images).astype(np.uint8)
    stages = [Batch(images, labels, 1.0), draw_writes(unit, 1, 3), Images(images, labels)]

    def run(seed: int) -> CnnCosimResult:
        return cosimulate(
            unit,
            stages,
            out_dir=build_dir / "gates",
            seed=seed,
            gates=Gates(),
            cache_dir=build_dir,
        )

    return run


@pytest.mark.parametrize("seed", [1, 2])
def test_gates_equal_the_model_from_any_state(run: Any, seed: int) -> None:
    found = run(seed)
    assert found.mismatch is None
    assert found.images == 6
    assert all(found.compared.values()), found.compared


def test_one_wrong_gate_is_found(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An exclusive or of the last layer, turned around behind the synthesis."""

    def read(found: Any, folder: Path) -> Any:
        for path in folder.glob("*.v"):
            text = path.read_text()
            if path.stem == "fully_connected":
                assert "$_XOR_ " in text
                text = text.replace("$_XOR_ ", "$_XNOR_ ", 1)
            (tmp_path / path.name).write_text(text)
        return read_netlists(found, tmp_path)

    monkeypatch.setattr(netlist_unit, "read_netlists", read)
    mismatch = run(1).mismatch
    assert mismatch is not None
    assert mismatch["block"] == "array 1 (replica 0, layer 1), sums"
