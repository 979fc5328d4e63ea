"""The emitted training engines in Verilator equal their model."""

from pathlib import Path

import numpy as np
import pytest

from cocotb_tests import simulator
from cocotb_tests.engine.cosim import cosimulate
from hw.engine.verilog import emit
from model.configurations import tiny_fixed32, tiny_mixed4
from model.engine.config import EngineConfig
from tests.cocotb_tests.conftest import BUILD_DIR


@pytest.mark.slow
@pytest.mark.parametrize("config", [tiny_fixed32, tiny_mixed4], ids=lambda config: config.name)
def test_training_in_verilator(config: EngineConfig) -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (12, 20)).astype(np.uint8)
    labels = rng.integers(0, 4, 12).astype(np.uint8)
    found = cosimulate(
        config, images, labels, out_dir=BUILD_DIR, quick=True, cache_dir=BUILD_DIR, warm_up=2
    )
    assert found.mismatch is None
    assert found.images == 12
    assert found.compared["weights"] == sum(
        config.network.n_cols(k) * config.n_words(k) * config.lanes for k in (0, 1)
    )
    assert (found.compared["chi_words"] > 0) == config.is_chi
    assert found.cycles_per_image["mean"] == sum(found.cycles_per_image["by_phase"].values())


@pytest.mark.parametrize("config", [tiny_fixed32, tiny_mixed4], ids=lambda config: config.name)
def test_lint(config: EngineConfig, tmp_path: Path) -> None:
    assert simulator.lint(emit(config, tmp_path)) == []
