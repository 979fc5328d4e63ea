"""The synthesised gates of tiny_in_situ behind the bench of its Verilog, from unknown states."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cocotb_tests import cosim
from cocotb_tests.in_situ.cosim import cosimulate
from cocotb_tests.netlist_unit import Gates
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


def test_one_wrong_gate_is_found(run: Any, turn_gate: Callable[[str], None]) -> None:
    turn_gate("softmax")
    mismatch = run(1).mismatch
    assert mismatch is not None
    assert mismatch["block"] == "softmax"
