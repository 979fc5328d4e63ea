"""Hybrid training: the gradient, the threshold, how a step is split over a pair."""

from dataclasses import replace

import numpy as np

from model.cnn.config import RramConfig
from model.cnn.hybrid import gradient, plan_update, read_all, train_batch
from model.cnn.inference_unit import InferenceUnit
from model.configurations import tiny_cnn

LSB_US = tiny_cnn.read_lsb_us
IDEAL = RramConfig(stuck_fraction=0.0, write_sigma_us=0.0)


def test_gradient_is_that_of_the_cross_entropy() -> None:
    rng = np.random.default_rng(1)
    features = rng.integers(0, 256, (5, 2, 9)).astype(np.uint8)
    labels = rng.integers(0, 4, 5).astype(np.uint8)
    weights = rng.normal(0, 0.3, (18, 4))
    inputs = features.reshape(5, -1) / 255

    def loss(w: np.ndarray) -> float:
        logits = inputs @ w
        return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(5), labels]).sum())

    # Integer accumulators fine enough to carry the logits.
    sums = np.rint(inputs @ weights * 1e6).astype(np.int32)
    found = gradient(features, sums, labels, 1e-6).reshape(18, 4)
    for index in [(0, 0), (7, 3), (17, 1)]:
        step = np.zeros_like(weights)
        step[index] = 1e-5
        slope = (loss(weights + step) - loss(weights - step)) / 2e-5
        assert abs(found[index] - slope) < 1e-4


def _plan(plus: int, minus: int, step_us: float) -> tuple[list[int], list[bool]]:
    codes = np.full((2, 9, 8), 25, np.int32)
    codes[0, 4, 2:4] = plus, minus
    steps = np.zeros((2, 9, 4))
    steps[0, 4, 1] = step_us
    targets, enables = plan_update(tiny_cnn, codes, steps)
    untouched = np.ones((2, 9, 8), bool)
    untouched[0, 4, 2:4] = False
    assert not enables[untouched].any()
    assert np.array_equal(targets[untouched], codes[untouched])
    return targets[0, 4, 2:4].tolist(), enables[0, 4, 2:4].tolist()


def test_threshold() -> None:
    """Below 1.5 uS nothing is written, at 1.5 uS it is."""
    assert _plan(100, 25, 1.499)[1] == [False, False]
    assert _plan(100, 25, 1.5) == ([100 + round(1.5 / LSB_US), 25], [True, False])
    assert _plan(100, 25, -1.5) == ([100 - round(1.5 / LSB_US), 25], [True, False])


def test_the_larger_device_moves() -> None:
    assert _plan(25, 100, 2.0) == ([25, 100 - round(2.0 / LSB_US)], [False, True])
    assert _plan(25, 25, -2.0) == ([25, 25 + round(2.0 / LSB_US)], [False, True])


def test_window() -> None:
    """What does not fit the window of 2.5 to 20 uS moves the other device."""
    low, high = round(2.5 / LSB_US), round(20 / LSB_US)
    step = round(3.0 / LSB_US)
    assert _plan(high - 10, 60, 3.0) == ([high, 60 - (step - 10)], [True, True])
    assert _plan(low + 10, low, -3.0) == ([low, low + step - 10], [True, True])
    assert _plan(high, low, 3.0) == ([high, low], [False, False])


def test_a_batch_lowers_its_own_loss() -> None:
    """Exact writes, no threshold: the step goes down the slope that it was computed from."""
    config = replace(
        tiny_cnn,
        device=IDEAL,
        training=replace(tiny_cnn.training, threshold_us=0.0, hybrid_rate_us=0.3),
    )
    unit = InferenceUnit(config, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    features = rng.integers(0, 256, (40, 2, 9)).astype(np.uint8)
    labels = rng.integers(0, 4, 40).astype(np.uint8)
    scale = 0.05 / unit.fully_connected.lsb

    def loss() -> float:
        logits = unit.accumulators(features) * scale
        return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(40), labels]).sum())

    before = loss()
    updates = [train_batch(unit, features, labels, scale) for _ in range(5)]
    assert loss() < before
    assert updates[0].weights > 0
    assert updates[0].devices >= updates[0].weights
    assert updates[0].failed == 0
    window = read_all(unit.fully_connected) * LSB_US
    assert window.min() >= 2.4
    assert window.max() <= 20.1
