"""The training engine in integers meets floating point, and its configuration refuses nonsense."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model import datasets
from model.configurations import fixed32, mixed4, parse, tiny_fixed32, tiny_mixed4
from model.engine.config import EngineConfig, UpdateRule
from model.engine.training import EngineTraining, classify
from model.engine.training_engine import infer_image, new_engine, new_weights, train_image
from model.settings import ConfigError, to_toml


@pytest.fixture(scope="module")
def sample() -> datasets.Dataset:
    """All training and 300 test images."""
    whole = datasets.load("mnist-sample")
    return replace(whole, test_images=whole.test_images[:300], test_labels=whole.test_labels[:300])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 3}, "lanes must be a power of two"),
        ({"weight_bits": 33}, "weight_bits must be between 2 and 32"),
        ({"learning_rate_log2": 1}, "steps of more than 32 bits"),
        ({"weight_lsb_log2": 1}, "weight_lsb_log2 must be at most 0"),
        ({"update": UpdateRule.CHI}, "single_port must be false"),
        ({"clock_period_s": 0.0}, "clock_period_s must be positive"),
        ({"rate_drops": (2.0,)}, "rate_drops must be between"),
        ({"name": "a b"}, "name must be"),
    ],
)
def test_wrong_setting(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(fixed32, **change)


def test_deep_network_of_full_width_is_refused() -> None:
    network = replace(fixed32.network, layers=(784, 250, 250, 10))
    with pytest.raises(ConfigError, match="do not fit 63"):
        replace(fixed32, network=network)


@pytest.mark.parametrize("config", [fixed32, mixed4], ids=lambda config: config.name)
def test_toml_round_trip(config: EngineConfig) -> None:
    assert parse(to_toml(config)) == config


def test_scales() -> None:
    """A weight of 1 and full activation are worth 16 codes; 4-bit weights end below 1."""
    for config in (fixed32, mixed4):
        one = 2**-config.weight_lsb_log2
        assert one * 256 >> config.forward_shift == 16
    assert mixed4.weight_max * 2.0**mixed4.weight_lsb_log2 == 0.875


def image_and_reference(seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, 20).astype(np.uint8)
    weights = new_weights(tiny_fixed32, seed)
    real = [w[:, : tiny_fixed32.network.n_rows(k)] * 2.0**-24 for k, w in enumerate(weights)]
    return image, weights, real


def reference_step(
    image: np.ndarray, label: int, weights: list[np.ndarray], rate: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """Gradient of the mean-square error in floating point, as the paper's software has it."""
    signals = [np.append(image / 255, 1.0)]
    for layer, weight in enumerate(weights):
        out = 1 / (1 + np.exp(-(weight @ signals[layer])))
        signals.append(out if layer == len(weights) - 1 else np.append(out, 1.0))
    target = np.arange(len(signals[-1])) == label
    delta = (signals[-1] - target) * signals[-1] * (1 - signals[-1])
    changes = []
    for layer in reversed(range(len(weights))):
        changes.insert(0, -rate * np.outer(delta, signals[layer]))
        below = signals[layer]
        delta = (weights[layer].T @ delta * below * (1 - below))[:-1]
    return changes, signals[-1]


def test_direct_step_is_the_gradient() -> None:
    """Within the table's step of 1/16 in the pre-activation and 1/255 in the activation."""
    image, weights, real = image_and_reference(1)
    changes, outputs = reference_step(image, 2, real, 0.5)
    engine = new_engine(tiny_fixed32, weights)
    train_image(engine, -1, image, 2)
    assert np.abs(engine.trace.activations[-1][:4] / 255 - outputs).max() < 0.02
    for layer, change in enumerate(changes):
        n_rows = tiny_fixed32.network.n_rows(layer)
        moved = (engine.weights[layer] - weights[layer])[:, :n_rows] * 2.0**-24
        assert np.corrcoef(moved.ravel(), change.ravel())[0, 1] > 0.99
        scale = float((moved * change).sum() / (change * change).sum())
        # 255 counts as 256 in activations and errors: up to 1 - (255/256)**4, and table steps.
        assert 0.9 < scale < 1.1


@pytest.mark.parametrize("config", [tiny_fixed32, tiny_mixed4], ids=lambda config: config.name)
def test_training_learns_and_replays(config: EngineConfig, sample: datasets.Dataset) -> None:
    """A quarter is chance for four classes on 20 coarse pixels."""
    config = replace(config, epochs=3)
    runs = [EngineTraining(config, sample, seed=3) for _ in range(2)]
    curves = [list(run.run()) for run in runs]
    assert curves[0] == curves[1]
    assert curves[0][-1].test_accuracy > 0.45
    found = classify(config, runs[0].engine.weights, runs[0].dataset.test_images)
    assert np.mean(found == runs[0].dataset.test_labels) == curves[0][-1].test_accuracy


def test_rate_drops_within_an_epoch(sample: datasets.Dataset) -> None:
    config = replace(tiny_mixed4, epochs=1, rate_drops=(0.25, 0.5))
    (point,) = EngineTraining(config, sample, seed=1).run()
    assert point.learning_rate_log2 == config.learning_rate_log2 - 2


def test_infer_changes_nothing() -> None:
    weights = new_weights(tiny_fixed32, 2)
    engine = new_engine(tiny_fixed32, weights)
    infer_image(engine, np.full(20, 7, np.uint8))
    assert all(np.array_equal(a, b) for a, b in zip(engine.weights, weights, strict=True))
