"""The synthesised gates of tiny_mca behind the benches of its Verilog, from unknown states."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocotb_tests import simulator
from cocotb_tests.bench import Field, Probe
from cocotb_tests.netlist_unit import Gates, NetlistUnit, netlist_unit
from cocotb_tests.unit_probes import probes, reset_probes
from hw.counters import COUNTER_BITS
from hw.verilog import EmittedVerilog, emit
from model.activity import Activity
from model.config import to_toml
from model.configurations import tiny_mca
from tests.cocotb_tests.random_configurations import draw_images

pytestmark = pytest.mark.slow

N_IMAGES = 6

N_BITS = COUNTER_BITS * len(Activity)

WAKE_UP = Probe(
    name="wake_up",
    strobe="rst",
    fields=(Field(expression="dut.activity.counters", width=N_BITS),),
    on_rise=True,
)

INSTRUMENTS = [*probes(tiny_mca), *reset_probes(), WAKE_UP]


@pytest.fixture(scope="module")
def unit(build_dir: Path) -> EmittedVerilog:
    return emit(tiny_mca, build_dir / "gates")


@pytest.fixture(scope="module")
def netlist(unit: EmittedVerilog) -> NetlistUnit:
    return netlist_unit(unit, INSTRUMENTS, Gates())


@pytest.fixture(scope="module")
def run(build_dir: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function that runs a bench on the gates of tiny_mca and a few random images."""
    file = tmp_path_factory.mktemp("images") / "images.npz"
    images, labels = draw_images(tiny_mca, seed=7, n=N_IMAGES)
    np.savez(file, images=images, labels=labels)

    def run(netlist: NetlistUnit, bench: str, *, seed: int = 1, **given: Any) -> dict[str, Any]:
        simulation = simulator.build(
            netlist.unit, probes=netlist.instruments, gates=True, cache_dir=build_dir
        )
        return simulator.run(
            simulation,
            bench,
            {"config": to_toml(tiny_mca), "seed": seed, "images": str(file), **given},
            seed=seed,
            arguments=[f"+gates={netlist.table}"],
            timeout_s=300,
        )

    return run


def train(run: Any, netlist: NetlistUnit, seed: int) -> dict[str, Any]:
    return run(netlist, "cocotb_tests.unit_bench", seed=seed, train=True, save=None, resume=None)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gates_equal_the_model_from_any_state(netlist, run, seed):
    found = train(run, netlist, seed)
    assert found["mismatch"] is None
    assert found["images"] == N_IMAGES
    assert all(found["compared"][kind] for kind in ("adc_codes", "chi_words", "cycles"))


def test_gates_wake_up_random(netlist, run):
    """Registers that no reset has seen: half of their bits high, others with another seed."""
    one, other = (
        int(run(netlist, "tests.cocotb_tests.wake_up_bench", seed=seed)["counters"], 16)
        for seed in (1, 2)
    )
    for bits in (one, other, one ^ other):
        # Four standard deviations.
        assert abs(bits.bit_count() - N_BITS / 2) < 2 * N_BITS**0.5


def test_gates_are_new_after_a_reset_anywhere(netlist, run):
    found = run(netlist, "cocotb_tests.bench_reset", n_images=N_IMAGES, n_each=1)
    for at in ("forward", "error", "backward", "update", "idle", "refresh"):
        assert found["resets"].get(at, 0) > 0, found["resets"]


def test_one_wrong_gate_is_found(unit, netlist, run, tmp_path):
    shutil.copy(unit.path, tmp_path)
    shutil.copytree(unit.path.parent / "synth", tmp_path / "synth")
    block = tmp_path / "synth" / "generic" / "error_unit.v"
    text = block.read_text()
    block.write_text(text.replace("\\$_XOR_ ", "\\$_XNOR_ ", 1))
    faulty = netlist_unit(replace(unit, path=tmp_path / unit.path.name), INSTRUMENTS, Gates())
    assert faulty.unit.path.read_text() == netlist.unit.path.read_text()
    mismatch = train(run, faulty, 1)["mismatch"]
    assert mismatch is not None
    assert mismatch["block"] == "error unit"
