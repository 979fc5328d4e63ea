"""How images reach a network that is not as wide as they are."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.config import Config, ConfigError
from model.datasets import Dataset

__all__ = ["adapt", "grid", "resample"]

BOX = 20
"""Digits of MNIST were normalised to fit a box of 20 x 20 pixels, then centred in 28 x 28 by their
centre of mass. Source: the description that LeCun published with the set."""


def grid(n_inputs: int, side: int) -> tuple[int, int]:
    """Rows and columns of a picture of ``n_inputs`` pixels: nearest to a square, rows >= columns.

    Raises
    ------
    ConfigError
        If the rows would exceed ``side``, which a prime number above it makes them.
    """
    columns = max(k for k in range(1, math.isqrt(n_inputs) + 1) if n_inputs % k == 0)
    rows = n_inputs // columns
    if rows > side:
        raise ConfigError(
            f"network.layers[0] = {n_inputs} is no grid of at most {side} x {side} inputs, so "
            "images cannot be resampled to it."
        )
    return rows, columns


def _overlap(n_out: int, n_in: int) -> NDArray[np.int64]:
    """Length of pixel k inside output i, in units of 1/n_out pixel; int64 ``[n_out, n_in]``."""
    starts_out = np.arange(n_out)[:, None] * n_in
    starts_in = np.arange(n_in)[None, :] * n_out
    ends = np.minimum(starts_out + n_in, starts_in + n_out)
    return np.maximum(ends - np.maximum(starts_out, starts_in), 0)


def resample(images: NDArray[np.uint8], n_inputs: int) -> NDArray[np.uint8]:
    """Square images as pictures of ``n_inputs`` pixels: cropped, then averaged over areas.

    The picture is :func:`grid` of ``n_inputs``. The crop is the centre of 20 x 20 pixels, where the
    digits are, or as much more as the picture has rows. Each output is the mean over its share of
    the crop, fractional pixels by their area, in exact integers, rounded half up.

    Parameters
    ----------
    images
        uint8 ``[n, side**2]``, row by row.

    Returns
    -------
    uint8 ``[n, n_inputs]``, row by row.
    """
    side = math.isqrt(images.shape[1])
    if n_inputs == images.shape[1]:
        return images
    rows, columns = grid(n_inputs, side)
    crop = min(max(BOX, rows), side)
    first = (side - crop) // 2
    inner = slice(first, first + crop)
    down, across = _overlap(rows, crop), _overlap(columns, crop)
    area = crop * crop
    result = np.empty((len(images), n_inputs), np.uint8)
    # In pieces: whole MNIST as 64-bit integers would take 376 MB.
    for start in range(0, len(images), 1000):
        piece = images[start : start + 1000].reshape(-1, side, side)[:, inner, inner]
        sums = down @ piece.astype(np.int64) @ across.T
        means = (2 * sums + area) // (2 * area)
        result[start : start + 1000] = means.reshape(len(piece), n_inputs)
    return result


def adapt(config: Config, dataset: Dataset) -> Dataset:
    """The data set as the network of a configuration takes it; itself where it fits already.

    Images of another size are :func:`resample`-d. Where the network has fewer classes than the data
    set, class c counts as class ``c mod n_classes``, so that every image stays in use.

    Raises
    ------
    ConfigError
        If the network's inputs are no picture, see :func:`grid`.
    """
    n_inputs, n_classes = config.network.layers[0], config.network.layers[-1]
    train_labels, test_labels = dataset.train_labels, dataset.test_labels
    if n_classes <= max(int(train_labels.max()), int(test_labels.max())):
        train_labels, test_labels = (
            labels % np.uint8(n_classes) for labels in (train_labels, test_labels)
        )
    return replace(
        dataset,
        train_images=resample(dataset.train_images, n_inputs),
        train_labels=train_labels,
        test_images=resample(dataset.test_images, n_inputs),
        test_labels=test_labels,
    )
