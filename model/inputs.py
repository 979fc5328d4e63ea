"""How images reach a network: cut to its width, and in the order of the host's strips."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.config import Config, ConfigError
from model.datasets import Dataset

__all__ = ["adapt", "grid", "resample", "strip_order"]

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


def strip_order(rows: int, columns: int, strip_columns: int) -> NDArray[np.int64]:
    """Where each input of the network lies in a picture: int64 ``[rows * columns]``, a permutation.

    Vertical strips of ``strip_columns`` columns from left to right, the last one narrower where
    they do not divide the picture; each row by row. 0 takes the whole picture as one strip.
    """
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.lexsort((column, row, column // (strip_columns or columns)))


def adapt(config: Config, dataset: Dataset) -> Dataset:
    """The data set as the network of a configuration takes it; itself where it fits already.

    Images of another size are :func:`resample`-d; all are sent in the :func:`strip_order` of
    ``update.strip_columns``. Where the network has fewer classes than the data set, class c counts
    as class ``c mod n_classes``, so that every image stays in use.

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
    train_images, test_images = (
        _in_strips(resample(images, n_inputs), config.update.strip_columns)
        for images in (dataset.train_images, dataset.test_images)
    )
    return replace(
        dataset,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _in_strips(images: NDArray[np.uint8], strip_columns: int) -> NDArray[np.uint8]:
    if strip_columns == 0:
        return images
    n_inputs = images.shape[1]
    rows, columns = grid(n_inputs, n_inputs)
    return np.ascontiguousarray(images[:, strip_order(rows, columns, strip_columns)])
