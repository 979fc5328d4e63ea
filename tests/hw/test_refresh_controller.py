# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Device, Direction, PulseKind, program_signature, pulse_request_layout
from hw.pulse_scheduler import PulseScheduler
from hw.read_out import ReadOut
from hw.refresh_controller import PairTest, RefreshController
from model.config import Config, NetworkConfig, RefreshConfig
from model.configurations import tiny_mca
from model.refresh_controller import (
    RefreshThresholds,
    refresh_pulses,
    refresh_thresholds,
    saturated,
)
from tests.hw.hw_configs import VARIANTS
from tests.hw.hw_sim import Trace, get, simulate


class Harness(wiring.Component):
    """The controller with the read-out of every layer, alone or with the pulse scheduler."""

    def __init__(self, config: Config, *, scheduled: bool) -> None:
        self.config = config
        self.scheduled = scheduled
        n_layers = config.network.n_layers
        self.controller = RefreshController(config)
        self.read_outs = [ReadOut(config, layer) for layer in range(n_layers)]
        ports = {
            name: member
            for name, member in self.controller.signature.members.items()
            if not member.is_signature
        }
        if scheduled:
            ports["program"] = Out(program_signature(config))
        else:
            ports["o_requests"] = Out(stream.Signature(pulse_request_layout(config)))
        for layer, read_out in enumerate(self.read_outs):
            for name in ("start", "direction", "row", "device", "col_codes"):
                ports[f"{name}_{layer}"] = read_out.signature.members[name]
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = controller = self.controller
        for name, member in controller.signature.members.items():
            if not member.is_signature:
                inner, outer = getattr(controller, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        for layer, read_out in enumerate(self.read_outs):
            m.submodules[f"read_out_{layer}"] = read_out
            for name in ("start", "direction", "row", "device"):
                m.d.comb += getattr(self, f"{name}_{layer}").eq(getattr(read_out, name))
            m.d.comb += read_out.col_codes.eq(getattr(self, f"col_codes_{layer}"))
            m.d.comb += read_out.i_command.p.eq(controller.o_commands.p.command)
            with m.If(controller.o_commands.p.layer == layer):
                m.d.comb += [
                    read_out.i_command.valid.eq(controller.o_commands.valid),
                    controller.o_commands.ready.eq(read_out.i_command.ready),
                ]
            with m.If(controller.layer == layer):
                m.d.comb += [
                    controller.i_words.p.eq(read_out.o_words.p),
                    controller.i_words.valid.eq(read_out.o_words.valid),
                    read_out.o_words.ready.eq(controller.i_words.ready),
                ]
        if self.scheduled:
            m.submodules.scheduler = scheduler = PulseScheduler(self.config)
            wiring.connect(m, controller.o_requests, scheduler.i_requests)
            wiring.connect(m, scheduler.program, wiring.flipped(self.program))
        else:
            wiring.connect(m, controller.o_requests, wiring.flipped(self.o_requests))
        return m


def draw_codes(config: Config, density: float, seed: int = 0) -> list[np.ndarray]:
    """Read codes `[2, n_rows, n_cols]` of every layer; about `density` of the pairs saturated.

    The others lie around the thresholds or anywhere, negative codes (read noise) included.
    """
    rng = np.random.default_rng(seed)
    limits = refresh_thresholds(config)
    code_max = config.converter.code_max
    codes = []
    for layer in range(config.network.n_layers):
        shape = (config.network.n_rows(layer), config.network.n_cols(layer))
        plus = rng.integers(-3, code_max + 1, shape)
        minus = rng.integers(-3, code_max + 1, shape)
        chosen = rng.random(shape) < density
        near = rng.integers(limits.saturated - 1, limits.saturated + 2, shape)
        other = near - rng.integers(-1, limits.difference + 2, shape)
        swap = rng.random(shape) < 0.5
        plus = np.where(chosen, np.where(swap, other, near), plus)
        minus = np.where(chosen, np.where(swap, near, other), minus)
        if density == 0:
            plus, minus = np.zeros(shape, int), np.zeros(shape, int)
        codes.append(np.clip(np.stack([plus, minus]), -code_max - 1, code_max))
    return codes


def golden_row(config: Config, codes: np.ndarray, layer: int, row: int) -> tuple[list, int]:
    """The pulse requests of a row and the number of its saturated pairs."""
    thresholds = refresh_thresholds(config)
    requests, pairs = [], 0
    for col, (plus, minus) in enumerate(codes[:, row].T.tolist()):
        if not saturated(plus, minus, thresholds):
            continue
        pairs += 1
        count = refresh_pulses(plus, minus, thresholds)
        device = Device.PLUS if count > 0 else Device.MINUS
        for kind, target in [
            (PulseKind.RESET, Device.PLUS),
            (PulseKind.RESET, Device.MINUS),
            *[(PulseKind.SET, device)] * abs(count),
        ]:
            fields = {"layer": layer, "row": row, "col": col, "device": target, "kind": kind}
            requests.append(fields)
    return requests, pairs


def row_cycles(config: Config, layer: int, requests: list, pairs: int, scheduled: bool) -> int:
    """The formula of the docstring."""
    words = config.rows_to_words(config.network.n_cols(layer))
    pulse = config.pulse
    times = {
        PulseKind.SET: pulse.set_cycles + pulse.gap_cycles if scheduled else 1,
        PulseKind.RESET: pulse.reset_cycles + pulse.gap_cycles if scheduled else 1,
    }
    return (
        2 * (config.array.read_cycles + words)
        + RefreshController.ROW_CYCLES
        + sum(times[request["kind"]] for request in requests)
        + pairs * RefreshController.PAIR_CYCLES
    )


def tile(config: Config, layer: int, line: np.ndarray) -> list[list[int]]:
    """Codes of a row as its tiles give them: the row lies in one of them, the others give 0."""
    return [line.tolist()] + [[0] * len(line)] * (config.row_tiles(layer) - 1)


def run(
    config: Config,
    codes: list[np.ndarray],
    starts: list[tuple[int, int]],
    *,
    stall: str = "1",
    scheduled: bool = False,
) -> tuple[Trace, list[list[tuple[int, int]]], list[dict]]:
    """Gives each start (mask, due) when idle, and simulates until the last one is over.

    Asserts requests and timing; returns the trace, the rows each start refreshed, and the pulses.
    """
    dut = Harness(config, scheduled=scheduled)
    rows, layer, row = [], 0, 0
    for mask, due in starts:
        done: list[tuple[int, int]] = []
        while due and mask >> layer & 1 and (not config.refresh.rows or not done):
            done.append((layer, row))
            row += 1
            if row == config.network.n_rows(layer):
                layer, row = (layer + 1) % config.network.n_layers, 0
            if (layer, row) == (0, 0):
                break
        rows.append(done)
    golden = {at: golden_row(config, codes[at[0]], *at) for done in rows for at in done}
    expected = [request for done in rows for at in done for request in golden[at][0]]
    pulses: list[dict] = []

    async def control(ctx) -> None:
        for (mask, due), done in zip(starts, rows, strict=True):
            ctx.set(dut.layers_mask, mask)
            ctx.set(dut.due, due)
            ctx.set(dut.start, 1)
            assert not ctx.get(dut.busy)
            if done:
                assert (ctx.get(dut.layer), ctx.get(dut.row)) == done[0]
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.layers_mask, 0)
            ctx.set(dut.due, 0)
            assert ctx.get(dut.busy) == bool(done)
            while ctx.get(dut.busy):
                await ctx.tick()
            assert not scheduled or not ctx.get(dut.program.pulse)

    def array(layer: int):
        async def answer(ctx) -> None:
            read_cycles = config.array.read_cycles
            while True:
                if not ctx.get(getattr(dut, f"start_{layer}")):
                    await ctx.tick()
                    continue
                assert ctx.get(getattr(dut, f"direction_{layer}")) == Direction.READ
                device = ctx.get(getattr(dut, f"device_{layer}"))
                line = codes[layer][device.value, ctx.get(getattr(dut, f"row_{layer}"))]
                port = getattr(dut, f"col_codes_{layer}")
                ctx.set(port, tile(config, layer, line * 0 - 1))
                await ctx.tick().repeat(read_cycles)
                ctx.set(port, tile(config, layer, line))

        return answer

    async def watch_pulses(ctx) -> None:
        while True:
            await ctx.tick().until(dut.program.pulse)
            request = ctx.get(dut.program.request)
            pulses.append({name: request[name] for name, _ in pulse_request_layout(config)})
            await ctx.tick().until(~dut.program.pulse)

    async def consume(ctx) -> None:
        await get(ctx, dut.o_requests, 1_000_000, stall)

    background = [array(layer) for layer in range(config.network.n_layers)]
    background.append(watch_pulses if scheduled else consume)
    trace = simulate(
        dut,
        control,
        background=background,
        watch=["busy", "start", "complete", "refreshed_pair"],
    )
    if not scheduled:
        pulses = trace.payloads("o_requests")
    assert pulses == expected
    assert len(trace.cycles("refreshed_pair")) == sum(golden[at][1] for d in rows for at in d)

    for cycle, done in zip(trace.cycles("start"), rows, strict=True):
        if stall != "1" or not done:
            continue
        duration = sum(row_cycles(config, at[0], *golden[at], scheduled) for at in done)
        busy = trace.history["busy"][cycle : cycle + duration + 2]
        assert busy == [0] + [1] * duration + [0]
        last = (
            config.network.n_layers - 1,
            config.network.n_rows(-1 + config.network.n_layers) - 1,
        )
        whole = bool(config.refresh.rows) or done[-1] == last
        assert trace.history["complete"][cycle + duration] == whole
    return trace, rows, pulses


def everywhere(config: Config, count: int) -> list[tuple[int, int]]:
    return [(2**config.network.n_layers - 1, 1)] * count


@pytest.mark.parametrize("name", VARIANTS)
def test_all_rows(name: str) -> None:
    """Row by row over all layers and around once more, with exact timing."""
    config = VARIANTS[name]
    config = replace(config, array=replace(config.array, read_integration_cycles=1))
    n_rows = sum(config.network.n_rows(layer) for layer in range(config.network.n_layers))
    _, rows, pulses = run(config, draw_codes(config, 0.15), everywhere(config, n_rows + 1))
    assert rows[0] == [(0, 0)] == rows[n_rows]
    assert pulses


@pytest.mark.parametrize("density", [0, 1])
def test_densities(density: float) -> None:
    _, _, pulses = run(tiny_mca, draw_codes(tiny_mca, density), everywhere(tiny_mca, 4))
    assert bool(pulses) == bool(density)


@pytest.mark.parametrize("stall", ["10", "110100", "0001"])
def test_stalls(stall: str) -> None:
    run(tiny_mca, draw_codes(tiny_mca, 0.5), everywhere(tiny_mca, 8), stall=stall)


@pytest.mark.parametrize("set_cycles", [1, 5])
def test_with_pulse_scheduler(set_cycles: int) -> None:
    """A row's time is exact with the real pulse times, and over when its last gap is."""
    pulse = replace(tiny_mca.pulse, set_cycles=set_cycles, gap_cycles=1)
    config = replace(tiny_mca, pulse=pulse)
    run(config, draw_codes(config, 0.4), everywhere(config, 8), scheduled=True)


def test_mask_and_due() -> None:
    """The pointer waits for its own layer; a start that is not due does nothing."""
    starts = [(0b10, 1), (0b11, 0), (0b01, 1), (0b10, 1)] * 27
    _, rows, _ = run(tiny_mca, draw_codes(tiny_mca, 0.02), starts)
    done = [at for start in rows for at in start]
    assert done[:21] == [(0, row) for row in range(21)]
    assert done[21:31] == [(1, row) for row in range(10)]


@pytest.mark.parametrize("layers", [(11, 7, 5, 4), (6, 4)])
def test_periodic(layers: tuple[int, ...]) -> None:
    """With `rows` = 0 a start runs to the end of the masked layers, at most once around."""
    config = replace(tiny_mca, network=NetworkConfig(layers=layers), refresh=RefreshConfig(rows=0))
    codes = draw_codes(config, 0.2)
    if len(layers) == 2:
        _, rows, _ = run(config, codes, everywhere(config, 2))
        assert [len(done) for done in rows] == [7, 7]
    else:
        _, rows, _ = run(config, codes, [(0b110, 1), (0b001, 1), (0b110, 1), (0b110, 1), (7, 1)])
        assert [len(done) for done in rows] == [0, 12, 14, 0, 26]


def test_never_set() -> None:
    """No SET pulses allowed: pairs are only RESET. Everything saturated: also the last lanes."""
    refresh = RefreshConfig(max_set_pulses=0, saturated_us=0.0, difference_us=1000.0)
    config = replace(tiny_mca, refresh=refresh)
    codes = draw_codes(config, 0.5)
    _, _, pulses = run(config, [np.abs(c) for c in codes], everywhere(config, 3))
    assert len(pulses) == 3 * 9 * 2


@pytest.mark.parametrize("code_bits", [4, 6])
def test_pair_test(code_bits: int) -> None:
    """Every pair of codes against the model's test."""
    span = range(-(2 ** (code_bits - 1)), 2 ** (code_bits - 1))
    for high, small in [(0, 1), (3, 2), (5, 4), (span[-1], 6), (2**code_bits, 3), (1, 0)]:
        thresholds = RefreshThresholds(high, small, (1, 2, 3, 4, 5, 6, 7))
        dut = PairTest(code_bits=code_bits, thresholds=thresholds)

        async def bench(ctx, dut=dut, thresholds=thresholds) -> None:
            for plus in span:
                ctx.set(dut.plus, plus)
                for minus in span:
                    ctx.set(dut.minus, minus)
                    assert ctx.get(dut.saturated) == saturated(plus, minus, thresholds)
                    assert ctx.get(dut.difference) == plus - minus

        simulate(dut, bench)
