"""The whole digital unit in Amaranth's simulator, beside the model: the scenario of
:mod:`cocotb_tests.unit_bench` on a second backend.

The same arrays answer (:class:`cocotb_tests.boundary.Boundary`) and the same checker compares
(:class:`cocotb_tests.checker.Checker`); no Verilog and no Verilator lie between. Slower by far, and
stricter at the edges: codes are wrong on purpose until the cycle in which they are promised, drives
must hold while an array integrates, pulses must have their widths and gaps, and no array is
programmed while it computes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value

from cocotb_tests.boundary import BACKWARD, FORWARD, READ, Boundary
from cocotb_tests.checker import Checker, Observation, Transaction
from cocotb_tests.signals import unpack_signed, unpack_unsigned
from cocotb_tests.unit_probes import UnitProbes
from hw.digital_unit import DigitalUnit
from hw.layouts import pulse_request_layout
from hw.registers import register_table
from model.activity import PHASES, Activity
from model.arrays import new_arrays
from model.config import Config
from model.devices import SET
from model.unit import Settings, settings
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

__all__ = ["Run", "UnitHost", "run_unit"]


@dataclass
class Run:
    """What came of a run without a mismatch."""

    checker: Checker
    """The model after the last image."""
    cycles: list[list[int]] = field(default_factory=list)
    """Cycles of the phases, by image."""
    transactions: list[list[Transaction]] = field(default_factory=list)
    """By image."""
    pulses: list[list[tuple[int, int, int, int, int]]] = field(default_factory=list)
    """By image: layer, row, column, device, kind."""
    simulated_cycles: int = 0
    overlapped_images: int = 0
    """Images whose successor did not wait for their update."""
    stalled_cycles: int = 0
    """Cycles in which a full pulse queue held the update."""


def run_unit(
    config: Config,
    *batches: Batch,
    seed: int = 1,
    idle: str = "1",
    stall: str = "1",
    max_cycles: int = 5_000,
    chi_by_bus: bool = False,
    unit: Callable[[Config], Any] = DigitalUnit,
    host: Callable[..., "UnitHost"] | None = None,
) -> Run:
    """Sends the batches through the unit and checks every image, result, chi word and counter.

    Parameters
    ----------
    config
        The system.
    batches
        Image after image, in order; between batches the unit stands still.
    seed
        Of the arrays.
    idle, stall
        When the host offers a beat of an image and takes a beat of a result; one character a
        cycle, repeated, ``1`` is yes.
    max_cycles
        Without the end of an image.
    chi_by_bus
        Whether the host reads all of chi at the end, too; ten cycles an accumulator.
    unit
        What makes the gateware; for tests of faulty ones.
    host
        What makes the host, of configuration, unit and registers; a polite one unless told.

    Raises
    ------
    Mismatch
        Gateware and model differ.
    Hang
        An image did not end.
    BrokenContract
        The unit used arrays or buses in a way that is not allowed.
    """
    sim = _UnitSim(config, unit(config), seed, max_cycles, chi_by_bus, host or UnitHost)
    sim.simulate(batches, idle, stall)
    return sim.result


def _raw(value: int, bits: int) -> bytes:
    return value.to_bytes(-(-bits // 8), "little")


class _Array(ArrayPort):
    """Computes products and reads; a drive must hold while a product is computed."""

    def __init__(self, config: Config, layer: int, port: Any, boundary: Boundary) -> None:
        super().__init__(
            layer,
            port,
            config.converter.adc_bits,
            ("start", "direction", "row", "device", "row_drive", "col_drive"),
        )
        self.timing, self.boundary = config.array, boundary
        self.n_rows, self.n_cols = config.network.n_rows(layer), config.network.n_cols(layer)
        self.held: Sequence[int] = (0, 0)

    def step(self, ctx: Any, values: Sequence[int]) -> Transaction | None:
        """Returns the transaction that began in this cycle, if one did."""
        start, direction, row, device, *drives = values
        if start:
            return self._begin(ctx, direction, row, device, drives)
        if self.remaining:
            if self.direction != READ:
                side = int(self.direction == BACKWARD)
                if drives[side] != self.held[side]:
                    raise BrokenContract(f"Array {self.layer}: a drive changed while it computes.")
            self.proceed(ctx)
        return None

    def _begin(
        self, ctx: Any, direction: int, row: int, device: int, drives: Sequence[int]
    ) -> Transaction:
        self.check_idle()
        drive: npt.NDArray[Any] = np.zeros(0, np.int8)
        if direction == FORWARD:
            row, device = 0, 0
            drive = unpack_unsigned(_raw(drives[0], 8 * self.n_rows), self.n_rows, 8)
        elif direction == BACKWARD:
            row, device = 0, 0
            drive = unpack_signed(_raw(drives[1], 8 * self.n_cols), self.n_cols, 8)
        if row >= self.n_rows:
            raise BrokenContract(f"Array {self.layer}: row {row} of {self.n_rows}.")
        codes = self.boundary.compute(self.layer, direction, row, device, drive).copy()
        self.held = drives
        is_read = direction == READ
        cycles = self.timing.read_cycles if is_read else self.timing.mvm_cycles
        self.begin(ctx, direction, codes, cycles)
        return Transaction(self.layer, direction, row, device, drive, codes)


class _Programmer(PulsePort):
    """Pulses on single devices: layer, row, column, device, kind."""

    def __init__(self, config: Config, port: Any, boundary: Boundary) -> None:
        super().__init__(config, port)
        self.boundary = boundary
        self.layout = pulse_request_layout(config)

    def begin(self, request: int) -> tuple[int, int, int, int, int]:
        layer, row, col, device, kind = (
            request >> self.layout[name].offset & (1 << self.layout[name].width) - 1
            for name in ("layer", "row", "col", "device", "kind")
        )
        network = self.config.network
        if not (
            layer < network.n_layers and row < network.n_rows(layer) and col < network.n_cols(layer)
        ):
            raise BrokenContract(f"A pulse on row {row}, column {col} of layer {layer}.")
        self.boundary.program(layer, row, col, device, kind)
        return layer, row, col, device, kind

    def is_set(self, pulse: tuple[int, int, int, int, int]) -> bool:
        return pulse[4] == SET

    @property
    def layer(self) -> int | None:
        """Layer of the pulse under way."""
        return None if self.pulse is None else self.pulse[0]


class UnitHost(Host):
    """The host of a digital unit."""

    config: Config

    async def read_chi(self, ctx: Any) -> npt.NDArray[np.int32]:
        """The whole chi memory, int32 ``[chi_depth, lanes]``."""
        rows = np.zeros((self.config.chi_depth, self.config.update.lanes), np.uint32)
        for word, lane in np.ndindex(rows.shape):
            if lane == 0:
                await self.write(ctx, "CHI_ADDRESS", word)
            await self.write(ctx, "CHI_LANE", lane)
            rows[word, lane] = await self.read(ctx, self.offsets["CHI_DATA"])
        return rows.view(np.int32)

    async def apply(self, ctx: Any, run: Settings) -> None:
        """Writes settings that hold from the next image on."""
        await self.write(ctx, "LEARNING_RATE", run.learning_rate_log2)
        await self.write(ctx, "EPSILON", run.epsilon_log2)
        await self.write(ctx, "SCALE_POLICY", int(run.running_scale))
        await self.write(ctx, "SKIP_POLICY", run.skip)


class _UnitSim(FrameSim):
    """The simulation of a digital unit."""

    host: UnitHost

    def __init__(
        self,
        config: Config,
        unit: Any,
        seed: int,
        max_cycles: int,
        chi_by_bus: bool,
        host: Callable[..., UnitHost],
    ) -> None:
        checker = Checker(config, seed)
        super().__init__(config, unit, checker, host(config, unit, register_table(config)))
        self.max_cycles, self.chi_by_bus = max_cycles, chi_by_bus
        self.run_settings, self.train = settings(config), True
        self.boundary = Boundary(config, new_arrays(config, seed))
        self.result = Run(checker)
        self.unpack = UnitProbes(config)

    async def begin_batch(self, ctx: Any, batch: Batch) -> None:
        if batch.run is not None:
            self.run_settings = batch.run
            await self.host.apply(ctx, batch.run)
        self.train = batch.train

    async def check_registers(self, ctx: Any) -> None:
        self.checker.check_counters(
            [await self.host.read_counter(ctx, f"COUNT_{activity.name}") for activity in Activity]
        )

    async def check_memories(self, ctx: Any) -> None:
        rows = self.rows_of(ctx, self.unit.chi_memory, self.config.chi_depth)
        self.checker.check_chi(self.unpack.chi_rows(rows))
        if self.chi_by_bus:
            self.checker.check_chi(await self.host.read_chi(ctx))

    def check(self, image: npt.NDArray[np.uint8], label: int, seen: Observation) -> None:
        self.checker.check(image, label, self.run_settings if self.train else None, seen)
        self.boundary.end_image(sum(seen.cycles))

    async def observe(self, ctx: Any) -> None:
        config, unit = self.config, self.unit
        layers = range(config.network.n_layers)
        arrays = [_Array(config, k, getattr(unit, f"array_{k}"), self.boundary) for k in layers]
        programmer = _Programmer(config, unit.program, self.boundary)
        write = unit.chi_memory.rows.write_ports[0]
        streams = [
            unit.activation_unit.o,
            unit.error_unit.o,
            unit.quantiser.o,
            unit.outer_product.i_command,
        ]
        sampled = [
            unit.sequencer.done,
            Value.cast(unit.sequencer.phase),
            unit.sequencer.initialised,
            *(Value.cast(value) for value in (write.en, write.addr, write.data)),
            *programmer.inputs,
            unit.chi_memory.o.valid & ~unit.chi_memory.o.ready,
            unit.sequencer.follows,
        ]
        first_stream = len(sampled)
        first_array = first_stream + 3 * len(streams)
        for port in streams:
            sampled += [port.valid, port.ready, Value.cast(port.payload)]
        for array in arrays:
            sampled += array.inputs

        seen = Observation()
        records: list[list[int]] = [[] for _ in streams]
        chi: list[tuple[int, int]] = []
        cycles = [0] * len(PHASES)
        since = 0
        while not self.finished and self.failure is None:
            _, _, *values = await ctx.tick().sample(*sampled)
            done, phase, initialised, enables, address, row = values[:6]
            for record, k in zip(records, range(first_stream, first_array, 3), strict=True):
                if values[k] and values[k + 1]:
                    record.append(values[k + 2])
            if enables and initialised:
                chi.append((address, row))
            if phase < len(PHASES):
                cycles[phase] += 1
            pulse = programmer.step(values[6:8])
            if pulse:
                seen.pulses.append(pulse)
            first = first_array
            for array in arrays:
                transaction = array.step(ctx, values[first : first + len(array.inputs)])
                first += len(array.inputs)
                if transaction:
                    seen.transactions.append(transaction)
                if array.remaining and programmer.layer == array.layer:
                    raise BrokenContract(f"Array {array.layer} is programmed while it computes.")
            if done:
                seen.cycles, seen.follows = cycles, bool(values[9])
                self.result.overlapped_images += values[9]
                self._end_image(seen, records, chi)
                seen, chi, cycles = Observation(), [], [0] * len(PHASES)
                records = [[] for _ in streams]
                since = 0
            since += 1
            if since > self.max_cycles:
                raise Hang(f"Nothing ended for {self.max_cycles} cycles.")
            self.result.simulated_cycles += 1
            self.result.stalled_cycles += values[8]

    def _end_image(
        self, seen: Observation, records: list[list[int]], chi: list[tuple[int, int]]
    ) -> None:
        unit, unpack = self.unit, self.unpack
        widths = [
            len(Value.cast(port.payload))
            for port in (
                unit.activation_unit.o,
                unit.error_unit.o,
                unit.quantiser.o,
                unit.outer_product.i_command,
            )
        ]
        activations, errors, scaled, updates = (
            records_of(values, bits) for values, bits in zip(records, widths, strict=True)
        )
        seen.activations, seen.errors = unpack.activations(activations), unpack.errors(errors)
        seen.drives, seen.codes = unpack.drives(scaled), unpack.codes(scaled)
        seen.updates = unpack.updates(updates)
        seen.chi_addresses = np.array([address for address, _ in chi], np.int64)
        bits = len(Value.cast(unit.chi_memory.rows.data[0]))
        seen.chi_words = unpack.chi_rows(records_of((row for _, row in chi), bits))
        self.check_next(seen)
        self.result.cycles.append(list(seen.cycles))
        self.result.transactions.append(seen.transactions)
        self.result.pulses.append(seen.pulses)
