"""Cycles of a training engine's phases, exactly; a direct update's follow from the
configuration."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.cycles import (
    ACTIVATION_LATENCY,
    ERROR_LATENCY,
    HIDDEN_OPERANDS_LATENCY,
    SCALED_WORD_LATENCY,
)
from model.engine.config import EngineConfig
from model.jit import njit
from model.update_timing import CHI_LATENCY, EMPTY_CYCLES, FIRST_WORD

__all__ = [
    "DROPPED_CYCLES",
    "GATHER_LATENCY",
    "HIDDEN_LATENCY",
    "MAC_LATENCY",
    "SEND_LATENCY",
    "STEPS_FIRST_WORD",
    "STEP_CYCLES",
    "Timing",
    "chi_update_cycles",
    "direct_update_cycles",
    "timing",
]

MAC_LATENCY = 4
"""MacArray: from a command to the sum of its first word."""

GATHER_LATENCY = 1
"""CodeGather: from a word's last sum to the word."""

HIDDEN_LATENCY = 2
"""HiddenErrors: from backward sums to errors."""

STEPS_FIRST_WORD = 4
"""OuterSteps: from a command to the first step word."""

STEP_CYCLES = 2
"""MacArray: cycles of a step, reading and writing."""

SEND_LATENCY = 2
"""Quantiser: from leave to send to the first scaled word."""

DROPPED_CYCLES = 2
"""EngineSequencer: cycles of an update below one chi LSB, which is not begun."""


class Timing(NamedTuple):
    """Cycle counts that follow from the configuration."""

    words: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: weight words of a layer, so of its forward product."""
    back_words: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: of its backward product, without the bias where that has a word."""
    load: int
    """Cycles of taking an image."""
    forward: int
    """Cycles of a layer's forward phase besides its words."""
    error: int
    """Cycles of the output error."""
    backward: int
    """Cycles of a backward product and its hidden errors, besides its words."""
    scaled: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: cycles of sending a layer's hidden errors."""
    step: int
    """Cycles of a step of a direct update."""


def timing(config: EngineConfig) -> Timing:
    """The cycle counts of a configuration."""
    network = config.network
    layers = range(network.n_layers)
    words = [network.n_cols(k) * config.n_words(k) for k in layers]
    back_words = [network.n_cols(k) * config.unit_words(k - 1) if k else 0 for k in layers]
    n_units = network.n_cols(network.n_layers - 1)
    if config.is_chi:
        error = ERROR_LATENCY + SCALED_WORD_LATENCY + -(-n_units // config.lanes) - 1
        backward = MAC_LATENCY + HIDDEN_OPERANDS_LATENCY + ERROR_LATENCY
        backward += SCALED_WORD_LATENCY - SEND_LATENCY
        scaled = [SEND_LATENCY + config.unit_words(k) for k in layers]
    else:
        error = ERROR_LATENCY
        backward = MAC_LATENCY + HIDDEN_LATENCY
        scaled = [1 for _ in layers]
    return Timing(
        words=np.array(words),
        back_words=np.array(back_words),
        load=-(-network.layers[0] // config.lanes),
        forward=MAC_LATENCY + GATHER_LATENCY + ACTIVATION_LATENCY,
        error=error,
        backward=backward,
        scaled=np.array(scaled),
        step=2 if config.single_port else 1,
    )


@njit
def direct_update_cycles(timing: Timing, layer: int) -> int:
    """Cycles of a direct update: the first step, the others, the last one's writing back."""
    return STEPS_FIRST_WORD + timing.step * (timing.words[layer] - 1) + STEP_CYCLES + 1


@njit
def chi_update_cycles(words: int, last: int) -> int:
    """Cycles of a chi update of so many words, of which word number ``last`` (1 for the first, 0
    for none) was the last to step weights."""
    if words == 0:
        return EMPTY_CYCLES + 2
    idle = FIRST_WORD + words - 1 + CHI_LATENCY
    if last == 0:
        return idle + 1
    return max(idle, FIRST_WORD + last - 1 + CHI_LATENCY + STEP_CYCLES) + 1
