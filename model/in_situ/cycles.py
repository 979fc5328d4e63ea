"""Cycle model of the in-situ learning unit: how long each phase of an image takes, exactly.

Cycle 0 of an image is the sequencer's LOAD state. Every constant is a contract with the component
that is named; the components' own constants are compared with these in the tests.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.in_situ.config import InSituConfig
from model.jit import njit

__all__ = [
    "ACCUMULATE_EMPTY",
    "ACCUMULATE_LATENCY",
    "ACTIVATION_LATENCY",
    "DECIDE_CYCLES",
    "HIDDEN_ERROR_LATENCY",
    "READ_OUT_LATENCY",
    "SOFTMAX_LATENCY",
    "SOFTMAX_PASSES",
    "WRITE_LATENCY",
    "WRITE_ROW_LATENCY",
    "Timing",
    "accumulate_cycles",
    "backward_cycles",
    "error_cycles",
    "forward_cycles",
    "timing",
    "write_row_cycles",
]

READ_OUT_LATENCY = 1
"""Read-out: from valid codes to the first word on its stream."""

ACTIVATION_LATENCY = 1
"""Activation unit: from a code word to its activation word."""

HIDDEN_ERROR_LATENCY = 1
"""From a backward code word of the second pass to the hidden error word."""

SOFTMAX_PASSES = 3
"""Softmax: times that every class passes through, one a cycle."""

SOFTMAX_LATENCY = 4
"""Softmax: cycles besides the passes."""

DECIDE_CYCLES = 1
"""Sequencer: looks whether an output error is left."""

ACCUMULATE_LATENCY = 4
"""Outer product: cycles of a layer besides its words."""

ACCUMULATE_EMPTY = 3
"""Outer product: cycles of a layer without a word."""

WRITE_LATENCY = 1
"""Write phase: cycles besides its rows."""

WRITE_ROW_LATENCY = 4
"""Write phase: cycles of a row besides its words and pulses."""


class Timing(NamedTuple):
    """Cycle counts that follow from the configuration."""

    mvm: int
    """Cycles of a product."""
    unit_words: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: words of a layer's units."""
    input_words: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: words of a layer's inputs."""
    n_classes: int
    """Classes."""
    set_pulse: int
    """Cycles of a SET pulse and its gap."""
    reset_pulse: int
    """Cycles of a RESET pulse and its gap."""


def timing(config: InSituConfig) -> Timing:
    """The timing constants of a configuration."""
    layers = range(config.network.n_layers)
    return Timing(
        mvm=config.array.mvm_cycles,
        unit_words=np.array([config.unit_words(k) for k in layers], dtype=np.int64),
        input_words=np.array([config.input_words(k) for k in layers], dtype=np.int64),
        n_classes=config.network.layers[-1],
        set_pulse=config.pulse.set_cycles + config.pulse.gap_cycles,
        reset_pulse=config.pulse.reset_cycles + config.pulse.gap_cycles,
    )


@njit
def forward_cycles(timing: Timing) -> int:
    """Cycles of LOAD and all forward products, up to the last code word in the softmax unit."""
    n_layers = timing.unit_words.shape[0]
    products = n_layers * (timing.mvm + READ_OUT_LATENCY) + timing.unit_words.sum()
    return 1 + products + (n_layers - 1) * ACTIVATION_LATENCY


@njit
def error_cycles(timing: Timing) -> int:
    """Cycles of softmax and output error, and of the decision what follows."""
    return SOFTMAX_PASSES * timing.n_classes + SOFTMAX_LATENCY + DECIDE_CYCLES


@njit
def backward_cycles(timing: Timing, layer: int) -> int:
    """Cycles of the two passes through a layer's array, and of the hidden errors below it."""
    words = timing.input_words[layer]
    return 2 * (timing.mvm + READ_OUT_LATENCY + words) + HIDDEN_ERROR_LATENCY


@njit
def accumulate_cycles(activations: int, error_words: int) -> int:
    """Cycles of a layer's outer product with these many non-zero activations and error words."""
    words = activations * error_words
    return words + ACCUMULATE_LATENCY if words > 0 else ACCUMULATE_EMPTY


@njit
def write_row_cycles(timing: Timing, layer: int, set_pulses: int, reset_pulses: int) -> int:
    """Cycles in which one input's pair of rows is updated and written."""
    return (
        timing.unit_words[layer]
        + WRITE_ROW_LATENCY
        + set_pulses * timing.set_pulse
        + reset_pulses * timing.reset_pulse
    )
