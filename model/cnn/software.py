"""The network in FP32: forward pass, gradients, Adam. The software baseline and the source of
weights."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import CnnConfig

__all__ = ["SoftwareCnn", "softmax"]

Floats = NDArray[np.float32]

BETA1 = 0.9
"""Decay of the first moment. Source: Kingma and Ba, Adam, ICLR 2015 (their default)."""
BETA2 = 0.999
"""Decay of the second moment. Source: as BETA1."""
EPSILON = 1e-8
"""Keeps the quotient finite. Source: as BETA1."""


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """``exp(x) / sum exp(x)`` along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _columns(features: Floats, kernel: int, stride: int) -> Floats:
    """Patches as :func:`model.cnn.line_buffer.patches`, of a batch: ``[n, y, x, c * k * k]``."""
    windows = np.lib.stride_tricks.sliding_window_view(features, (kernel, kernel), axis=(1, 2))
    chosen = windows[:, ::stride, ::stride]
    return np.ascontiguousarray(chosen).reshape(*chosen.shape[:3], -1)


def _scatter(columns: Floats, shape: tuple[int, ...], kernel: int, stride: int) -> Floats:
    """The transpose of :func:`_columns`: sums patches back into ``[n, height, width, c]``."""
    n, rows, cols, _ = columns.shape
    patches = columns.reshape(n, rows, cols, shape[3], kernel, kernel)
    features: Floats = np.zeros(shape, np.float32)
    for ky in range(kernel):
        for kx in range(kernel):
            features[
                :,
                ky : ky + stride * (rows - 1) + 1 : stride,
                kx : kx + stride * (cols - 1) + 1 : stride,
            ] += patches[..., ky, kx]
    return features


def _windows(features: Floats, pool: int) -> Floats:
    """A non-negative batch as pooling windows ``[n, rows, pool, cols, pool, c]``, zero-padded."""
    n, height, width, channels = features.shape
    rows, cols = -(-height // pool), -(-width // pool)
    if (height, width) != (rows * pool, cols * pool):
        padded = np.zeros((n, rows * pool, cols * pool, channels), np.float32)
        padded[:, :height, :width] = features
        features = padded
    return features.reshape(n, rows, pool, cols, pool, channels)


class SoftwareCnn:
    """Convolutions with ReLU and max-pooling and one fully connected layer, in float32.

    Inputs are bytes / 255; the loss is the cross-entropy of the softmax, averaged over a batch.
    Weights begin uniform in ``+-sqrt(6 / (inputs + outputs))`` (Glorot and Bengio 2010) of a kernel
    and learn by Adam at a rate that falls from ``training.rate`` to 0 along half a cosine.

    Attributes
    ----------
    weights
        float32 a layer: ``[c * k * k, outs]`` a convolution (index ``c * k * k + ky * k + kx``),
        ``[flat_inputs, classes]`` the last.
    iteration
        Batches done.
    """

    def __init__(self, config: CnnConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.rng = np.random.default_rng([seed, 0])
        self.iteration = 0
        self.weights: list[Floats] = []
        for layer in range(config.n_layers):
            if layer == config.n_conv:
                inputs, spread = config.flat_inputs, config.flat_inputs + config.outs(layer)
            else:
                inputs = config.chunks(layer) * config.chunk_inputs(layer)
                spread = inputs + config.outs(layer) * config.chunk_inputs(layer)
            bound = math.sqrt(6 / spread)
            shape = (inputs, config.outs(layer))
            self.weights.append(self.rng.uniform(-bound, bound, shape).astype(np.float32))
        self._mean = [np.zeros_like(weight) for weight in self.weights]
        self._square = [np.zeros_like(weight) for weight in self.weights]

    # Forward

    def inputs(self, images: NDArray[np.uint8]) -> Floats:
        """Images uint8 ``[n, height, width]`` or ``[n, height, width, c]`` as 0..1."""
        network = self.config.network
        shape = (len(images), network.height, network.width, network.channels)
        return images.reshape(shape).astype(np.float32) / np.float32(255)

    def feature_maps(self, inputs: Floats, weights: list[Floats] | None = None) -> list[Floats]:
        """The input and every pooled feature map ``[n, height, width, c]``."""
        network = self.config.network
        maps = [inputs]
        for layer, weight in enumerate((weights or self.weights)[:-1]):
            columns = _columns(maps[-1], network.kernels[layer], network.strides[layer])
            active = np.maximum(columns @ weight, np.float32(0))
            maps.append(_windows(active, network.pools[layer]).max(axis=(2, 4)))
        return maps

    def logits(self, inputs: Floats, weights: list[Floats] | None = None) -> Floats:
        """float32 ``[n, classes]``."""
        features = self.feature_maps(inputs, weights)[-1]
        return np.asarray(features.reshape(len(inputs), -1) @ (weights or self.weights)[-1])

    def classify(
        self, images: NDArray[np.uint8], weights: list[Floats] | None = None
    ) -> NDArray[np.int64]:
        """Predicted classes, int64 ``[n]``; other weights may be given."""
        parts = [
            self.logits(self.inputs(images[first : first + 500]), weights).argmax(axis=1)
            for first in range(0, len(images), 500)
        ]
        return np.concatenate(parts)

    def accuracy(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        weights: list[Floats] | None = None,
    ) -> float:
        """Accuracy, 0..1."""
        return float(np.mean(self.classify(images, weights) == labels))

    # Training

    def gradients(
        self, inputs: Floats, labels: NDArray[np.uint8], weights: list[Floats]
    ) -> tuple[list[Floats], float]:
        """Gradients of the mean loss with respect to the weights, and the loss."""
        network, n = self.config.network, len(inputs)
        kept = []
        features = inputs
        for layer, weight in enumerate(weights[:-1]):
            columns = _columns(features, network.kernels[layer], network.strides[layer])
            active = np.maximum(columns @ weight, np.float32(0))
            windows = _windows(active, network.pools[layer])
            pooled = windows.max(axis=(2, 4), keepdims=True)
            kept.append((features.shape, columns, active.shape, windows, pooled))
            features = pooled[:, :, 0, :, 0]
        flat = features.reshape(n, -1)
        chances = softmax(flat @ weights[-1]).astype(np.float32)
        loss = -float(np.mean(np.log(chances[np.arange(n), labels] + 1e-12)))
        delta = chances / np.float32(n)
        delta[np.arange(n), labels] -= np.float32(1 / n)
        result = [np.asarray(flat.T @ delta)]
        back = (delta @ weights[-1].T).reshape(features.shape)
        for layer in range(len(weights) - 2, -1, -1):
            shape, columns, active_shape, windows, pooled = kept[layer]
            # The gradient goes to the largest pixel of a window; none where all are zero.
            mask = (windows == pooled) & (pooled > 0)
            spread = (mask * back[:, :, None, :, None]).reshape(
                n, windows.shape[1] * windows.shape[2], -1, active_shape[3]
            )
            spread = np.ascontiguousarray(spread[:, : active_shape[1], : active_shape[2]])
            flat_delta = spread.reshape(-1, active_shape[3])
            result.append(np.asarray(columns.reshape(len(flat_delta), -1).T @ flat_delta))
            if layer:
                back = _scatter(
                    (flat_delta @ weights[layer].T).reshape(columns.shape),
                    shape,
                    network.kernels[layer],
                    network.strides[layer],
                )
        return result[::-1], loss

    def train_batch(
        self, images: NDArray[np.uint8], labels: NDArray[np.uint8], total: int
    ) -> float:
        """One step of Adam, the ``iteration``-th of ``total``; returns the loss."""
        training = self.config.training
        weights = self.weights
        if training.weight_noise:
            weights = [
                weight
                + np.float32(training.weight_noise * np.abs(weight).max())
                * self.rng.standard_normal(weight.shape, np.float32)
                for weight in weights
            ]
        gradients, loss = self.gradients(self.inputs(images), labels, weights)
        rate = training.rate * (1 + math.cos(math.pi * self.iteration / total)) / 2
        self.iteration += 1
        step = rate * math.sqrt(1 - BETA2**self.iteration) / (1 - BETA1**self.iteration)
        for weight, gradient, mean, square in zip(
            self.weights, gradients, self._mean, self._square, strict=True
        ):
            mean += np.float32(1 - BETA1) * (gradient - mean)
            square += np.float32(1 - BETA2) * (gradient * gradient - square)
            weight -= np.float32(step) * mean / (np.sqrt(square) + np.float32(EPSILON))
        return loss

    def train_epoch(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
        """One pass in a random order; images beyond whole batches are left out; mean loss."""
        batch = min(self.config.training.batch, len(images))
        per_epoch = len(images) // batch
        order = self.rng.permutation(len(images))[: per_epoch * batch].reshape(per_epoch, batch)
        total = per_epoch * self.config.training.epochs
        losses = [self.train_batch(images[index], labels[index], total) for index in order]
        return float(np.mean(losses))

    # State

    def save(self) -> dict[str, NDArray[Any]]:
        """Plain arrays from which :meth:`load` goes on bit for bit."""
        arrays: dict[str, NDArray[Any]] = {"iteration": np.array(self.iteration)}
        for layer, weight in enumerate(self.weights):
            arrays[f"weight{layer}"] = weight
            arrays[f"mean{layer}"] = self._mean[layer]
            arrays[f"square{layer}"] = self._square[layer]
        arrays["rng"] = np.array(json.dumps(self.rng.bit_generator.state))
        return arrays

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Takes over what :meth:`save` gave, of the same configuration."""
        self.iteration = int(arrays["iteration"])
        for layer in range(len(self.weights)):
            self.weights[layer] = arrays[f"weight{layer}"].copy()
            self._mean[layer] = arrays[f"mean{layer}"].copy()
            self._square[layer] = arrays[f"square{layer}"].copy()
        self.rng.bit_generator.state = json.loads(str(arrays["rng"]))
