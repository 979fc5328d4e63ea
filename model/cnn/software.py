"""The network in FP32: forward pass, gradients, Adam. The software baseline and the source of
weights."""

import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import CnnConfig
from model.jit import njit

__all__ = ["SoftwareCnn", "softmax"]

Floats = NDArray[np.float32]
Places = NDArray[np.int32]

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


class _Shape(NamedTuple):
    """One convolution and its pooling, as the compiled functions take it."""

    kernel: int
    stride: int
    pool: int
    rows: int
    """Rows before pooling."""
    cols: int
    """Columns before pooling."""


@njit
def _convolve(
    shape: _Shape, features: Floats, weight: Floats, pooled: Floats, places: Places
) -> None:
    """ReLU and max-pooling of one image's convolution.

    ``features``: ``[height, width, c]``; ``weight``: ``[c * k * k, outs]``; ``pooled``: ``[h, w,
    outs]``, written; ``places``: int32, the same shape, written: which pixel ``y * cols + x`` was
    the largest, the first of equal ones, or -1 where none is above 0.
    """
    outs = weight.shape[1]
    sums = np.empty(outs, np.float32)
    pooled[:] = 0
    places[:] = -1
    for y in range(shape.rows):
        for x in range(shape.cols):
            sums[:] = 0
            index = 0
            for channel in range(features.shape[2]):
                for ky in range(shape.kernel):
                    for kx in range(shape.kernel):
                        value = features[y * shape.stride + ky, x * shape.stride + kx, channel]
                        if value != 0:
                            for out in range(outs):
                                sums[out] += value * weight[index, out]
                        index += 1
            for out in range(outs):
                if sums[out] > pooled[y // shape.pool, x // shape.pool, out]:
                    pooled[y // shape.pool, x // shape.pool, out] = sums[out]
                    places[y // shape.pool, x // shape.pool, out] = y * shape.cols + x


@njit
def _convolve_sums(shape: _Shape, features: Floats, weight: Floats, sums: Floats) -> None:
    """Sums of all patches of a batch, before ReLU and pooling: ``[n, rows, cols, outs]``."""
    sums[:] = 0
    for image in range(features.shape[0]):
        for y in range(shape.rows):
            for x in range(shape.cols):
                index = 0
                for channel in range(features.shape[3]):
                    for ky in range(shape.kernel):
                        for kx in range(shape.kernel):
                            top, left = y * shape.stride + ky, x * shape.stride + kx
                            value = features[image, top, left, channel]
                            for out in range(weight.shape[1]):
                                sums[image, y, x, out] += value * weight[index, out]
                            index += 1


@njit
def _convolve_back(
    shape: _Shape,
    features: Floats,
    weight: Floats,
    places: Places,
    delta: Floats,
    gradient: Floats,
    back: Floats,
) -> None:
    """Adds one image's gradients: to ``gradient`` of the weights, to ``back`` of the input map.

    ``delta``: ``[h, w, outs]``, of the pooled outputs. Only the largest pixel of a window counts.
    ``back`` may be empty: then nobody asks for it.
    """
    for row in range(places.shape[0]):
        for col in range(places.shape[1]):
            for out in range(places.shape[2]):
                place, slope = places[row, col, out], delta[row, col, out]
                if place < 0 or slope == 0:
                    continue
                top, left = place // shape.cols * shape.stride, place % shape.cols * shape.stride
                index = 0
                for channel in range(features.shape[2]):
                    for ky in range(shape.kernel):
                        for kx in range(shape.kernel):
                            value = features[top + ky, left + kx, channel]
                            gradient[index, out] += slope * value
                            if back.size:
                                back[top + ky, left + kx, channel] += slope * weight[index, out]
                            index += 1


@njit
def _convolve_images(
    shape: _Shape, features: Floats, weight: Floats, pooled: Floats, places: Places
) -> None:
    for image in range(features.shape[0]):
        _convolve(shape, features[image], weight, pooled[image], places[image])


@njit
def _convolve_images_back(
    shape: _Shape,
    features: Floats,
    weight: Floats,
    places: Places,
    delta: Floats,
    gradient: Floats,
    back: Floats,
) -> None:
    for image in range(features.shape[0]):
        _convolve_back(
            shape,
            features[image],
            weight,
            places[image],
            delta[image],
            gradient,
            back[image],
        )


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

    def _shape(self, layer: int) -> _Shape:
        network = self.config.network
        rows, cols, _ = self.config.conv_shape(layer)
        return _Shape(
            network.kernels[layer], network.strides[layer], network.pools[layer], rows, cols
        )

    def _forward(self, inputs: Floats, weights: list[Floats]) -> tuple[list[Floats], list[Places]]:
        maps, places = [inputs], []
        for layer, weight in enumerate(weights[:-1]):
            shape = (len(inputs), *self.config.out_shape(layer))
            pooled, largest = np.empty(shape, np.float32), np.empty(shape, np.int32)
            _convolve_images(self._shape(layer), maps[-1], weight, pooled, largest)
            maps.append(pooled)
            places.append(largest)
        return maps, places

    def sums(self, layer: int, features: Floats) -> Floats:
        """A convolution before ReLU and pooling: ``[n, rows, cols, outs]`` of ``[n, h, w, c]``."""
        sums = np.empty((len(features), *self.config.conv_shape(layer)), np.float32)
        _convolve_sums(self._shape(layer), features, self.weights[layer], sums)
        return sums

    def pooled(self, layer: int, features: Floats) -> Floats:
        """A convolution after ReLU and pooling: ``[n, h, w, outs]``."""
        shape = (len(features), *self.config.out_shape(layer))
        pooled = np.empty(shape, np.float32)
        _convolve_images(
            self._shape(layer), features, self.weights[layer], pooled, np.empty(shape, np.int32)
        )
        return pooled

    def logits(self, inputs: Floats, weights: list[Floats] | None = None) -> Floats:
        """float32 ``[n, classes]`` of :meth:`inputs`; other weights may be given."""
        weights = self.weights if weights is None else weights
        features = self._forward(inputs, weights)[0][-1]
        return np.asarray(features.reshape(len(inputs), -1) @ weights[-1])

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
        n = len(inputs)
        maps, places = self._forward(inputs, weights)
        flat = maps[-1].reshape(n, -1)
        chances = softmax(flat @ weights[-1]).astype(np.float32)
        loss = -float(np.mean(np.log(chances[np.arange(n), labels] + 1e-12)))
        delta = chances / np.float32(n)
        delta[np.arange(n), labels] -= np.float32(1 / n)
        result: list[Floats] = [np.asarray(flat.T @ delta)]
        back: Floats = np.ascontiguousarray(delta @ weights[-1].T, np.float32).reshape(
            maps[-1].shape
        )
        for layer in range(len(weights) - 2, -1, -1):
            gradient: Floats = np.zeros(weights[layer].shape, np.float32)
            # The image itself needs no gradient: an empty map an image says so.
            shape = maps[layer].shape if layer else (n, 0, 0, 0)
            below: Floats = np.zeros(shape, np.float32)
            _convolve_images_back(
                self._shape(layer),
                maps[layer],
                weights[layer],
                places[layer],
                back,
                gradient,
                below,
            )
            result.append(gradient)
            back = below
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
        """Takes over what :meth:`save` gave, of the same configuration.

        Raises
        ------
        KeyError, ValueError
            If an array is missing or has another shape or type.
        """
        for layer, weight in enumerate(self.weights):
            for name in ("weight", "mean", "square"):
                saved = arrays[f"{name}{layer}"]
                if saved.shape != weight.shape or saved.dtype != weight.dtype:
                    raise ValueError(f"{name}{layer} does not fit its layer")
        self.iteration = int(arrays["iteration"])
        for layer in range(len(self.weights)):
            self.weights[layer] = arrays[f"weight{layer}"].copy()
            self._mean[layer] = arrays[f"mean{layer}"].copy()
            self._square[layer] = arrays[f"square{layer}"].copy()
        self.rng.bit_generator.state = json.loads(str(arrays["rng"]))
