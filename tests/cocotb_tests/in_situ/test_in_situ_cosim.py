"""Co-simulation of in-situ learning units: small ones drawn at random, and what a run can do."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocotb_tests import simulator
from cocotb_tests.cosim import STATE_FILE, CosimResult
from cocotb_tests.in_situ.cosim import cosimulate
from hw.in_situ.verilog import emit, top_name
from model.configurations import tiny_in_situ
from model.in_situ.config import (
    ArrayConfig,
    ConverterConfig,
    DeviceConfig,
    GateConfig,
    InSituConfig,
    NetworkConfig,
    PulseConfig,
    TrainingConfig,
    UpdateConfig,
)
from model.settings import to_toml
from tests.cocotb_tests.random_configurations import draw_images

N_IMAGES = 400
SEED = 1
N_RANDOM = 3


def draw_configuration(seed: int, index: int) -> InSituConfig:
    """A small configuration, equal for equal arguments; the index sets layers and lanes."""
    rng = np.random.default_rng([seed, index])
    n_layers, lanes = ((2, 8), (1, 4), (3, 16))[index % 3]
    widths = [int(width) for width in rng.integers(5, 2 * lanes + 3, n_layers)]
    fraction_bits, rate_bits = int(rng.integers(1, 13)), int(rng.integers(9, 33))
    # The largest gradients move a gate by some four DAC codes.
    shift = 22 - fraction_bits
    return InSituConfig(
        name=f"random_in_situ_{seed}_{index}",
        network=NetworkConfig(layers=(*widths, int(rng.integers(2, 10)))),
        array=ArrayConfig(
            rows=512,
            cols=512,
            settle_cycles=int(rng.integers(1, 6)),
            convert_cycles=int(rng.integers(1, 4)),
        ),
        converter=ConverterConfig(
            adc_bits=int(rng.integers(4, 9)),
            relu_shift=int(rng.integers(0, 5)),
            hidden_full_scale_a=float(rng.choice([1e-5, 4e-5])),
            output_full_scale_a=float(rng.choice([2e-6, 1e-5])),
            backward_full_scale_a=float(rng.choice([2e-6, 1e-5])),
        ),
        update=UpdateConfig(
            lanes=lanes,
            batch=int(rng.choice([1, 2, 3, 5])),
            shifts=tuple(int(s) for s in shift + rng.integers(-2, 3, n_layers)),
            rate_bits=rate_bits,
            rate_start=2**rate_bits - 1,
        ),
        gate=GateConfig(
            fraction_bits=fraction_bits,
            code_min=int(rng.integers(80, 98)),
            code_max=int(rng.integers(104, 120)),
        ),
        pulse=PulseConfig(
            set_cycles=int(rng.integers(1, 9)),
            reset_cycles=int(rng.integers(1, 9)),
            gap_cycles=int(rng.integers(1, 4)),
        ),
        device=DeviceConfig(read_noise_us=float(rng.choice([0.0, 2.0]))),
        training=TrainingConfig(images=60, curve_images=30),
    )


RANDOM = [draw_configuration(SEED, index) for index in range(N_RANDOM)]


@pytest.mark.slow
@pytest.mark.parametrize("config", RANDOM, ids=lambda config: config.name)
def test_random_unit(config: InSituConfig, build_dir: Path) -> None:
    images, labels = draw_images(config, SEED, 21)
    result = cosimulate(
        config,
        images,
        labels,
        out_dir=build_dir / "random",
        seed=SEED,
        n_updates=10,
        quick=True,
        cache_dir=build_dir,
    )
    assert result.mismatch is None, f"{result.mismatch['text']}\n{to_toml(config)}"
    assert result.images == 21
    assert result.counters["set_pulses"] > 0


@pytest.fixture(scope="module")
def run(build_dir: Path) -> Any:
    """A function that co-simulates tiny_in_situ on random images with a quick build."""

    def run(n_images: int = 30, **options: Any) -> CosimResult:
        images, labels = draw_images(tiny_in_situ, seed=7, n=n_images)
        out_dir = options.pop("out_dir", build_dir / "quick")
        return cosimulate(
            tiny_in_situ,
            images,
            labels,
            out_dir=out_dir,
            quick=True,
            cache_dir=build_dir,
            **options,
        )

    return run


def test_every_image_is_compared_and_equal(run: Any) -> None:
    result = run()
    assert result.mismatches == 0
    assert result.images == result.counters["images"] == 30
    assert all(result.compared.values()), result.compared
    assert result.counters["batches"] == 6
    cycles = result.cycles_per_image
    total = sum(result.counters[f"cycles_{phase}"] for phase in cycles["by_phase"])
    assert cycles["mean"] * 30 == pytest.approx(total)


def test_inference_changes_no_gate(run: Any) -> None:
    result = run(train=False)
    assert result.mismatches == 0
    assert result.compared["pulses"] == 0
    for name in ("backward_products", "gradient_words", "gate_words", "errors"):
        assert result.counters[name] == 0


def test_fault_is_reported(run: Any) -> None:
    """The unit of another configuration: the model beside it knows only the right one."""

    def emit_faulty(config: InSituConfig, out_dir: Path) -> simulator.EmittedVerilog:
        changed = replace(config.converter, relu_shift=0)
        return emit(replace(config, converter=changed), out_dir / "faulty_relu")

    result = run(emit_unit=emit_faulty)
    assert result.mismatches == 1
    assert result.mismatch["block"] in ("forward product of layer 1, drive", "activation unit")
    assert result.mismatch["image"] == result.images < 30


@pytest.mark.slow
def test_resume(run: Any, tmp_path: Path) -> None:
    def stop(images: int, _accuracy: float) -> None:
        if images >= 20:
            raise KeyboardInterrupt

    state = tmp_path / tiny_in_situ.name / STATE_FILE
    options = {"out_dir": tmp_path, "resume": True, "save_s": 0.02}
    with pytest.raises(KeyboardInterrupt):
        run(N_IMAGES, on_progress=stop, **options)
    assert state.exists()
    messages: list[str] = []
    resumed = run(N_IMAGES, on_message=messages.append, **options)
    assert any(message.startswith("Going on after ") for message in messages)
    assert not state.exists()
    whole = run(N_IMAGES, **options)
    for name in ("images", "mismatches", "compared", "cycles_per_image", "accuracy", "counters"):
        assert asdict(resumed)[name] == asdict(whole)[name], name
    assert resumed.mismatches == 0


@pytest.mark.parametrize("config", [tiny_in_situ, RANDOM[2]], ids=lambda c: c.name)
def test_lint(config: InSituConfig, tmp_path: Path) -> None:
    assert simulator.lint(emit(config, tmp_path)) == []


def test_verilog_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (emit(tiny_in_situ, tmp_path / name) for name in ("a", "b"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.top == top_name(tiny_in_situ) == "learning_unit_tiny_in_situ"
    assert f"\nmodule {first.top}(" in first.path.read_text()
