"""The test bench of the emitted in-situ learning unit, run by cocotb inside Verilator.

As :mod:`cocotb_tests.unit_bench`: Python wakes for array products, row-parallel pulses and results;
images are played to the unit by compiled code, what each block made is recorded by probes and
compared image by image with the model, and the first mismatch ends the run.
"""

import time
from pathlib import Path
from typing import Any, Protocol

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from cocotb_tests import probes
from cocotb_tests.boundary import FORWARD
from cocotb_tests.checker import Mismatch
from cocotb_tests.exchange import finish, parameters, report
from cocotb_tests.host_bus import HostBus
from cocotb_tests.in_situ.checker import Checker, Observation, Pulse, Transaction
from cocotb_tests.in_situ.unit_probes import LearningProbes
from cocotb_tests.signals import read_unsigned, write
from hw.in_situ.layouts import max_cols, pulse_request_layout
from hw.in_situ.registers import register_table
from model.checkpoint import read_checkpoint, write_checkpoint
from model.frames import image_frame, parse_result
from model.in_situ.activity import PHASES, Activity
from model.in_situ.arrays import new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.training import activity as activity_counts
from model.in_situ.training import load_arrays
from model.in_situ.unit import COUNT, DECAY, RATE
from model.settings import from_toml

__all__ = ["ArrayModel", "LearningBench", "read_pulse"]

PROGRESS_S = 0.5
"""Seconds between progress reports."""

IMAGES_AHEAD = 4
"""Images given to the player beyond those done: one in work, one loaded, and some to spare."""


class ArrayModel(Protocol):
    """What an array must do; :class:`model.in_situ.array.OneTransistorArray` does it."""

    def forward(self, drive: npt.NDArray[np.uint8], /) -> npt.NDArray[np.int16]:
        """Rows driven with +-``drive`` uint8 ``[n_inputs]``; codes int16 ``[n_cols]``."""

    def backward(self, drive: npt.NDArray[np.uint8], /) -> npt.NDArray[np.int16]:
        """Columns driven with ``drive`` uint8 ``[n_cols]``; codes int16 ``[n_inputs]``."""

    def program(self, row: int, kind: int, gates: npt.NDArray[np.uint8], /) -> None:
        """A pulse on the columns of a row whose gate is not 0: kind 0 SET, 1 RESET."""


def read_pulse(config: InSituConfig, request: int) -> Pulse:
    """The pulse of a request on the wires."""
    layout, n_cols = pulse_request_layout(config), max_cols(config)
    layer, row, kind, gates = (
        request >> layout[name].offset & (1 << layout[name].width) - 1
        for name in ("layer", "row", "kind", "gates")
    )
    codes = np.frombuffer(gates.to_bytes(n_cols, "little"), np.uint8)
    return Pulse(layer, row, kind, codes)


class LearningBench(HostBus):
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
        self, dut: Any, config: InSituConfig, checker: Checker, arrays: tuple[ArrayModel, ...]
    ) -> None:
        super().__init__(dut, register_table(config))
        self.config = config
        self.checker = checker
        self.arrays = arrays
        self.unpack = LearningProbes(config)
        self.images: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self.labels: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.train = True
        self.done = 0
        self.given = 0
        self.correct = 0
        self.cycles: list[list[int]] = []
        self.seen = Observation()
        self.beats: list[npt.NDArray[np.uint8]] = []
        self.totals = np.zeros(len(PHASES), np.int64)
        self.failure: Mismatch | None = None
        self.last_report = 0.0
        self.save_path: Path | None = None
        self.save_s = 60.0
        self.save_header: dict[str, Any] = {}
        self.last_save = time.monotonic()
        # Of the parts of this run before it was stopped.
        self.seconds_before, self.cpu_seconds_before, self.cycles_before = 0.0, 0.0, 0
        self.start_s, self.start_cpu_s, self.start_cycle = 0.0, 0.0, 0

    # Host side. Signals change at falling edges, as in HostBus.

    async def reset(self) -> None:
        """Holds reset for four cycles."""
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
        """Answers every product of one layer's array."""
        network, bits = self.config.network, self.config.converter.adc_bits
        signals = {
            name: getattr(self.dut, f"array_{layer}__{name}")
            for name in ("start", "direction", "row_drive", "col_drive", "col_codes", "row_codes")
        }
        while True:
            await RisingEdge(signals["start"])
            self.end_image()
            direction = int(signals["direction"].value)
            if direction == FORWARD:
                drive = read_unsigned(signals["row_drive"], network.n_inputs(layer), 8)
                codes = self.arrays[layer].forward(drive)
                write(signals["col_codes"], codes, bits)
            else:
                drive = read_unsigned(signals["col_drive"], network.n_cols(layer), 8)
                codes = self.arrays[layer].backward(drive)
                write(signals["row_codes"], codes, bits)
            self.seen.transactions.append(Transaction(layer, direction, drive, codes))

    async def serve_pulses(self) -> None:
        """Applies every programming pulse to its array."""
        while True:
            await RisingEdge(self.dut.program__pulse)
            self.end_image()
            pulse = read_pulse(self.config, int(self.dut.program__request.value))
            n_cols = self.config.network.n_cols(pulse.layer)
            self.arrays[pulse.layer].program(pulse.row, pulse.kind, pulse.gates[:n_cols])
            self.seen.pulses.append(pulse)

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
            self._check(self.unpack.cycles(records)[-1])
            self.give_images()
            self._check_results()
        except Mismatch as error:
            self.failure = error
            return
        now = time.monotonic()
        # Between two batches the gradient memory is empty, and nothing is halfway.
        is_whole = self.checker.unit.registers[COUNT] == 0
        if self.save_path is not None and is_whole and now - self.last_save > self.save_s:
            self.last_save = now
            self.save(self.save_path)
        if now - self.last_report > PROGRESS_S or self.done == len(self.images):
            self.last_report = now
            report(images=self.done, correct=self.correct)

    def _check(self, totals: npt.NDArray[np.int64]) -> None:
        seen, unpack = self.seen, self.unpack
        self.seen = Observation()
        seen.cycles = (totals - self.totals).tolist()
        self.totals = totals
        seen.activations = unpack.activations(probes.take("activations"))
        seen.outputs = unpack.activations(probes.take("outputs"))
        seen.errors = unpack.errors(probes.take("errors"))
        gradients, gates = probes.take("gradients"), probes.take("gates")
        seen.gradient_addresses = unpack.addresses(gradients)
        seen.gradient_words = unpack.gradients(gradients[:, 1:])
        seen.gate_addresses = unpack.addresses(gates)
        seen.gate_words = unpack.gates(gates[:, 1:])
        image, label = self.images[self.done], int(self.labels[self.done])
        self.checker.check(image, label, self.train, seen)
        self.cycles.append(list(seen.cycles))
        self.correct += self.checker.results[-1].predicted == label
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

    def _own_arrays(self) -> dict[str, npt.NDArray[Any]]:
        unit = self.checker.unit
        gates = {f"gates{layer}": gates for layer, gates in enumerate(unit.gates)}
        return {"registers": unit.registers, "counters": unit.counters, **gates}

    def save(self, path: Path) -> None:
        """Writes the state after a batch; gateware and model agree on it."""
        header = {
            **self.save_header,
            **self._spent(),
            "images": self.done,
            "correct": self.correct,
            "compared": self.checker.compared,
        }
        arrays = {**self._own_arrays(), "cycles": np.array(self.cycles, np.int32)}
        for layer, array in enumerate(self.checker.arrays):
            arrays |= {f"array{layer}.{name}": value for name, value in array.save().items()}
        write_checkpoint(path, header, arrays)

    async def restore(self, path: Path) -> None:
        """Goes on where :meth:`save` was: model, arrays, memories and counters of the gateware."""
        checkpoint = read_checkpoint(path)
        header, unit = checkpoint.header, self.checker.unit
        checkpoint.copy_into(self._own_arrays())
        load_arrays(checkpoint, self.checker.arrays)
        load_arrays(checkpoint, self.arrays)  # type: ignore[arg-type]
        self.cycles = checkpoint.arrays["cycles"].tolist()
        first = Activity.CYCLES_FORWARD
        self.totals = unit.counters[first : first + len(PHASES)].copy()
        self.done = self.given = self.checker.images = self.checker.checked_results = int(
            header["images"]
        )
        self.correct = int(header["correct"])
        self.checker.compared |= header["compared"]
        self.seconds_before = float(header["seconds"])
        self.cpu_seconds_before = float(header["cpu_seconds"])
        self.cycles_before = int(header["simulated_cycles"])
        probes.give("gate_rows", self.unpack.gate_records(self.checker.gate_rows()))
        probes.give("counters", self.unpack.counter_records(unit.counters))
        self.dut.load_gate_rows.value = 1
        self.dut.load_counters.value = 1
        await FallingEdge(self.dut.clk)

    async def run(self, resume: Path | None = None) -> dict[str, Any]:
        """The whole run, or the rest of one that was stopped; returns its results."""
        await self.reset()
        # The memories initialise themselves first.
        await Timer(self.config.gradient_depth + 8, unit="ns")
        await FallingEdge(self.dut.clk)
        if resume is not None:
            await self.restore(resume)
        for layer in range(self.config.network.n_layers):
            cocotb.start_soon(self.serve_array(layer))
        cocotb.start_soon(self.serve_pulses())
        cocotb.start_soon(self.serve_results())
        registers = self.checker.unit.registers
        await self.write_register("RATE", int(registers[RATE]))
        await self.write_register("RATE_DECAY", int(registers[DECAY]))
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
        """Compares what only stands still between images: results, memories, registers."""
        self.dut.dump_gradient_memory.value = 1
        self.dut.dump_gate_memory.value = 1
        for _ in range(4):
            await FallingEdge(self.dut.clk)
        try:
            self._check_results()
            gradients, gates = probes.take("gradient_memory"), probes.take("gate_memory")
            self.checker.check_memories(self.unpack.gradients(gradients), self.unpack.gates(gates))
            rate = await self.read_register(self.offsets["RATE_NOW"])
            counters = [await self.read_counter(f"COUNT_{activity.name}") for activity in Activity]
            self.checker.check_registers(rate, counters)
        except Mismatch as error:
            self.failure = error


@cocotb.test()
async def run_images(dut: Any) -> None:
    """Runs the images of the parameters; reports results and, if there is one, the mismatch."""
    given = parameters()
    config = from_toml(given["config"], InSituConfig())
    checker = Checker(config, given["seed"], given["n_updates"])
    checker.warm_up()
    bench = LearningBench(dut, config, checker, new_arrays(config, given["seed"]))
    with np.load(given["images"], allow_pickle=False) as archive:
        bench.images, bench.labels = archive["images"], archive["labels"]
    bench.train = given["train"]
    if given["save"] is not None:
        bench.save_path, bench.save_s = Path(given["save"]), given["save_s"]
        bench.save_header = given["save_header"]
    resume = given["resume"]
    finish(await bench.run(None if resume is None else Path(resume)))
