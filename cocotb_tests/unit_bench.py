"""The test bench of the emitted digital unit, run by cocotb inside Verilator.

Python wakes for array transactions, pulses and results, not for clock edges in between; images are
played to the unit's input by compiled code. What each block made is recorded by probes and compared
image by image with the model by :class:`cocotb_tests.checker.Checker`; the first mismatch ends the
run.
"""

import gc
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from cocotb_tests import probes
from cocotb_tests.boundary import BACKWARD, FORWARD, ArrayModel, Boundary
from cocotb_tests.checker import Checker, Mismatch, Observation, Transaction
from cocotb_tests.exchange import finish, parameters, report
from cocotb_tests.host_bus import HostBus
from cocotb_tests.signals import read_signed, read_unsigned, write
from cocotb_tests.unit_probes import UnitProbes
from hw.layouts import pulse_request_layout
from hw.registers import register_table
from model.activity import Activity
from model.arrays import new_arrays
from model.checkpoint import read_checkpoint, restore_crossbars, write_checkpoint
from model.config import Config, from_toml
from model.frames import image_frame, parse_result
from model.training import activity as activity_counts
from model.unit import settings
from model.unit_state import restore_unit, unit_arrays

__all__ = ["UnitBench"]

PROGRESS_S = 0.5
"""Seconds between progress reports."""

IMAGES_AHEAD = 4
"""Images given to the player beyond those done: one in work, one loaded, and some to spare."""


class UnitBench(HostBus):
    """Drives the unit's host side, answers at its array ports, checks every image.

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
    """

    def __init__(
        self, dut: Any, config: Config, checker: Checker, arrays: tuple[ArrayModel, ...]
    ) -> None:
        super().__init__(dut, register_table(config))
        self.config = config
        self.checker = checker
        self.boundary = Boundary(config, arrays)
        self.unpack = UnitProbes(config)
        self.run_settings = settings(config)
        self.images: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self.labels: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.train = True
        self.done = 0
        self.given = 0
        self.correct = 0
        self.cycles: list[list[int]] = []
        self.seen = Observation()
        self.beats: list[npt.NDArray[np.uint8]] = []
        self.counters = np.zeros(len(Activity), np.int64)
        self.failure: Mismatch | None = None
        self.last_report = 0.0
        self.save_path: Path | None = None
        self.save_s = 60.0
        self.save_header: dict[str, Any] = {}
        self.last_save = time.monotonic()
        # Of the parts of this run before it was stopped.
        self.seconds_before, self.cpu_seconds_before, self.cycles_before = 0.0, 0.0, 0
        self.start_s, self.start_cpu_s, self.start_cycle = 0.0, 0.0, 0

    # Host side. Signals change at falling edges, so that a handshake seen at one is a transfer at
    # the next rising edge.

    async def reset(self) -> None:
        """Holds reset for four cycles and waits until the chi memory has cleared itself."""
        dut = self.dut
        dut.m_axis_result__tready.value = 1
        dut.program__busy.value = 0
        dut.rst.value = 1
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    def give_images(self) -> None:
        """Keeps the player a few images ahead of the unit."""
        until = min(len(self.images), self.done + IMAGES_AHEAD)
        for index in range(self.given, until):
            beats = image_frame(self.images[index], int(self.labels[index]), self.config)
            probes.give("images", self.unpack.image_records(beats))
        self.given = max(self.given, until)

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

    async def serve_results(self) -> None:
        """Looks for finished images whenever a result comes."""
        while True:
            await RisingEdge(self.dut.m_axis_result__tlast)
            # The last beat is transferred, and so recorded, with the next edge.
            await FallingEdge(self.dut.clk)
            await FallingEdge(self.dut.clk)
            self.end_image()

    # Checking.

    def end_image(self) -> None:
        """Checks the image that has ended since the last call, if one has.

        Called first at every event, so that no event of the next image can come before.
        """
        records = probes.take("image")
        if len(records) == 0:
            return
        try:
            self._check(self.unpack.counters(records)[-1].copy())
            self.give_images()
            self._check_results()
        except Mismatch as error:
            self.failure = error
            return
        now = time.monotonic()
        if self.save_path is not None and now - self.last_save > self.save_s:
            self.last_save = now
            self.save(self.save_path)
        if now - self.last_report > PROGRESS_S or self.done == len(self.images):
            self.last_report = now
            report(images=self.done, correct=self.correct)

    def _check(self, counters: npt.NDArray[np.int64]) -> None:
        seen, unpack = self.seen, self.unpack
        self.seen = Observation()
        phases = slice(Activity.CYCLES_FORWARD, Activity.CYCLES_UPDATE + 1)
        # The counters are read before an image's last cycle is counted.
        counters[Activity.CYCLES_UPDATE] += 1
        cycles = counters[phases] - self.counters[phases]
        self.counters = counters
        seen.cycles = cycles.tolist()
        seen.activations = unpack.activations(probes.take("activations"))
        seen.errors = unpack.errors(probes.take("errors"))
        scaled = probes.take("scaled")
        seen.drives, seen.codes = unpack.drives(scaled), unpack.codes(scaled)
        seen.updates = unpack.updates(probes.take("updates"))
        chi = probes.take("chi")
        seen.chi_addresses, seen.chi_words = unpack.chi_addresses(chi), unpack.chi_words(chi)
        image, label = self.images[self.done], int(self.labels[self.done])
        self.checker.check(image, label, self.run_settings if self.train else None, seen)
        self.boundary.end_image(sum(seen.cycles))
        self.cycles.append(list(seen.cycles))
        outputs = self.checker.unit.trace.activations[-1][: self.config.network.layers[-1]]
        self.correct += int(outputs.argmax()) == label
        self.done += 1

    def _check_results(self) -> None:
        """Compares the result frames that have come; each comes a little after its image's end."""
        self.beats += list(self.unpack.results(probes.take("results")))
        n_beats = self.config.rows_to_words(self.config.network.layers[-1]) + 1
        while len(self.beats) >= n_beats:
            frame, self.beats = self.beats[:n_beats], self.beats[n_beats:]
            self.checker.check_result(parse_result(np.array(frame), self.config))

    # State of the run.

    def _spent(self) -> dict[str, Any]:
        """Time spent so far, the parts before an interruption included."""
        return {
            "seconds": self.seconds_before + time.perf_counter() - self.start_s,
            "cpu_seconds": self.cpu_seconds_before + time.process_time() - self.start_cpu_s,
            "simulated_cycles": self.cycles_before + int(self.dut.cycle.value) - self.start_cycle,
        }

    def save(self, path: Path) -> None:
        """Writes the state after the last checked image; gateware and model agree on it."""
        header = {
            **self.save_header,
            **self._spent(),
            "images": self.done,
            "correct": self.correct,
            "compared": self.checker.compared,
        }
        arrays = unit_arrays(self.checker.unit, self.checker.arrays)
        cycles = np.array(self.cycles, dtype=np.int32).reshape(-1, 4)
        write_checkpoint(path, header, arrays | {"cycles": cycles})

    async def restore(self, path: Path) -> None:
        """Goes on where :meth:`save` was: model, arrays, and the registers of the gateware."""
        checkpoint = read_checkpoint(path)
        header = checkpoint.header
        restore_unit(checkpoint, self.checker.unit, self.checker.arrays)
        restore_crossbars(checkpoint, self.boundary.arrays)  # type: ignore[arg-type]
        unit = self.checker.unit
        self.boundary.time_s = float(unit.device_time_s[0])
        self.counters = unit.counters.copy()
        self.cycles = checkpoint.arrays["cycles"].tolist()
        self.done = self.given = self.checker.images = self.checker.checked_results = int(
            header["images"]
        )
        self.correct = int(header["correct"])
        self.checker.compared |= header["compared"]
        self.seconds_before = float(header["seconds"])
        self.cpu_seconds_before = float(header["cpu_seconds"])
        self.cycles_before = int(header["simulated_cycles"])
        # The chi memory clears itself first.
        await Timer(self.config.chi_depth + 8, unit="ns")
        await FallingEdge(self.dut.clk)
        probes.give("chi_rows", self.unpack.chi_records(unit))
        probes.give("registers", self.unpack.register_records(unit))
        self.dut.load_chi_rows.value = 1
        self.dut.load_registers.value = 1
        await FallingEdge(self.dut.clk)

    async def run(self, resume: Path | None = None) -> dict[str, Any]:
        """The whole run, or the rest of one that was stopped; returns its results."""
        await self.reset()
        if resume is not None:
            await self.restore(resume)
        for layer in range(self.config.network.n_layers):
            cocotb.start_soon(self.serve_array(layer))
        cocotb.start_soon(self.serve_pulses())
        cocotb.start_soon(self.serve_results())
        await self.write_register("CONTROL", 1 | int(self.train) << 1)
        self.start_s, self.start_cycle = time.perf_counter(), int(self.dut.cycle.value)
        self.start_cpu_s = time.process_time()
        self.give_images()
        while self.done < len(self.images) and self.failure is None:
            await RisingEdge(self.dut.m_axis_result__tlast)
            for _ in range(3):
                await FallingEdge(self.dut.clk)
        spent = self._spent()
        if self.failure is None:
            await self._check_end()
        return {
            **spent,
            "images": self.done,
            "correct": self.correct,
            "compared": self.checker.compared,
            "cycles": self.cycles,
            "counters": activity_counts(self.checker.unit.counters),
            "mismatch": None
            if self.failure is None
            else vars(self.failure) | {"text": str(self.failure)},
        }

    async def _check_end(self) -> None:
        """Compares what only stands still between images: results, all of chi, all counters."""
        self.dut.dump_chi_memory.value = 1
        for _ in range(4):
            await FallingEdge(self.dut.clk)
        try:
            self._check_results()
            self.checker.check_chi(self.unpack.chi_rows(probes.take("chi_memory")))
            counters = []
            for activity in Activity:
                low = await self.read_register(self.offsets[f"COUNT_{activity.name}"])
                high = await self.read_register(self.offsets[f"COUNT_{activity.name}"] + 4)
                counters.append(high << 32 | low)
            self.checker.check_counters(counters)
        except Mismatch as error:
            self.failure = error


@cocotb.test()
async def run_images(dut: Any) -> None:
    """Runs the images of the parameters; reports results and, if there is one, the mismatch."""
    given = parameters()
    config = from_toml(given["config"])
    checker = Checker(config, given["seed"])
    checker.warm_up()
    bench = UnitBench(dut, config, checker, new_arrays(config, given["seed"]))
    with np.load(given["images"], allow_pickle=False) as archive:
        bench.images, bench.labels = archive["images"], archive["labels"]
    bench.train = given["train"]
    if given["save"] is not None:
        bench.save_path, bench.save_s = Path(given["save"]), given["save_s"]
        bench.save_header = given["save_header"]
    resume = given["resume"]
    # What is there now stays to the end: no use in looking through it again and again.
    gc.collect()
    gc.freeze()
    finish(await bench.run(None if resume is None else Path(resume)))
