"""Levels, clips, target conductances, and the calibration that follows the transfer."""

from dataclasses import replace

import numpy as np
import pytest

from model.cnn.calibration import calibrate, fixed_point, sum_quantile
from model.cnn.config import ClipPolicy, QuantisationConfig, RramConfig
from model.cnn.float_read_out import FloatReadOut
from model.cnn.inference_unit import InferenceUnit
from model.cnn.quantisation import find_clip, quantise_layer, split_targets, to_levels
from model.cnn.software import SoftwareCnn
from model.configurations import tiny_cnn, yao_cnn
from tests.model.cnn.cnn_cases import random_images, with_replicas

IDEAL = RramConfig(stuck_fraction=0.0, write_sigma_us=0.0)


def test_levels() -> None:
    """15 levels, -7 to 7; half goes to even; saturates."""
    weights = np.array([[-9.0, -7.0, -0.5, 0.0, 0.5, 1.5, 8.0]], np.float32).T
    assert to_levels(weights, np.array([7.0]), 7).ravel().tolist() == [-7, -7, 0, 0, 0, 2, 7]


def test_clip_policies() -> None:
    """The maximum is the largest weight; the best clip sacrifices a rare outlier."""
    weights = np.random.default_rng(1).normal(0, 0.1, 900).astype(np.float32)
    weights[0] = 2.0
    assert find_clip(weights, ClipPolicy.MAXIMUM, IDEAL) == 2.0
    assert 0.2 < find_clip(weights, ClipPolicy.MSE, IDEAL) < 1.0
    assert find_clip(np.zeros(4, np.float32), ClipPolicy.MSE, IDEAL) == 1.0


def test_noise_narrows_the_clip() -> None:
    """With write errors it pays to spend less of the window on rare weights."""
    weights = np.random.default_rng(2).normal(0, 0.1, 900).astype(np.float32)
    ideal = find_clip(weights, ClipPolicy.MSE, IDEAL)
    assert find_clip(weights, ClipPolicy.MSE, RramConfig(write_sigma_us=2.0)) < ideal


def test_scopes() -> None:
    """A clip an output in convolutions, one in the fully connected layer."""
    network = SoftwareCnn(yao_cnn, seed=1)
    layers = [quantise_layer(yao_cnn, k, weight) for k, weight in enumerate(network.weights)]
    assert len(set(layers[1].clips)) > 1
    assert len(set(layers[2].clips)) == 1
    paper = replace(yao_cnn, quantisation=QuantisationConfig(per_output=False))
    assert len(set(quantise_layer(paper, 1, network.weights[1]).clips)) == 1
    difference = np.abs(layers[2].weights - network.weights[2])
    inside = np.abs(network.weights[2]) <= layers[2].clips[0]
    assert difference[inside].max() <= layers[2].clips[0] / 14 + 1e-6


def test_targets() -> None:
    """Pairs of 2.5 to 20 uS; the idle device and unused inputs at 2.5 uS."""
    differences = np.zeros((10, 4))
    differences[0, 0], differences[3, 1], differences[9, 3] = 17.5, -2.5, 99.0
    targets = split_targets(tiny_cnn, 2, differences)
    assert targets.shape == (2, 9, 8)
    assert targets[0, 0, :2].tolist() == [20.0, 2.5]
    assert targets[0, 3, 2:4].tolist() == [2.5, 5.0]
    assert targets[1, 0, 6:].tolist() == [20.0, 2.5]
    assert (targets[1, 1:] == 2.5).all()


def test_fixed_point() -> None:
    gains = np.array([0.01, 0.005, 0.0])
    multipliers, shift = fixed_point(yao_cnn, gains)
    assert 128 <= multipliers.max() <= 255
    assert np.abs(multipliers / 2**shift - gains).max() <= 0.5 / 2**shift
    assert fixed_point(yao_cnn, np.array([300.0]))[0].tolist() == [255]
    assert fixed_point(yao_cnn, np.array([1e-12]))[1] == 31


def test_sum_quantile() -> None:
    counts = np.zeros(10, np.int64)
    counts[[2, 5, 9]] = [98, 1, 1]
    assert [sum_quantile(counts, q) for q in (0.98, 0.99, 1.0)] == [3 * 64, 6 * 64, 10 * 64]


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("replicas", [1, 2])
def test_calibrated_unit_follows_the_software(offsets: bool, replicas: int) -> None:
    """Without device errors the integer path gives nearly the logits of the quantised network, and
    nothing saturates that should not."""
    config = replace(
        with_replicas(tiny_cnn, replicas),
        device=IDEAL,
        quantisation=QuantisationConfig(calibrate_offsets=offsets, calibration_images=50),
    )
    software = SoftwareCnn(config, seed=6)
    images = random_images(config, 60, 8)
    weights = [quantise_layer(config, k, w) for k, w in enumerate(software.weights)]
    software.weights = [layer.weights for layer in weights]
    unit = InferenceUnit(config, np.random.default_rng(1))
    for arrays in unit.arrays:
        differences = weights[arrays.layer].levels * config.device.level_us
        arrays.program(split_targets(config, arrays.layer, differences))
    scale = calibrate(unit, software, weights, images[:50])
    found = unit.accumulators(unit.features(images)) * scale
    expected = software.logits(software.inputs(images))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    slope = (found * expected).sum() / (expected**2).sum()
    assert slope == pytest.approx(1.0, abs=0.06)
    agree = FloatReadOut(unit).classify(images) == unit.classify(images, 0)
    assert agree.mean() > 0.9
