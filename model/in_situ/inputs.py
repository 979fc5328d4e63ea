"""How images reach the network: the central square, then bicubic interpolation to its grid."""

import functools
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.datasets import Dataset
from model.in_situ.config import InSituConfig
from model.settings import ConfigError, require

__all__ = ["adapt", "bicubic_weights", "resample"]

WEIGHT_BITS = 12
"""Fraction bits of an interpolation weight: whole images in exact integers, equal everywhere."""

CUBIC = -0.5
"""Parameter a of the cubic convolution kernel. Source: Keys, IEEE Trans. ASSP 29 (1981), the value
of third-order accuracy, the common default."""


def _kernel(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution kernel, zero from 2 on."""
    x = np.abs(x)
    near = (CUBIC + 2) * x**3 - (CUBIC + 3) * x**2 + 1
    far = CUBIC * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def bicubic_weights(n_out: int, n_in: int) -> NDArray[np.int64]:
    """Weight of pixel k in output i, in units of 2**-12; int64 ``[n_out, n_in]``, rows sum to
    4096.

    Where the picture shrinks, the kernel is as much wider (anti-aliasing); pixels beyond an edge
    repeat mirrored.
    """
    if n_out == n_in:
        return np.eye(n_in, dtype=np.int64) << WEIGHT_BITS
    stretch = max(n_in / n_out, 1.0)
    centres = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    positions = np.arange(-n_in, 2 * n_in)
    raw = _kernel((centres[:, None] - positions[None, :]) / stretch)
    mirrored = np.concatenate([np.arange(n_in)[::-1], np.arange(n_in), np.arange(n_in)[::-1]])
    weights = np.zeros((n_out, n_in))
    for pixel, column in zip(mirrored, raw.T, strict=True):
        weights[:, pixel] += column
    weights /= weights.sum(axis=1, keepdims=True)
    whole = np.rint(weights * 2**WEIGHT_BITS).astype(np.int64)
    # The largest weight takes what rounding left, so that a uniform image stays as it is.
    whole[np.arange(n_out), whole.argmax(axis=1)] += 2**WEIGHT_BITS - whole.sum(axis=1)
    return whole


def resample(images: NDArray[np.uint8], n_inputs: int, crop: int) -> NDArray[np.uint8]:
    """Square images as squares of ``n_inputs`` pixels: cropped, then interpolated.

    Rounded half up and clipped to 0..255, from exact integers. A crop of the wanted size is taken
    as it is.

    Parameters
    ----------
    images
        uint8 ``[n, side**2]``, row by row.
    n_inputs
        Pixels wanted.
    crop
        Side of the central square that is used.

    Returns
    -------
    uint8 ``[n, n_inputs]``, row by row.

    Raises
    ------
    ConfigError
        If ``n_inputs`` is no square or the crop is larger than the image.
    """
    side, wanted = math.isqrt(images.shape[1]), math.isqrt(n_inputs)
    if wanted * wanted != n_inputs:
        raise ConfigError(f"network.layers[0] = {n_inputs} must be the pixels of a square image.")
    if crop > side:
        raise ConfigError(f"training.crop = {crop} is more than the images' side of {side} pixels.")
    first = (side - crop) // 2
    inner = slice(first, first + crop)
    weights = bicubic_weights(wanted, crop)
    half = 1 << (2 * WEIGHT_BITS - 1)
    result = np.empty((len(images), n_inputs), np.uint8)
    # In pieces: whole MNIST as 64-bit integers would take 376 MB.
    for start in range(0, len(images), 1000):
        piece = images[start : start + 1000].reshape(-1, side, side)[:, inner, inner]
        sums = weights @ piece.astype(np.int64) @ weights.T
        values = np.clip((sums + half) >> (2 * WEIGHT_BITS), 0, 255)
        result[start : start + 1000] = values.reshape(len(piece), n_inputs)
    return result


def adapt(config: InSituConfig, dataset: Dataset) -> Dataset:
    """The data set as the network of a configuration takes it.

    Images are :func:`resample`-d. Where the network has fewer classes than the data set, class c
    counts as class ``c mod n_classes``, so that every image stays in use. With
    ``training.held_out`` the last training images become the test set.

    Raises
    ------
    ConfigError
        If the images cannot be brought to the network's size, or none is left to train on.
    """
    network, training = config.network, config.training
    return _adapt(dataset, network.layers[0], network.layers[-1], training.crop, training.held_out)


# Runs of a study follow one another in a process and have the same images.
@functools.lru_cache(maxsize=2)
def _adapt(dataset: Dataset, n_inputs: int, n_classes: int, crop: int, held_out: int) -> Dataset:
    if held_out:
        n_train = len(dataset.train_labels) - held_out
        require(
            n_train > 0,
            f"training.held_out = {held_out} leaves none of {len(dataset.train_labels)} images.",
        )
        images, labels = dataset.train_images, dataset.train_labels
        dataset = replace(
            dataset,
            train_images=images[:n_train],
            train_labels=labels[:n_train],
            test_images=images[n_train:],
            test_labels=labels[n_train:],
        )
    train_labels, test_labels = dataset.train_labels, dataset.test_labels
    if n_classes <= max(int(train_labels.max()), int(test_labels.max())):
        train_labels, test_labels = (
            labels % np.uint8(n_classes) for labels in (train_labels, test_labels)
        )
    return replace(
        dataset,
        train_images=resample(dataset.train_images, n_inputs, crop),
        train_labels=train_labels,
        test_images=resample(dataset.test_images, n_inputs, crop),
        test_labels=test_labels,
    )
