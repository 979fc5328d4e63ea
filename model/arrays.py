"""What a run draws from its seed: the crossbars, and the order of the images.

The trainer and the co-simulation both call these functions, so that the same configuration and
seed give the same devices, noise, pulses and images in both.
"""

import numpy as np
from numpy.typing import NDArray

from model.config import Config
from model.crossbar import Crossbar

__all__ = ["generators", "image_order", "new_arrays"]


def generators(config: Config, seed: int) -> list[np.random.Generator]:
    """The independent random generators of a run, children of ``default_rng(seed)``.

    One for the array of each layer, in order, and last one for the run itself (the order of the
    images). Each is a fresh object at its start.
    """
    return np.random.default_rng(seed).spawn(config.network.n_layers + 1)


def new_arrays(config: Config, seed: int) -> tuple[Crossbar, ...]:
    """The crossbars of all layers at device time 0, next to the input first.

    Raises
    ------
    ConfigError
        If the device model cannot be loaded.
    """
    *children, _ = generators(config, seed)
    return tuple(Crossbar(config, layer, rng) for layer, rng in enumerate(children))


def image_order(config: Config, seed: int, epoch: int, n_images: int) -> NDArray[np.int64]:
    """The order in which an epoch (0, 1, ...) presents the training images: a permutation, int64
    ``[n_images]``.

    A function of its arguments alone, so that a run can resume anywhere.
    """
    rng = generators(config, seed)[-1].spawn(epoch + 1)[epoch]
    return rng.permutation(n_images)
