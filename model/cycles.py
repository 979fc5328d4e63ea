"""Cycle model: how long each phase of an image takes in the gateware, exactly.

Cycle 0 of an image is the sequencer's LOAD state. Every latency below is a contract with the
component that is named; the components' own constants are compared with these in the tests. The
update's share, which depends on which words produce pulses, is :mod:`model.update_timing`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.config import Config
from model.jit import njit

__all__ = [
    "ACTIVATION_LATENCY",
    "ERROR_LATENCY",
    "HIDDEN_OPERANDS_LATENCY",
    "READ_OUT_LATENCY",
    "REFRESH_PAIR_CYCLES",
    "REFRESH_ROW_CYCLES",
    "REFRESH_START_CYCLES",
    "SCALED_WORD_LATENCY",
    "Timing",
    "backward_cycles",
    "error_cycles",
    "forward_cycles",
    "refresh_row_cycles",
    "scaled_end",
    "timing",
]

READ_OUT_LATENCY = 1
"""ReadOut: from valid codes to the first word on its stream."""

ACTIVATION_LATENCY = 1
"""ActivationUnit: from a code word to its activation word."""

HIDDEN_OPERANDS_LATENCY = 1
"""HiddenOperands: from a backward code word to the operand word."""

ERROR_LATENCY = 2
"""ErrorUnit: from an operand word to its exact errors."""

SCALED_WORD_LATENCY = 7
"""Quantiser: from the last exact error word to the first scaled word."""

REFRESH_ROW_CYCLES = 3
"""RefreshController: of a row besides its reads, words and pairs."""

REFRESH_PAIR_CYCLES = 2
"""RefreshController: of a pair besides its pulses."""

REFRESH_START_CYCLES = 1
"""RefreshController: from ``start`` to the first busy cycle."""


class Timing(NamedTuple):
    """Cycle counts that follow from the configuration."""

    mvm: int
    """Cycles of a product."""
    read: int
    """Cycles of a row read."""
    words: npt.NDArray[np.int64]
    """int64 ``[n_layers]``: words of a layer's unit vector (columns)."""
    set_pulse: int
    """Cycles of a SET pulse and its gap."""
    reset_pulse: int
    """Cycles of a RESET pulse and its gap."""


def timing(config: Config) -> Timing:
    """The timing constants of a configuration."""
    layers = range(config.network.n_layers)
    return Timing(
        mvm=config.array.mvm_cycles,
        read=config.array.read_cycles,
        words=np.array(
            [config.rows_to_words(config.network.n_cols(layer)) for layer in layers], dtype=np.int64
        ),
        set_pulse=config.pulse.set_cycles + config.pulse.gap_cycles,
        reset_pulse=config.pulse.reset_cycles + config.pulse.gap_cycles,
    )


@njit
def forward_cycles(timing: Timing, layer: int) -> int:
    """Cycles of one layer's forward pass: product, then its words through read-out and activation
    unit.

    From the command to the cycle after the last activation word reached the next line drivers.
    """
    return timing.mvm + READ_OUT_LATENCY + ACTIVATION_LATENCY + timing.words[layer]


@njit
def error_cycles(timing: Timing, layer: int) -> int:
    """Cycles from a layer's last operand word to the cycle after its last scaled word, nothing
    stalling."""
    return ERROR_LATENCY + SCALED_WORD_LATENCY + timing.words[layer] - 1


@njit
def backward_cycles(timing: Timing, layer: int) -> int:
    """Cycles of one backward product, from the command to the cycle after the last operand word was
    taken.

    ``layer``: the layer whose array is driven backwards; the errors are those of ``layer - 1``'s
    units.
    """
    return timing.mvm + READ_OUT_LATENCY + HIDDEN_OPERANDS_LATENCY + timing.words[layer - 1]


@njit
def scaled_end(timing: Timing, layer: int, operands_end: int, codes_free: int) -> int:
    """The cycle after the last scaled error word of ``layer``, given the cycle after its last
    operand word.

    The words wait until the outer product has done with the codes before them, at ``codes_free``.
    """
    first = operands_end - 1 + ERROR_LATENCY + SCALED_WORD_LATENCY
    return max(first, codes_free) + timing.words[layer]


@njit
def refresh_row_cycles(timing: Timing, layer: int, pairs: int, set_pulses: int) -> int:
    """Cycles of refreshing one row: two reads with their words, then the pulses pair by pair."""
    return (
        2 * (timing.read + timing.words[layer])
        + REFRESH_ROW_CYCLES
        + pairs * (2 * timing.reset_pulse + REFRESH_PAIR_CYCLES)
        + set_pulses * timing.set_pulse
    )
