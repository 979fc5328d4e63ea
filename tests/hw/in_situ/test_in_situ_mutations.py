"""A deliberate fault in any block of the in-situ learning unit does not escape the whole unit's
check; as :mod:`tests.hw.test_mutations`."""

import re
from dataclasses import replace
from typing import Any

import pytest

from cocotb_tests.checker import Mismatch
from formal.mutation import Fault, faulty_component, gateware_modules
from model.in_situ.activity import Activity
from tests.hw.frame_sim import BrokenContract, Hang, random_batch
from tests.hw.in_situ.learning_configs import eager
from tests.hw.in_situ.learning_sim import run_learning

hasty = replace(eager, update=replace(eager.update, batch=2))
"""A write phase every other image."""

BATCHES = (
    random_batch(hasty, 5, seed=12),
    random_batch(hasty, 1, seed=4, train=False),
    random_batch(hasty, 5, seed=3),
)
"""Five write phases, of which a skipped image begins one, with an inference image in between."""


FAULTS = (
    # Forward.
    Fault(
        "negative codes pass",
        "activation_unit",
        "codes = [*range(2 ** (bits - 1)), *range(-(2 ** (bits - 1)), 0)]",
        "codes = [*range(2 ** (bits - 1)), *range(2 ** (bits - 1))]",
        r"forward product of layer 1, drive",
    ),
    Fault(
        "smallest code for the largest",
        "softmax",
        "with m.If(code > largest):",
        "with m.If(code < largest):",
        r"softmax",
    ),
    Fault(
        "last exponential left out of the sum",
        "softmax",
        'm.next = "LAST SUMMAND"',
        'm.next = "OUTPUT"',
        r"softmax",
    ),
    Fault(
        "quotient not rounded",
        "softmax",
        "rounded.eq((doubled + 1) >> 1)",
        "rounded.eq(doubled >> 1)",
        r"softmax",
    ),
    Fault(
        "sum's scale ignored",
        "softmax",
        "self.scale.eq(scale)",
        "self.scale.eq(0)",
        r"softmax",
    ),
    # Errors.
    Fault(
        "passes exchanged",
        "backward_drivers",
        "(error < 0) == self.negative",
        "(error < 0) != self.negative",
        r"errors|backward product of layer 1, drive",
    ),
    Fault(
        "inactive units have errors",
        "hidden_errors",
        "with m.If(active[lane]):",
        "with m.If(1):",
        r"errors",
    ),
    Fault(
        "second pass added",
        "hidden_errors",
        "read.data[lane] - negative_codes[lane]",
        "read.data[lane] + negative_codes[lane]",
        r"errors",
    ),
    Fault(
        "flags of the vector before stay",
        "error_buffer",
        "m.d.sync += self.nonzero.eq(0)",
        "pass",
        r"readers|errors|gradient memory|result, skipped|cycles of phase",
    ),
    # Gradients.
    Fault(
        "first input dropped",
        "activation_scan",
        "with m.If(self.start):",
        "with m.If(0):",
        r"gradient memory",
    ),
    Fault(
        "scan starts with the second input",
        "activation_scan",
        "for drive in self.drive))",
        "for drive in self.drive) & ~1)",
        r"gradient memory, addresses",
    ),
    Fault(
        "sums not kept",
        "gradient_memory",
        "read.data[lane] + products[lane]",
        "products[lane]",
        r"gradient memory, words",
    ),
    Fault(
        "not cleared by the write phase",
        "gradient_memory",
        "Mux(clears, 0, read.data",
        "Mux(0, 0, read.data",
        r"gradient memory, words",
    ),
    # Gates.
    Fault(
        "both gates of a pair rise",
        "gate_memory",
        '("minus", -self.step)',
        '("minus", self.step)',
        r"gate memory, words",
    ),
    Fault(
        "upper clamp left out",
        "gate_memory",
        "Mux(total > gate.high, gate.high, total)",
        "total",
        r"gate memory, words",
    ),
    Fault(
        "codes rounded down",
        "gate_memory",
        "(value + half) >> gate.fraction_bits",
        "value >> gate.fraction_bits",
        r"pulse scheduler",
    ),
    Fault(
        "shift of the first layer for all",
        "gate_memory",
        "shift.eq(self.shifts[layer])",
        "shift.eq(self.shifts[0] + layer)",
        r"gate memory, words",
    ),
    Fault(
        "rate rises",
        "rate",
        "self.rate - self.decay",
        "self.rate + self.decay",
        r"gate memory, words|learning rate",
    ),
    Fault(
        "rows of the minus devices first",
        "pulse_scheduler",
        "is_set, is_minus = pulse[0], pulse[1]",
        "is_set, is_minus = pulse[0], ~pulse[1]",
        r"pulse scheduler|A pulse with gates",
    ),
    Fault(
        "columns of a longer row stay",
        "pulse_scheduler",
        "with m.If(word < used):",
        "with m.If(1):",
        r"A pulse with gates",
    ),
    Fault(
        "RESET for devices that rise",
        "pulse_scheduler",
        "Mux(falls, FULL_GATE, NOT_SELECTED)",
        "FULL_GATE",
        r"pulse scheduler, gates|A pulse with gates",
    ),
    Fault(
        "gap too short",
        "pulse_scheduler",
        "m.d.sync += [program.pulse.eq(0), timer.eq(timing.gap_cycles - 1)]",
        "m.d.sync += [program.pulse.eq(0), timer.eq(timing.gap_cycles)]",
        r"cycles of phase write",
    ),
    Fault(
        "words of the second layer counted as the first's",
        "write_controller",
        "o.last.eq(word == words[self.layer] - 1)",
        "o.last.eq(word == words[0] - 1)",
        r"gate memory|Nothing ended|A pulse",
    ),
    # Control.
    Fault(
        "batch one image too long",
        "sequencer",
        "batch_ends.eq(images == batch - 1)",
        "batch_ends.eq(images == 0)",
        r"gate memory|gradient memory",
    ),
    Fault(
        "skipped images not skipped",
        "sequencer",
        "with m.Elif(self.zero_error):",
        "with m.Elif(0):",
        r"readers|errors",
    ),
    Fault(
        "negative products not counted",
        "counters",
        "product != 0 for product",
        "product > 0 for product",
        r"counters, gradient_lanes",
    ),
    Fault(
        "decay of the rate lost",
        "host_interface",
        "self.rate_decay.eq(registers.rate_decay)",
        "self.rate_decay.eq(0)",
        r"gate memory, words|learning rate",
    ),
    Fault(
        "label of the next image",
        "learning_unit",
        "operands.label.eq(self.label)",
        "operands.label.eq(self.host.label)",
        r"errors|backward product of layer 1, drive",
    ),
    Fault(
        "rate not loaded",
        "learning_unit",
        "self.rate.load.eq(host.run & ~ran)",
        "self.rate.load.eq(0)",
        r"gate memory, words",
    ),
)


def faulty_unit(module: str, right: str, wrong: str) -> Any:
    """The class ``LearningUnit`` of a gateware in which ``right`` reads ``wrong``."""
    return faulty_component(
        "hw.in_situ", "learning_unit", "LearningUnit", module=module, right=right, wrong=wrong
    )


def test_without_fault() -> None:
    """The same harness with a change of no consequence."""
    unit = faulty_unit("rate", "m = Module()", "m = Module()  # unchanged")
    checker = run_learning(hasty, *BATCHES, unit=unit)
    assert checker.images == 11
    assert checker.unit.counters[Activity.SKIPPED_IMAGES] > 0


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught(fault: Fault) -> None:
    unit = faulty_unit(fault.module, fault.right, fault.wrong)
    with pytest.raises((Mismatch, BrokenContract, Hang)) as caught:
        run_learning(hasty, *BATCHES, unit=unit, max_cycles=1_500)
    assert re.search(fault.found, str(caught.value)), str(caught.value)


def test_faults_in_every_block() -> None:
    """All modules with gateware, and those whose functions build some."""
    assert {fault.module for fault in FAULTS} >= gateware_modules("hw.in_situ")
