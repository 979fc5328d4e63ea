"""The synthesised gates of tiny_in_situ behind the bench of its Verilog, from unknown states."""

from pathlib import Path
from typing import Any

import pytest

from cocotb_tests import cosim, netlist_unit
from cocotb_tests.in_situ.cosim import cosimulate
from cocotb_tests.netlist_unit import Gates
from hw.gate_tables import read_netlists
from model.configurations import tiny_in_situ
from tests.cocotb_tests.random_configurations import draw_images

pytestmark = pytest.mark.slow

N_IMAGES = 2 * tiny_in_situ.update.batch + 2


@pytest.fixture(scope="module")
def run(build_dir: Path) -> Any:
    """A function that trains the gates of tiny_in_situ on a few random images."""

    def run(seed: int) -> cosim.CosimResult:
        images, labels = draw_images(tiny_in_situ, seed=7, n=N_IMAGES)
        return cosimulate(
            tiny_in_situ,
            images,
            labels,
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
    assert found.images == N_IMAGES
    assert all(found.compared.values()), found.compared
    assert found.counters["set_pulses"] > 0


def test_one_wrong_gate_is_found(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An exclusive or of the softmax, turned around behind the synthesis."""

    def read(found: Any, folder: Path) -> Any:
        for path in folder.glob("*.v"):
            text = path.read_text()
            if path.stem == "softmax":
                assert "$_XOR_ " in text
                text = text.replace("$_XOR_ ", "$_XNOR_ ", 1)
            (tmp_path / path.name).write_text(text)
        return read_netlists(found, tmp_path)

    monkeypatch.setattr(netlist_unit, "read_netlists", read)
    mismatch = run(1).mismatch
    assert mismatch is not None
    assert mismatch["block"] == "softmax"
