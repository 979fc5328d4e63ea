"""The digital unit as emitted Verilog: reset in all that it does; driven into its corners."""

from dataclasses import replace

import numpy as np
import pytest

from cocotb_tests import simulator
from cocotb_tests.unit_probes import corner_probes, probes
from hw.verilog import emit
from model.config import to_toml
from model.configurations import tiny_mca
from scripts.coverage import corners
from tests.cocotb_tests.random_configurations import draw_images

#: A high rate and pairs that are soon full, so that there is always something to cut off.
BUSY = replace(
    tiny_mca,
    name="busy",
    update=replace(tiny_mca.update, learning_rate_log2=3),
    refresh=replace(tiny_mca.refresh, saturated_us=2.0, difference_us=2.0),
)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def simulation(build_dir):
    return simulator.build(
        emit(BUSY, build_dir / "reset"),
        probes=[*probes(BUSY), *corner_probes()],
        quick=True,
        cache_dir=build_dir,
    )


def test_unit_is_new_after_a_reset_anywhere(simulation, tmp_path):
    images, labels = draw_images(BUSY, seed=3, n=12)
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    found = simulator.run(
        simulation,
        "cocotb_tests.bench_reset",
        {
            "config": to_toml(BUSY),
            "seed": 1,
            "images": str(tmp_path / "images.npz"),
            "n_images": len(images),
            "n_each": 9,
        },
        timeout_s=300,
    )
    for at in ("forward", "error", "backward", "update", "idle", "refresh", "pulse"):
        assert found["resets"].get(at, 0) > 0, found["resets"]


def test_corners(simulation):
    """Full memories, noise, every kind of register access, malformed frames, a slow host."""
    simulator.run(simulation, "cocotb_tests.bench_corners", corners(BUSY, 6, 2), timeout_s=300)
