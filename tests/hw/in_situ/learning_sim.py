"""The whole in-situ learning unit in Amaranth's simulator, beside the model.

As :mod:`tests.hw.unit_sim`: the arrays and the checker of the co-simulation, no Verilog between,
and stricter at the edges. Codes are wrong on purpose until the cycle in which they are promised,
drives must hold while an array computes, pulses must have their widths and gaps, and no array is
programmed while it computes.
"""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value

from cocotb_tests.boundary import BACKWARD, FORWARD
from cocotb_tests.in_situ.checker import Checker, Observation, Pulse, Transaction
from cocotb_tests.in_situ.unit_bench import read_pulse
from cocotb_tests.in_situ.unit_probes import LearningProbes
from hw.in_situ.learning_unit import LearningUnit
from hw.in_situ.registers import register_table
from model.in_situ.activity import PHASES, Activity
from model.in_situ.arrays import new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.pulse_scheduler import SET
from model.in_situ.unit import DECAY, RATE
from tests.hw.frame_sim import (
    ArrayPort,
    Batch,
    BrokenContract,
    FrameSim,
    Hang,
    Host,
    PulsePort,
    records_of,
)

__all__ = ["run_learning"]

N_UPDATES = 4
"""Updates over which the learning rate falls to zero: so few that tests see it fall."""


def run_learning(
    config: InSituConfig,
    *batches: Batch,
    seed: int = 1,
    idle: str = "1",
    stall: str = "1",
    busy: str = "0",
    max_cycles: int = 4_000,
    unit: Callable[[InSituConfig], Any] = LearningUnit,
    host: Callable[..., Host] = Host,
) -> Checker:
    """Sends the batches through the unit and checks everything; returns the model after the last
    image.

    Parameters
    ----------
    config
        The system.
    batches
        Images, in order; between two of them the host may switch from training to inference.
    seed
        Of the arrays.
    idle, stall
        When the host offers a beat of an image and takes a beat of a result; one character a
        cycle, repeated, ``1`` is yes.
    busy
        When the arrays hold a pulse off; with other patterns than ``0`` cycles of write phases are
        not compared.
    max_cycles
        Without the end of an image.
    unit
        What makes the gateware; for tests of faulty ones.
    host
        What makes the host, of configuration, unit and registers.

    Raises
    ------
    Mismatch
        Gateware and model differ.
    Hang
        An image did not end.
    BrokenContract
        The unit used arrays or buses in a way that is not allowed.
    """
    sim = _LearningSim(config, unit(config), seed, max_cycles, busy, host)
    sim.simulate(batches, idle, stall)
    return sim.checker


class _Array(ArrayPort):
    """Computes products; direction and drive must hold while one is computed."""

    def __init__(self, config: InSituConfig, layer: int, port: Any, model: Any) -> None:
        super().__init__(
            layer,
            port,
            config.converter.adc_bits,
            ("start", "direction", "row_drive", "col_drive"),
        )
        self.model, self.cycles = model, config.array.mvm_cycles
        self.n_lines = (config.network.n_inputs(layer), config.network.n_cols(layer))
        self.held = 0

    def step(self, ctx: Any, values: Sequence[int]) -> Transaction | None:
        """Returns the product that began in this cycle, if one did."""
        start, direction, *drives = values
        drive = drives[direction == BACKWARD]
        if start:
            return self._begin(ctx, direction, drive)
        if self.remaining:
            if direction != self.direction or drive != self.held:
                raise BrokenContract(f"Array {self.layer}: a drive changed while it computes.")
            self.proceed(ctx)
        return None

    def _begin(self, ctx: Any, direction: int, drive: int) -> Transaction:
        self.check_idle()
        forward = direction == FORWARD
        values = np.frombuffer(drive.to_bytes(self.n_lines[not forward], "little"), np.uint8)
        codes = self.model.forward(values) if forward else self.model.backward(values)
        self.held = drive
        self.begin(ctx, direction, codes, self.cycles)
        return Transaction(self.layer, direction, values, codes)


class _Programmer(PulsePort):
    """Row-parallel pulses."""

    def __init__(self, config: InSituConfig, port: Any, arrays: Sequence[Any]) -> None:
        super().__init__(config, port)
        self.arrays = arrays

    def begin(self, request: int) -> Pulse:
        pulse, network = read_pulse(self.config, request), self.config.network
        if pulse.layer >= network.n_layers or pulse.row >= network.n_rows(pulse.layer):
            raise BrokenContract(f"A pulse on row {pulse.row} of layer {pulse.layer}.")
        n_cols = network.n_cols(pulse.layer)
        if pulse.gates[n_cols:].any() or not pulse.gates.any():
            raise BrokenContract(f"A pulse with gates {pulse.gates.tolist()}.")
        self.arrays[pulse.layer].program(pulse.row, pulse.kind, pulse.gates[:n_cols])
        return pulse

    def is_set(self, pulse: Pulse) -> bool:
        return pulse.kind == SET


class _LearningSim(FrameSim):
    """The simulation of a learning unit."""

    checker: Checker

    def __init__(
        self,
        config: InSituConfig,
        unit: Any,
        seed: int,
        max_cycles: int,
        busy: str,
        host: Callable[..., Host],
    ) -> None:
        checker = Checker(config, seed, N_UPDATES)
        super().__init__(config, unit, checker, host(config, unit, register_table(config)))
        self.max_cycles, self.busy = max_cycles, busy
        self.arrays = new_arrays(config, seed)
        self.unpack = LearningProbes(config)
        self.train = True

    async def configure(self, ctx: Any) -> None:
        registers = self.checker.unit.registers
        await self.host.write(ctx, "RATE", int(registers[RATE]))
        await self.host.write(ctx, "RATE_DECAY", int(registers[DECAY]))

    async def begin_batch(self, ctx: Any, batch: Batch) -> None:
        self.train = batch.train

    async def check_registers(self, ctx: Any) -> None:
        host = self.host
        rate = await host.read(ctx, host.offsets["RATE_NOW"])
        counters = [await host.read_counter(ctx, f"COUNT_{activity.name}") for activity in Activity]
        if self.busy == "0":
            self.checker.check_registers(rate, counters)

    async def check_memories(self, ctx: Any) -> None:
        depth = self.config.gradient_depth
        self.checker.check_memories(
            self.unpack.gradients(self.rows_of(ctx, self.unit.gradient_memory, depth)),
            self.unpack.gates(self.rows_of(ctx, self.unit.gate_memory, depth)),
        )

    def check(self, image: npt.NDArray[np.uint8], label: int, seen: Observation) -> None:
        self.checker.check(image, label, self.train, seen, with_cycles=self.busy == "0")

    async def observe(self, ctx: Any) -> None:
        config, unit = self.config, self.unit
        arrays = [
            _Array(config, layer, getattr(unit, f"array_{layer}"), array)
            for layer, array in enumerate(self.arrays)
        ]
        programmer = _Programmer(config, unit.program, self.arrays)
        streams = {
            "activations": (unit.activation_unit.o.valid, unit.activation_unit.o.p),
            "outputs": (unit.softmax.o.valid, unit.softmax.o.p),
            "errors": (unit.error_buffer.i.valid & unit.sequencer.training, unit.error_buffer.i.p),
        }
        memories = [unit.gradient_memory, unit.gate_memory]
        sampled = [unit.sequencer.done, Value.cast(unit.sequencer.phase), *programmer.inputs]
        for valid, payload in streams.values():
            sampled += [valid, Value.cast(payload)]
        for memory in memories:
            write = memory.rows.write_ports[0]
            sampled += [write.en & ~memory.busy, write.addr, Value.cast(write.data)]
        first_stream, first_memory = 4, 4 + 2 * len(streams)
        first_array = first_memory + 3 * len(memories)
        for array in arrays:
            sampled += array.inputs

        seen, since = Observation(), 0
        words: list[list[int]] = [[] for _ in streams]
        writes: list[list[tuple[int, int]]] = [[] for _ in memories]
        cycles = [0] * len(PHASES)
        ended: tuple[Observation, list[list[int]], list[int]] | None = None
        widths = [len(Value.cast(payload)) for _, payload in streams.values()]
        holds_off = cycle(self.busy)
        while not self.finished and self.failure is None:
            ctx.set(unit.program.busy, next(holds_off) == "1")
            _, _, *values = await ctx.tick().sample(*sampled)
            done, phase = values[:2]
            for k, record in enumerate(words):
                valid, payload = values[first_stream + 2 * k : first_stream + 2 * k + 2]
                if valid:
                    record.append(payload)
            for k, record in enumerate(writes):
                enable, address, row = values[first_memory + 3 * k : first_memory + 3 * k + 3]
                if enable:
                    record.append((address, row))
            if ended is not None:
                # The last gradient word is written in the cycle after an image's last.
                seen_then, words_then, cycles_then = ended
                self._end_image(seen_then, words_then, widths, writes, cycles_then)
                ended, writes = None, [[] for _ in memories]
            if phase < len(PHASES):
                cycles[phase] += 1
            pulse = programmer.step(values[2:4])
            if pulse is not None:
                seen.pulses.append(pulse)
            for k, array in enumerate(arrays):
                first = first_array + 4 * k
                transaction = array.step(ctx, values[first : first + 4])
                if transaction:
                    seen.transactions.append(transaction)
                if array.remaining and programmer.pulse is not None:
                    raise BrokenContract(f"Array {k} is programmed while it computes.")
            if done:
                ended = seen, words, cycles
                seen, since, cycles = Observation(), 0, [0] * len(PHASES)
                words = [[] for _ in streams]
            since += 1
            if since > self.max_cycles:
                raise Hang(f"Nothing ended for {self.max_cycles} cycles.")

    def _end_image(
        self,
        seen: Observation,
        words: list[list[int]],
        widths: list[int],
        writes: list[list[tuple[int, int]]],
        cycles: list[int],
    ) -> None:
        config, unpack, lanes = self.config, self.unpack, self.config.update.lanes
        records = [records_of(values, bits) for values, bits in zip(words, widths, strict=True)]
        seen.activations = unpack.activations(records[0])
        seen.outputs = unpack.activations(records[1])
        seen.errors = unpack.errors(records[2])
        addresses = [np.array([address for address, _ in found], np.int64) for found in writes]
        seen.gradient_addresses, seen.gate_addresses = addresses
        bits = (config.gradient_bits * lanes, 2 * config.gate.word_bits * lanes)
        rows = [
            records_of((row for _, row in found), width)
            for found, width in zip(writes, bits, strict=True)
        ]
        seen.gradient_words, seen.gate_words = unpack.gradients(rows[0]), unpack.gates(rows[1])
        seen.cycles = cycles
        self.check_next(seen)
