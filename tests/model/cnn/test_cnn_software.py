"""The FP32 network: gradients against differences, learning, going on bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from model.cnn.config import CnnTrainingConfig
from model.cnn.software import SoftwareCnn, softmax
from model.configurations import tiny_cnn
from tests.model.cnn.cnn_cases import NETWORKS, random_images

TRAINING = CnnTrainingConfig(epochs=3, batch=20, rate=0.02, weight_noise=0.0)


def _task(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is the corner that is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n).astype(np.uint8)
    images = rng.integers(0, 60, (n, 9, 7, 2))
    for image, label in zip(images, labels, strict=True):
        top, left = 5 * (label // 2), 4 * (label % 2)
        image[top : top + 4, left : left + 3] += 180
    return images.reshape(n, -1).astype(np.uint8), labels


def test_softmax() -> None:
    chances = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
    assert np.allclose(chances, [[0.5, 0.5], [0.25, 0.75]])


@pytest.mark.parametrize("name", ["tiny", "wide", "coarse"])
def test_gradients(name: str) -> None:
    """Along random directions the loss changes as the gradient says."""
    config = NETWORKS[name]
    network = SoftwareCnn(config, seed=3)
    inputs = network.inputs(random_images(config, 8, 1))
    labels = np.arange(8).astype(np.uint8) % config.network.classes
    gradients, _ = network.gradients(inputs, labels, network.weights)
    rng = np.random.default_rng(5)
    for layer in range(config.n_layers):
        direction = np.sign(gradients[layer]) + rng.normal(0, 0.1, gradients[layer].shape)
        losses = []
        for step in (1e-3, -1e-3):
            moved = list(network.weights)
            moved[layer] = (moved[layer] + step * direction).astype(np.float32)
            losses.append(network.gradients(inputs, labels, moved)[1])
        slope = (losses[0] - losses[1]) / 2e-3
        assert slope == pytest.approx(float((gradients[layer] * direction).sum()), rel=0.03)


def test_sums_and_pooling_agree() -> None:
    network = SoftwareCnn(tiny_cnn, seed=1)
    inputs = network.inputs(random_images(tiny_cnn, 3, 2))
    sums = np.maximum(network.sums(0, inputs), 0)
    pooled = network.pooled(0, inputs)
    assert pooled.shape == (3, 4, 3, 3)
    assert np.allclose(pooled[:, 1, 2], sums[:, 2:4, 4:6].max(axis=(1, 2)), atol=1e-6)


def test_learns() -> None:
    images, labels = _task(400, 1)
    network = SoftwareCnn(replace(tiny_cnn, training=TRAINING), seed=2)
    losses = [network.train_epoch(images, labels) for _ in range(3)]
    assert losses[-1] < 0.5 * losses[0]
    assert network.accuracy(*_task(200, 9)) > 0.9


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_goes_on_bit_for_bit(noise: float) -> None:
    images, labels = _task(100, 1)
    config = replace(tiny_cnn, training=replace(TRAINING, weight_noise=noise))
    whole, first, second = (SoftwareCnn(config, seed=seed) for seed in (4, 4, 5))
    for _ in range(2):
        whole.train_epoch(images, labels)
    first.train_epoch(images, labels)
    second.load(first.save())
    second.train_epoch(images, labels)
    for expected, found in zip(whole.weights, second.weights, strict=True):
        assert np.array_equal(expected, found)


def test_noise_leaves_the_weights_alone() -> None:
    """Noise is of a batch; the weights themselves move by Adam's step only."""
    images, labels = _task(20, 1)
    config = replace(tiny_cnn, training=replace(TRAINING, weight_noise=0.5))
    network = SoftwareCnn(config, seed=4)
    before = [weight.copy() for weight in network.weights]
    network.train_batch(images, labels, 10)
    largest = max(np.abs(now - old).max() for now, old in zip(network.weights, before, strict=True))
    assert largest <= 1.01 * TRAINING.rate
