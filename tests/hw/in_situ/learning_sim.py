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
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator

from cocotb_tests.boundary import BACKWARD, FORWARD
from cocotb_tests.checker import Mismatch
from cocotb_tests.in_situ.checker import Checker, Observation, Pulse, Transaction
from cocotb_tests.in_situ.unit_bench import read_pulse
from cocotb_tests.in_situ.unit_probes import LearningProbes
from cocotb_tests.signals import pack
from hw.in_situ.learning_unit import LearningUnit
from hw.in_situ.registers import register_table
from model.frames import parse_result
from model.in_situ.activity import PHASES, Activity
from model.in_situ.arrays import new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.pulse_scheduler import RESET
from model.in_situ.unit import DECAY, RATE
from tests.hw.unit_sim import Batch, BrokenContract, Hang, Host, records_of

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

    Raises
    ------
    Mismatch
        Gateware and model differ.
    Hang
        An image did not end.
    BrokenContract
        The unit used arrays or buses in a way that is not allowed.
    """
    return _LearningSim(config, unit(config), seed, max_cycles, busy).run(batches, idle, stall)


class _Array:
    """The compute side of one layer's array; :meth:`step` once a cycle with what was on the
    wires in it."""

    def __init__(self, config: InSituConfig, layer: int, port: Any, model: Any) -> None:
        self.config, self.layer, self.model = config, layer, model
        self.inputs = [
            Value.cast(getattr(port, name))
            for name in ("start", "direction", "row_drive", "col_drive")
        ]
        self.wires = {FORWARD: Value.cast(port.col_codes), BACKWARD: Value.cast(port.row_codes)}
        self.remaining, self.direction, self.held, self.answer = 0, FORWARD, 0, 0

    def step(self, ctx: Any, values: Sequence[int]) -> Transaction | None:
        """Returns the product that began in this cycle, if one did."""
        start, direction, *drives = values
        drive = drives[int(direction == BACKWARD)]
        if start:
            return self._begin(ctx, direction, drive)
        if self.remaining:
            if direction != self.direction or drive != self.held:
                raise BrokenContract(f"Array {self.layer}: a drive changed while it computes.")
            self.remaining -= 1
            if self.remaining == 0:
                ctx.set(self.wires[self.direction], self.answer)
        return None

    def _begin(self, ctx: Any, direction: int, drive: int) -> Transaction:
        if self.remaining:
            raise BrokenContract(f"Array {self.layer}: a start while it computes.")
        network, bits = self.config.network, self.config.converter.adc_bits
        forward = direction == FORWARD
        n_lines = network.n_inputs(self.layer) if forward else network.n_cols(self.layer)
        values = np.frombuffer(drive.to_bytes(n_lines, "little"), np.uint8)
        codes = self.model.forward(values) if forward else self.model.backward(values)
        for wires in self.wires.values():
            ctx.set(wires, -1)
        self.answer = pack(codes, bits)
        ctx.set(self.wires[direction], ~self.answer)
        self.direction, self.held = direction, drive
        self.remaining = self.config.array.mvm_cycles - 1
        if self.remaining == 0:
            ctx.set(self.wires[direction], self.answer)
        return Transaction(self.layer, direction, values, codes)


class _Programmer:
    """The programming side of all arrays: applies pulses, watches widths, gaps and stability."""

    def __init__(self, config: InSituConfig, port: Any, arrays: Sequence[Any]) -> None:
        self.config, self.arrays = config, arrays
        self.inputs = [Value.cast(port.pulse), Value.cast(port.request)]
        self.request, self.high, self.low = 0, 0, config.pulse.gap_cycles
        self.pulse: Pulse | None = None

    def step(self, values: Sequence[int]) -> Pulse | None:
        """Returns the pulse that began in this cycle, if one did."""
        high, request = values
        if not high:
            if self.pulse is not None:
                self._check_width(self.pulse)
            self.pulse, self.high, self.low = None, 0, self.low + 1
            return None
        self.high += 1
        if self.high > 1:
            if request != self.request:
                raise BrokenContract("A request changed during its pulse.")
            return None
        if self.low < self.config.pulse.gap_cycles:
            raise BrokenContract(f"A gap of {self.low} cycles between pulses.")
        self.request, self.low = request, 0
        self.pulse = pulse = read_pulse(self.config, request)
        network = self.config.network
        if pulse.layer >= network.n_layers or pulse.row >= network.n_rows(pulse.layer):
            raise BrokenContract(f"A pulse on row {pulse.row} of layer {pulse.layer}.")
        n_cols = network.n_cols(pulse.layer)
        if pulse.gates[n_cols:].any() or not pulse.gates.any():
            raise BrokenContract(f"A pulse with gates {pulse.gates.tolist()}.")
        self.arrays[pulse.layer].program(pulse.row, pulse.kind, pulse.gates[:n_cols])
        return pulse

    def _check_width(self, pulse: Pulse) -> None:
        timing = self.config.pulse
        expected = timing.reset_cycles if pulse.kind == RESET else timing.set_cycles
        if self.high != expected:
            raise BrokenContract(f"A pulse of {self.high} cycles, not {expected}.")


class _LearningSim:
    """One simulation: host, arrays and observer around a unit."""

    def __init__(
        self, config: InSituConfig, unit: Any, seed: int, max_cycles: int, busy: str
    ) -> None:
        self.config, self.unit, self.max_cycles, self.busy = config, unit, max_cycles, busy
        self.arrays = new_arrays(config, seed)
        self.checker = Checker(config, seed, N_UPDATES)
        self.unpack = LearningProbes(config)
        self.waiting: list[tuple[Any, int]] = []
        self.train = True
        self.failure: Exception | None = None
        self.finished = False

    def run(self, batches: Sequence[Batch], idle: str, stall: str) -> Checker:
        top = Module()
        top.domains.sync = ClockDomain()
        top.submodules.unit = self.unit
        sim = Simulator(top)
        sim.add_clock(1e-9)

        async def host(ctx: Any) -> None:
            await self._guard(self._host(ctx, batches, idle))

        async def results(ctx: Any) -> None:
            await self._guard(self._results(ctx, stall))

        async def observer(ctx: Any) -> None:
            await self._guard(self._observe(ctx))

        sim.add_testbench(host, background=True)
        sim.add_testbench(results, background=True)
        sim.add_testbench(observer)
        sim.run()
        if self.failure is not None:
            raise self.failure
        return self.checker

    async def _guard(self, body: Any) -> None:
        # A failure ends the simulation at the next clock edge, with nothing left half run.
        try:
            await body
        except (Mismatch, Hang, BrokenContract) as failure:
            self.failure = self.failure or failure

    async def _host(self, ctx: Any, batches: Sequence[Batch], idle: str) -> None:
        host, offers = Host(self.config, self.unit, register_table(self.config)), cycle(idle)
        registers = self.checker.unit.registers
        await host.write(ctx, "RATE", int(registers[RATE]))
        await host.write(ctx, "RATE_DECAY", int(registers[DECAY]))
        for batch in batches:
            self.train = batch.train
            await host.write(ctx, "CONTROL", 1 | batch.train << 1)
            pairs = list(zip(batch.images, batch.labels.tolist(), strict=True))
            self.waiting += pairs
            await host.send(ctx, pairs, offers)
            while self.waiting:
                await ctx.tick()
        while self.checker.checked_results < self.checker.images:
            await ctx.tick()
        rate = await host.read(ctx, host.offsets["RATE_NOW"])
        counters = [await host.read_counter(ctx, f"COUNT_{activity.name}") for activity in Activity]
        if self.busy == "0":
            self.checker.check_registers(rate, counters)
        errors = await host.read(ctx, host.offsets["ERRORS"])
        if errors:
            raise BrokenContract(f"The error register reads {errors:#x}.")
        self.checker.check_memories(
            self.unpack.gradients(self._rows(ctx, self.unit.gradient_memory)),
            self.unpack.gates(self._rows(ctx, self.unit.gate_memory)),
        )
        self.finished = True

    def _rows(self, ctx: Any, memory: Any) -> Any:
        data = memory.rows.data
        rows = [Value.cast(data[k]) for k in range(self.config.gradient_depth)]
        return records_of([ctx.get(row) for row in rows], len(rows[0]))

    async def _results(self, ctx: Any, stall: str) -> None:
        port, lanes, beats = self.unit.m_axis_result, self.config.update.lanes, []
        tdata = Value.cast(port.tdata)
        for accept in cycle(stall):
            ctx.set(port.tready, accept == "1")
            sampled = await ctx.tick().sample(port.tvalid, port.tready, port.tlast, tdata)
            _, _, valid, ready, last, word = sampled
            if not (valid and ready):
                continue
            beats.append(np.frombuffer(word.to_bytes(lanes, "little"), np.uint8))
            if last:
                if not self.checker.results:
                    raise BrokenContract("A result without an image.")
                self.checker.check_result(parse_result(np.array(beats), self.config))
                beats = []

    async def _observe(self, ctx: Any) -> None:
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
        if not self.waiting:
            raise BrokenContract("An image that nobody sent.")
        image, label = self.waiting[0]
        self.checker.check(image, label, self.train, seen, with_cycles=self.busy == "0")
        self.waiting.pop(0)
