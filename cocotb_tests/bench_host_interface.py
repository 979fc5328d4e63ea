"""Test bench of the host interface on emitted Verilog, with cocotbext-axi as the host.

Runs in the simulator on :class:`cocotb_tests.host_loopback.HostLoopback`; what the host sends and
sees is predicted by model/frames.py and :mod:`cocotb_tests.register_model`.
"""

import itertools
import logging
import random
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, gather, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from cocotb_tests import exchange
from cocotb_tests.host_loopback import COUNTER_START
from cocotb_tests.register_model import RegisterModel
from hw.axi import AXIResponse
from hw.registers import Access, Register, register_table
from model.activity import Activity
from model.config import Config, from_toml
from model.frames import FrameError, frame_error, result_frame

OKAY, SLVERR = AXIResponse.OKAY, AXIResponse.SLVERR

#: Shares of idle cycles: none, few, most.
PAUSES = {"never": 0.0, "sometimes": 0.3, "mostly": 0.85}

#: Frames and accesses of one test.
N_FRAMES, N_ACCESSES = 40, 150


def pauses(rng: random.Random, share: float) -> Iterator[bool]:
    """Whether to pause, cycle by cycle."""
    while True:
        yield rng.random() < share


class Host:
    """Masters, source and sink on the unit's ports, and the models of what they see."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.config: Config = from_toml(exchange.parameters()["config"])
        self.rng = random.Random(cocotb.RANDOM_SEED)
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        lanes = self.config.update.lanes
        reset = {"reset": dut.host_rst, "reset_active_level": True}
        dut.array_timeout.value = 0
        dut.rst.value = 0
        Clock(dut.host_clk, 1, "ns").start()
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, "s_axis_image_"), dut.host_clk, **reset, byte_lanes=lanes
        )
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, "m_axis_result_"), dut.host_clk, **reset, byte_lanes=lanes
        )
        self.axi = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_"), dut.host_clk, **reset)
        self.channels = (
            self.axi.write_if.aw_channel,
            self.axi.write_if.w_channel,
            self.axi.write_if.b_channel,
            self.axi.read_if.ar_channel,
            self.axi.read_if.r_channel,
        )
        self.registers = register_table(self.config)
        self.by_name = {register.name: register for register in self.registers}

    async def reset(self, cycles: int = 2) -> None:
        """Resets unit and host, who forget everything."""
        self.dut.host_rst.value = 1
        await ClockCycles(self.dut.host_clk, cycles)
        self.source.clear()
        self.dut.host_rst.value = 0
        await ClockCycles(self.dut.host_clk, 1)
        self.sink.clear()
        self.model = RegisterModel(self.registers)

    def pause(self, idle: float, stall: float) -> None:
        """Sets the share of pauses of what sends and of what receives."""
        senders = (self.source, *self.channels[:2], self.channels[3])
        receivers = (self.sink, self.channels[2], self.channels[4])
        for part, share in (*((s, idle) for s in senders), *((r, stall) for r in receivers)):
            part.set_pause_generator(pauses(random.Random(self.rng.random()), share))

    # Frames

    def frame(self, kind: str) -> np.ndarray:
        """A random frame, with noise in the bytes that mean nothing."""
        n_inputs, n_classes = self.config.network.layers[0], self.config.network.layers[-1]
        n_beats = self.config.rows_to_words(n_inputs) + 1
        rng = np.random.default_rng(self.rng.getrandbits(32))
        frame = rng.integers(0, 256, (n_beats, self.config.update.lanes), np.uint8)
        frame[-1, 0] = rng.integers(n_classes)
        if kind == "short":
            return frame[: rng.integers(1, n_beats)]
        if kind == "long":
            # TLAST is missing where it should be: two frames in one.
            return np.concatenate([frame, frame[: rng.integers(1, n_beats + 1)]])
        if kind == "bad_label":
            frame[-1, 0] = rng.integers(n_classes, 256)
        return frame

    async def send(self, frame: np.ndarray) -> None:
        """Queues a frame for the source."""
        await self.source.send(AxiStreamFrame(frame.tobytes()))

    def result(self, frame: np.ndarray, *, train: bool) -> bytes:
        """The result frame of a good image frame."""
        outputs = frame.reshape(-1)[: self.config.network.layers[-1]]
        label = int(frame[-1, 0])
        beats = result_frame(outputs, label, self.config, trained=train, skipped=bool(label & 1))
        return beats.tobytes()

    async def expect_results(self, expected: list[bytes]) -> None:
        """Takes exactly these result frames."""
        for k, beats in enumerate(expected):
            frame = await with_timeout(self.sink.recv(compact=False), 20_000, "ns")
            assert bytes(frame.tdata) == beats, f"result {k}"
        await ClockCycles(self.dut.host_clk, 60)
        assert self.sink.empty(), "one result too many"

    # Registers

    async def write(self, name: str, value: int) -> AXIResponse:
        """Writes a register by name; the answer is that of the model too."""
        return await self.write_bytes(self.by_name[name].offset, value, 4)

    async def write_bytes(self, address: int, value: int, n_bytes: int) -> AXIResponse:
        """Writes bytes within one word; the answer is that of the model too."""
        expected = self.model.write(
            address, value << 8 * (address % 4), (2**n_bytes - 1) << address % 4
        )
        answer = await self.axi.write(address, value.to_bytes(n_bytes, "little"))
        assert answer.resp == expected.value, f"write to 0x{address:03X}"
        return expected

    async def read(self, name: str, word: int = 0) -> tuple[AXIResponse, int]:
        """Reads a word of a register by name."""
        return await self.read_word(self.by_name[name].offset + 4 * word)

    async def read_word(self, address: int) -> tuple[AXIResponse, int]:
        """Reads the word at an address."""
        answer = await self.axi.read(address & ~3, 4)
        return AXIResponse(int(answer.resp)), int.from_bytes(answer.data, "little")

    async def read_counter(self, name: str) -> int:
        """Reads a counter as a driver does: low, then high."""
        (_, low), (_, high) = await self.read(name), await self.read(name, 1)
        return high << 32 | low


async def start(dut: Any, idle: str = "never", stall: str = "never") -> Host:
    """A host in front of a unit fresh from reset."""
    host = Host(dut)
    await host.reset()
    host.pause(PAUSES[idle], PAUSES[stall])
    return host


@cocotb.test()
@cocotb.parametrize(idle=list(PAUSES), stall=list(PAUSES))
async def frames(dut: Any, idle: str, stall: str) -> None:
    """Good frames give results in order; malformed ones give an error bit and nothing else."""
    host = await start(dut, idle, stall)
    kinds = host.rng.choices(
        ["good", "short", "long", "bad_label"], weights=[5, 1, 1, 1], k=N_FRAMES
    )
    sent = [host.frame(kind) for kind in kinds]
    errors = [frame_error(frame, host.config) for frame in sent]
    expected = [
        host.result(frame, train=True)
        for frame, error in zip(sent, errors, strict=True)
        if error is None
    ]
    await host.write("CONTROL", 3)
    for frame in sent:
        await host.send(frame)
    await host.expect_results(expected)
    assert await host.read_counter("COUNT_IMAGES") == len(expected)
    bits = sum(1 << error for error in FrameError if error in errors)
    assert await host.read("ERRORS") == (OKAY, bits)
    assert host.source.idle()


@cocotb.test()
@cocotb.parametrize(kind=["short", "long", "bad_label"])
async def malformed_frame(dut: Any, kind: str) -> None:
    """Each error sets its own bit, which stays until it is cleared."""
    host = await start(dut)
    good = host.frame("good")
    await host.write("CONTROL", 1)
    for frame in (host.frame(kind), good, host.frame(kind), good):
        await host.send(frame)
    await host.expect_results([host.result(good, train=False)] * 2)
    error = frame_error(host.frame(kind), host.config)
    assert error is not None
    for _ in range(2):
        assert await host.read("ERRORS") == (OKAY, 1 << error)
    await host.write("ERRORS", 0xF & ~(1 << error))
    assert await host.read("ERRORS") == (OKAY, 1 << error)
    await host.write("ERRORS", 1 << error)
    assert await host.read("ERRORS") == (OKAY, 0)


@cocotb.test()
async def array_timeout(dut: Any) -> None:
    """An array that does not answer sets its bit."""
    host = await start(dut)
    dut.array_timeout.value = 1
    await ClockCycles(dut.host_clk, 1)
    dut.array_timeout.value = 0
    assert await host.read("ERRORS") == (OKAY, 1 << len(FrameError))


@cocotb.test()
async def start_and_stop(dut: Any) -> None:
    """Without `run` the next image waits; `train` is sampled with each image."""
    host = await start(dut)
    sent = [host.frame("good") for _ in range(5)]
    await host.send(sent[0])
    await ClockCycles(dut.host_clk, 100)
    assert await host.read("STATUS") == (OKAY, 0b0011)
    assert host.sink.empty()
    await host.write("CONTROL", 1)
    await host.expect_results([host.result(sent[0], train=False)])
    await host.write("CONTROL", 2)
    for frame in sent[1:]:
        await host.send(frame)
    await host.expect_results([])
    await host.write("CONTROL", 3)
    await host.expect_results([host.result(frame, train=True) for frame in sent[1:]])


@cocotb.test()
async def result_waits_for_host(dut: Any) -> None:
    """A host that takes no results stops the unit after two, loses none, and sees it in STATUS."""
    host = await start(dut)
    host.sink.set_pause_generator(itertools.repeat(True))
    sent = [host.frame("good") for _ in range(6)]
    await host.write("CONTROL", 1)
    for frame in sent:
        await host.send(frame)
    await ClockCycles(dut.host_clk, 400)
    assert await host.read_counter("COUNT_IMAGES") == 2
    assert await host.read("STATUS") == (OKAY, 0b1011)
    host.sink.set_pause_generator(itertools.repeat(False))
    await host.expect_results([host.result(frame, train=False) for frame in sent])


def _addresses(registers: tuple[Register, ...]) -> list[int]:
    """Every word of the table, and words that are not in it."""
    known = [r.offset for r in registers] + [r.offset + 4 for r in registers if r.width == 64]
    unmapped = [a for a in range(0, max(known) + 0x40, 4) if a not in known]
    return [*known, *unmapped[::3], 0xFFC]


@cocotb.test()
@cocotb.parametrize(idle=list(PAUSES), stall=list(PAUSES))
async def accesses(dut: Any, idle: str, stall: str) -> None:
    """Random reads and writes, unmapped and refused ones among them, answered as the model does."""
    host = await start(dut, idle, stall)
    unsteady = {  # these change by themselves, or need an idle unit
        offset
        for register in host.registers
        if register.access in (Access.RO, Access.FETCHED)
        for offset in (register.offset, register.offset + 4)
    }
    addresses = _addresses(host.registers)
    writable = [r.offset for r in host.registers if r.access in (Access.RW, Access.W1C)]
    refused = 0
    for _ in range(N_ACCESSES):
        address = host.rng.choice(addresses if host.rng.random() < 0.5 else writable)
        if host.rng.random() < 0.4 and address not in unsteady:
            assert await host.read_word(address) == host.model.read(address), f"0x{address:03X}"
            continue
        first, n_bytes = host.rng.choice([(0, 4), (0, 4), (0, 1), (1, 1), (2, 2), (3, 1), (1, 3)])
        value = host.rng.choice([0, 1, 2, 3, 20, 0xFF, host.rng.getrandbits(32)])
        value &= 2 ** (8 * n_bytes) - 1
        if address == host.by_name["CONTROL"].offset:
            value &= ~1 if first == 0 else value  # never run here
        refused += await host.write_bytes(address + first, value, n_bytes) is SLVERR
    assert refused > 5
    for address in writable:
        assert await host.read_word(address) == host.model.read(address), f"0x{address:03X}"


@cocotb.test()
@cocotb.parametrize(idle=list(PAUSES), stall=list(PAUSES))
async def every_request_is_answered_once(dut: Any, idle: str, stall: str) -> None:
    """Many accesses queued at once on both sides: as many answers as requests, in order."""
    host = await start(dut, idle, stall)
    counts = dict.fromkeys(("aw", "w", "b", "ar", "r"), 0)

    async def watch() -> None:
        while True:
            await RisingEdge(dut.host_clk)
            for channel in counts:
                valid = getattr(dut, f"s_axi__{channel}valid").value
                ready = getattr(dut, f"s_axi__{channel}ready").value
                counts[channel] += bool(valid) and bool(ready)

    cocotb.start_soon(watch())
    n = 60
    offset = host.by_name["CHI_ADDRESS"].offset
    addresses = [offset if k % 3 else 0x7F0 for k in range(n)]
    values = [k * host.config.chi_depth // n for k in range(n)]
    writes = [
        host.axi.write(address, value.to_bytes(4, "little"))
        for address, value in zip(addresses, values, strict=True)
    ]
    reads = [host.axi.read(address, 4) for address in addresses]
    answers = await with_timeout(gather(*writes, *reads), 20_000, "ns")
    seen = []
    for address, written, read in zip(addresses, answers[:n], answers[n:], strict=True):
        expected = OKAY if address == offset else SLVERR
        assert written.resp == read.resp == expected.value
        if address == offset:
            seen.append(int.from_bytes(read.data, "little"))
    assert seen == sorted(seen), "reads overtake each other"
    await ClockCycles(dut.host_clk, 60)
    assert counts == dict.fromkeys(counts, n)
    assert await host.read_word(offset) == (OKAY, values[-1])


@cocotb.test()
async def counters(dut: Any) -> None:
    """A counter read low, then high is one moment's value, also across a carry."""
    host = await start(dut, "sometimes", "sometimes")
    names = [f"COUNT_{a.name}" for a in Activity if a is not Activity.IMAGES]
    names.append("COUNT_CYCLES_IDLE")
    previous = COUNTER_START
    for k in range(120):
        value = await host.read_counter(names[k % len(names)])
        # Twice the cycles of an access at most, however it pauses; the counters' own offsets.
        assert previous - len(Activity) < value < previous + 400, hex(value)
        previous = value
    assert previous >> 32 == COUNTER_START >> 32 | 1, "there was no carry"


@cocotb.test()
async def chi(dut: Any) -> None:
    """Any accumulator can be read while the unit is idle, none while it works."""
    host = await start(dut)
    depth, lanes = host.config.chi_depth, host.config.update.lanes
    for address, lane in [(0, 0), (depth - 1, lanes - 1), (depth // 2, 1), (3, lanes // 2)]:
        await host.write("CHI_ADDRESS", address)
        await host.write("CHI_LANE", lane)
        expected = (-1 - (address * lanes + lane)) & 0xFFFFFFFF
        assert await host.read("CHI_DATA") == (OKAY, expected)
    assert await host.write("CHI_ADDRESS", depth) is SLVERR
    assert await host.write("CHI_LANE", lanes) is SLVERR
    sent = [host.frame("good") for _ in range(40)]
    await host.write("CONTROL", 1)
    for frame in sent:
        await host.send(frame)
    answers = [await host.read("CHI_DATA") for _ in range(40)]
    assert set(answers) <= {(SLVERR, 0), (OKAY, expected)}
    assert (SLVERR, 0) in answers
    await host.expect_results([host.result(frame, train=False) for frame in sent])
    assert await host.read("CHI_DATA") == (OKAY, expected)


@cocotb.test()
@cocotb.parametrize(idle=["never", "sometimes"])
async def reset_in_the_middle(dut: Any, idle: str) -> None:
    """A reset at any moment leaves a unit like new: no frame, answer, error or setting survives."""
    host = await start(dut, idle, idle)
    period = 2 * host.config.rows_to_words(host.config.network.layers[0]) + 25
    for cut in range(period):
        await host.write("CONTROL", 3)
        await host.write("EPSILON", 5)
        for kind in ("bad_label", "good", "good", "good"):
            await host.send(host.frame(kind))
        for _ in range(8):
            host.axi.init_write(host.by_name["CHI_ADDRESS"].offset, b"\1\0\0\0")
            host.axi.init_read(host.by_name["CHI_DATA"].offset, 4)
        await ClockCycles(dut.host_clk, 1 + cut)
        await host.reset(cycles=1 + cut % 3)
        for port in ("m_axis_result__tvalid", "s_axi__bvalid", "s_axi__rvalid"):
            assert not getattr(dut, port).value, f"{port} after reset, cut at {cut}"
        for name in ("CONTROL", "EPSILON", "ERRORS", "CHI_ADDRESS"):
            offset = host.by_name[name].offset
            assert await host.read(name) == host.model.read(offset), f"{name}, cut at {cut}"
        assert await host.read_counter("COUNT_IMAGES") == 0
        good = host.frame("good")
        await host.write("CONTROL", 1)
        await host.send(good)
        await host.expect_results([host.result(good, train=False)])
