"""Co-simulation of the small system: counts, seeds, inference, and what a fault looks like."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from cocotb_tests.cosim import CosimResult, cosimulate
from hw.verilog import emit
from model.config import Config
from model.configurations import tiny_mca
from tests.cocotb_tests.random_configurations import draw_images

N_IMAGES = 40

# What depends on the machine, not on configuration, images and seed.
TIMES = {
    "images_per_second",
    "images_per_cpu_second",
    "verilator_cycles_per_second",
    "build_seconds",
}


@pytest.fixture(scope="module")
def run(build_dir):
    """A function that co-simulates tiny_mca on random images with a quick build."""

    def run(seed: int = 1, config: Config = tiny_mca, **options: Any) -> CosimResult:
        images, labels = draw_images(tiny_mca, seed=7, n=N_IMAGES)
        return cosimulate(
            config,
            images,
            labels,
            out_dir=build_dir / "quick",
            seed=seed,
            quick=True,
            cache_dir=build_dir,
            **options,
        )

    return run


def _counts(result: CosimResult) -> dict[str, Any]:
    return {name: value for name, value in asdict(result).items() if name not in TIMES}


@pytest.fixture(scope="module")
def trained(run):
    return run()


def test_device_of_a_file(run, trained, tmp_path, monkeypatch):
    """The bench runs in a directory of its own; paths are relative to where the user is."""
    monkeypatch.chdir(tmp_path)
    table = "conductance_us,mean_step_us,std_step_us\n0,4,0\n"
    (tmp_path / "measured.csv").write_text(table)
    device = replace(tiny_mca.device, model="measured.csv")
    found = run(
        config=replace(tiny_mca, device=device),
        # The Verilog of any device; that of this one would differ in its comment.
        emit_unit=lambda _config, out_dir: emit(tiny_mca, out_dir),
    )
    assert found.mismatches == 0
    assert found.counters["set_pulses"] > 0
    assert _counts(found) != _counts(trained)


def test_every_image_is_compared_and_equal(trained):
    assert trained.mismatches == 0
    assert trained.mismatch is None
    assert trained.images == N_IMAGES
    assert all(trained.compared.values()), trained.compared
    assert trained.counters["images"] == N_IMAGES
    assert trained.compared["pulses"] == trained.counters["set_pulses"] > 0


def test_cycles_by_phase_add_up(trained):
    cycles = trained.cycles_per_image
    assert sum(cycles["by_phase"].values()) == pytest.approx(cycles["mean"])
    total = sum(trained.counters[f"cycles_{phase}"] for phase in cycles["by_phase"])
    assert cycles["mean"] * N_IMAGES == pytest.approx(total)
    assert cycles["max"] >= cycles["mean"]


def test_same_seed_same_counts(run, trained):
    assert _counts(run()) == _counts(trained)


def test_other_seed_other_arrays(run, trained):
    other = run(seed=2)
    assert other.mismatches == 0
    assert _counts(other) != _counts(trained)


def test_warm_up_is_left_out_of_the_cycles(run, trained):
    warm = run(warm_up=N_IMAGES - 1)
    assert warm.compared == trained.compared
    assert warm.cycles_per_image["mean"] == warm.cycles_per_image["max"]


def test_inference_changes_no_weight(run):
    result = run(train=False)
    assert result.mismatches == 0
    assert result.images == N_IMAGES
    assert result.compared["pulses"] == 0
    assert result.counters["forward_products"] == N_IMAGES * tiny_mca.network.n_layers
    for name in ("backward_products", "row_reads", "chi_words", "set_pulses", "reset_pulses"):
        assert result.counters[name] == 0


def test_progress_ends_with_the_last_image(run, trained):
    seen: list[tuple[int, float]] = []
    run(on_progress=lambda images, accuracy: seen.append((images, accuracy)))
    assert seen[-1] == (N_IMAGES, pytest.approx(trained.accuracy))


# The unit of another configuration: the model beside it knows only the right one. A wrong table of
# the activation unit shows where its activations drive the next array.
@pytest.mark.parametrize(
    ("section", "change", "block", "index"),
    [
        ("converter", {"forward_full_scale": 16.0}, "forward product of layer 1, drive", "index ["),
        ("pulse", {"set_cycles": 6}, "sequencer", "cycles of phase update"),
    ],
)
def test_fault_is_reported(run, section, change, block, index):
    def emit_faulty(config, out_dir):
        changed = replace(getattr(config, section), **change)
        return emit(replace(config, **{section: changed}), out_dir / f"faulty_{section}")

    result = run(emit_unit=emit_faulty)
    assert result.mismatches == 1
    found = result.mismatch
    assert found["block"] == block
    assert found["index"].startswith(index)
    assert isinstance(found["expected"], int)
    assert isinstance(found["got"], int)
    assert found["expected"] != found["got"]
    assert found["text"] == (
        f"Image {found['image']}, {block}, {found['index']}: expected {found['expected']} by the "
        f"model, got {found['got']} from the gateware."
    )
    assert found["image"] == result.images < N_IMAGES
