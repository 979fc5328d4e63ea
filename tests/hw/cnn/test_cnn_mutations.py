"""A deliberate fault in any block of the inference unit does not escape the whole unit's check; as
:mod:`tests.hw.test_mutations`."""

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from formal.mutation import Fault, faulty_component, gateware_modules
from model.cnn.config import (
    CnnArrayConfig,
    CnnNetworkConfig,
    ReplicaConfig,
    ReplicaMode,
    WriteConfig,
)
from model.configurations import tiny_cnn
from tests.hw.cnn.inference_sim import run_inference

#: Several chunks, steps and tiles, an empty chunk, unequal bands, a partial window, a product of
#: few cycles.
bands = replace(
    tiny_cnn,
    name="faulty",
    network=CnnNetworkConfig(
        height=4,
        width=3,
        channels=3,
        kernels=(2,),
        outputs=(3,),
        strides=(1,),
        pools=(2,),
        classes=3,
    ),
    array=CnnArrayConfig(n_inputs=4, n_lines=12, lines_per_adc=2),
    replicas=ReplicaConfig(n=2),
    write=WriteConfig(set_cycles=2, reset_cycles=3, gap_cycles=2, max_pulses=4),
)
images = replace(bands, replicas=ReplicaConfig(n=2, mode=ReplicaMode.IMAGES))


@dataclass(frozen=True)
class CnnFault(Fault):
    """A change of one module of ``hw.cnn``."""

    config: Any = bands
    writes: int = 1
    """Rows that are written first; images follow only a few."""


FAULTS = (
    CnnFault(
        "window from the left",
        "line_buffer",
        "window[ky][kx].eq(window[ky][kx + 1])",
        "window[ky][kx + 1].eq(window[ky][kx])",
        r"drive of array",
    ),
    CnnFault(
        "first stop a line early",
        "line_buffer",
        "m.d.sync += [lines_left.eq(kernel - 1), cols_left",
        "m.d.sync += [lines_left.eq(kernel - 2), cols_left",
        r"drive of array|still run",
    ),
    CnnFault(
        "band one line late",
        "feature_map",
        "next_number.eq(self.first_row * width)",
        "next_number.eq((self.first_row * width + width) % size)",
        r"drive of array|still run",
    ),
    CnnFault(
        "one map for both images",
        "feature_map",
        "Mux(self.bank, 0, size)",
        "Mux(self.bank, size, 0)",
        r"drive of array",
    ),
    CnnFault(
        "most significant bit first",
        "bit_serial_drivers",
        "driven.eq(value[0] & active)",
        "driven.eq(value[7] & active)",
        r"drive of array",
    ),
    CnnFault(
        "an idle phase between patches",
        "bit_serial_drivers",
        "self.i.ready.eq(~active | (self.held & self.last))",
        "self.i.ready.eq(~active)",
        r"cycles of layer",
    ),
    CnnFault(
        "sample-and-hold groups not swapped",
        "bit_serial_drivers",
        "self.hold.eq(~self.hold)",
        "self.hold.eq(self.hold)",
        r"not converted yet",
    ),
    CnnFault(
        "minus lines not sampled in their slot",
        "bit_serial_read_out",
        "self.slot == line[sign] % array.lines_per_adc",
        "self.slot == line[0] % array.lines_per_adc",
        r"drive of array|scores",
    ),
    CnnFault(
        "first tile only",
        "bit_serial_read_out",
        "for tile in range(tiles))",
        "for tile in range(1))",
        r"drive of array|scores",
    ),
    CnnFault(
        "sums run on",
        "bit_serial_read_out",
        "Mux(self.o.valid, 0, total)",
        "total",
        r"drive of array|scores",
    ),
    CnnFault(
        "shift dropped",
        "requantiser",
        "shift_2.eq(shift_1)",
        "shift_2.eq(0)",
        r"drive of array|scores",
    ),
    CnnFault(
        "no rectifier",
        "requantiser",
        "Mux(rounded < 0, 0, Mux(rounded > 255, 255, rounded[:8]))",
        "Mux(rounded > 255, 255, rounded[:8])",
        r"drive of array",
    ),
    CnnFault(
        "last pixel of a window only",
        "max_pool",
        "maximum[channel].eq(_larger(here[channel], value))",
        "maximum[channel].eq(value)",
        r"drive of array",
    ),
    CnnFault(
        "partial windows lost",
        "max_pool",
        "ends_window.eq(ends_row & ((window_row == pool - 1) | last_row))",
        "ends_window.eq(ends_row & (window_row == pool - 1))",
        r"still run",
    ),
    CnnFault(
        "second band first",
        "gather",
        "init=first, name=",
        "init=firsts[-1 - k], name=",
        r"drive of array|still run",
    ),
    CnnFault(
        "done a word early",
        "gather",
        "with m.If(words == height * width - 1):",
        "with m.If(words == height * width - 2):",
        r"drive of array|cycles of layer|scores",
    ),
    CnnFault(
        "parameters of any array",
        "convolution_layer",
        "self.i_parameters.valid & (self.i_parameters.p.array == index)",
        "self.i_parameters.valid",
        r"drive of array",
    ),
    CnnFault(
        "second replica never starts",
        "convolution_layer",
        "self.start & self.active[replica]",
        "self.start & (replica == 0)",
        r"drive of array|still run",
        images,
    ),
    CnnFault(
        "pool without start",
        "convolver",
        "max_pool.start.eq(self.start)",
        "max_pool.start.eq(1)",
        r"still run|drive of array",
    ),
    CnnFault(
        "images stay on the first replica",
        "image_loader",
        "port.valid.eq(accept & (image == copy))",
        "port.valid.eq(accept & (image == 0) & (copy == 0))",
        r"drive of array",
        images,
    ),
    CnnFault(
        "channels of the vector swapped",
        "fully_connected",
        "values = [value for word in words for value in word]",
        "values = [value for word in words for value in [*word][::-1]]",
        r"drive of array",
    ),
    CnnFault(
        "last of equal scores wins",
        "fully_connected",
        "better.eq((number == 0) | (ring[0] > largest))",
        "better.eq((number == 0) | (ring[0] < largest))",
        r"class of image",
    ),
    CnnFault(
        "verify range for products",
        "product",
        "self.array.range.eq(ReadRange.COMPUTE)",
        "self.array.range.eq(ReadRange.VERIFY)",
        r"more than one line",
    ),
    CnnFault(
        "bank not swapped",
        "sequencer",
        "self.bank.eq(bank ^ self.take)",
        "self.bank.eq(bank)",
        r"drive of array",
    ),
    CnnFault(
        "second image of a group forgotten",
        "sequencer",
        "with m.If(self.image + 1 == images):",
        "with m.If(1):",
        r"still run",
        images,
    ),
    CnnFault(
        "margin one code too wide",
        "write_verify",
        "margin = self.config.margin_codes",
        "margin = self.config.margin_codes + 1",
        r"write|devices",
        writes=10,
    ),
    CnnFault(
        "no RESET behind a SET",
        "write_verify",
        "(self.program.request.kind == PulseKind.SET) & to_reset.any()",
        "0",
        r"write|devices",
        writes=10,
    ),
    CnnFault(
        "one pulse too many",
        "write_verify",
        "iterations == write.max_pulses + 1",
        "iterations == write.max_pulses + 2",
        r"write|devices",
        writes=10,
    ),
    CnnFault(
        "phases of the first array for all",
        "counters",
        'amounts[f"phases_{array}"] = getattr(self, f"phase_{array}")',
        'amounts[f"phases_{array}"] = self.phase_0',
        r"counter phases",
    ),
    CnnFault(
        "lines counted in every cycle",
        "counters",
        "with m.If(strobe):",
        "with m.If(1):",
        r"counter lines",
    ),
    CnnFault(
        "patches counted while they wait",
        "product",
        "self.events.patch.eq(self.i.valid & self.i.ready)",
        "self.events.patch.eq(self.i.valid)",
        r"counter patches",
    ),
    CnnFault(
        "pixels counted while they wait",
        "convolver",
        "self.events.pixel.eq(feature_map.o.valid & feature_map.o.ready)",
        "self.events.pixel.eq(feature_map.o.valid)",
        r"counter pixels",
    ),
    CnnFault(
        "devices of the other kind of pulse",
        "counters",
        'began.eq(getattr(self, f"{kind}_pulse"))',
        "began.eq(self.set_pulse)",
        r"counter",
        writes=10,
    ),
    CnnFault(
        "row read of the next step",
        "inference_unit",
        "array.step.eq(row.step)",
        "array.step.eq(row.step ^ 1)",
        r"write|devices|index",
        writes=10,
    ),
)


def faulty_unit(module: str, right: str, wrong: str) -> Any:
    """The class ``InferenceUnit`` of a gateware in which ``right`` reads ``wrong``."""
    return faulty_component(
        "hw.cnn", "inference_unit", "InferenceUnit", module=module, right=right, wrong=wrong
    )


def run(unit: Any, config: Any, writes: int = 1) -> None:
    n_images = 0 if writes > 1 else 4 if config is images else 3
    run_inference(config, n_images=n_images, n_writes=writes, unit=unit, max_cycles=1_500)


@pytest.mark.parametrize(
    ("config", "writes"), [(bands, 1), (images, 1), (bands, 10)], ids=["bands", "images", "writes"]
)
def test_without_fault(config: Any, writes: int) -> None:
    """The same harness with a change of no consequence."""
    unit = faulty_unit("product", "m = Module()", "m = Module()  # unchanged")
    run(unit, config, writes)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught(fault: CnnFault) -> None:
    unit = faulty_unit(fault.module, fault.right, fault.wrong)
    with pytest.raises((AssertionError, IndexError)) as caught:
        run(unit, fault.config, fault.writes)
    assert re.search(fault.found, str(caught.value)), str(caught.value)


def test_faults_in_every_block() -> None:
    """All modules with gateware."""
    assert {fault.module for fault in FAULTS} >= gateware_modules("hw.cnn")
