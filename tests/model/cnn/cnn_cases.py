"""Small networks and units with random contents, for tests of the convolutional model."""

from dataclasses import replace

import numpy as np

from model.cnn.config import (
    CnnArrayConfig,
    CnnConfig,
    CnnNetworkConfig,
    ReplicaConfig,
    ReplicaMode,
)
from model.cnn.convolver import Requantisation
from model.cnn.inference_unit import InferenceUnit
from model.configurations import tiny_cnn, yao_cnn

__all__ = ["NETWORKS", "random_images", "random_unit", "with_replicas"]

NETWORKS = {
    "tiny": tiny_cnn,
    "yao": yao_cnn,
    # Wide kernels (16 inputs), stride 2, no pooling, one class chunk that is not full.
    "wide": CnnConfig(
        name="wide",
        network=CnnNetworkConfig(
            height=11,
            width=9,
            channels=2,
            kernels=(4, 1),
            outputs=(4, 3),
            strides=(2, 1),
            pools=(1, 2),
            classes=3,
        ),
    ),
    # Nine or more inputs in two words, 6-bit converters, stride beyond the kernel.
    "coarse": CnnConfig(
        name="coarse",
        network=CnnNetworkConfig(
            height=8,
            width=10,
            channels=3,
            kernels=(2,),
            outputs=(5,),
            strides=(3,),
            pools=(2,),
            classes=2,
        ),
        array=CnnArrayConfig(n_inputs=7, n_lines=20, adc_bits=6, conversion_cycles=2),
    ),
}
"""Configurations by name."""


def with_replicas(config: CnnConfig, n: int, mode: str = "bands") -> CnnConfig:
    """The configuration with replicas."""
    return replace(config, replicas=ReplicaConfig(n=n, mode=ReplicaMode(mode)))


def random_images(config: CnnConfig, n: int, seed: int) -> np.ndarray:
    """Images uint8 ``[n, pixels]``, two thirds of the pixels dark."""
    network = config.network
    shape = (n, network.height * network.width * network.channels)
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, shape) * (rng.random(shape) < 1 / 3)).astype(np.uint8)


def random_unit(config: CnnConfig, seed: int) -> InferenceUnit:
    """A unit with random conductances, ADCs that sometimes saturate, random requantisation."""
    rng = np.random.default_rng(seed)
    unit = InferenceUnit(config, rng)
    for arrays in unit.arrays:
        arrays.conductance_us[:] = rng.uniform(0.5, 20, arrays.conductance_us.shape)
        arrays.lsb //= 3
        arrays.refresh()
    for replica in unit.requantisations:
        for layer in range(config.n_conv):
            outs = config.outs(layer)
            replica[layer] = Requantisation(
                rng.integers(-500, 2500, outs).astype(np.int32),
                rng.integers(100, 256, outs).astype(np.int32),
                14 if config.array.adc_bits == 8 else 11,
            )
    return unit
