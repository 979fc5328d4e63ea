"""From FP32 weights to 15 levels, and from levels to target conductances.

A level is an integer -7..7; it stands for ``level * clip / 7`` of weight, and for a difference of
``level * 2.5`` uS. The idle device of a pair stays at 2.5 uS: ``g+ = 2.5 (1 + max(level, 0))``,
``g- = 2.5 (1 + max(-level, 0))``. The paper does not say which of several pairs it uses.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import ClipPolicy, CnnConfig, RramConfig

__all__ = ["LayerWeights", "find_clip", "quantise_layer", "split_targets", "to_levels"]

Floats = NDArray[np.float32]

CANDIDATES = 60
"""Clips that are tried, evenly spaced up to the largest weight."""


def to_levels(weights: Floats, clips: NDArray[np.float64], level_max: int) -> NDArray[np.int8]:
    """``round(weights / clips * level_max)``, half to even, saturated; ``clips`` along the last
    axis."""
    scaled = np.rint(weights / clips * level_max)
    return np.clip(scaled, -level_max, level_max).astype(np.int8)


def find_clip(weights: Floats, policy: ClipPolicy, device: RramConfig) -> float:
    """The weight of the largest level for a set of weights.

    ``maximum``: the largest magnitude. ``mse``: the clip with the least ``mean((w - level * clip /
    7)**2) + (sigma * clip / 7)**2``, sigma being the error of a written difference in levels,
    ``sqrt(2) write_sigma_us / level_us``: a small clip saturates, a large one spends the window on
    rare weights and makes the others noisy.
    """
    largest = float(np.abs(weights).max())
    if largest == 0:
        return 1.0
    if policy is ClipPolicy.MAXIMUM:
        return largest
    noise = math.sqrt(2) * device.write_sigma_us / device.level_us / device.level_max

    def error(clip: float) -> float:
        levels = to_levels(weights, np.array(clip), device.level_max)
        difference = weights - levels * np.float32(clip / device.level_max)
        return float(np.mean(difference**2)) + (noise * clip) ** 2

    clips = [largest * (k + 1) / CANDIDATES for k in range(CANDIDATES)]
    return min(clips, key=error)


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One layer, quantised."""

    levels: NDArray[np.int8]
    """int8 ``[inputs, outs]``."""
    clips: NDArray[np.float64]
    """Weight of the largest level for each output, float64 ``[outs]``."""
    level_max: int
    """Largest level."""

    @property
    def weights(self) -> Floats:
        """The weights that the levels stand for."""
        return (self.levels * (self.clips / self.level_max)).astype(np.float32)


def quantise_layer(config: CnnConfig, layer: int, weights: Floats) -> LayerWeights:
    """Quantises a layer's weights ``[inputs, outs]`` as ``config.quantisation`` says."""
    quantisation, device = config.quantisation, config.device
    if quantisation.per_output and layer < config.n_conv:
        clips = [
            find_clip(weights[:, out], quantisation.clip, device) for out in range(weights.shape[1])
        ]
    else:
        clips = [find_clip(weights, quantisation.clip, device)] * weights.shape[1]
    levels = to_levels(weights, np.array(clips), device.level_max)
    return LayerWeights(levels, np.array(clips), device.level_max)


def split_targets(
    config: CnnConfig, layer: int, differences_us: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Target conductances in uS of differences ``[inputs, outs]``: ``[chunks, inputs, lines]``.

    The idle device of a pair, and every device of an unused input, is at ``level_us``; targets end
    at the highest level.
    """
    device = config.device
    chunks, inputs, outs = config.chunks(layer), config.chunk_inputs(layer), config.outs(layer)
    padded = np.zeros((chunks * inputs, outs))
    padded[: len(differences_us)] = differences_us
    span = device.level_us * device.level_max
    targets = np.full((chunks, inputs, 2 * outs), device.level_us)
    by_chunk = padded.reshape(chunks, inputs, outs)
    targets[..., 0::2] += np.clip(by_chunk, 0, span)
    targets[..., 1::2] += np.clip(-by_chunk, 0, span)
    return targets
