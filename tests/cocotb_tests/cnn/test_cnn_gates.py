"""The synthesised gates of a small inference unit behind its bench, from unknown states."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocotb_tests.cnn.cosim import Batch, CnnCosimResult, Images, cosimulate
from cocotb_tests.netlist_unit import Gates
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


def test_one_wrong_gate_is_found(run: Any, turn_gate: Callable[[str], None]) -> None:
    turn_gate("fully_connected")
    mismatch = run(1).mismatch
    assert mismatch is not None
    assert mismatch["block"] == "array 1 (replica 0, layer 1), sums"
