"""Co-simulation of a small inference unit: counts, going on, and what a fault looks like."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cocotb_tests import simulator
from cocotb_tests.cnn.cosim import STATE_FILE, Images, cosimulate
from cocotb_tests.cnn.expected import ExpectedUnit
from hw.cnn.verilog import emit
from model.checkpoint import write_checkpoint
from model.cnn.config import ReplicaMode
from model.cnn.cycles import image_cycles
from model.cnn.inference_unit import trace_image
from model.settings import to_toml
from tests.cocotb_tests.cnn.random_cnns import draw_writes
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import random_images, random_unit

config = VARIANTS["adc_a_line"]
N_IMAGES = 5


@pytest.fixture(scope="module")
def run(build_dir):
    """A function that co-simulates the small unit with a quick build."""

    def run(stages, **options):
        return cosimulate(
            random_unit(config, 3),
            stages,
            out_dir=build_dir / "quick_cnn",
            quick=True,
            cache_dir=build_dir,
            **options,
        )

    return run


def shown() -> Images:
    images = random_images(config, 3, N_IMAGES)
    labels = random_unit(config, 3).classify(images).astype(np.uint8)
    labels[0] ^= 1
    return Images(images, labels)


@pytest.mark.parametrize("name", ["adc_a_line", "odd", "two_images"])
def test_lint(name, tmp_path):
    assert simulator.lint(emit(VARIANTS[name], tmp_path)) == []


@pytest.mark.slow
def test_counts(run):
    writes = draw_writes(random_unit(config, 3), 1, 6)
    result = run([shown(), writes])
    assert result.mismatch is None, result.mismatch
    assert result.images == N_IMAGES
    assert result.accuracy == (N_IMAGES - 1) / N_IMAGES
    phases = 4 * 8 + 8  # 2 x 2 patches of one chunk; one chunk of the vector
    assert result.compared["adc_codes"] == N_IMAGES * phases * 6
    assert result.compared["partial_sums"] == N_IMAGES * 5 * 3
    assert result.compared["classes"] == N_IMAGES
    assert result.compared["written_rows"] == len(writes)
    cycles = image_cycles(config)
    assert result.cycles_per_image["mean"] == result.cycles_per_image["max"] == cycles.total
    assert result.cycles_per_image["by_phase"] == {
        "convolution_0": cycles.convolutions[0],
        "fully_connected": cycles.fully_connected,
    }


@pytest.mark.slow
def test_goes_on(run, build_dir):
    """A saved state of this run is taken up; one of another run is not."""
    state = build_dir / "quick_cnn" / config.name / STATE_FILE
    for name, begun in (("this", 3), ("another", 0)):
        write_checkpoint(
            state,
            {
                "config": to_toml(config),
                "run": {"name": name},
                "images": 3,
                "correct": 2,
                "compared": {"classes": 3},
                "seconds": 1.0,
                "cpu_seconds": 1.0,
                "simulated_cycles": 9,
            },
            {"cycles": np.tile([57, 15, 1], (3, 1))},
        )
        result = run([shown()], resume=True, identity={"name": "this"})
        assert result.mismatch is None
        assert result.images == result.compared["classes"] == N_IMAGES
        assert result.compared["partial_sums"] == (N_IMAGES - begun) * 5 * 3
        assert not state.exists()


@pytest.mark.slow
def test_fault_is_named(run):
    """A change of the emitted Verilog is found, and where it is."""

    def emit_faulty(settings, out_dir: Path) -> simulator.EmittedVerilog:
        faulty = emit(replace(settings, name="faulty_classifier"), out_dir)
        parts = faulty.path.read_text().split("\nmodule ")
        (place,) = (k for k, part in enumerate(parts) if ".classifier (" in part.splitlines()[0])
        assert " > " in parts[place]
        parts[place] = parts[place].replace(" > ", " < ")
        text = "\nmodule ".join(parts)
        faulty.path.write_text(text)
        return replace(faulty, bytes=len(text))

    result = run([shown()], emit_unit=emit_faulty)
    assert result.mismatches == 1
    assert result.mismatch["block"] == "result, class", result.mismatch["text"]


def test_noisy_reads_are_refused(run):
    noisy = replace(config, device=replace(config.device, read_noise_us=0.1))
    unit = random_unit(noisy, 1)
    with pytest.raises(ValueError, match="without read noise"):
        cosimulate(unit, [draw_writes(unit, 1, 1)], out_dir=Path("nowhere"))


@pytest.mark.parametrize("name", VARIANTS)
def test_expected_is_the_models_trace(name):
    """The fast way to the expectation gives the model's own trace."""
    variant = VARIANTS[name]
    unit, images = random_unit(variant, 2), random_images(variant, 2, 2)
    expected = ExpectedUnit(unit)
    whole = variant.replicas.mode is ReplicaMode.IMAGES
    for k, image in enumerate(images):
        replica = k % variant.replicas.n if whole else None
        fast, slow = expected.trace(image, replica), trace_image(unit, image, replica)
        assert fast.label == slow.label
        for layer, other in zip(fast.layers, slow.layers, strict=True):
            for field, value in vars(other).items():
                assert np.array_equal(getattr(layer, field), value), field
