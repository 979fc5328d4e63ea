"""The test bench of the emitted in-situ learning unit, run by cocotb inside Verilator.

As :mod:`cocotb_tests.unit_bench`: Python wakes for array products, row-parallel pulses and results;
images are played to the unit by compiled code, what each block made is recorded by probes and
compared image by image with the model, and the first mismatch ends the run.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from cocotb_tests import probes
from cocotb_tests.boundary import FORWARD
from cocotb_tests.exchange import parameters
from cocotb_tests.frame_bench import FrameBench
from cocotb_tests.in_situ.checker import Checker, Observation, Pulse, Transaction
from cocotb_tests.in_situ.unit_probes import LearningProbes
from cocotb_tests.signals import read_unsigned, write
from hw.in_situ.layouts import max_cols, pulse_request_layout
from hw.in_situ.registers import register_table
from model.checkpoint import Checkpoint
from model.in_situ.activity import PHASES, Activity
from model.in_situ.arrays import new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.training import activity as activity_counts
from model.in_situ.training import load_arrays
from model.in_situ.unit import COUNT, DECAY, RATE
from model.settings import from_toml

__all__ = ["ArrayModel", "LearningBench", "read_pulse"]


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


class LearningBench(FrameBench):
    """The bench of an in-situ learning unit; a run can go on from the end of a batch.

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

    config: InSituConfig
    checker: Checker
    unpack: LearningProbes
    memories = ("gradient_memory", "gate_memory")
    recorded = (
        *FrameBench.recorded,
        *("activations", "outputs", "errors", "gradients", "gates"),
    )

    def __init__(
        self, dut: Any, config: InSituConfig, checker: Checker, arrays: tuple[ArrayModel, ...]
    ) -> None:
        super().__init__(
            dut, config, register_table(config), checker, LearningProbes(config), PHASES
        )
        self.arrays = arrays
        self.seen = Observation()
        self.totals = np.zeros(len(PHASES), np.int64)

    async def reset(self) -> None:
        """Holds reset for four cycles and waits until the memories have initialised themselves."""
        await super().reset()
        await Timer(self.config.gradient_depth + 8, unit="ns")
        await FallingEdge(self.dut.clk)

    async def configure(self) -> None:
        """The learning rate and its decay."""
        registers = self.checker.unit.registers
        await self.write_register("RATE", int(registers[RATE]))
        await self.write_register("RATE_DECAY", int(registers[DECAY]))

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

    # Checking.

    def check_image(
        self, records: npt.NDArray[np.uint32], image: npt.NDArray[np.uint8], label: int
    ) -> tuple[Sequence[int], int]:
        """As :meth:`FrameBench.check_image`."""
        seen, unpack = self.seen, self.unpack
        self.seen = Observation()
        totals = unpack.cycles(records)[-1]
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
        self.checker.check(image, label, self.train, seen)
        return seen.cycles, self.checker.results[-1].predicted

    async def check_end(self) -> None:
        """Both memories, the learning rate and all counters."""
        gradients, gates = probes.take("gradient_memory"), probes.take("gate_memory")
        self.checker.check_memories(self.unpack.gradients(gradients), self.unpack.gates(gates))
        rate = await self.read_register(self.offsets["RATE_NOW"])
        counters = [await self.read_counter(f"COUNT_{activity.name}") for activity in Activity]
        self.checker.check_registers(rate, counters)

    def counters(self) -> dict[str, int]:
        """The model's activity counters by lower-case name."""
        return activity_counts(self.checker.unit.counters)

    # State of the run.

    def is_whole(self) -> bool:
        """Between two batches the gradient memory is empty, and nothing is halfway."""
        return bool(self.checker.unit.registers[COUNT] == 0)

    def _unit_arrays(self) -> dict[str, npt.NDArray[Any]]:
        unit = self.checker.unit
        gates = {f"gates{layer}": gates for layer, gates in enumerate(unit.gates)}
        return {"registers": unit.registers, "counters": unit.counters, **gates}

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The model's unit and arrays."""
        arrays = self._unit_arrays()
        for layer, array in enumerate(self.checker.arrays):
            arrays |= {f"array{layer}.{name}": value for name, value in array.save().items()}
        return arrays

    async def restore_state(self, checkpoint: Checkpoint) -> None:
        """Model, arrays, and the gate memory and counters of the gateware."""
        unit = self.checker.unit
        checkpoint.copy_into(self._unit_arrays())
        load_arrays(checkpoint, self.checker.arrays)
        load_arrays(checkpoint, self.arrays)  # type: ignore[arg-type]
        first = Activity.CYCLES_FORWARD
        self.totals = unit.counters[first : first + len(PHASES)].copy()
        probes.give("gate_rows", self.unpack.gate_records(self.checker.gate_rows()))
        probes.give("counters", self.unpack.counter_records(unit.counters))
        self.dut.load_gate_rows.value = 1
        self.dut.load_counters.value = 1
        await FallingEdge(self.dut.clk)


@cocotb.test()
async def run_images(dut: Any) -> None:
    """Runs the images of the parameters; reports results and, if there is one, the mismatch."""
    given = parameters()
    config = from_toml(given["config"], InSituConfig())
    checker = Checker(config, given["seed"], given["n_updates"])
    checker.warm_up()
    bench = LearningBench(dut, config, checker, new_arrays(config, given["seed"]))
    await bench.run_given(given)
