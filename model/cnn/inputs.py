"""How a data set's square pictures become images of a configuration."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import CnnConfig
from model.datasets import Dataset

__all__ = ["adapt"]


def _resample(images: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Pictures uint8 ``[n, side, side]`` averaged over areas: ``[n, height, width]``, rounded half
    up.

    Each output is the mean over the pixels that its area touches, ``floor(k side / height)`` to
    ``ceil((k + 1) side / height)``.
    """
    side = images.shape[1]
    if (height, width) == (side, side):
        return images
    result = np.empty((len(images), height, width), np.uint8)
    for y in range(height):
        top, bottom = y * side // height, -(-(y + 1) * side // height)
        for x in range(width):
            left, right = x * side // width, -(-(x + 1) * side // width)
            window = images[:, top:bottom, left:right].astype(np.int64)
            area = window.shape[1] * window.shape[2]
            result[:, y, x] = (2 * window.sum(axis=(1, 2)) + area) // (2 * area)
    return result


def adapt(config: CnnConfig, dataset: Dataset) -> Dataset:
    """The data set as the network takes it; itself where it fits already.

    Pictures are resampled to the image's size; every channel gets the same picture. Where the
    network has fewer classes than the data set, class c counts as class ``c mod classes``.
    """
    network = config.network
    pixels = network.height * network.width * network.channels
    train_labels, test_labels = dataset.train_labels, dataset.test_labels
    if network.classes <= max(int(train_labels.max()), int(test_labels.max())):
        train_labels, test_labels = (
            labels % np.uint8(network.classes) for labels in (train_labels, test_labels)
        )
    parts = []
    for images in (dataset.train_images, dataset.test_images):
        if images.shape[1] != pixels or network.channels > 1:
            side = math.isqrt(images.shape[1])
            small = _resample(images.reshape(-1, side, side), network.height, network.width)
            images = np.repeat(small.reshape(len(images), -1, 1), network.channels, axis=2)
            images = images.reshape(len(images), pixels)
        parts.append(images)
    return replace(
        dataset,
        train_images=parts[0],
        train_labels=train_labels,
        test_images=parts[1],
        test_labels=test_labels,
    )
