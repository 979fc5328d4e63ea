"""Host interface: the parts together, with the memories they feed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, connect, flipped

from hw.axi import AXIResponse
from hw.chi_memory import ChiMemory
from hw.code_buffer import CodeBuffer
from hw.host_interface import ChiWindow, HostInterface
from hw.line_drivers import LineDrivers
from hw.registers import register_table
from model.activity import Activity
from model.config import Config, ScalePolicy, SkipPolicy
from model.configurations import mca_mlp, tiny_mca
from model.frames import FrameError, result_frame
from model.quantiser import activation_code
from tests.hw.axi_faces import AXIFaces, beat_layout, beats
from tests.hw.hw_sim import get, put, simulate
from tests.hw.test_input_buffer import random_frame

OKAY, SLVERR = AXIResponse.OKAY, AXIResponse.SLVERR
OFFSETS = {register.name: register.offset for register in register_table(tiny_mca)}


async def read(ctx: Any, dut: Any, name: str) -> tuple[AXIResponse, int]:
    await put(ctx, dut.ar, [{"araddr": OFFSETS[name]}])
    (answer,) = await get(ctx, dut.r, 1, extra=2)
    return AXIResponse(answer["rresp"]), answer["rdata"]


async def write(ctx: Any, dut: Any, name: str, value: int) -> AXIResponse:
    await put(ctx, dut.aw, [{"awaddr": OFFSETS[name]}])
    await put(ctx, dut.w, [{"wdata": value & 0xFFFFFFFF, "wstrb": 15}])
    (answer,) = await get(ctx, dut.b, 1, extra=2)
    return AXIResponse(answer["bresp"])


@pytest.mark.parametrize("scale_policy", ScalePolicy)
@pytest.mark.parametrize("skip_policy", SkipPolicy)
def test_settings_after_reset(scale_policy: ScalePolicy, skip_policy: SkipPolicy) -> None:
    update = replace(
        tiny_mca.update,
        scale_policy=scale_policy,
        skip_policy=skip_policy,
        learning_rate_log2=-9,
        epsilon_log2=11,
    )
    dut = AXIFaces(HostInterface(replace(tiny_mca, update=update)))
    host = dut.dut

    async def check(ctx: Any) -> None:
        assert ctx.get(host.run) == 0
        assert ctx.get(host.train) == 0
        assert ctx.get(host.learning_rate_log2) == -9
        assert ctx.get(host.epsilon_log2) == 11
        assert ctx.get(host.scale_policy) == list(ScalePolicy).index(scale_policy)
        assert ctx.get(host.skip_policy) == list(SkipPolicy).index(skip_policy)

    simulate(dut, check)


def test_settings_written() -> None:
    dut = AXIFaces(HostInterface(tiny_mca))
    host = dut.dut
    chi_bits = tiny_mca.update.chi_bits

    async def bench(ctx: Any) -> None:
        for value in (3, 1, 2, 0):
            assert await write(ctx, dut, "CONTROL", value) == OKAY
            assert (ctx.get(host.run), ctx.get(host.train)) == (value & 1, value >> 1)
        for value in (-32, 31, -1, 0):
            assert await write(ctx, dut, "LEARNING_RATE", value) == OKAY
            assert ctx.get(host.learning_rate_log2) == value
        for value in (-33, 32, 127):
            assert await write(ctx, dut, "LEARNING_RATE", value) == SLVERR
            assert ctx.get(host.learning_rate_log2) == 0
        for value in (2, chi_bits - 4):
            assert await write(ctx, dut, "EPSILON", value) == OKAY
            assert ctx.get(host.epsilon_log2) == value
        for value in (0, 1, chi_bits - 3, 0xFF):
            assert await write(ctx, dut, "EPSILON", value) == SLVERR
            assert ctx.get(host.epsilon_log2) == chi_bits - 4
        for name, port, n in (
            ("SCALE_POLICY", host.scale_policy, len(ScalePolicy)),
            ("SKIP_POLICY", host.skip_policy, len(SkipPolicy)),
        ):
            for value in range(n):
                assert await write(ctx, dut, name, value) == OKAY
                assert ctx.get(port) == value
            assert await write(ctx, dut, name, n) == SLVERR
            assert ctx.get(port) == n - 1

    simulate(dut, bench)


def test_status_and_counters() -> None:
    dut = AXIFaces(HostInterface(tiny_mca))
    host = dut.dut

    async def bench(ctx: Any) -> None:
        for bit, port in ((0, host.idle), (2, host.initialising)):
            ctx.set(port, 1)
            assert await read(ctx, dut, "STATUS") == (OKAY, 1 << bit)
            ctx.set(port, 0)
        for activity in Activity:
            ctx.set(host.counters[activity], (activity + 1) << 30)
        ctx.set(host.cycles_idle, 7)
        for activity in Activity:
            low = ((activity + 1) << 30) & 0xFFFFFFFF
            assert await read(ctx, dut, f"COUNT_{activity.name}") == (OKAY, low)
        assert await read(ctx, dut, "COUNT_CYCLES_IDLE") == (OKAY, 7)

    simulate(dut, bench)


def test_errors_are_sticky_by_kind() -> None:
    dut = AXIFaces(HostInterface(tiny_mca))
    rng = np.random.default_rng(1)

    async def sink(ctx: Any) -> None:
        ctx.set(dut.o_drives.ready, 1)

    async def bench(ctx: Any) -> None:
        for error in (FrameError.LONG_FRAME, FrameError.BAD_LABEL, FrameError.SHORT_FRAME):
            kind = error.name.lower().removesuffix("_frame")
            await put(ctx, dut.s_axis_image, beats(random_frame(rng, tiny_mca, kind)))
            await ctx.tick().repeat(2)
            assert await read(ctx, dut, "ERRORS") == (OKAY, 1 << error)
            assert await write(ctx, dut, "ERRORS", 0xF) == OKAY
        ctx.set(dut.dut.array_timeout, 1)
        await ctx.tick()
        ctx.set(dut.dut.array_timeout, 0)
        assert await read(ctx, dut, "ERRORS") == (OKAY, 1 << len(FrameError))
        assert await read(ctx, dut, "STATUS") == (OKAY, 0)

    simulate(dut, sink, bench)


def test_result_leaves() -> None:
    dut = AXIFaces(HostInterface(tiny_mca))
    host = dut.dut
    outputs = np.array([3, 200, 7, 200], np.uint8)

    async def unit(ctx: Any) -> None:
        assert ctx.get(host.ready_for_image)
        ctx.set(dut.i_outputs.payload, {"activations": [*map(int, outputs), 0, 0, 0, 0], "last": 1})
        ctx.set(dut.i_outputs.valid, 1)
        ctx.set(host.commit, 1)
        ctx.set(host.commit_label, 2)
        ctx.set(host.commit_trained, 1)
        await ctx.tick()
        ctx.set(dut.i_outputs.valid, 0)
        ctx.set(host.commit, 0)
        await ctx.tick().repeat(3)
        assert await read(ctx, dut, "STATUS") == (OKAY, 8)
        expected = beats(result_frame(outputs, 2, tiny_mca, trained=True, skipped=False))
        assert await get(ctx, dut.m_axis_result, 2) == expected

    simulate(dut, unit)


class Chi(wiring.Component):
    """The chi window with the memory behind it."""

    def __init__(self, config: Config) -> None:
        self.window = ChiWindow(config)
        self.memory = ChiMemory(config)
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window = window = self.window
        m.submodules.memory = chi = self.memory
        m.d.comb += [
            chi.read_enable.eq(window.chi_enable),
            chi.read_address.eq(window.chi_address),
            chi.o.ready.eq(1),
            window.chi_ack.eq(chi.read_ack),
            window.chi_data.eq(chi.read_data),
        ]
        return m


def test_chi_window() -> None:
    config = tiny_mca
    dut = Chi(config)
    window, memory = dut.window, dut.memory
    lanes = config.update.lanes
    products = list(range(-4, lanes - 4))

    async def ask(ctx: Any, address: int, lane: int) -> tuple[int, int]:
        ctx.set(window.address, address)
        ctx.set(window.lane, lane)
        ctx.set(window.request, 1)
        await ctx.tick()
        ctx.set(window.request, 0)
        assert ctx.get(window.done), "LATENCY = 1"
        answer = ctx.get(window.refused), ctx.get(window.value)
        await ctx.tick()
        assert not ctx.get(window.done)
        return answer

    async def bench(ctx: Any) -> None:
        ctx.set(memory.epsilon_log2, 20)
        ctx.set(window.idle, 1)
        assert (await ask(ctx, 0, 0))[0], "the memory is being cleared"
        while ctx.get(memory.busy):
            await ctx.tick()
        address = config.chi_depth - 1
        ctx.set(memory.i.payload, {"address": address, "shift": 3, "products": products})
        ctx.set(memory.i.valid, 1)
        await ctx.tick()
        ctx.set(memory.i.valid, 0)
        assert (await ask(ctx, address, 0))[0], "a word is under way"
        while ctx.get(memory.busy):
            await ctx.tick()
        for lane in range(lanes):
            assert await ask(ctx, address, lane) == (0, products[lane] << 3)
            assert await ask(ctx, 0, lane) == (0, 0)
        ctx.set(window.idle, 0)
        assert (await ask(ctx, address, 0))[0], "the unit is not idle"

    simulate(dut, bench)


def test_chi_registers() -> None:
    dut = AXIFaces(HostInterface(tiny_mca))
    host = dut.dut
    depth, lanes = tiny_mca.chi_depth, tiny_mca.update.lanes
    word = [(-1) ** lane * (lane << 20 | 5) for lane in range(lanes)]
    asked = []

    async def memory(ctx: Any) -> None:
        while len(asked) < 1 + lanes:
            enable, address = (await ctx.tick().sample(host.chi_enable, host.chi_address))[2:]
            ctx.set(host.chi_ack, enable)
            ctx.set(host.chi_data, word if enable else [0] * lanes)
            if enable:
                asked.append(address)

    async def bench(ctx: Any) -> None:
        assert await read(ctx, dut, "CHI_DATA") == (SLVERR, 0)
        assert asked == []
        ctx.set(host.idle, 1)
        assert await write(ctx, dut, "CHI_ADDRESS", depth) == SLVERR
        assert await write(ctx, dut, "CHI_LANE", lanes) == SLVERR
        assert await read(ctx, dut, "CHI_DATA") == (OKAY, word[0])
        assert await write(ctx, dut, "CHI_ADDRESS", depth - 1) == OKAY
        for lane in range(lanes):
            assert await write(ctx, dut, "CHI_LANE", lane) == OKAY
            assert await read(ctx, dut, "CHI_DATA") == (OKAY, word[lane] & 0xFFFFFFFF)
        assert asked == [0] + [depth - 1] * lanes

    simulate(dut, memory, bench)


class Front(wiring.Component):
    """The host interface with what holds an image: what the array and the update would see."""

    def __init__(self, config: Config) -> None:
        n_rows = config.network.n_rows(0)
        self.faces = AXIFaces(HostInterface(config))
        self.drivers = LineDrivers(
            n_lines=n_rows,
            shape=unsigned(8),
            lanes=config.update.lanes,
            double_buffered=True,
            bias=True,
        )
        self.codes = CodeBuffer(config, 0)
        super().__init__({"image": In(stream.Signature(beat_layout(config.update.lanes)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.faces = faces = self.faces
        m.submodules.drivers = drivers = self.drivers
        m.submodules.codes = codes = self.codes
        host = faces.dut
        connect(m, flipped(self.image), faces.s_axis_image)
        connect(m, faces.o_codes, codes.i)
        m.d.comb += [
            drivers.i.valid.eq(faces.o_drives.valid),
            faces.o_drives.ready.eq(drivers.i.ready),
            drivers.i.p["values"].eq(faces.o_drives.p.activations),
            drivers.i.p.last.eq(faces.o_drives.p.last),
            drivers.rewind.eq(host.rewind),
            codes.rewind.eq(host.rewind),
            drivers.apply.eq(host.take),
            codes.swap.eq(host.take),
        ]
        return m


@pytest.mark.parametrize("idle", ["1", "110100"])
def test_only_whole_images_reach_array_and_update(idle: str) -> None:
    config = tiny_mca
    rng = np.random.default_rng(7)
    kinds = rng.choice(["good", "short", "long", "bad_label"], 40)
    frames = [random_frame(rng, config, kind) for kind in kinds]
    n_inputs, lanes = config.network.layers[0], config.update.lanes
    expected = [
        frame[:-1].reshape(-1)[:n_inputs]
        for frame, kind in zip(frames, kinds, strict=True)
        if kind == "good"
    ]
    dut = Front(config)

    async def check(ctx: Any, pixels: np.ndarray) -> None:
        drive = [ctx.get(dut.drivers.drive[row]) for row in range(n_inputs + 1)]
        assert drive == [*pixels.tolist(), 255]
        n_words = config.n_words(0)
        codes = np.zeros(n_words * lanes, int)
        codes[: n_inputs + 1] = [activation_code(int(value)) for value in drive]
        for word in range(n_words):
            ctx.set(dut.codes.address, word)
            await ctx.tick()
            row = [ctx.get(dut.codes.codes[lane]) for lane in range(lanes)]
            assert row == codes[word * lanes : (word + 1) * lanes].tolist()

    async def sequencer(ctx: Any) -> None:
        host = dut.faces.dut
        for k, pixels in enumerate(expected):
            while not ctx.get(host.image_ready):
                await ctx.tick()
            ctx.set(host.take, 1)
            await ctx.tick()
            ctx.set(host.take, 0)
            # While the next frames load, malformed ones among them, the taken image stays.
            for _ in range(1 + k % 3):
                await check(ctx, pixels)

    async def send(ctx: Any) -> None:
        for frame in frames:
            await put(ctx, dut.image, beats(frame), idle)

    simulate(dut, send, sequencer)


def test_the_real_size_elaborates() -> None:
    dut = AXIFaces(HostInterface(mca_mlp))

    async def bench(ctx: Any) -> None:
        assert await read(ctx, dut, "GEOMETRY") == (OKAY, 32 << 24 | 8 << 16 | 2 << 8 | 32)

    simulate(dut, bench)
