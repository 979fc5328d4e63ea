"""Cycle model: how long each phase of an image takes in the gateware, exactly.

Cycle 0 of a layer is its start strobe; a phase lasts from there to the cycle of its last event,
both included, and the next layer starts in the cycle after. The latencies are contracts with the
components that are named; their tests compare them. The whole follows from the configuration: the
data change nothing, but for the pulses of a write.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import INPUT_BITS, Band, CnnConfig, ReplicaMode
from model.cnn.line_buffer import pixels_needed
from model.cnn.write_verify import WriteResult

__all__ = [
    "ARGMAX_LATENCY",
    "FEED_LATENCY",
    "GATHER_LATENCY",
    "POOL_LATENCY",
    "PRODUCT_LATENCY",
    "REQUANTISE_LATENCY",
    "WRITE_ITERATION",
    "ImageCycles",
    "convolution_cycles",
    "fully_connected_cycles",
    "image_cycles",
    "images_per_second",
    "patch_cycles",
    "product_seconds",
    "write_cycles",
]

FEED_LATENCY = 1
"""Feature reader: from the start of a layer to the first pixel's transfer."""

PRODUCT_LATENCY = 1
"""Product engine: from the last conversion to the word of sums."""

REQUANTISE_LATENCY = 3
"""Requantiser: from the word of sums to the pixel, besides one cycle an output."""

POOL_LATENCY = 1
"""Pooling: from the last pixel of a window to the pooled pixel."""

GATHER_LATENCY = 1
"""Gathering: from a pooled pixel to its writing, unless another replica's comes first."""

ARGMAX_LATENCY = 1
"""Classifier: from the word of sums to the class, besides one cycle a class."""

WRITE_ITERATION = 1
"""Write-verify: deciding, after each verify read."""


def product_seconds(config: CnnConfig) -> float:
    """Time of the bit-serial product of one chunk: 8 phases, the filling of the pipeline left
    out."""
    return INPUT_BITS * config.array.phase_s


def patch_cycles(config: CnnConfig, layer: int, band: Band) -> NDArray[np.int64]:
    """The cycle in which each patch of a band goes from the line buffer to the product engine.

    A patch is valid in the cycle after its last pixel's transfer, one pixel a cycle; a waiting
    patch holds the pixels back. The product engine takes one every ``product_cycles``.
    """
    needs = pixels_needed(
        band.conv_rows,
        config.in_shape(layer)[1],
        config.network.kernels[layer],
        config.network.strides[layer],
    )
    every = np.maximum(needs[1:], config.product_cycles(layer))
    return np.cumsum(np.concatenate(([FEED_LATENCY + needs[0]], every)))


def _result_latency(config: CnnConfig, layer: int) -> int:
    """From the transfer of a patch to the word of its sums."""
    phases = INPUT_BITS * config.steps(layer) + 1  # the last phase is converted in one more
    return phases * config.array.phase_cycles + PRODUCT_LATENCY


def convolution_cycles(config: CnnConfig, layer: int) -> int:
    """Cycles of a convolution, all replicas at once, until the last pooled word is written.

    Words of several replicas are written one a cycle, so bands that end together queue up. In mode
    ``images`` every replica writes its own copy and none waits.
    """
    latency = (
        _result_latency(config, layer)
        + config.outs(layer)
        + REQUANTISE_LATENCY
        + POOL_LATENCY
        + GATHER_LATENCY
    )
    done = -1
    for last in sorted(int(patch_cycles(config, layer, band)[-1]) for band in config.bands(layer)):
        done = max(done + 1, last + latency)
    return done + 1


def fully_connected_cycles(config: CnnConfig) -> int:
    """Cycles of the fully connected layer for one image, until its class is known."""
    layer = config.n_conv
    return _result_latency(config, layer) + config.outs(layer) + ARGMAX_LATENCY + 1


@dataclass(frozen=True)
class ImageCycles:
    """Cycles of one image, or in mode ``images`` of a group of them."""

    convolutions: tuple[int, ...]
    """Cycles of each convolution."""
    fully_connected: int
    """Cycles of the fully connected layer, over all images of the group."""
    images: int
    """Images of the group."""

    @property
    def total(self) -> int:
        """Cycles of the group; loading the next hides behind them."""
        return sum(self.convolutions) + self.fully_connected


def image_cycles(config: CnnConfig, images: int | None = None) -> ImageCycles:
    """Cycles of one image or of a group of up to ``replicas.n``, by default a full one."""
    full = config.replicas.n if config.replicas.mode is ReplicaMode.IMAGES else 1
    n = full if images is None else images
    return ImageCycles(
        convolutions=tuple(convolution_cycles(config, layer) for layer in range(config.n_conv)),
        fully_connected=n * fully_connected_cycles(config),
        images=n,
    )


def images_per_second(config: CnnConfig) -> float:
    """Images a second at the clock that the phase asks for."""
    cycles = image_cycles(config)
    return cycles.images / (cycles.total * config.clock_period_s)


def write_cycles(config: CnnConfig, result: WriteResult) -> int:
    """Cycles of the loop of one row's write: reads, decisions, pulses.

    A verify read is one phase and one of conversion; what it decides depends on it, so nothing
    overlaps.
    """
    write = config.write
    return (
        result.iterations * (2 * config.array.phase_cycles + WRITE_ITERATION)
        + result.set_pulses * (write.set_cycles + write.gap_cycles)
        + result.reset_pulses * (write.reset_cycles + write.gap_cycles)
    )
