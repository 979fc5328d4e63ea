"""The in-situ learning unit as a whole equals the model, cycles included, in Amaranth's simulator.

The emitted Verilog is held against the same checker in ``cocotb_tests/in_situ``; here shapes vary,
and the host stalls.
"""

from dataclasses import replace

import pytest
from amaranth.hdl import Fragment

from cocotb_tests.in_situ.checker import Checker
from hw.in_situ.learning_unit import LearningUnit
from model.configurations import tiny_in_situ
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig
from model.in_situ.unit import COUNT, RATE
from tests.hw.frame_sim import BrokenContract, Hang, random_batch
from tests.hw.in_situ.learning_configs import UNITS, eager
from tests.hw.in_situ.learning_sim import run_learning


def count(checker: Checker, activity: Activity) -> int:
    return int(checker.unit.counters[activity])


@pytest.mark.parametrize("config", UNITS.values(), ids=UNITS.keys())
def test_equals_model(config: InSituConfig) -> None:
    """Codes, activations, errors, gradients, gates, pulses, cycles, results and counters."""
    n_images = 2 * config.update.batch + 1
    checker = run_learning(config, random_batch(config, n_images, seed=3))
    assert checker.images == checker.checked_results == n_images
    assert count(checker, Activity.BATCHES) == n_images // config.update.batch
    assert count(checker, Activity.SET_PULSES) > 0


def test_everything_happens() -> None:
    """Without this the test above would prove less than it says."""
    checker = run_learning(eager, random_batch(eager, 12, seed=3))
    for activity in Activity:
        assert count(checker, activity) > 0, activity.name
    gates = [int(gate) for layer in checker.unit.gates for gate in layer.flat]
    assert eager.gate.low in gates
    assert eager.gate.high in gates
    assert 0 < checker.unit.registers[RATE] < eager.update.rate_start


@pytest.mark.parametrize(("idle", "stall"), [("110100", "1"), ("1", "0001"), ("0001", "110100")])
def test_host_stalls(idle: str, stall: str) -> None:
    """A slow host changes when images begin, and nothing in them."""
    run_learning(eager, random_batch(eager, 4, seed=5), idle=idle, stall=stall)


def test_arrays_hold_pulses_off() -> None:
    """Later, but the same pulses with the same widths and gaps."""
    checker = run_learning(eager, random_batch(eager, 8, seed=6), busy="1111100110")
    assert count(checker, Activity.RESET_PULSES) > 0


def test_arrays_that_never_answer() -> None:
    """They are waited for once and the host is told; without an end to the wait, a hang."""

    def config(timeout_cycles: int) -> InSituConfig:
        return replace(eager, pulse=replace(eager.pulse, timeout_cycles=timeout_cycles))

    batch = random_batch(eager, 4, seed=6)
    # Values and pulses are equal to the model's when the error register is read.
    with pytest.raises(BrokenContract, match=r"The error register reads 0x8\."):
        run_learning(config(16), batch, busy="1")
    with pytest.raises(Hang):
        run_learning(config(1_000_000), batch, busy="1")


def test_inference_between_batches() -> None:
    """No error, no gradient, no pulse; and the mini-batch goes on where it was."""
    train, infer = random_batch(eager, 5, seed=6), random_batch(eager, 3, seed=7, train=False)
    checker = run_learning(eager, train, infer, train)
    assert count(checker, Activity.IMAGES) == 13
    assert count(checker, Activity.BATCHES) == 2
    assert checker.unit.registers[COUNT] == 2


def test_ports() -> None:
    """Host, arrays, program: nothing else crosses the unit's edge."""
    unit = LearningUnit(tiny_in_situ)
    Fragment.get(unit, None)
    assert list(unit.signature.members) == [
        "s_axis_image",
        "m_axis_result",
        "s_axi",
        "array_0",
        "array_1",
        "program",
    ]
