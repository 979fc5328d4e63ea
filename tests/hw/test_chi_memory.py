"""The chi memory equals word-by-word accumulation, whatever the distance between hits of a word."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.chi_memory import ChiMemory
from model.chi_memory import accumulate
from model.config import Config, NetworkConfig
from model.configurations import mca_mlp, tiny_mca
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate

EPSILON_LOG2 = 20


def product(config: Config, address: int, products: list[int], shift: int) -> dict[str, Any]:
    """A product word; layer, unit and word follow from the address."""
    layer = max(k for k in range(config.network.n_layers) if config.chi_base(k) <= address)
    unit, word = divmod(address - config.chi_base(layer), config.n_words(layer))
    return {
        "layer": layer,
        "unit": unit,
        "word": word,
        "address": address,
        "shift": shift,
        "products": products,
    }


def expect(
    config: Config, words: list[dict[str, Any]], epsilon_log2: int = EPSILON_LOG2
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Chi after the words, and the pulse words, by the model."""
    chi = np.zeros((config.chi_depth, config.update.lanes), np.int32)
    counts = np.zeros(config.update.lanes, np.int8)
    pulses = []
    for item in words:
        products = np.array(item["products"], np.int8)
        if accumulate(chi[item["address"]], products, item["shift"], epsilon_log2, counts):
            pulses.append({k: item[k] for k in ("layer", "unit", "word")})
            pulses[-1]["counts"] = counts.tolist()
    return chi, pulses


def run(
    config: Config,
    words: list[dict[str, Any]],
    *,
    idle: str = "1",
    stall: str = "1",
    epsilon_log2: int = EPSILON_LOG2,
    addresses: list[int] | None = None,
) -> Trace:
    """Feeds the words and compares pulse words and, at the end, chi as the host reads it."""
    dut = ChiMemory(config)
    chi, pulses = expect(config, words, epsilon_log2)
    addresses = list(range(config.chi_depth)) if addresses is None else addresses

    async def consumer(ctx: Any) -> None:
        ctx.set(dut.epsilon_log2, epsilon_log2)
        assert await get(ctx, dut.o, len(pulses), stall) == pulses

    async def producer(ctx: Any) -> None:
        await put(ctx, dut.i, words, idle)
        while ctx.get(dut.busy):
            await ctx.tick()
        for address in addresses:
            ctx.set(dut.read_address, address)
            ctx.set(dut.read_enable, 1)
            await ctx.tick()
            assert ctx.get(dut.read_ack)
            assert list(ctx.get(dut.read_data)) == chi[address].tolist(), address
        ctx.set(dut.read_enable, 0)
        await ctx.tick()
        assert not ctx.get(dut.read_ack)

    return simulate(dut, consumer, producer, watch=["busy"])


def random_words(
    config: Config, count: int, seed: int, addresses: list[int] | None = None
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    choice = np.arange(config.chi_depth) if addresses is None else np.array(addresses)
    lanes = config.update.lanes
    words = []
    for _ in range(count):
        products = rng.integers(-9, 10, lanes) * (rng.random(lanes) < 0.4)
        shift = int(rng.choice([0, 5, 16, EPSILON_LOG2 - 3, EPSILON_LOG2 - 1]))
        words.append(product(config, int(rng.choice(choice)), products.tolist(), shift))
    return words


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_equals_model(idle: str, stall: str) -> None:
    """Few addresses, so that most words hit one that is still in the pipeline."""
    words = random_words(tiny_mca, 120, seed=1, addresses=[0, 1, 34])
    run(tiny_mca, words, idle=idle, stall=stall)


@pytest.mark.parametrize("stall", ["1", "10", "0001"])
@pytest.mark.parametrize("distance", [1, 2, 3, 4])
def test_hits_of_one_word_at_distance(distance: int, stall: str) -> None:
    """Every update counts: chi of lane 0 is the number of hits, whatever lies between."""
    lanes = tiny_mca.update.lanes
    words = []
    for hit in range(12):
        one = [1] + [0] * (lanes - 1)
        one[1 + hit % (lanes - 1)] = -9  # another lane each time: write enables differ
        words.append(product(tiny_mca, 7, one, EPSILON_LOG2 - 4))
        for other in range(distance - 1):
            words.append(product(tiny_mca, 20 + other, [3] * lanes, EPSILON_LOG2 - 2))
    run(tiny_mca, words, stall=stall)


def test_random_words_over_the_memory() -> None:
    run(tiny_mca, random_words(tiny_mca, 400, seed=2), idle="1", stall="110100")


def test_corners() -> None:
    """Largest products at the largest shift, both signs, up to the largest pulse counts."""
    lanes = tiny_mca.update.lanes
    largest = [[9] * lanes, [-9] * lanes, [9, -9] * (lanes // 2), [0] * lanes]
    words = [
        product(tiny_mca, address, largest[k], EPSILON_LOG2 - 1)
        for address in (0, tiny_mca.chi_depth - 1)
        for k in (0, 0, 0, 1, 1, 1, 1, 2, 3, 2, 3)
    ]
    _, pulses = expect(tiny_mca, words)
    assert {count for item in pulses for count in item["counts"]} >= {-5, -4, 4, 5}
    run(tiny_mca, words)


@pytest.mark.parametrize("epsilon_log2", [2, 9, 28])
def test_other_epsilon(epsilon_log2: int) -> None:
    lanes = tiny_mca.update.lanes
    words = [
        product(tiny_mca, k % 3, [9 - k % 19] * lanes, epsilon_log2 - 1 - k % 2) for k in range(60)
    ]
    run(tiny_mca, words, epsilon_log2=epsilon_log2)


def test_zero_products_leave_the_word_alone() -> None:
    lanes = tiny_mca.update.lanes
    words = [product(tiny_mca, 4, [k] * lanes, 3) for k in (5, 0, -2, 0, 0, 1)]
    words += [product(tiny_mca, 4, [0] * lanes, EPSILON_LOG2 - 1)] * 3
    run(tiny_mca, words)


def test_latency_and_throughput() -> None:
    """Clearing takes chi_depth cycles; then one word a cycle, each pulse word LATENCY later."""
    lanes = tiny_mca.update.lanes
    words = [product(tiny_mca, k % 5, [4] * lanes, EPSILON_LOG2 - 2) for k in range(20)]
    trace = run(tiny_mca, words, addresses=[])
    taken = [transfer.cycle for transfer in trace["i"]]
    assert taken == [tiny_mca.chi_depth + k for k in range(20)]
    assert [t.offered for t in trace["o"]] == [cycle + ChiMemory.LATENCY for cycle in taken]
    last = trace["o"][-1].cycle
    assert trace.cycles("busy") == [k for k in range(last + 1) if k != tiny_mca.chi_depth]


def test_busy_without_pulses() -> None:
    words = [product(tiny_mca, 3, [1] * tiny_mca.update.lanes, 0)]
    trace = run(tiny_mca, words, addresses=[])
    first = trace["i"][0].cycle
    cleared = list(range(tiny_mca.chi_depth))
    assert trace.cycles("busy") == cleared + [first + k for k in range(1, ChiMemory.LATENCY)]


def test_stall_holds_input() -> None:
    """With o never ready, three words follow the first pulse word into the pipeline and no more."""
    dut = ChiMemory(tiny_mca)
    words = [product(tiny_mca, k, [2] * tiny_mca.update.lanes, 19) for k in range(8)]
    taken = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.epsilon_log2, EPSILON_LOG2)
        ctx.set(dut.i.valid, 1)
        for _ in range(tiny_mca.chi_depth + 20):
            ctx.set(dut.i.payload, words[len(taken)])
            if (await ctx.tick().sample(dut.i.ready))[-1]:
                taken.append(1)

    simulate(dut, bench)
    assert len(taken) == ChiMemory.LATENCY


def test_host_read_waits() -> None:
    """A request is not honoured while words are in flight or offered; it disturbs nothing."""
    dut = ChiMemory(tiny_mca)
    lanes = tiny_mca.update.lanes
    words = [product(tiny_mca, 2, [1] * lanes, 4) for _ in range(6)]
    answers = []

    async def reader(ctx: Any) -> None:
        ctx.set(dut.epsilon_log2, EPSILON_LOG2)
        ctx.set(dut.read_address, 2)
        ctx.set(dut.read_enable, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(tiny_mca.chi_depth + 40):
            _, _, ack, row = await ctx.tick().sample(dut.read_ack, dut.read_data)
            if ack:
                answers.append(list(row))

    trace = simulate(dut, reader, lambda ctx: put(ctx, dut.i, words, "10"), watch=["busy"])
    assert {tuple(row) for row in answers} == {(96,) * lanes}
    busy = len(trace.cycles("busy"))
    assert len(answers) <= tiny_mca.chi_depth + 40 - busy


@pytest.mark.parametrize("lanes", [4, 32])
def test_other_lanes(lanes: int) -> None:
    config = replace(
        tiny_mca,
        network=NetworkConfig(layers=(70, 3, 2)),
        update=replace(tiny_mca.update, lanes=lanes),
    )
    run(config, random_words(config, 80, seed=3, addresses=[0, 1, 2]), stall="10")


def test_full_size() -> None:
    """785-250-10 with 32 lanes: last and first words, after clearing all 6,330."""
    assert mca_mlp.chi_depth == 250 * 25 + 10 * 8
    addresses = [0, 1, 6249, 6250, 6329]
    words = random_words(mca_mlp, 30, seed=4, addresses=addresses)
    run(mca_mlp, words, addresses=addresses + [17])


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_lowered_epsilon_waits_for_the_next_hit(distance: int) -> None:
    """A lane above a lowered threshold gives its pulses when it is hit itself, not before."""
    dut = ChiMemory(tiny_mca)
    lanes = tiny_mca.update.lanes
    only = [[int(lane == k) for lane in range(lanes)] for k in range(2)]
    other = product(tiny_mca, 30, only[1], 0)
    words = [product(tiny_mca, 3, only[1], 0), *[other] * (distance - 1)]
    words.append(product(tiny_mca, 3, only[0], 0))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.epsilon_log2, 8)
        await put(ctx, dut.i, [product(tiny_mca, 3, [5] * lanes, 5)])  # 160 of 256
        while ctx.get(dut.busy):
            await ctx.tick()
        ctx.set(dut.epsilon_log2, 6)
        await put(ctx, dut.i, words)

    async def consumer(ctx: Any) -> None:
        pulses = await get(ctx, dut.o, 2)
        assert [item["counts"] for item in pulses] == [
            [0, 2] + [0] * (lanes - 2),
            [2] + [0] * (lanes - 1),
        ]

    simulate(dut, bench, consumer)
