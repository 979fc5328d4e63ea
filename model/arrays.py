"""The crossbars of a system, made from one seed the same way wherever they are needed."""

import numpy as np

from model.config import Config
from model.crossbar import Crossbar

__all__ = ["generators", "new_arrays"]


def generators(config: Config, seed: int) -> list[np.random.Generator]:
    """The independent random generators of a run, children of ``default_rng(seed)``.

    One for the array of each layer, in order, and last one for the run itself (the order of the
    images). Each is a fresh object at its start.
    """
    return np.random.default_rng(seed).spawn(config.network.n_layers + 1)


def new_arrays(config: Config, seed: int) -> tuple[Crossbar, ...]:
    """The crossbars of all layers at device time 0, next to the input first.

    The trainer and the co-simulation both call this, so that the same configuration and seed give
    the same devices, noise and pulses in both.

    Raises
    ------
    ConfigError
        If the device model cannot be loaded.
    """
    *children, _ = generators(config, seed)
    return tuple(Crossbar(config, layer, rng) for layer, rng in enumerate(children))
