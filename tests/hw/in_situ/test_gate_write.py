"""Gradient memory, gate memory, learning rate, write controller and pulse scheduler equal their
functions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.in_situ.gate_memory import GateMemory, GateMover
from hw.in_situ.gradient_memory import GradientMemory
from hw.in_situ.pulse_scheduler import PulseScheduler
from hw.in_situ.rate import LearningRate
from hw.in_situ.write_controller import WriteController
from hw.outer_product import WordWalker
from model.in_situ import cycles
from model.in_situ.gate_memory import gate_code, gate_step, move_gate, next_rate, rate_mantissa
from model.in_situ.pulse_scheduler import RESET, SET, row_pulses
from tests.hw.hw_sim import plain, put, simulate
from tests.hw.in_situ.learning_configs import UNITS, eager

LANES = eager.update.lanes


async def initialised(ctx: Any, dut: Any) -> None:
    while ctx.get(dut.busy):
        await ctx.tick()


@pytest.mark.parametrize("idle", ["1", "10", "110100"])
def test_gradient_memory(idle: str) -> None:
    dut, rng = GradientMemory(eager), np.random.default_rng(1)
    depth, bits = eager.gradient_depth, eager.gradient_bits
    sums = np.zeros((depth, LANES), int)

    async def take_all(ctx: Any) -> None:
        for address in range(depth):
            ctx.set(dut.take, 1)
            ctx.set(dut.take_address, address)
            await ctx.tick()
            assert plain(ctx.get(dut.taken)) == sums[address].tolist()
        ctx.set(dut.take, 0)
        sums[:] = 0
        await ctx.tick().repeat(GradientMemory.LATENCY)

    async def bench(ctx: Any) -> None:
        await initialised(ctx, dut)
        await take_all(ctx)
        for batch in range(3):
            for _ in range(eager.update.batch):
                addresses = np.flatnonzero(rng.random(depth) < 0.7)
                products = rng.integers(-65025, 65026, (len(addresses), LANES))
                if batch == 0:
                    products[:] = [-65025, 65025] * (LANES // 2)
                payloads = [
                    {"address": int(a), "products": p.tolist()}
                    for a, p in zip(addresses, products, strict=True)
                ]
                await put(ctx, dut.i, payloads, idle)
                sums[addresses] += products
                await ctx.tick().repeat(GradientMemory.LATENCY)
            assert abs(sums).max() < 2 ** (bits - 1)
            await take_all(ctx)
        await take_all(ctx)

    simulate(dut, bench)


CORNERS = (0, 1, -1, 127, -128, 2**17 - 1, -(2**17) + 1)


@pytest.mark.parametrize("name", ["eager", "coarse_gates"])
def test_gate_mover(name: str) -> None:
    config = UNITS[name]
    gate, dut = config.gate, GateMover(config)
    rng = np.random.default_rng(2)
    limit = 2 ** (gate.word_bits + 1) - 1
    steps = [step for step in CORNERS if abs(step) <= limit]
    steps += rng.integers(-limit // 40, limit // 40, 60).tolist()

    async def bench(ctx: Any) -> None:
        for step in steps:
            plus, minus = rng.integers(gate.low, gate.high + 1, 2).tolist()
            pair = {"plus": plus, "minus": minus}
            ctx.set(dut.gates, pair)
            ctx.set(dut.step, step)
            moved, change = plain(ctx.get(dut.moved)), plain(ctx.get(dut.change))
            for device, signed in (("plus", step), ("minus", -step)):
                after = move_gate(pair[device], signed, gate.low, gate.high)
                was, now = (gate_code(g, gate.fraction_bits) for g in (pair[device], after))
                assert moved[device] == after
                assert change[device] == {"gate": now if now != was else 0, "falls": now < was}

    simulate(dut, bench)


@pytest.mark.parametrize("idle", ["1", "10"])
def test_gate_memory(idle: str) -> None:
    config = replace(eager, update=replace(eager.update, shifts=(14, 3)))
    dut, rng, gate = GateMemory(config), np.random.default_rng(3), config.gate
    depth, limit = config.gradient_depth, 2 ** (config.gradient_bits - 1) - 1
    gates = np.full((depth, LANES, 2), gate.initial)
    base = config.gradient_base(1)
    seen: list[Any] = []
    pending: list[tuple[int, list[int]]] = []

    def expect(address: int, gradients: list[int], mantissa: int) -> list[Any]:
        changes = []
        for lane, gradient in enumerate(gradients):
            step = gate_step(gradient, mantissa, config.update.shifts[address >= base])
            change = {}
            for device, name, signed in ((0, "plus", step), (1, "minus", -step)):
                before = int(gates[address, lane, device])
                after = move_gate(before, signed, gate.low, gate.high)
                gates[address, lane, device] = after
                was, now = gate_code(before, 8), gate_code(after, 8)
                change[name] = {"gate": now if now != was else 0, "falls": int(now < was)}
            changes.append(change)
        return changes

    async def gradients_of_the_word_before(ctx: Any) -> None:
        """As the gradient memory answers."""
        while True:
            _, _, valid, address = await ctx.tick().sample(dut.i.valid, dut.i.p.address)
            if valid:
                assert pending[0][0] == address
                ctx.set(dut.gradients, pending.pop(0)[1])

    async def watch(ctx: Any) -> None:
        while True:
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if valid:
                seen.append(plain(payload))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.shifts, list(config.update.shifts))
        await initialised(ctx, dut)
        for mantissa in (255, 1, 0, 130):
            ctx.set(dut.mantissa, mantissa)
            sums = rng.integers(-limit, limit + 1, (depth, LANES)) >> rng.integers(0, 20)
            sums[0] = [limit, -limit, 0, 1]
            expected = [expect(k, sums[k].tolist(), mantissa) for k in range(depth)]
            pending.extend((k, sums[k].tolist()) for k in range(depth))
            payloads = [
                {"layer": int(k >= base), "unit": 0, "address": k, "last": k % 2}
                for k in range(depth)
            ]
            await put(ctx, dut.i, payloads, idle)
            await ctx.tick().repeat(GateMemory.LATENCY + 1)
            assert [word["changes"] for word in seen] == expected
            assert [word["last"] for word in seen] == [k % 2 for k in range(depth)]
            seen.clear()

    trace = simulate(dut, bench, background=[gradients_of_the_word_before, watch])
    for sent, received in zip(trace["i"], trace["o"], strict=True):
        assert received.offered == sent.cycle + GateMemory.LATENCY


def test_learning_rate() -> None:
    dut, bits = LearningRate(eager), eager.update.rate_bits
    rate, decay = 2**bits - 1, 2**bits // 3

    async def bench(ctx: Any) -> None:
        ctx.set(dut.start, rate)
        ctx.set(dut.decay, decay)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        expected = rate
        for step in (0, 1, 1, 0, 1, 1, 1):
            assert ctx.get(dut.rate) == expected
            assert ctx.get(dut.mantissa) == rate_mantissa(expected, bits)
            ctx.set(dut.step, step)
            expected = next_rate(expected, decay) if step else expected
            await ctx.tick()
        assert ctx.get(dut.rate) == 0

    simulate(dut, bench)


@pytest.mark.parametrize("name", ["eager", "one_layer", "three_layers", "many_classes"])
def test_write_controller(name: str) -> None:
    config = UNITS[name]
    network, dut = config.network, WriteController(config)
    rows = [(k, unit) for k in range(network.n_layers) for unit in range(network.n_inputs(k))]

    async def bench(ctx: Any) -> None:
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick().repeat(WriteController.START_LATENCY)
            ctx.set(dut.start, 0)
            for pause, (layer, unit) in enumerate(rows):
                for word in range(config.unit_words(layer)):
                    address = config.gradient_base(layer) + unit * config.unit_words(layer) + word
                    assert ctx.get(dut.o.valid)
                    assert plain(ctx.get(dut.o.p)) == {
                        "layer": layer,
                        "unit": unit,
                        "address": address,
                        "last": word == config.unit_words(layer) - 1,
                    }
                    await ctx.tick()
                for _ in range(pause % 3):
                    assert not ctx.get(dut.o.valid)
                    await ctx.tick()
                assert (ctx.get(dut.layer), ctx.get(dut.unit)) == (layer, unit)
                ctx.set(dut.row_done, 1)
                assert ctx.get(dut.done) == ((layer, unit) == rows[-1])
                await ctx.tick()
                ctx.set(dut.row_done, 0)
            assert not ctx.get(dut.o.valid)
            await ctx.tick()

    simulate(dut, bench)


def change(before: int, after: int) -> dict[str, int]:
    return {"gate": after if after != before else 0, "falls": int(after < before)}


@pytest.mark.parametrize("idle", ["1", "10"])
@pytest.mark.parametrize("busy", ["0", "1110"])
def test_pulse_scheduler(busy: str, idle: str) -> None:
    """Rows of both layers in turn, so that a long row's columns would show in a short one."""
    dut, rng, timing = PulseScheduler(eager), np.random.default_rng(5), eager.pulse
    n_columns = max(eager.network.layers[1:])
    seen: list[tuple[int, int, int, list[int]]] = []

    async def watch(ctx: Any) -> None:
        before = 0
        while True:
            _, _, pulse, request = await ctx.tick().sample(dut.program.pulse, dut.program.request)
            if pulse and not before:
                found = plain(request)
                seen.append((found["layer"], found["row"], found["kind"].value, found["gates"]))
            before = pulse

    async def hold_off(ctx: Any) -> None:
        cycle = 0
        while True:
            ctx.set(dut.program.busy, busy[cycle % len(busy)] == "1")
            cycle += 1
            await ctx.tick()

    async def bench(ctx: Any) -> None:
        for number in range(24):
            layer, n_cols = number % 2, eager.network.n_cols(number % 2)
            unit = int(rng.integers(eager.network.n_inputs(layer)))
            codes = rng.integers(60, 171, (2, 2, n_cols))
            same = rng.random((2, n_cols)) < (0.0, 0.5, 0.9, 1.0)[number // 2 % 4]
            codes[1] = np.where(same, codes[0], codes[1])
            expected, cycles_due = [], PulseScheduler.ROW_LATENCY
            for device in range(2):
                gates = np.zeros((2, n_columns), np.uint8)
                selected = row_pulses(*codes[:, device].astype(np.uint8), gates[0], gates[1])
                row = unit + device * eager.network.n_inputs(layer)
                for kind, row_gates, count in zip((RESET, SET), gates, selected, strict=True):
                    if count:
                        expected.append((layer, row, kind, row_gates.tolist()))
                        width = timing.reset_cycles if kind == RESET else timing.set_cycles
                        cycles_due += width + timing.gap_cycles
            lanes = [
                {"plus": change(*codes[:, 0, k]), "minus": change(*codes[:, 1, k])}
                if k < n_cols
                else {"plus": change(0, 0), "minus": change(0, 0)}
                for k in range(-(-n_cols // LANES) * LANES)
            ]
            ctx.set(dut.layer, layer)
            ctx.set(dut.unit, unit)
            last = len(lanes) - LANES
            payloads = [
                {"changes": lanes[k : k + LANES], "last": k == last}
                for k in range(0, len(lanes), LANES)
            ]
            seen.clear()
            await put(ctx, dut.i, payloads, idle)
            waited = 1
            while not ctx.get(dut.row_done):
                waited += 1
                await ctx.tick()
            assert seen == expected
            if busy == "0":
                assert waited == cycles_due
            await ctx.tick()

    simulate(dut, bench, background=[watch, hold_off])


def test_constants() -> None:
    """The cycle model's are the components'."""
    assert cycles.WRITE_LATENCY == WriteController.START_LATENCY
    assert cycles.WRITE_ROW_LATENCY == GateMemory.LATENCY + PulseScheduler.ROW_LATENCY
    # A command, the words, and the cycle in which the walker is seen to have ended.
    assert cycles.ACCUMULATE_LATENCY == WordWalker.FIRST_WORD + 1
    assert cycles.ACCUMULATE_EMPTY == WordWalker.EMPTY_CYCLES + 2
    # The write phase reads no word before the last product is written.
    assert GradientMemory.LATENCY <= 1 + WriteController.START_LATENCY
