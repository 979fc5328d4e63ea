"""The whole digital unit in Amaranth's simulator, beside the model: the scenario of
:mod:`cocotb_tests.unit_bench` on a second backend.

The same arrays answer (:class:`cocotb_tests.boundary.Boundary`) and the same checker compares
(:class:`cocotb_tests.checker.Checker`); no Verilog and no Verilator lie between. Slower by far, and
stricter at the edges: codes are wrong on purpose until the cycle in which they are promised, drives
must hold while an array integrates, pulses must have their widths and gaps, and no array is
programmed while it computes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator

from cocotb_tests.boundary import BACKWARD, FORWARD, READ, Boundary
from cocotb_tests.checker import Checker, Mismatch, Observation, Transaction
from cocotb_tests.signals import pack, unpack_signed, unpack_unsigned
from cocotb_tests.unit_probes import UnitProbes
from hw.digital_unit import DigitalUnit
from hw.layouts import pulse_request_layout
from hw.registers import Register, register_table
from model.activity import PHASES, Activity
from model.arrays import new_arrays
from model.config import Config
from model.devices import SET
from model.frames import UnitSizes, image_frame, parse_result
from model.unit import Settings, settings

__all__ = [
    "Batch",
    "BrokenContract",
    "Hang",
    "Host",
    "Run",
    "random_batch",
    "records_of",
    "run_unit",
]


class Hang(Exception):
    """No image ended for too many cycles."""


class BrokenContract(Exception):
    """A signal at the analog boundary or on the host's buses broke its contract."""


@dataclass(frozen=True)
class Batch:
    """Images that the host sends under the same settings."""

    images: npt.NDArray[np.uint8]
    """uint8 ``[n, layers[0]]``."""
    labels: npt.NDArray[np.uint8]
    """uint8 ``[n]``."""
    train: bool = True
    run: Settings | None = None
    """What the host writes to the registers before; None leaves them alone."""


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
    stalled_cycles: int = 0
    """Cycles in which a full pulse queue held the update."""


def random_batch(
    config: UnitSizes, n_images: int, seed: int, *, train: bool = True, run: Settings | None = None
) -> Batch:
    """Images like digits: each class has its own, half of the pixels dark, and an eighth of the
    pixels differ from image to image."""
    rng = np.random.default_rng(seed)
    n_inputs, n_classes = config.network.layers[0], config.network.layers[-1]
    shape = (n_classes, n_inputs)
    typical = rng.integers(0, 256, shape) * rng.integers(0, 2, shape)
    labels = rng.integers(0, n_classes, n_images)
    noisy = rng.integers(0, 8, (n_images, n_inputs)) == 0
    images = np.where(noisy, rng.integers(0, 256, noisy.shape), typical[labels])
    return Batch(images.astype(np.uint8), labels.astype(np.uint8), train, run)


def run_unit(
    config: Config,
    *batches: Batch,
    seed: int = 1,
    idle: str = "1",
    stall: str = "1",
    max_cycles: int = 5_000,
    chi_by_bus: bool = False,
    unit: Callable[[Config], Any] = DigitalUnit,
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

    Raises
    ------
    Mismatch
        Gateware and model differ.
    Hang
        An image did not end.
    BrokenContract
        The unit used arrays or buses in a way that is not allowed.
    """
    sim = _UnitSim(config, unit(config), seed, max_cycles)
    return sim.run(batches, idle, stall, chi_by_bus)


def records_of(values: Iterable[int], bits: int) -> npt.NDArray[np.uint32]:
    """Numbers in the form that the probes of the Verilog bench give them, uint32 ``[n, words]``."""
    n_words = -(-bits // 32)
    raw = b"".join(value.to_bytes(4 * n_words, "little") for value in values)
    return np.frombuffer(raw, np.uint32).reshape(-1, n_words)


def _raw(value: int, bits: int) -> bytes:
    return value.to_bytes(-(-bits // 8), "little")


class _Array:
    """The compute side of one layer's arrays.

    :meth:`step` is called once a cycle with what was on the wires in it.
    """

    def __init__(self, config: Config, layer: int, port: Any, boundary: Boundary) -> None:
        network = config.network
        self.config, self.layer, self.boundary = config, layer, boundary
        self.n_rows, self.n_cols = network.n_rows(layer), network.n_cols(layer)
        self.inputs = [
            Value.cast(getattr(port, name))
            for name in ("start", "direction", "row", "device", "row_drive", "col_drive")
        ]
        self.wires = {
            direction: Value.cast(port.row_codes if direction == BACKWARD else port.col_codes)
            for direction in (FORWARD, BACKWARD, READ)
        }
        self.remaining = 0
        """Cycles until the codes of the transaction under way are valid; 0 without one."""
        self.direction = FORWARD
        self.held = (0, 0)
        self.answer = 0

    def step(self, ctx: Any, values: Sequence[int]) -> Transaction | None:
        """Returns the transaction that began in this cycle, if one did."""
        start, direction, row, device, *drives = values
        if start:
            return self._begin(ctx, direction, row, device, (drives[0], drives[1]))
        if self.remaining:
            if self.direction != READ:
                side = int(self.direction == BACKWARD)
                if drives[side] != self.held[side]:
                    raise BrokenContract(f"Array {self.layer}: a drive changed while it computes.")
            self.remaining -= 1
            if self.remaining == 0:
                ctx.set(self.wires[self.direction], self.answer)
        return None

    def _begin(
        self, ctx: Any, direction: int, row: int, device: int, drives: tuple[int, int]
    ) -> Transaction:
        if self.remaining:
            raise BrokenContract(f"Array {self.layer}: a start while it computes.")
        array, bits = self.config.array, self.config.converter.adc_bits
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
        # Every bit is wrong until the codes are valid.
        for wires in {id(wires): wires for wires in self.wires.values()}.values():
            ctx.set(wires, -1)
        self.answer = pack(codes.reshape(-1), bits)
        ctx.set(self.wires[direction], ~self.answer)
        self.direction, self.held = direction, drives
        # This cycle is the first of them.
        self.remaining = (array.read_cycles if direction == READ else array.mvm_cycles) - 1
        if self.remaining == 0:
            ctx.set(self.wires[direction], self.answer)
        return Transaction(self.layer, direction, row, device, drive, codes)


class _Programmer:
    """The programming side of all arrays: applies pulses, watches widths, gaps and stability."""

    def __init__(self, config: Config, port: Any, boundary: Boundary) -> None:
        self.config, self.boundary = config, boundary
        self.layout = pulse_request_layout(config)
        self.inputs = [Value.cast(port.pulse), Value.cast(port.request)]
        self.request = 0
        self.high = 0
        self.low = config.pulse.gap_cycles

    def step(self, values: Sequence[int]) -> tuple[int, int, int, int, int] | None:
        """Returns the pulse that began in this cycle, if one did."""
        pulse, request = values
        if not pulse:
            if self.high:
                self._check_width()
            self.high, self.low = 0, self.low + 1
            return None
        self.high += 1
        if self.high > 1:
            if request != self.request:
                raise BrokenContract("A request changed during its pulse.")
            return None
        if self.low < self.config.pulse.gap_cycles:
            raise BrokenContract(f"A gap of {self.low} cycles between pulses.")
        self.request, self.low = request, 0
        layer, row, col, device, kind = self._fields(request)
        network = self.config.network
        if not (
            layer < network.n_layers and row < network.n_rows(layer) and col < network.n_cols(layer)
        ):
            raise BrokenContract(f"A pulse on row {row}, column {col} of layer {layer}.")
        self.boundary.program(layer, row, col, device, kind)
        return layer, row, col, device, kind

    @property
    def layer(self) -> int | None:
        """Layer of the pulse under way."""
        return self._fields(self.request)[0] if self.high else None

    def _fields(self, request: int) -> tuple[int, int, int, int, int]:
        layer, row, col, device, kind = (
            request >> self.layout[name].offset & (1 << self.layout[name].width) - 1
            for name in ("layer", "row", "col", "device", "kind")
        )
        return layer, row, col, device, kind

    def _check_width(self) -> None:
        timing = self.config.pulse
        is_set = self._fields(self.request)[4] == SET
        expected = timing.set_cycles if is_set else timing.reset_cycles
        if self.high != expected:
            raise BrokenContract(f"A pulse of {self.high} cycles, not {expected}.")


class Host:
    """The host of any unit: registers, images, results."""

    def __init__(self, config: UnitSizes, unit: Any, registers: Iterable[Register]) -> None:
        self.config, self.unit = config, unit
        self.offsets = {register.name: register.offset for register in registers}

    async def write(self, ctx: Any, name: str, value: int) -> None:
        """One AXI4-Lite write."""
        bus = self.unit.s_axi
        ctx.set(bus.awaddr, self.offsets[name])
        ctx.set(bus.wdata, value & 0xFFFF_FFFF)
        ctx.set(bus.wstrb, 0xF)
        ctx.set(bus.bready, 1)
        channels = [(bus.awvalid, bus.awready), (bus.wvalid, bus.wready)]
        for valid, _ in channels:
            ctx.set(valid, 1)
        bresp = Value.cast(bus.bresp)
        while True:
            ready = [accept for _, accept in channels]
            _, _, done, code, *accepted = await ctx.tick().sample(bus.bvalid, bresp, *ready)
            for (valid, _), taken in zip(channels, accepted, strict=True):
                if taken:
                    ctx.set(valid, 0)
            if done:
                break
        if code:
            raise BrokenContract(f"The write of {name} was refused.")

    async def read(self, ctx: Any, offset: int) -> int:
        """One AXI4-Lite read."""
        bus = self.unit.s_axi
        ctx.set(bus.araddr, offset)
        ctx.set(bus.arvalid, 1)
        ctx.set(bus.rready, 1)
        sampled = (bus.arready, bus.rvalid, Value.cast(bus.rresp), bus.rdata)
        while True:
            _, _, accepted, done, code, data = await ctx.tick().sample(*sampled)
            if accepted:
                ctx.set(bus.arvalid, 0)
            if done:
                break
        if code:
            raise BrokenContract(f"The read of 0x{offset:03X} was refused.")
        return int(data)

    async def read_counter(self, ctx: Any, name: str) -> int:
        """A counter of 64 bits, low word first."""
        low = await self.read(ctx, self.offsets[name])
        return await self.read(ctx, self.offsets[name] + 4) << 32 | low

    async def send(
        self, ctx: Any, images: Iterable[tuple[npt.NDArray[np.uint8], int]], offers: Iterator[str]
    ) -> None:
        """Streams images."""
        port = self.unit.s_axis_image
        for image, label in images:
            beats = image_frame(image, label, self.config)
            for k, beat in enumerate(beats):
                while next(offers) == "0":
                    ctx.set(port.tvalid, 0)
                    await ctx.tick()
                ctx.set(Value.cast(port.tdata), int.from_bytes(beat.tobytes(), "little"))
                ctx.set(port.tlast, int(k == len(beats) - 1))
                ctx.set(port.tvalid, 1)
                while not (await ctx.tick().sample(port.tready))[-1]:
                    pass
        ctx.set(port.tvalid, 0)


class _UnitHost(Host):
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


class _UnitSim:
    """One simulation: host, arrays and observer around a unit."""

    def __init__(self, config: Config, unit: Any, seed: int, max_cycles: int) -> None:
        self.config, self.unit, self.max_cycles = config, unit, max_cycles
        self.run_settings: Settings | None = settings(config)
        self.boundary = Boundary(config, new_arrays(config, seed))
        self.result = Run(Checker(config, seed))
        self.unpack = UnitProbes(config)
        self.waiting: list[tuple[npt.NDArray[np.uint8], int]] = []
        """Images that the host has sent or will send, not checked yet."""
        self.failure: Exception | None = None
        self.finished = False

    def run(self, batches: Sequence[Batch], idle: str, stall: str, chi_by_bus: bool) -> Run:
        top = Module()
        top.domains.sync = ClockDomain()
        top.submodules.unit = self.unit
        sim = Simulator(top)
        sim.add_clock(1e-9)

        async def host(ctx: Any) -> None:
            await self._guard(self._host(ctx, batches, idle, chi_by_bus))

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
        return self.result

    async def _guard(self, body: Any) -> None:
        # A failure ends the simulation at the next clock edge, with nothing left half run.
        try:
            await body
        except (Mismatch, Hang, BrokenContract) as failure:
            self.failure = self.failure or failure

    async def _host(self, ctx: Any, batches: Sequence[Batch], idle: str, chi_by_bus: bool) -> None:
        host = _UnitHost(self.config, self.unit, register_table(self.config))
        offers = cycle(idle)
        run = settings(self.config)
        for batch in batches:
            if batch.run is not None:
                run = batch.run
                await host.apply(ctx, run)
            self.run_settings = run if batch.train else None
            await host.write(ctx, "CONTROL", 1 | batch.train << 1)
            pairs = list(zip(batch.images, batch.labels.tolist(), strict=True))
            self.waiting += pairs
            await host.send(ctx, pairs, offers)
            while self.waiting:
                await ctx.tick()
        checker = self.result.checker
        while checker.checked_results < checker.images:
            await ctx.tick()
        counters = [await host.read_counter(ctx, f"COUNT_{activity.name}") for activity in Activity]
        checker.check_counters(counters)
        errors = await host.read(ctx, host.offsets["ERRORS"])
        if errors:
            raise BrokenContract(f"The error register reads {errors:#x}.")
        data = self.unit.chi_memory.rows.data
        bits = self.config.update.chi_bits * self.config.update.lanes
        rows = [ctx.get(Value.cast(data[k])) for k in range(self.config.chi_depth)]
        checker.check_chi(self.unpack.chi_rows(records_of(rows, bits)))
        if chi_by_bus:
            checker.check_chi(await host.read_chi(ctx))
        self.finished = True

    async def _results(self, ctx: Any, stall: str) -> None:
        port, checker = self.unit.m_axis_result, self.result.checker
        tdata, beats = Value.cast(port.tdata), []
        for accept in cycle(stall):
            ctx.set(port.tready, accept == "1")
            sampled = await ctx.tick().sample(port.tvalid, port.tready, port.tlast, tdata)
            _, _, valid, ready, last, word = sampled
            if not (valid and ready):
                continue
            beats.append(np.frombuffer(_raw(word, 8 * self.config.update.lanes), np.uint8))
            if last:
                if not checker.results:
                    raise BrokenContract("A result without an image.")
                try:
                    result = parse_result(np.array(beats), self.config)
                except ValueError as error:
                    raise BrokenContract(str(error)) from None
                checker.check_result(result)
                beats = []

    async def _observe(self, ctx: Any) -> None:
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
                seen.cycles = cycles
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
        unit, unpack, config = self.unit, self.unpack, self.config
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
        bits = config.update.chi_bits * config.update.lanes
        seen.chi_words = unpack.chi_rows(records_of((row for _, row in chi), bits))
        if not self.waiting:
            raise BrokenContract("An image that nobody sent.")
        image, label = self.waiting[0]
        self.result.checker.check(image, label, self.run_settings, seen)
        self.waiting.pop(0)
        self.boundary.end_image(sum(seen.cycles))
        self.result.cycles.append(list(seen.cycles))
        self.result.transactions.append(seen.transactions)
        self.result.pulses.append(seen.pulses)
