"""The synthesised gates of small training engines behind their bench, from unknown states."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocotb_tests.cosim import CosimResult
from cocotb_tests.engine.cosim import cosimulate
from cocotb_tests.netlist_unit import Gates
from model.config import NetworkConfig
from model.configurations import fixed32, mixed4
from model.engine.config import EngineConfig

pytestmark = pytest.mark.slow

N_IMAGES = 6
NETWORK = NetworkConfig(layers=(9, 5, 3))

#: Of 8-bit weights: multipliers of 32 bits are most of the gates of fixed32.
direct = replace(
    fixed32, name="direct_gates", network=NETWORK, lanes=4, weight_bits=8, weight_lsb_log2=-5
)
chi = replace(mixed4, name="chi_gates", network=NETWORK, lanes=4)


@pytest.fixture(scope="module")
def run(build_dir: Path) -> Callable[[EngineConfig, int], CosimResult]:
    """A function that trains an engine's gates on a few random images."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (N_IMAGES, 9)).astype(np.uint8)
    labels = rng.integers(0, 3, N_IMAGES).astype(np.uint8)

    def run(config: EngineConfig, seed: int) -> CosimResult:
        return cosimulate(
            config,
            images,
            labels,
            out_dir=build_dir / "gates",
            seed=seed,
            gates=Gates(),
            cache_dir=build_dir,
        )

    return run


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("config", [direct, chi], ids=lambda config: config.name)
def test_gates_equal_the_model_from_any_state(run: Any, config: EngineConfig, seed: int) -> None:
    found = run(config, seed)
    assert found.mismatch is None
    assert found.images == N_IMAGES
    compared = {kind for kind, count in found.compared.items() if count}
    assert compared == found.compared.keys() - (set() if config.is_chi else {"chi_words"})
    assert found.counters["step_words"] > 0


def test_one_wrong_gate_is_found(run: Any, turn_gate: Callable[[str], None]) -> None:
    turn_gate("array")
    mismatch = run(chi, 1).mismatch
    assert mismatch is not None
    assert mismatch["block"] == "output layer"
