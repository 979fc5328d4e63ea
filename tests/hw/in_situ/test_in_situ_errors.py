# amaranth: UnusedElaboratable=no
"""Hidden errors, error buffer, backward drivers, activation scan and ReLU equal their functions."""

from typing import Any

import numpy as np
import pytest

from hw.in_situ.activation_scan import ActivationScan
from hw.in_situ.activation_unit import ActivationUnit
from hw.in_situ.backward_drivers import BackwardDrivers
from hw.in_situ.error_buffer import ErrorBuffer
from hw.in_situ.hidden_errors import HiddenErrors
from hw.read_out import CodeReader
from model.configurations import tiny_in_situ
from model.in_situ import cycles
from model.in_situ.activation_unit import relu
from model.in_situ.error_unit import drive_pass, hidden_error
from model.in_situ.outer_product import nonzero_words
from tests.hw.hw_configs import words
from tests.hw.hw_sim import STALLS, get, plain, put, simulate
from tests.hw.in_situ.learning_configs import UNITS

LANES = tiny_in_situ.update.lanes
N_HIDDEN = tiny_in_situ.network.layers[1]


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_hidden_errors(idle: str, stall: str) -> None:
    dut, rng = HiddenErrors(tiny_in_situ), np.random.default_rng(1)
    passes = rng.integers(-128, 128, (5, 2, N_HIDDEN))
    passes[0] = [[127], [-128]]
    passes[1] = [[-128], [127]]
    active = rng.integers(0, 2, (5, N_HIDDEN))
    expected = []
    for (first, second), units in zip(passes, active, strict=True):
        errors = [
            hidden_error(int(a), int(b), int(c))
            for a, b, c in zip(first, second, units, strict=True)
        ]
        expected.append(words(errors, LANES, "errors"))
    taken: list[dict[str, Any]] = []

    async def produce(ctx: Any) -> None:
        for vector, (first, second) in enumerate(passes):
            ctx.set(dut.negative, 0)
            await put(ctx, dut.i, words(first, LANES, "codes"), idle)
            ctx.set(dut.negative, 1)
            ctx.set(dut.active, int("".join(map(str, active[vector][::-1])), 2))
            await put(ctx, dut.i, words(second, LANES, "codes"), idle)
            while len(taken) <= vector:
                await ctx.tick()

    async def consume(ctx: Any) -> None:
        for vector in expected:
            assert await get(ctx, dut.o, len(vector), stall) == vector
            taken.append({})

    trace = simulate(dut, produce, consume)
    if stall == "1":
        seconds = [t for k, t in enumerate(trace["i"]) if k // len(expected[0]) % 2]
        for sent, received in zip(seconds, trace["o"], strict=True):
            assert received.offered == sent.cycle + HiddenErrors.LATENCY
    assert cycles.HIDDEN_ERROR_LATENCY == HiddenErrors.LATENCY


def test_hidden_errors_need_a_hidden_layer() -> None:
    with pytest.raises(ValueError, match="no hidden errors"):
        HiddenErrors(UNITS["one_layer"])


@pytest.mark.parametrize("idle", ["1", "10", "110100"])
def test_error_buffer(idle: str) -> None:
    dut, rng = ErrorBuffer(tiny_in_situ), np.random.default_rng(2)
    vectors = rng.integers(-255, 256, (4, N_HIDDEN)) * (rng.random((4, N_HIDDEN)) < 0.2)
    vectors = [*vectors, np.zeros(N_HIDDEN, int), vectors[0][:4], np.full(N_HIDDEN, -255)]

    async def bench(ctx: Any) -> None:
        for vector in vectors:
            expected = words(vector, LANES, "errors")
            await put(ctx, dut.i, expected, idle)
            flags = [any(word["errors"]) for word in expected]
            assert ctx.get(dut.nonzero) == sum(flag << k for k, flag in enumerate(flags))
            assert sum(flags) == nonzero_words(vector.astype(np.int16), LANES)
            for address in (*range(len(expected)), 0):
                ctx.set(dut.address, address)
                await ctx.tick()
                assert plain(ctx.get(dut.errors)) == expected[address]["errors"]

    simulate(dut, bench)


def test_backward_drivers() -> None:
    dut, rng = BackwardDrivers(tiny_in_situ, 1), np.random.default_rng(3)
    n_cols = tiny_in_situ.network.n_cols(1)
    vectors = [np.array([255, -255, 0, 1]), *rng.integers(-255, 256, (4, n_cols))]

    async def bench(ctx: Any) -> None:
        for vector in vectors:
            await put(ctx, dut.i, words(vector, LANES, "errors"), "10")
            for negative in (0, 1, 0):
                ctx.set(dut.negative, negative)
                expected = [drive_pass(int(error), negative) for error in vector]
                assert plain(ctx.get(dut.drive)) == expected

    simulate(dut, bench)


@pytest.mark.parametrize("stall", ["1", "10", "0001"])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_activation_scan(density: float, stall: str) -> None:
    dut, rng = ActivationScan(tiny_in_situ, 0), np.random.default_rng(4)
    drive = rng.integers(1, 256, dut.n_inputs) * (rng.random(dut.n_inputs) < density)
    expected = [{"unit": int(k), "error": int(drive[k])} for k in drive.nonzero()[0]]

    async def bench(ctx: Any) -> None:
        ctx.set(dut.drive, drive.tolist())
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            assert await get(ctx, dut.o, len(expected), stall) == expected

    trace = simulate(dut, bench)
    if stall == "1" and expected:
        offered = [transfer.offered for transfer in trace["o"][: len(expected)]]
        assert offered == list(range(1, 1 + len(expected)))


def test_activation_scan_drops() -> None:
    dut = ActivationScan(tiny_in_situ, 0)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.drive, [9] * dut.n_inputs)
        for strobe in (dut.start, dut.drop):
            ctx.set(strobe, 1)
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(strobe, 0)
        assert await get(ctx, dut.o, 0) == []

    # The one that is taken while the rest is dropped.
    assert len(simulate(dut, bench)["o"]) == 1


@pytest.mark.parametrize(("idle", "stall"), [("1", "1"), ("10", "110100")])
@pytest.mark.parametrize("name", ["tiny_in_situ", "narrow_codes"])
def test_relu(name: str, idle: str, stall: str) -> None:
    config = UNITS[name]
    dut, lanes, top = ActivationUnit(config), config.update.lanes, config.converter.code_max
    codes = range(-top - 1, top + 1)
    activations = [relu(code, config.converter.relu_shift) for code in codes]

    async def produce(ctx: Any) -> None:
        ctx.set(dut.valid_lanes, lanes)
        await put(ctx, dut.i, words(codes, lanes, "codes"), idle)

    async def consume(ctx: Any) -> None:
        expected = words(activations, lanes, "activations")
        assert await get(ctx, dut.o, len(expected), stall) == expected

    simulate(dut, produce, consume)
    assert cycles.ACTIVATION_LATENCY == ActivationUnit.LATENCY
    assert cycles.READ_OUT_LATENCY == CodeReader.OUTPUT_LATENCY
