"""The constants of the cycle model are those that the components promise; totals by hand."""

from dataclasses import replace

import pytest

from hw.activation_unit import ActivationUnit
from hw.chi_memory import ChiMemory
from hw.error_operands import HiddenOperands, OutputOperands
from hw.error_unit import ErrorUnit
from hw.outer_product import OuterProduct
from hw.pulse_scheduler import PulseScheduler
from hw.quantiser import Quantiser
from hw.read_out import ReadOut
from hw.refresh_controller import RefreshController
from model import cycles, update_timing
from model.config import PulseConfig
from model.configurations import mca_mlp, tiny_mca
from model.cycles import (
    backward_cycles,
    error_cycles,
    forward_cycles,
    refresh_row_cycles,
    scaled_end,
    timing,
)


@pytest.mark.parametrize(
    ("constant", "promised"),
    [
        (cycles.READ_OUT_LATENCY, ReadOut.OUTPUT_LATENCY),
        (cycles.ACTIVATION_LATENCY, ActivationUnit.LATENCY),
        (cycles.HIDDEN_OPERANDS_LATENCY, HiddenOperands.LATENCY),
        # The output operands take no cycle, so the model has no term for them.
        (0, OutputOperands.LATENCY),
        (cycles.ERROR_LATENCY, ErrorUnit.LATENCY),
        (cycles.SCALED_WORD_LATENCY, Quantiser.OUTPUT_LATENCY),
        (cycles.REFRESH_ROW_CYCLES, RefreshController.ROW_CYCLES),
        (cycles.REFRESH_PAIR_CYCLES, RefreshController.PAIR_CYCLES),
        (update_timing.FIRST_WORD, OuterProduct.FIRST_WORD),
        (update_timing.EMPTY_CYCLES, OuterProduct.EMPTY_CYCLES),
        (update_timing.CHI_LATENCY, ChiMemory.LATENCY),
        (update_timing.QUEUE_LATENCY, PulseScheduler.QUEUE_LATENCY),
        (update_timing.WORD_LATENCY, PulseScheduler.WORD_LATENCY),
    ],
)
def test_constants_are_the_components(constant: int, promised: int) -> None:
    assert constant == promised


def test_timing() -> None:
    """130 cycles a product, 64 a read; 250 and 10 units in words of 32; 50 + 2 a pulse."""
    constants = timing(mca_mlp)
    assert (constants.mvm, constants.read) == (130, 64)
    assert constants.words.tolist() == [8, 1]
    assert (constants.set_pulse, constants.reset_pulse) == (52, 52)
    pulse = PulseConfig(set_cycles=5, reset_cycles=9, gap_cycles=3)
    constants = timing(replace(tiny_mca, pulse=pulse))
    assert (constants.set_pulse, constants.reset_pulse) == (8, 12)


def test_phases_of_mca() -> None:
    """An image of 785-250-10 that updates nothing: 273 + 9 + 140 cycles and the word of the end."""
    constants = timing(mca_mlp)
    assert forward_cycles(constants, 0) == 130 + 1 + 1 + 8
    assert forward_cycles(constants, 1) == 130 + 1 + 1 + 1
    assert error_cycles(constants, 1) == 2 + 7 + 1 - 1
    assert backward_cycles(constants, 1) == 130 + 1 + 1 + 8


def test_scaled_words() -> None:
    """First after the latencies of error unit and quantiser, or when the codes before are gone."""
    constants = timing(mca_mlp)
    assert scaled_end(constants, 0, 400, 0) == 399 + 2 + 7 + 8
    assert scaled_end(constants, 0, 400, 409) == 409 + 8
    assert scaled_end(constants, 0, 400, 1000) == 1000 + 8
    # The output layer's words follow the same rule, with nothing before them.
    assert scaled_end(constants, 1, 400, 0) == 400 + error_cycles(constants, 1)


def test_refresh() -> None:
    """Two reads with their words; two RESETs a pair and what is written again."""
    constants = timing(mca_mlp)
    assert refresh_row_cycles(constants, 0, 0, 0) == 2 * (64 + 8) + 3
    assert refresh_row_cycles(constants, 1, 2, 5) == 2 * (64 + 1) + 3 + 2 * (104 + 2) + 5 * 52
