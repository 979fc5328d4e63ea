"""The two named modes: what the paper did, and what is best on the same devices."""

import enum
from dataclasses import replace

from model.cnn.config import ClipPolicy, CnnConfig

__all__ = ["Mode", "in_mode", "with_replicas"]


class Mode(enum.StrEnum):
    """How a network is trained, quantised and calibrated."""

    #: The paper's choices, where it states them.
    PAPER = "paper"
    #: The configuration's own: better quantisation and calibration.
    BEST = "best"


PAPER_EPOCHS = 3
"""Epochs of FP32 training, not published: the two stages in software, FP32 and 15 levels, then end
nearest to the published ones (docs/cnn/training.md)."""

PAPER_ITERATIONS = 550
"""Batches of hybrid training with one convolver: one epoch of 55,000 images."""

PAPER_ROUNDS = 100
"""Rounds of hybrid training with several, a batch for each replica."""


def in_mode(config: CnnConfig, mode: Mode) -> CnnConfig:
    """The configuration in a mode; ``best`` is the configuration itself.

    ``paper``: plain training that ends at about the paper's accuracy in software; a layer's largest
    weight is its largest level; requantisation from the clips alone; 550 batches of hybrid
    training, or 100 rounds with several replicas. The learning rates are not published. The name
    says so.
    """
    if mode is Mode.BEST:
        return config
    n = config.replicas.n
    return replace(
        config,
        name=f"{config.name}_paper",
        quantisation=replace(
            config.quantisation,
            clip=ClipPolicy.MAXIMUM,
            per_output=False,
            calibrate_offsets=False,
        ),
        training=replace(
            config.training,
            epochs=min(config.training.epochs, PAPER_EPOCHS),
            rate=0.004,
            weight_noise=0.0,
            hybrid_iterations=PAPER_ITERATIONS if n == 1 else PAPER_ROUNDS * n,
            hybrid_rate_us=0.6,
        ),
    )


def with_replicas(config: CnnConfig, n: int) -> CnnConfig:
    """The configuration with ``n`` replicas of the convolver, and a name that says so.

    Raises
    ------
    ConfigError
        If a replica would have no rows.
    """
    if n == config.replicas.n:
        return config
    return replace(config, name=f"{config.name}_x{n}", replicas=replace(config.replicas, n=n))
