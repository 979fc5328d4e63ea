"""A unit that takes image frames and gives result frames in Amaranth's simulator, beside its model:
what the simulations of all such units need.

The arrays and the checker of the co-simulation, no Verilog between, and stricter at the edges:
codes are wrong on purpose until the cycle in which they are promised, pulses must have their widths
and gaps, and requests must hold during a pulse.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator

from cocotb_tests.boundary import BACKWARD, FORWARD
from cocotb_tests.scoreboard import Mismatch, Scoreboard
from cocotb_tests.signals import pack
from hw.registers import Register
from model.frames import FrameError, UnitSizes, image_frame, parse_result
from model.unit import Settings

__all__ = [
    "ArrayPort",
    "Batch",
    "BrokenContract",
    "FrameSim",
    "Hang",
    "Host",
    "PulsePort",
    "random_batch",
    "records_of",
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
    stop: bool = False
    """Whether the host clears ``run`` as soon as the last image is sent, waits until the unit is
    idle, and compares the memories before it sets ``run`` again."""
    short_frames: bool = False
    """Whether a frame that lacks its last beats comes before every image."""


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


def records_of(values: Iterable[int], bits: int) -> npt.NDArray[np.uint32]:
    """Numbers in the form that the probes of the Verilog bench give them, uint32 ``[n, words]``."""
    n_words = -(-bits // 32)
    raw = b"".join(value.to_bytes(4 * n_words, "little") for value in values)
    return np.frombuffer(raw, np.uint32).reshape(-1, n_words)


class ArrayPort:
    """The compute side of one layer's arrays; ``step``, of the subclass, is called once a cycle
    with what was on the wires ``inputs`` in it."""

    def __init__(self, layer: int, port: Any, adc_bits: int, inputs: Iterable[str]) -> None:
        self.layer, self.adc_bits = layer, adc_bits
        self.inputs = [Value.cast(getattr(port, name)) for name in inputs]
        self.wires = (Value.cast(port.col_codes), Value.cast(port.row_codes))
        self.remaining = 0
        """Cycles until the codes of the transaction under way are valid; 0 without one."""
        self.direction = FORWARD
        self.answer = 0

    def check_idle(self) -> None:
        """A transaction begins only when the last one has ended."""
        if self.remaining:
            raise BrokenContract(f"Array {self.layer}: a start while it computes.")

    def begin(self, ctx: Any, direction: int, codes: npt.NDArray[np.int16], cycles: int) -> None:
        """The codes are valid after so many cycles, this one included; all bits of both sides are
        wrong until then."""
        for wires in self.wires:
            ctx.set(wires, -1)
        self.direction, self.answer = direction, pack(codes.reshape(-1), self.adc_bits)
        ctx.set(self.wires[direction == BACKWARD], ~self.answer)
        self.remaining = cycles
        self.proceed(ctx)

    def proceed(self, ctx: Any) -> None:
        """One cycle of the transaction under way."""
        self.remaining -= 1
        if self.remaining == 0:
            ctx.set(self.wires[self.direction == BACKWARD], self.answer)


class PulsePort(ABC):
    """The programming side of all arrays: applies pulses, watches widths, gaps and stability."""

    def __init__(self, config: Any, port: Any) -> None:
        self.config = config
        self.inputs = [Value.cast(port.pulse), Value.cast(port.request)]
        self.pulse: Any = None
        """The pulse under way."""
        self.request, self.high, self.low = 0, 0, config.pulse.gap_cycles

    @abstractmethod
    def begin(self, request: int) -> Any:
        """Checks and applies the pulse of a request, and returns it."""

    @abstractmethod
    def is_set(self, pulse: Any) -> bool:
        """Whether it is a SET pulse."""

    def step(self, values: Sequence[int]) -> Any:
        """Once a cycle with the ``inputs``; returns the pulse that began in it, if one did."""
        high, request = values
        if not high:
            if self.pulse is not None:
                self._check_width()
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
        self.pulse = self.begin(request)
        return self.pulse

    def _check_width(self) -> None:
        timing = self.config.pulse
        expected = timing.set_cycles if self.is_set(self.pulse) else timing.reset_cycles
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
        self,
        ctx: Any,
        images: Iterable[tuple[npt.NDArray[np.uint8], int]],
        offers: Iterator[str],
        *,
        short_frames: bool,
    ) -> int:
        """Streams images, each behind a frame of its inverse that is too short if
        ``short_frames``; returns the bits that this sets in the error register."""
        port = self.unit.s_axis_image
        frames = []
        for image, label in images:
            if short_frames:
                frames.append(image_frame(255 - image, label, self.config)[:-1])
            frames.append(image_frame(image, label, self.config))
        for beats in frames:
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
        return int(short_frames) << FrameError.SHORT_FRAME


class FrameSim(ABC):
    """One simulation: host, arrays and observer around a unit."""

    def __init__(self, config: Any, unit: Any, checker: Scoreboard, host: Host) -> None:
        self.config, self.unit, self.checker, self.host = config, unit, checker, host
        self.waiting: list[tuple[npt.NDArray[np.uint8], int]] = []
        """Images that the host has sent or will send, not checked yet."""
        self.failure: Exception | None = None
        self.finished = False

    # What a unit adds.

    async def configure(self, ctx: Any) -> None:  # noqa: B027 (most units need none)
        """Writes the registers that a run needs besides CONTROL."""

    @abstractmethod
    async def begin_batch(self, ctx: Any, batch: Batch) -> None:
        """Makes the batch's settings those of unit and model."""

    @abstractmethod
    async def check_registers(self, ctx: Any) -> None:
        """Compares counters and what else the host can read at the end."""

    @abstractmethod
    async def check_memories(self, ctx: Any) -> None:
        """Compares whole memories at the end."""

    @abstractmethod
    async def observe(self, ctx: Any) -> None:
        """Serves the arrays and checks every image, until the host has finished."""

    @abstractmethod
    def check(self, image: npt.NDArray[np.uint8], label: int, seen: Any) -> None:
        """Compares one image with the model."""

    # The run.

    def simulate(self, batches: Sequence[Batch], idle: str, stall: str) -> None:
        """Sends the batches; raises what a check raised."""
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
            await self._guard(self.observe(ctx))

        sim.add_testbench(host, background=True)
        sim.add_testbench(results, background=True)
        sim.add_testbench(observer)
        sim.run()
        if self.failure is not None:
            raise self.failure

    async def _guard(self, body: Any) -> None:
        # A failure ends the simulation at the next clock edge, with nothing left half run.
        try:
            await body
        except (Mismatch, Hang, BrokenContract) as failure:
            self.failure = self.failure or failure

    async def _host(self, ctx: Any, batches: Sequence[Batch], idle: str) -> None:
        host, offers, expected_errors = self.host, cycle(idle), 0
        await self.configure(ctx)
        for batch in batches:
            await self.begin_batch(ctx, batch)
            await host.write(ctx, "CONTROL", 1 | batch.train << 1)
            pairs = list(zip(batch.images, batch.labels.tolist(), strict=True))
            self.waiting += pairs
            expected_errors |= await host.send(ctx, pairs, offers, short_frames=batch.short_frames)
            if batch.stop:
                await host.write(ctx, "CONTROL", 0)
                while not await host.read(ctx, host.offsets["STATUS"]) & 1:
                    pass
                await self.check_memories(ctx)
                await host.write(ctx, "CONTROL", 1 | batch.train << 1)
            while self.waiting:
                await ctx.tick()
        while self.checker.checked_results < self.checker.images:
            await ctx.tick()
        await self.check_registers(ctx)
        errors = await host.read(ctx, host.offsets["ERRORS"])
        if errors != expected_errors:
            raise BrokenContract(f"The error register reads {errors:#x}.")
        await self.check_memories(ctx)
        self.finished = True

    def rows_of(self, ctx: Any, memory: Any, depth: int) -> npt.NDArray[np.uint32]:
        """All rows of a memory as records."""
        rows = [Value.cast(memory.rows.data[k]) for k in range(depth)]
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
                try:
                    result = parse_result(np.array(beats), self.config)
                except ValueError as error:
                    raise BrokenContract(str(error)) from None
                self.checker.check_result(result)
                beats = []

    def check_next(self, seen: Any) -> None:
        """Compares the oldest image that is waiting."""
        if not self.waiting:
            raise BrokenContract("An image that nobody sent.")
        image, label = self.waiting[0]
        self.check(image, label, seen)
        self.waiting.pop(0)
