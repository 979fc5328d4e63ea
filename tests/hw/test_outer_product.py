"""The outer product equals the model's order and products, zero-skipped, a word a cycle."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.outer_product import OuterProduct
from model.config import Config, NetworkConfig
from model.configurations import mca_mlp, tiny_mca
from model.outer_product import nonzero_words, word_products
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate

one_word_units = replace(tiny_mca, network=NetworkConfig(layers=(6, 19, 3)))
"""One word of activations a unit: a new unit every cycle, and units that fill no whole word."""

Update = tuple[int, int, np.ndarray, np.ndarray]
"""Layer, shift, error codes [n_cols], activation codes [n_words, lanes]."""


def expect(config: Config, update: Update) -> list[dict[str, Any]]:
    layer, shift, errors, codes = update
    words = np.zeros(config.n_words(layer), np.int32)
    products = np.zeros(config.update.lanes, np.int8)
    result = []
    for unit in np.flatnonzero(errors).tolist():
        for word in words[: nonzero_words(codes, words)].tolist():
            word_products(codes[word], int(errors[unit]), products)
            result.append(
                {
                    "layer": layer,
                    "unit": unit,
                    "word": word,
                    "address": config.chi_base(layer) + unit * config.n_words(layer) + word,
                    "shift": shift,
                    "products": products.tolist(),
                }
            )
    return result


def error_words(config: Config, errors: np.ndarray) -> list[dict[str, Any]]:
    lanes = config.update.lanes
    count = config.rows_to_words(len(errors))
    padded = np.zeros(count * lanes, int)
    padded[: len(errors)] = errors
    return [
        {"codes": row.tolist(), "last": int(k == count - 1)}
        for k, row in enumerate(padded.reshape(count, lanes))
    ]


def run(config: Config, updates: list[Update], *, idle: str = "1", stall: str = "1") -> Trace:
    """Runs the updates one after the other; checks words, order and the cycles of every one."""
    dut = OuterProduct(config)
    expected = [expect(config, update) for update in updates]
    commands: list[int] = []
    finished: list[bool] = []

    async def producer(ctx: Any) -> None:
        for layer, shift, errors, codes in updates:
            await put(ctx, dut.i_errors, error_words(config, errors), idle)
            ctx.set(dut.nonzero[layer], sum(int(w.any()) << k for k, w in enumerate(codes)))
            commands.append(layer)
            await put(ctx, dut.i_command, [{"layer": layer, "shift": shift}])
            ctx.set(dut.nonzero[layer], -1)  # sampled with the command, and then no more
            while ctx.get(dut.busy):
                await ctx.tick()
        finished.append(True)

    async def consumer(ctx: Any) -> None:
        words = [word for words in expected for word in words]
        assert await get(ctx, dut.o, len(words), stall) == words

    async def code_memory(ctx: Any) -> None:
        """A synchronous read port, like the code buffers'."""
        while not finished:
            address = (await ctx.tick().sample(dut.code_address))[-1]
            if ctx.get(dut.busy):
                layer, _, _, codes = updates[len(commands) - 1]
                assert ctx.get(dut.layer) == layer
                ctx.set(dut.codes, codes[min(address, len(codes) - 1)].tolist())

    trace = simulate(dut, consumer, producer, code_memory, watch=["busy"])
    check_cycles(trace, expected)
    return trace


def check_cycles(trace: Trace, expected: list[list[dict[str, Any]]]) -> None:
    """Word i at FIRST_WORD + i plus the stalled cycles before it; busy to the last transfer."""
    words, busy = list(trace["o"]), []
    for command, update in zip(trace["i_command"], expected, strict=True):
        due = command.cycle + OuterProduct.FIRST_WORD
        last = command.cycle + OuterProduct.EMPTY_CYCLES
        for transfer in words[: len(update)]:
            assert transfer.offered == due
            last, due = transfer.cycle, transfer.cycle + 1
        words = words[len(update) :]
        busy += range(command.cycle + 1, last + 1)
    assert trace.cycles("busy") == busy


def sparse(rng: np.random.Generator, shape: Any, density: float) -> np.ndarray:
    values = rng.integers(-3, 4, shape) * (rng.random(shape) < density)
    return values.astype(np.int8)


def random_update(config: Config, seed: int, density: float, layer: int | None = None) -> Update:
    rng = np.random.default_rng(seed)
    layer = int(rng.integers(config.network.n_layers)) if layer is None else layer
    codes = sparse(rng, (config.n_words(layer), config.update.lanes), density)
    codes *= rng.random((len(codes), 1)) < 0.7
    codes[-1, 0] = 2
    errors = sparse(rng, config.network.n_cols(layer), density)
    return layer, int(rng.integers(20)), errors, codes


@pytest.mark.parametrize("config", [tiny_mca, one_word_units], ids=["tiny_mca", "one_word_units"])
@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_equals_model(config: Config, idle: str, stall: str) -> None:
    updates = [random_update(config, k, (0.2, 0.5, 1.0)[k % 3]) for k in range(6)]
    run(config, updates, idle=idle, stall=stall)


@pytest.mark.parametrize("layer", [0, 1])
def test_dense(layer: int) -> None:
    """Nothing to skip: n_cols x n_words words in as many cycles."""
    errors = np.full(tiny_mca.network.n_cols(layer), -3)
    codes = np.full((tiny_mca.n_words(layer), tiny_mca.update.lanes), 3)
    trace = run(tiny_mca, [(layer, 0, errors, codes)])
    cycles = [transfer.cycle for transfer in trace["o"]]
    assert len(cycles) == errors.size * len(codes)
    assert cycles[-1] - cycles[0] == len(cycles) - 1


@pytest.mark.parametrize("unit", [0, 7, 8])
@pytest.mark.parametrize("word", [0, 2])
def test_single_word(unit: int, word: int) -> None:
    errors = np.zeros(9, int)
    errors[unit] = 1
    codes = np.zeros((3, 8), int)
    codes[word, 5] = -3
    trace = run(tiny_mca, [(0, 19, errors, codes)])
    assert len(trace["o"]) == 1
    assert trace["o"][0].offered == trace["i_command"][0].cycle + OuterProduct.FIRST_WORD


def test_nothing_to_do() -> None:
    """No errors; or no activation codes, which still uses the errors up."""
    none, all_codes = np.zeros(9, int), np.full((3, 8), 1)
    trace = run(
        tiny_mca,
        [
            (0, 1, none, all_codes),
            (0, 1, np.full(9, 2), np.zeros((3, 8), int)),
            (1, 1, none[:4], all_codes[:2]),
        ],
    )
    assert not trace["o"]


def test_shorter_vector_drops_longer() -> None:
    """A vector of one word after a vector of two that was never used."""
    dut_errors = np.full(9, 3)
    codes = np.ones((2, 8), int)
    dut = OuterProduct(tiny_mca)
    update = (1, 4, np.array([0, -1, 0, 2]), codes)
    expected = expect(tiny_mca, update)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.nonzero[1], 0b11)
        ctx.set(dut.codes, codes[0].tolist())
        await put(ctx, dut.i_errors, error_words(tiny_mca, dut_errors))
        await put(ctx, dut.i_errors, error_words(tiny_mca, update[2]))
        await put(ctx, dut.i_command, [{"layer": 1, "shift": 4}])
        assert await get(ctx, dut.o, len(expected)) == expected

    simulate(dut, bench)


def test_errors_with_the_command() -> None:
    """The word transferred in the command's own cycle belongs to the update."""
    dut = OuterProduct(tiny_mca)
    codes = np.ones((2, 8), int)
    expected = expect(tiny_mca, (1, 2, np.array([1, 0, 0, -3]), codes))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.nonzero[1], 0b11)
        ctx.set(dut.codes, codes[0].tolist())
        ctx.set(dut.i_command.payload, {"layer": 1, "shift": 2})
        ctx.set(dut.i_command.valid, 1)
        ctx.set(dut.i_errors.payload, error_words(tiny_mca, np.array([1, 0, 0, -3]))[0])
        ctx.set(dut.i_errors.valid, 1)
        await ctx.tick()
        ctx.set(dut.i_command.valid, 0)
        ctx.set(dut.i_errors.valid, 0)
        assert not ctx.get(dut.i_errors.ready)
        assert not ctx.get(dut.i_command.ready)
        assert await get(ctx, dut.o, len(expected)) == expected

    simulate(dut, bench)


@pytest.mark.parametrize("stall", ["1", "110100"])
def test_full_size(stall: str) -> None:
    """250 units by 25 words, as sparse as training is, and every eighth unit by all words."""
    rng = np.random.default_rng(5)
    sparse_update = (0, 9, sparse(rng, 250, 0.1), sparse(rng, (25, 32), 0.05))
    corner = np.zeros(250, int)
    corner[[0, 31, 32, 249]] = (1, -1, 3, -3)
    updates = [
        sparse_update,
        (0, 2, corner, np.full((25, 32), 2)),
        (1, 2, np.full(10, 3), np.full((8, 32), -2)),
    ]
    if stall == "1":
        updates.append((0, 0, np.arange(250) % 8 // 7, np.full((25, 32), 1)))
    run(mca_mlp, updates, stall=stall)
