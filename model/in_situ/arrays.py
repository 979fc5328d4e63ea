"""What a run draws from its seed: the arrays, and the order of the images.

The trainer and the co-simulation both call these functions, so that the same configuration and
seed give the same devices, pulses and images in both.
"""

import numpy as np
from numpy.typing import NDArray

from model.in_situ.array import OneTransistorArray
from model.in_situ.config import InSituConfig

__all__ = ["generators", "image_order", "new_arrays"]


def generators(config: InSituConfig, seed: int) -> list[np.random.Generator]:
    """The independent random generators of a run, children of ``default_rng(seed)``.

    One for the array of each layer, in order, and last one for the run itself (the order of the
    images). Each is a fresh object at its start.
    """
    return np.random.default_rng(seed).spawn(config.network.n_layers + 1)


def new_arrays(config: InSituConfig, seed: int) -> tuple[OneTransistorArray, ...]:
    """The arrays of all layers before training, next to the input first.

    Raises
    ------
    ConfigError
        If the map of stuck devices cannot be read.
    """
    *children, _ = generators(config, seed)
    return tuple(OneTransistorArray(config, layer, rng) for layer, rng in enumerate(children))


def image_order(config: InSituConfig, seed: int, epoch: int, n_images: int) -> NDArray[np.int64]:
    """The order in which an epoch (0, 1, ...) presents the training images: a permutation, int64
    ``[n_images]``.

    A function of its arguments alone, so that a run can resume anywhere.
    """
    rng = generators(config, seed)[-1].spawn(epoch + 1)[epoch]
    return rng.permutation(n_images)
