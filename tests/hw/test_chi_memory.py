"""The chi memory equals word-by-word accumulation, whatever the distance between hits of a word."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.chi_memory import ChiMemory
from model.chi_memory import accumulate
from model.chi_protection import code_of
from model.config import ChiProtection, Config, NetworkConfig
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
        row, bits = chi[item["address"]], config.update.chi_bits
        if accumulate(row, products, item["shift"], epsilon_log2, bits, counts):
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


# Bits that flip in the SRAM.


def protected(protection: ChiProtection, chi_bits: int = 32, epsilon_log2: int = 20) -> Config:
    update = replace(
        tiny_mca.update,
        lanes=4,
        chi_bits=chi_bits,
        epsilon_log2=epsilon_log2,
        chi_protection=protection,
    )
    return replace(tiny_mca, update=update)


@pytest.mark.parametrize("protection", [ChiProtection.PARITY, ChiProtection.SECDED])
@pytest.mark.parametrize(("idle", "stall"), [("1", "1"), ("110100", "10"), ("1", "0001")])
def test_protected_equals_model(protection: ChiProtection, idle: str, stall: str) -> None:
    """Hits of words in the pipeline included; the cycles are those of the plain memory."""
    config = protected(protection)
    words = random_words(config, 100, seed=1, addresses=[0, 1, 34])
    trace = run(config, words, idle=idle, stall=stall, addresses=[0, 1, 2, 34])
    plain = run(protected(ChiProtection.NONE), words, idle=idle, stall=stall, addresses=[])
    assert [t.offered for t in trace["o"]] == [t.offered for t in plain["o"]]


def run_flipped(
    config: Config, flips: list[int], distance: int, *, read_first: bool = False
) -> tuple[list[int], list[int], list[int], tuple[int, ...]]:
    """Flips bits of one row, a mask a lane, then hits it three times at a distance.

    Returns the pulse counts of the hits, lane 0 first, chi at the end as the host reads it, the row
    as it is stored, and ``corrected``, ``lost`` and how often ``loss`` was high, zero without check
    bits.
    """
    dut, lanes = ChiMemory(config), config.update.lanes
    address, epsilon_log2 = 7, config.update.epsilon_log2
    step = product(config, address, [3, -5, 0, 9], epsilon_log2 - 2)
    other = product(config, 20, [1, 0, 0, 0], 0)
    hits = [step, *[other] * (distance - 1)] * 3
    counts: list[int] = []
    chi: list[int] = []
    stored: list[int] = []
    totals: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.epsilon_log2, epsilon_log2)
        ctx.set(dut.o.ready, 1)
        first = product(config, address, [1, -1, 2, 0], epsilon_log2 - 3)
        await put(ctx, dut.i, [first, other])  # the last row is kept in registers, too
        while ctx.get(dut.busy):
            await ctx.tick()
        row = dut.rows.data[address]
        before = [int(ctx.get(row[k])) for k in range(lanes)]
        ctx.set(row, [word ^ flip for word, flip in zip(before, flips, strict=True)])
        ctx.set(dut.read_address, address)
        ctx.set(dut.read_enable, int(read_first))
        await ctx.tick()
        ctx.set(dut.read_enable, 0)
        await put(ctx, dut.i, hits)
        while ctx.get(dut.busy):
            await ctx.tick()
        ctx.set(dut.read_enable, 1)
        await ctx.tick()
        chi.extend(ctx.get(dut.read_data))
        stored.extend(int(ctx.get(row[k])) for k in range(lanes))
        await ctx.tick().repeat(2)
        if dut.code is not None:
            totals.extend((ctx.get(dut.corrected), ctx.get(dut.lost)))

    async def observer(ctx: Any) -> None:
        async for _, _, valid, payload in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                counts.extend(payload.counts)

    watch = [] if dut.code is None else ["loss"]
    trace = simulate(dut, bench, background=[observer], watch=watch)
    losses = len(trace.cycles("loss")) if watch else 0
    return counts, chi, stored, (*(totals or (0, 0)), losses)


def expect_flipped(config: Config, before: list[int]) -> tuple[list[int], list[int]]:
    """The pulse counts of the three hits and chi after them, by the model, from a row."""
    chi, counts = np.array(before, np.int32), np.zeros(4, np.int8)
    epsilon_log2, bits = config.update.epsilon_log2, config.update.chi_bits
    pulses = []
    for _ in range(3):
        products = np.array([3, -5, 0, 9], np.int8)
        if accumulate(chi, products, epsilon_log2 - 2, epsilon_log2, bits, counts):
            pulses.extend(counts.tolist())
    return pulses, chi.tolist()


def row_before(config: Config) -> list[int]:
    unit = 1 << config.update.epsilon_log2 - 3
    return [unit, -unit, 2 * unit, 0]


@pytest.mark.parametrize("distance", [1, 2, 3])
@pytest.mark.parametrize(("lane", "bit"), [(0, 0), (0, 31), (1, 31), (2, 30), (3, 20), (3, 38)])
def test_secded_corrects_a_flipped_bit(lane: int, bit: int, distance: int) -> None:
    """Of touched lanes and of the one without a product; also of the check bits; counted once."""
    config = protected(ChiProtection.SECDED)
    flips = [1 << bit if k == lane else 0 for k in range(4)]
    counts, chi, stored, reports = run_flipped(config, flips, distance)
    assert (counts, chi) == expect_flipped(config, row_before(config))
    code = code_of(config)
    assert code is not None
    assert stored == [code.encode(value) for value in chi]
    assert reports == (1, 0, 0)


def test_secded_corrects_all_lanes_at_once_and_what_the_host_reads() -> None:
    config = protected(ChiProtection.SECDED)
    flips = [1, 1 << 31, 1 << 38, 1 << 7]
    counts, chi, _, reports = run_flipped(config, flips, 1, read_first=True)
    assert (counts, chi) == expect_flipped(config, row_before(config))
    assert reports == (4, 0, 0)


@pytest.mark.parametrize("distance", [1, 3])
@pytest.mark.parametrize("lane", [0, 2])
@pytest.mark.parametrize(
    ("protection", "flip"), [(ChiProtection.PARITY, 1 << 31), (ChiProtection.SECDED, 3 << 30)]
)
def test_lost_word_counts_as_zero(
    protection: ChiProtection, flip: int, lane: int, distance: int
) -> None:
    """Nothing else of the row is lost; the host is told once."""
    config = protected(protection)
    flips = [flip if k == lane else 0 for k in range(4)]
    counts, chi, stored, reports = run_flipped(config, flips, distance)
    before = [0 if k == lane else value for k, value in enumerate(row_before(config))]
    assert (counts, chi) == expect_flipped(config, before)
    code = code_of(config)
    assert code is not None
    assert stored == [code.encode(value) for value in chi]
    assert reports == (0, 1, 1)


@pytest.mark.parametrize("chi_bits", [8, 13, 32])
def test_flipped_bit_without_check_bits(chi_bits: int) -> None:
    """The model wraps as the gateware does: sums to chi_bits, counts to 4 bits."""
    config = protected(ChiProtection.NONE, chi_bits=chi_bits, epsilon_log2=4)
    seen = set()
    for bit in sorted({0, *range(3, 8), chi_bits - 2, chi_bits - 1}):
        flips = [1 << bit] * 4
        width = 1 << chi_bits
        before = [(value ^ 1 << bit) % width for value in row_before(config)]
        before = [value - width if value >= width // 2 else value for value in before]
        counts, chi, _, _ = run_flipped(config, flips, 2)
        assert (counts, chi) == expect_flipped(config, before), bit
        seen |= set(counts)
    assert max(map(abs, seen)) > 5, "no count that only a flipped bit makes"
