"""The test bench of the emitted digital unit, run by cocotb inside Verilator.

Python wakes for array transactions, pulses and results, not for clock edges in between; images are
played to the unit's input by compiled code. What each block made is recorded by probes and compared
image by image with the model by :class:`cocotb_tests.checker.Checker`; the first mismatch ends the
run.
"""

import gc
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from cocotb_tests import probes
from cocotb_tests.boundary import BACKWARD, FORWARD, ArrayModel, Boundary
from cocotb_tests.checker import Checker, Observation, Transaction
from cocotb_tests.coverage import UnitCoverage
from cocotb_tests.exchange import parameters
from cocotb_tests.frame_bench import FrameBench
from cocotb_tests.signals import read_signed, read_unsigned, write
from cocotb_tests.unit_probes import UnitProbes
from hw.layouts import pulse_request_layout
from hw.registers import register_table
from model.activity import PHASES, Activity
from model.arrays import new_arrays
from model.checkpoint import Checkpoint, restore_crossbars
from model.config import Config, from_toml
from model.training import activity as activity_counts
from model.unit import settings
from model.unit_state import restore_unit, unit_arrays

__all__ = ["UnitBench"]

_PHASE_COUNTERS = slice(Activity.CYCLES_FORWARD, Activity.CYCLES_UPDATE + 1)
"""The cycle counters of the phases among all counters."""


class UnitBench(FrameBench):
    """The bench of a digital unit.

    Parameters
    ----------
    dut
        cocotb's handle of the bench module.
    config
        The system.
    checker
        The model beside it.
    arrays
        What answers on the far side of the boundary.

    Attributes
    ----------
    coverage : UnitCoverage or None
        Counts the cases that the images meet, if there is one.
    """

    config: Config
    checker: Checker
    unpack: UnitProbes
    memories = ("chi_memory",)
    recorded = (*FrameBench.recorded, "activations", "errors", "scaled", "updates", "chi")

    def __init__(
        self, dut: Any, config: Config, checker: Checker, arrays: tuple[ArrayModel, ...]
    ) -> None:
        super().__init__(dut, config, register_table(config), checker, UnitProbes(config), PHASES)
        self.boundary = Boundary(config, arrays)
        self.run_settings = settings(config)
        self.coverage: UnitCoverage | None = None
        self.seen = Observation()
        self.totals = np.zeros(len(PHASES), np.int64)

    # Array side.

    async def serve_array(self, layer: int) -> None:
        """Answers every transaction of one layer's arrays."""
        network = self.config.network
        prefix = f"array_{layer}__"
        signals = {
            name: getattr(self.dut, prefix + name)
            for name in (
                "start",
                "direction",
                "row",
                "device",
                "row_drive",
                "col_drive",
                "col_codes",
                "row_codes",
            )
        }
        while True:
            await RisingEdge(signals["start"])
            self.end_image()
            direction = int(signals["direction"].value)
            row, device, drive = 0, 0, np.zeros(0, np.int8)
            if direction == FORWARD:
                drive = read_unsigned(signals["row_drive"], network.n_rows(layer), 8)
            elif direction == BACKWARD:
                drive = read_signed(signals["col_drive"], network.n_cols(layer), 8)
            else:
                row, device = int(signals["row"].value), int(signals["device"].value)
            codes = self.boundary.compute(layer, direction, row, device, drive)
            wires = signals["row_codes" if direction == BACKWARD else "col_codes"]
            write(wires, codes.reshape(-1), self.config.converter.adc_bits)
            self.seen.transactions.append(
                Transaction(layer, direction, row, device, drive, codes.copy())
            )

    async def serve_pulses(self) -> None:
        """Applies every programming pulse to its array."""
        layout = pulse_request_layout(self.config)
        fields = [layout[name] for name in ("layer", "row", "col", "device", "kind")]
        places = [(field.offset, (1 << field.width) - 1) for field in fields]
        while True:
            await RisingEdge(self.dut.program__pulse)
            self.end_image()
            request = int(self.dut.program__request.value)
            layer, row, col, device, kind = (request >> first & mask for first, mask in places)
            self.boundary.program(layer, row, col, device, kind)
            self.seen.pulses.append((layer, row, col, device, kind))

    # Checking.

    def check_image(
        self, records: npt.NDArray[np.uint32], image: npt.NDArray[np.uint8], label: int
    ) -> tuple[Sequence[int], int]:
        """As :meth:`FrameBench.check_image`; arrays age by the image's cycles."""
        seen, unpack = self.seen, self.unpack
        self.seen = Observation()
        totals = unpack.counters(records)[-1, _PHASE_COUNTERS].copy()
        # The counters are read before an image's last cycle is counted.
        totals[-1] += 1
        seen.cycles = (totals - self.totals).tolist()
        self.totals = totals
        seen.follows = bool(unpack.follows(records)[-1])
        seen.activations = unpack.activations(probes.take("activations"))
        seen.errors = unpack.errors(probes.take("errors"))
        scaled = probes.take("scaled")
        seen.drives, seen.codes = unpack.drives(scaled), unpack.codes(scaled)
        seen.updates = unpack.updates(probes.take("updates"))
        chi = probes.take("chi")
        seen.chi_addresses, seen.chi_words = unpack.chi_addresses(chi), unpack.chi_words(chi)
        run = self.run_settings if self.train else None
        self.checker.check(image, label, run, seen)
        if self.coverage is not None:
            self.coverage.sample(self.checker.unit, run)
        self.boundary.end_image(sum(seen.cycles))
        outputs = self.checker.unit.trace.activations[-1][: self.config.network.layers[-1]]
        return seen.cycles, int(outputs.argmax())

    async def check_end(self) -> None:
        """All of chi and all counters."""
        self.checker.check_chi(self.unpack.chi_rows(probes.take("chi_memory")))
        self.checker.check_counters(
            [await self.read_counter(f"COUNT_{activity.name}") for activity in Activity]
        )

    def counters(self) -> dict[str, int]:
        """The model's activity counters by lower-case name."""
        return activity_counts(self.checker.unit.counters)

    def results(self) -> dict[str, Any]:
        """The cases that were met, if they were counted."""
        return {} if self.coverage is None else {"coverage": self.coverage.counts}

    # State of the run.

    def is_whole(self) -> bool:
        """Whether nothing of the last image's update is left to the image in work."""
        return self.checker.unit.is_whole

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The model's unit and arrays."""
        return unit_arrays(self.checker.unit, self.checker.arrays)

    async def restore_state(self, checkpoint: Checkpoint) -> None:
        """Model, arrays, and the registers and chi of the gateware."""
        unit = self.checker.unit
        restore_unit(checkpoint, unit, self.checker.arrays)
        restore_crossbars(checkpoint, self.boundary.arrays)  # type: ignore[arg-type]
        self.boundary.time_s = float(unit.device_time_s[0])
        self.totals = unit.counters[_PHASE_COUNTERS].copy()
        # The chi memory clears itself first.
        await Timer(self.config.chi_depth + 8, unit="ns")
        await FallingEdge(self.dut.clk)
        probes.give("chi_rows", self.unpack.chi_records(unit))
        probes.give("registers", self.unpack.register_records(unit))
        self.dut.load_chi_rows.value = 1
        self.dut.load_registers.value = 1
        await FallingEdge(self.dut.clk)


@cocotb.test()
async def run_images(dut: Any) -> None:
    """Runs the images of the parameters; reports results and, if there is one, the mismatch."""
    given = parameters()
    config = from_toml(given["config"])
    checker = Checker(config, given["seed"])
    checker.warm_up()
    bench = UnitBench(dut, config, checker, new_arrays(config, given["seed"]))
    if given.get("coverage"):
        bench.coverage = UnitCoverage(config)
    # What is there now stays to the end: no use in looking through it again and again.
    gc.collect()
    gc.freeze()
    await bench.run_given(given)
