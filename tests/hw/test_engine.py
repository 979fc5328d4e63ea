"""A training engine equals its integer model: outputs, counters, cycles and weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from formal.mutation import faulty_component, gateware_modules
from hw.activation_unit import ActivationUnit
from hw.engine.mac_array import MacArray
from hw.engine.outer_steps import OuterSteps
from hw.engine.sums import CodeGather, HiddenErrors
from hw.quantiser import Quantiser
from model.config import NetworkConfig
from model.configurations import tiny_fixed32, tiny_mixed4
from model.engine import cycles
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig
from model.engine.training_engine import EngineState, new_weights
from tests.hw.engine_sim import run_engine

CONFIGS = {
    "fixed32": tiny_fixed32,
    "mixed4": tiny_mixed4,
    # The bias has a word of its own; three output words; both ports.
    "two_ports": replace(
        tiny_fixed32, network=NetworkConfig(layers=(16, 3, 10)), lanes=4, single_port=False
    ),
    # Two hidden layers of one word and of two.
    "deep": replace(tiny_mixed4, network=NetworkConfig(layers=(16, 5, 6, 10)), lanes=4),
    "one_layer": replace(tiny_fixed32, network=NetworkConfig(layers=(9, 3)), lanes=4),
    "one_layer_chi": replace(tiny_mixed4, network=NetworkConfig(layers=(9, 3)), lanes=4),
}


def shown(config: EngineConfig, n_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n_inputs, n_classes = config.network.layers[0], config.network.layers[-1]
    images = rng.integers(0, 256, (n_images, n_inputs)).astype(np.uint8)
    images[rng.random(images.shape) < 0.4] = 0
    images[0], images[-1] = 0, 255
    return images, rng.integers(0, n_classes, n_images)


def extreme_weights(config: EngineConfig, seed: int) -> tuple[np.ndarray, ...]:
    """Half of the weights at the end of their range, so that steps and sums saturate."""
    rng = np.random.default_rng(seed)
    weights = new_weights(config, seed)
    for layer, weight in enumerate(weights):
        n_rows = config.network.n_rows(layer)
        ends = rng.choice([-config.weight_max, config.weight_max], weight[:, :n_rows].shape)
        weight[:, :n_rows] = np.where(rng.random(ends.shape) < 0.5, ends, weight[:, :n_rows])
    return weights


def check(config: EngineConfig, engine: type | None = None) -> EngineState:
    return run_engine(config, new_weights(config, 1), *shown(config, 5, 2), engine=engine)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_training_equals_model(config: EngineConfig) -> None:
    engine = check(config)
    assert engine.counters[EngineActivity.IMAGES] == 5
    assert engine.counters[EngineActivity.STEP_WORDS] > 0


@pytest.mark.parametrize("config", [tiny_fixed32, tiny_mixed4], ids=lambda config: config.name)
def test_saturation(config: EngineConfig) -> None:
    weights = extreme_weights(config, 3)
    engine = run_engine(config, weights, *shown(config, 3, 4))
    assert max(np.abs(layer).max() for layer in engine.weights) == config.weight_max


def test_inference_changes_no_weight() -> None:
    weights = new_weights(tiny_fixed32, 5)
    engine = run_engine(tiny_fixed32, weights, *shown(tiny_fixed32, 3, 6), training=False)
    assert all(np.array_equal(a, b) for a, b in zip(engine.weights, weights, strict=True))
    assert engine.counters[EngineActivity.CYCLES_UPDATE] == 0


def test_update_below_one_lsb_of_chi_is_dropped() -> None:
    config = replace(tiny_mixed4, weight_lsb_log2=2, learning_rate_log2=-16)
    engine = check(config)
    assert engine.counters[EngineActivity.CHI_WORDS] == 0


def test_latencies_are_the_models() -> None:
    assert cycles.MAC_LATENCY == MacArray.LATENCY
    assert cycles.GATHER_LATENCY == CodeGather.LATENCY
    assert cycles.HIDDEN_LATENCY == HiddenErrors.LATENCY
    assert cycles.STEPS_FIRST_WORD == OuterSteps.FIRST_WORD
    assert cycles.ACTIVATION_LATENCY == ActivationUnit.LATENCY
    assert cycles.SEND_LATENCY == Quantiser.OUTPUT_LATENCY - Quantiser.SCALE_LATENCY


# A deliberate fault in any module of the engine does not escape. Module, right, wrong, engine.
FAULTS = [
    ("walker", "unit == last_unit", "unit == last_word", tiny_mixed4),
    ("mac_array", "Mux(multiplied.first, 0, total)", "total", tiny_fixed32),
    ("stores", "+ written),\n            write.data.eq(self.i.p.activations)",
     "),\n            write.data.eq(self.i.p.activations)", tiny_fixed32),
    ("stores", "lane.eq(self.unit[:lane_bits])", "lane.eq(0)", tiny_mixed4),
    ("sums", "activation * (~activation)[:8]", "activation * activation", tiny_fixed32),
    ("sums", "self.o.p.codes[lane].eq(code)", "self.o.p.codes[0].eq(code)", tiny_mixed4),
    ("outer_steps", "-shift_round(products", "shift_round(products", tiny_fixed32),
    ("sequencer", "self.layer.eq(self.layer - 1)", "self.layer.eq(0)", CONFIGS["deep"]),
    ("counters", "product != 0", "product > 0", tiny_mixed4),
    ("engine", "steps.p.steps.eq(pulses.p.counts)", "steps.p.steps.eq(0)", tiny_mixed4),
    ("engine", "self.is_output & self.training", "self.is_output & ~self.training", tiny_fixed32),
]  # fmt: skip


def faulty_engine(module: str, right: str, wrong: str) -> Any:
    """The class ``Engine`` of a gateware in which ``right`` reads ``wrong``."""
    return faulty_component(
        "hw.engine", "engine", "Engine", module=module, right=right, wrong=wrong
    )


@pytest.mark.parametrize(
    ("module", "right", "wrong", "config"), FAULTS, ids=lambda value: str(value)[:20]
)
def test_fault_is_caught(module: str, right: str, wrong: str, config: EngineConfig) -> None:
    """Moderate weights show what errors do, extreme ones what saturates."""
    engine = faulty_engine(module, right, wrong)
    images, labels = shown(config, 4, 2)

    def check_both() -> None:
        for weights in (new_weights(config, 7), extreme_weights(config, 7)):
            run_engine(config, weights, images, labels, engine=engine, max_cycles=5_000)

    with pytest.raises(AssertionError):
        check_both()


def test_faults_in_every_module() -> None:
    assert {fault[0] for fault in FAULTS} >= gateware_modules("hw.engine")
