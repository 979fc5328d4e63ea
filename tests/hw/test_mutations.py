"""A deliberate fault in any block of the gateware does not escape the check of the whole unit.

Each fault is a small change of one module's source text, made in memory; the unit is built from it
and runs the images that the unchanged unit passes. The check must end with a mismatch in the right
place, a broken contract at the unit's edge, or a hang.

What the whole unit cannot show is left to the tests of the blocks: no word of chi comes twice
within an update, so the forwarding between words of one address never acts, and images are padded
with zeros by the host.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cocotb_tests.checker import Mismatch
from formal.mutation import Fault, faulty_component, gateware_modules
from model.config import ChiProtection
from model.unit import settings
from tests.hw.frame_sim import BrokenContract, Hang, random_batch
from tests.hw.unit_configs import busy, overlapped
from tests.hw.unit_sim import Run, run_unit

protected = replace(busy, update=replace(busy.update, chi_protection=ChiProtection.SECDED))

BATCHES = (
    random_batch(busy, 8, seed=3),
    random_batch(busy, 2, seed=4, run=settings(busy)._replace(running_scale=False, skip=0)),
)
"""Enough for refresh of every layer, skipped images, and settings written by the host."""

FAULTS = (
    # Host interface.
    Fault(
        "label from the wrong byte",
        "input_buffer",
        "self.label.eq(beat[0])",
        "self.label.eq(beat[1])",
        r"drive|error unit",
    ),
    Fault(
        "the class of the other bank",
        "result_buffer",
        "Mux(send_bank, predicted[1], predicted[0])",
        "Mux(send_bank, predicted[0], predicted[1])",
        r"result, predicted",
    ),
    Fault(
        "read address one bit too high",
        "register_file",
        "word.eq(bus.araddr[2:])",
        "word.eq(bus.araddr[3:])",
        r"The read of 0x100 was refused",
    ),
    Fault(
        "write address is kept",
        "register_file",
        "                has_word.eq(0),\n",
        "",
        r"quantiser|sequencer|transactions|refused",
    ),
    Fault(
        "learning rate twice the reset value",
        "registers",
        "reset=update.learning_rate_log2,",
        "reset=update.learning_rate_log2 + 1,",
        r"sequencer, update commands",
    ),
    Fault(
        "scale policy inverted",
        "host_interface",
        "self.scale_policy.eq(registers.scale_policy)",
        "self.scale_policy.eq(~registers.scale_policy)",
        r"quantiser|transactions",
    ),
    Fault(
        "status of training lost",
        "host_interface",
        "results.trained.eq(self.commit_trained)",
        "results.trained.eq(0)",
        r"result, trained",
    ),
    Fault(
        "time-out while nothing is late",
        "watchdog",
        "self.hold & (cycles == self.limit - 1)",
        "~self.busy",
        r"error register",
    ),
    # Forward path.
    Fault(
        "bias below full scale",
        "line_drivers",
        "Const(BIAS, bits)",
        "Const(BIAS - 1, bits)",
        r"forward product of layer 0, drive",
    ),
    Fault(
        "words of the next vector shifted by one",
        "line_drivers",
        "word.eq(Mux(self.i.p.last, 0, word + 1))",
        "word.eq(Mux(self.i.p.last, 1, word + 1))",
        r"forward product of layer 0, drive",
    ),
    Fault(
        "drives change before the product",
        "line_drivers",
        "loading = [Signal",
        "driven = loading = [Signal",
        r"a drive changed while it computes",
    ),
    Fault(
        "sum of tiles wraps",
        "read_out",
        "return Mux(total > high, high, Mux(total < low, low, total))",
        "return total",
        r"forward product of layer 1, drive|activation unit",
    ),
    Fault(
        "codes sampled a cycle early",
        "read_out",
        "self.mvm_cycles - 1,\n",
        "self.mvm_cycles - 2,\n",
        r"forward product of layer 1, drive|activation unit",
    ),
    Fault(
        "last tile dropped",
        "read_out",
        "range(tile_codes.shape().length)",
        "range(max(1, tile_codes.shape().length - 1))",
        r"forward product of layer 1, drive|activation unit",
    ),
    Fault(
        "a lane beyond the vector is active",
        "activation_unit",
        "lane >= self.valid_lanes",
        "lane > self.valid_lanes",
        r"A pulse on row|activation unit",
    ),
    Fault(
        "unsigned table address",
        "activation_unit",
        "port.addr.eq(self.i.p.codes[lane])",
        "port.addr.eq(abs(self.i.p.codes[lane]))",
        r"forward product of layer 1, drive|activation unit",
    ),
    Fault(
        "activation codes truncated",
        "code_buffer",
        "activation[ACTIVATION_EXPONENT:] + activation[ACTIVATION_EXPONENT - 1]",
        "activation[ACTIVATION_EXPONENT:]",
        r"chi memory",
    ),
    Fault(
        "bias in the next lane",
        "code_buffer",
        "if lane == bias_lane else 0",
        "if lane == bias_lane + 1 else 0",
        r"A pulse on row|chi memory",
    ),
    Fault(
        "banks not swapped",
        "code_buffer",
        "                    current_bank.eq(load_bank),\n",
        "",
        r"chi memory",
    ),
    # Errors.
    Fault(
        "label off by one",
        "error_operands",
        "(self.label[:lane_bits] == lane)",
        "(self.label[:lane_bits] == lane + 1)",
        r"backward product of layer 1, drive|error unit",
    ),
    Fault(
        "hidden activations of the first word only",
        "error_operands",
        "read_word.eq(Mux(self.i.p.last, 0, read_word + 1))",
        "read_word.eq(0)",
        r"error unit",
    ),
    Fault(
        "derivative from 256",
        "error_unit",
        "(~activation)[:8]",
        "(256 - activation)",
        r"backward product of layer 1, drive|error unit",
    ),
    Fault(
        "rounding toward zero",
        "rounding",
        "((doubled + 1) >> 1)",
        "(doubled >> 1)",
        r"backward product of layer 1, drive|quantiser",
    ),
    Fault(
        "scale ignores the carry of rounding",
        "quantiser",
        "self.length - code_bits + Cat(carries).any()",
        "self.length - code_bits",
        r"backward product of layer 1, drive|quantiser",
    ),
    Fault(
        "the smallest error wins",
        "vector_maximum",
        "right.value > left.value",
        "right.value < left.value",
        r"quantiser|transactions",
    ),
    Fault(
        "only the last word's maximum",
        "vector_maximum",
        "(word == 0) | (best.value > self.maximum)",
        "1",
        r"quantiser|transactions",
    ),
    Fault(
        "negative errors taken for large ones",
        "quantiser",
        "error[:-1] ^ negative.replicate(magnitude_bits)",
        "error[:-1]",
        r"quantiser|transactions",
    ),
    Fault(
        "running maximum without decay",
        "quantiser",
        "[previous - (previous >> config.update.decay_log2) for previous in maxima]",
        "maxima",
        r"quantiser|transactions",
    ),
    Fault(
        "running maximum of a crowded vector grows too little",
        "quantiser",
        "maximum >> (config.update.decay_log2 - 2)",
        "maximum >> (config.update.decay_log2 - 1)",
        r"quantiser|transactions",
    ),
    Fault(
        "crowded with a code less",
        "quantiser",
        "(total > limit)",
        "(total >= limit)",
        r"quantiser|transactions",
    ),
    Fault(
        "no decay in skipped images",
        "sequencer",
        "self.decay.eq(skip)",
        "self.decay.eq(0)",
        r"quantiser|transactions",
    ),
    Fault(
        "exponents of the layers above lost",
        "quantiser",
        "above_next.eq(above + drive.exponent)",
        "above_next.eq(above)",
        r"quantiser|sequencer, update commands",
    ),
    Fault(
        "half an LSB taken for zero",
        "quantiser",
        "(length < code.exponent)",
        "(length <= code.exponent)",
        r"sequencer|transactions",
    ),
    # Update.
    Fault(
        "exponent off by one",
        "update_shift",
        "+ ACTIVATION_EXPONENT, signed(8)",
        "+ ACTIVATION_EXPONENT - 1, signed(8)",
        r"sequencer, update commands",
    ),
    Fault(
        "clamp off by one",
        "update_shift",
        "limit = self.epsilon_log2 - 1",
        "limit = self.epsilon_log2",
        r"sequencer, update commands",
    ),
    Fault(
        "along the gradient",
        "outer_product",
        "negated_error.eq(-scalars.payload.error)",
        "negated_error.eq(scalars.payload.error)",
        r"chi memory, words",
    ),
    Fault(
        "words of the layer above",
        "outer_product",
        "words.eq(self.nonzero[layer])",
        "words.eq(self.nonzero[0])",
        r"chi memory, addresses",
    ),
    Fault(
        "forwarding whatever the address",
        "chi_memory",
        "with m.If(word_valid & (word.address == product.address)):",
        "with m.If(word_valid):",
        r"chi memory, words",
    ),
    Fault(
        "chi keeps what left as pulses",
        "chi_memory",
        "Mux(touched[k], threshold.remainder, chi[k])",
        "Mux(touched[k], threshold.chi, chi[k])",
        r"chi memory, words",
    ),
    Fault(
        "off by one at the threshold",
        "threshold",
        "(self.chi < 0) & (self.chi & below).any()",
        "(self.chi < 0)",
        r"chi memory, words",
    ),
    Fault(
        "rounding down",
        "threshold",
        "self.count.eq((self.chi >> self.epsilon_log2) + round_up)",
        "self.count.eq(self.chi >> self.epsilon_log2)",
        r"pulse scheduler",
    ),
    Fault(
        "devices swapped",
        "pulse_scheduler",
        "Mux(count < 0, Device.MINUS, Device.PLUS)",
        "Mux(count < 0, Device.PLUS, Device.MINUS)",
        r"pulse scheduler",
    ),
    Fault(
        "a pulse too many",
        "pulse_scheduler",
        "begun + 1 == magnitude",
        "begun == magnitude",
        r"pulse scheduler",
    ),
    Fault(
        "row from lane and word in the wrong order",
        "pulse_scheduler",
        "Cat(encode(lane), word.word)",
        "Cat(word.word, encode(lane))",
        r"pulse scheduler|A pulse on row",
    ),
    Fault(
        "pulses too long",
        "pulse_scheduler",
        "timer.eq(timing.set_cycles - 1)",
        "timer.eq(timing.set_cycles)",
        r"A pulse of 3 cycles",
    ),
    Fault(
        "selection forgets every other request",
        "priority",
        "return (requests & (requests - 1))",
        "return (requests & (requests - 2))",
        r"Nothing ended",
    ),
    # Refresh.
    Fault(
        "a pair at the threshold is not saturated",
        "refresh_controller",
        "(self.plus >= high)",
        "(self.plus > high)",
        r"pulse scheduler",
    ),
    Fault(
        "difference without its sign",
        "refresh_controller",
        "& (self.difference > -small)",
        "",
        r"pulse scheduler",
    ),
    Fault(
        "minus device first",
        "refresh_controller",
        "Mux(index[0], Device.MINUS, Device.PLUS)",
        "Mux(index[0], Device.PLUS, Device.MINUS)",
        r"pulse scheduler, pulse 0",
    ),
    Fault(
        "every other row",
        "refresh_controller",
        "next_row.eq(Mux(last_row, 0, self.row + 1))",
        "next_row.eq(Mux(last_row, 0, self.row + 2))",
        r"read product of layer 0, row",
    ),
    # Control.
    Fault(
        "a product does not wait for refresh",
        "sequencer",
        "(self.layer != 0) & refreshing_upper & ~upper_over",
        "0",
        r"Array 1 is programmed while it computes",
    ),
    Fault(
        "window open during refresh",
        "sequencer",
        "self.upper_window.eq(~self.refresh_busy),\n"
        "                    self.first_window.eq(~self.refresh_busy & ~self.follows)",
        "self.upper_window.eq(1), self.first_window.eq(1)",
        r"pulse scheduler",
    ),
    Fault(
        "window always open",
        "sequencer",
        "self.upper_window.eq(self.carried),\n"
        "            self.first_window.eq(self.carried & first_free & upper_over)",
        "self.upper_window.eq(1), self.first_window.eq(1)",
        r"pulse scheduler|programmed while it computes",
    ),
    Fault(
        "an image ends before its pulses",
        "sequencer",
        "over = ~(self.update_command.valid | self.update_busy | self.pulse_busy | ",
        "over = ~(self.update_command.valid | self.update_busy | ",
        r"pulse scheduler, number",
    ),
    Fault(
        "skips with the wrong policy",
        "sequencer",
        "self.zero_codes & (self.skip_policy == SkipMode.ZERO_CODES)",
        "self.zero_codes & (self.skip_policy == SkipMode.NEVER)",
        r"transactions",
    ),
    Fault(
        "positive products counted only",
        "counters",
        "product != 0 for product",
        "product > 0 for product",
        r"counters, chi_lanes",
    ),
    Fault(
        "negative drives not counted",
        "counters",
        "value != 0 for value",
        "value > 0 for value",
        r"counters, driven_lines",
    ),
    Fault(
        "errors of every layer scaled as the first's",
        "digital_unit",
        "quantiser.layer.eq(sequencer.error_layer)",
        "quantiser.layer.eq(0)",
        r"quantiser|transactions",
    ),
    Fault(
        "refresh due an image late",
        "digital_unit",
        "images + begins >= interval",
        "images + begins > interval",
        r"read-out of layer 0, transactions",
    ),
    Fault(
        "label of the next image",
        "digital_unit",
        "output_operands.label.eq(self.label)",
        "output_operands.label.eq(self.host.label)",
        r"backward product of layer 1, drive|error unit",
    ),
)


OVERLAP_FAULTS = (
    Fault(
        "errors do not wait for the update before",
        "sequencer",
        "self.settled.eq(~self.carried | over)",
        "self.settled.eq(1)",
        r"sequencer|chi memory|pulse scheduler|programmed while it computes",
    ),
    Fault(
        "first pulses do not wait for their product",
        "sequencer",
        "self.carried & first_free & upper_over",
        "self.carried & upper_over",
        r"pulse scheduler|programmed while it computes|product of layer 0|sequencer",
    ),
    Fault(
        "first pulses do not wait for refresh",
        "sequencer",
        "self.carried & first_free & upper_over",
        "self.carried & first_free",
        r"pulse scheduler|sequencer",
    ),
    Fault(
        "refresh does not wait for the upper pulses",
        "sequencer",
        "m.If(upper_due & ~self.upper_busy)",
        "m.If(upper_due)",
        r"pulse scheduler|sequencer|programmed while it computes",
    ),
    Fault(
        "codes of the image beside",
        "code_buffer",
        "with m.If(self.select):",
        "with m.If(1):",
        r"chi memory",
    ),
)
"""Faults that show only where an update goes on beside the next image."""


PROTECTED_FAULTS = (
    Fault(
        "codeword of another word",
        "chi_protection",
        "data = self.chi.as_unsigned()",
        "data = self.chi.as_unsigned() ^ 1",
        r"chi memory",
    ),
)
"""Faults that show only where chi has check bits."""


def faulty_unit(module: str, right: str, wrong: str) -> Any:
    """The class ``DigitalUnit`` of a gateware in which ``right`` reads ``wrong``."""
    return faulty_component(
        "hw", "digital_unit", "DigitalUnit", module=module, right=right, wrong=wrong
    )


OVERLAP_BATCHES = (*BATCHES, random_batch(overlapped, 3, seed=6, train=False), BATCHES[0])


def run(unit: Any) -> Run:
    return run_unit(busy, *BATCHES, max_cycles=1_000, unit=unit)


def run_overlapped(unit: Any) -> Run:
    return run_unit(overlapped, *OVERLAP_BATCHES, max_cycles=1_000, unit=unit)


def run_protected(unit: Any) -> Run:
    return run_unit(protected, *BATCHES, max_cycles=1_000, unit=unit)


def test_without_fault() -> None:
    """The same harness with a change of no consequence."""
    unit = faulty_unit("threshold", "m = Module()", "m = Module()  # unchanged")
    assert run(unit).checker.images == 10
    assert run_overlapped(unit).checker.images == 21
    assert run_protected(unit).checker.images == 10


@pytest.mark.parametrize(
    ("fault", "run"),
    [
        pytest.param(fault, run, id=fault.name)
        for faults, run in (
            (FAULTS, run),
            (OVERLAP_FAULTS, run_overlapped),
            (PROTECTED_FAULTS, run_protected),
        )
        for fault in faults
    ],
)
def test_fault_is_caught(fault: Fault, run: Callable[[Any], Run]) -> None:
    unit = faulty_unit(fault.module, fault.right, fault.wrong)
    with pytest.raises((Mismatch, BrokenContract, Hang)) as caught:
        run(unit)
    assert re.search(fault.found, str(caught.value)), str(caught.value)


def test_faults_in_every_block() -> None:
    """All modules with gateware, and those whose functions build some."""
    faults = (*FAULTS, *PROTECTED_FAULTS)
    assert {fault.module for fault in faults} >= gateware_modules("hw")
