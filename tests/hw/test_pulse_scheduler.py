"""The pulse scheduler: every pulse of the model, in its order, in the very cycle it is due."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import unsigned

from hw.layouts import Device, PulseKind
from hw.pulse_scheduler import PulseQueue, PulseScheduler
from model.config import Config, NetworkConfig, PulseConfig
from model.configurations import mca_mlp, tiny_mca
from model.pulse_scheduler import PULSES_PER_LANE, expand
from tests.hw.hw_sim import PATTERNS, STALLS, Trace, get, put, simulate

one_layer = replace(tiny_mca, network=NetworkConfig(layers=(20, 9)))
"""Its queue holds ``pulse.queue_depth`` words: there is no layer above that needs room."""

WATCH = ["busy", "set_pulse", "reset_pulse", "program.pulse", "program.request"]


@dataclass(frozen=True)
class Pulse:
    """A pulse as the array sees it."""

    begin: int
    width: int
    request: dict[str, Any]


def seen(trace: Trace) -> list[Pulse]:
    """The pulses of a simulation; a request that moves within its pulse fails."""
    pulses: list[Pulse] = []
    levels, requests = trace.history["program.pulse"], trace.history["program.request"]
    for cycle, (level, request) in enumerate(zip(levels, requests, strict=True)):
        if level and (cycle == 0 or not levels[cycle - 1]):
            pulses.append(Pulse(cycle, 0, request))
        if level:
            last = pulses[-1]
            assert request == last.request
            pulses[-1] = replace(last, width=last.width + 1)
    return pulses


def pulses_of_word(config: Config, item: dict[str, Any]) -> list[dict[str, Any]]:
    rows = np.zeros(PULSES_PER_LANE * config.update.lanes, np.int32)
    devices = np.zeros(len(rows), np.int8)
    count = expand(item["word"], np.array(item["counts"], np.int8), rows, devices)
    return [
        {
            "layer": item["layer"],
            "row": int(rows[k]),
            "col": item["unit"],
            "device": Device(int(devices[k])),
            "kind": PulseKind.SET,
        }
        for k in range(count)
    ]


def due(
    config: Config, words: list[tuple[int, dict[str, Any]]], window: int
) -> tuple[list[Pulse], list[int], int]:
    """Pulses, cycles of taking, and last busy cycle, for words transferred in given cycles."""
    width, gap = config.pulse.set_cycles, config.pulse.gap_cycles
    pulses: list[Pulse] = []
    taken: list[int] = []
    idle = free = 0  # first cycle without a word in expansion; first cycle a pulse may begin
    for cycle, item in words:
        taken.append(max(cycle + PulseScheduler.QUEUE_LATENCY, window, idle))
        begin = max(taken[-1] + PulseScheduler.WORD_LATENCY, free)
        for request in pulses_of_word(config, item):
            pulses.append(Pulse(begin, width, request))
            begin += width + gap
        idle, free = pulses[-1].begin, begin
    return pulses, taken, free - 1


def word(config: Config, seed: int, density: float = 0.3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    lanes = config.update.lanes
    layer = int(rng.integers(config.network.n_layers))
    index = int(rng.integers(config.n_words(layer)))
    counts = rng.integers(-5, 6, lanes) * (rng.random(lanes) < density)
    rows = index * lanes + np.arange(lanes)
    counts[rows >= config.network.n_rows(layer)] = 0
    if not counts.any():
        counts[0] = 1
    unit = int(rng.integers(config.network.n_cols(layer)))
    return {"layer": layer, "unit": unit, "word": index, "counts": counts.tolist()}


def run(
    config: Config,
    words: list[dict[str, Any]],
    *,
    window: int = 0,
    idle: str = "1",
) -> Trace:
    """Plays the words with the window opening in a cycle; compares everything with ``due``."""
    dut = PulseScheduler(config)

    async def bench(ctx: Any) -> None:
        for _ in range(window):
            await ctx.tick()
        ctx.set(dut.first_window, 1)
        ctx.set(dut.upper_window, 1)
        await ctx.tick()
        while ctx.get(dut.busy) or len(trace_words) < len(words):
            await ctx.tick()

    async def producer(ctx: Any) -> None:
        for item in words:
            await put(ctx, dut.i_words, [item], idle)
            trace_words.append(item)

    trace_words: list[Any] = []
    trace = simulate(dut, bench, producer, watch=WATCH, max_cycles=50_000)
    pulses, taken, last = due(
        config, [(t.cycle, item) for t, item in zip(trace["i_words"], words, strict=True)], window
    )
    assert seen(trace) == pulses
    assert trace.cycles("set_pulse") == [pulse.begin for pulse in pulses]
    assert not trace.cycles("reset_pulse")
    assert trace.cycles("busy") == busy_cycles(
        [transfer.cycle for transfer in trace["i_words"]], taken, pulses, config
    )
    assert trace.cycles("busy")[-1] == last
    depth = config.pulse_queue_depth
    for k, transfer in enumerate(trace["i_words"]):
        slot = taken[k - depth] + 1 if k >= depth else 0
        assert transfer.cycle == max(transfer.offered, slot)
    return trace


def busy_cycles(
    transferred: list[int], taken: list[int], pulses: list[Pulse], config: Config
) -> list[int]:
    busy: set[int] = set()
    for begin, end in zip(transferred, taken, strict=True):
        busy.update(range(begin + 1, end + 1))
        busy.add(end + 1)  # in expansion at least one cycle
    for pulse in pulses:
        busy.update(range(pulse.begin - 1, pulse.begin + pulse.width + config.pulse.gap_cycles))
    return sorted(busy)


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_queue(depth: int, idle: str, stall: str) -> None:
    """In order, none lost, and each in the cycle due; ready while fewer than depth are held."""
    dut = PulseQueue(shape=unsigned(7), depth=depth)
    values = list(range(3, 33))

    async def consumer(ctx: Any) -> None:
        assert await get(ctx, dut.o, len(values), stall) == values

    trace = simulate(dut, lambda ctx: put(ctx, dut.i, values, idle), consumer, watch=["level"])
    taken = [transfer.cycle for transfer in trace["o"]]
    for k, (into, out) in enumerate(zip(trace["i"], trace["o"], strict=True)):
        assert out.offered == max(into.cycle + PulseQueue.LATENCY, taken[k - 1] + 1 if k else 0)
        assert into.cycle == max(into.offered, taken[k - depth] + 1 if k >= depth else 0)
    assert max(trace.history["level"]) <= depth


@pytest.mark.parametrize("idle", PATTERNS)
@pytest.mark.parametrize("window", [0, 3, 90])
def test_words(window: int, idle: str) -> None:
    """More words than the queue holds: a full queue stalls, and loses nothing."""
    trace = run(one_layer, [word(one_layer, k) for k in range(10)], window=window, idle=idle)
    assert any(transfer.offered < transfer.cycle for transfer in trace["i_words"])


@pytest.mark.parametrize(
    ("set_cycles", "gap_cycles", "queue_depth"), [(1, 1, 2), (2, 1, 3), (1, 5, 7), (9, 3, 2)]
)
def test_pulse_timing(set_cycles: int, gap_cycles: int, queue_depth: int) -> None:
    """The shortest pulses and gaps: the next word must be ready in time even then."""
    config = replace(
        one_layer,
        pulse=PulseConfig(
            set_cycles=set_cycles, reset_cycles=3, gap_cycles=gap_cycles, queue_depth=queue_depth
        ),
    )
    single = {"layer": 0, "unit": 8, "word": 2, "counts": [0, 0, 0, 0, -1, 0, 0, 0]}
    run(config, [word(config, seed, 0.1) for seed in range(12)] + [single] * 6, window=11)
    run(config, [single, word(config, 3), single], idle="0001")


def test_latency() -> None:
    """Transfer, through the queue, WORD_LATENCY: the first pulse; then no cycle is lost."""
    single = {"layer": 1, "unit": 3, "word": 1, "counts": [0, 2, 0, 0, 0, 0, 0, 0]}
    trace = run(tiny_mca, [single, single])
    begin = trace["i_words"][0].cycle + PulseScheduler.QUEUE_LATENCY + PulseScheduler.WORD_LATENCY
    period = tiny_mca.pulse.set_cycles + tiny_mca.pulse.gap_cycles
    assert [pulse.begin for pulse in seen(trace)] == [begin + k * period for k in range(4)]
    assert seen(trace)[0].request["row"] == 9


def test_order_and_devices() -> None:
    """Lanes rising, |count| each, plus for positive: spelt out."""
    item = {"layer": 0, "unit": 4, "word": 1, "counts": [0, -2, 0, 1, 0, 0, 0, 5]}
    pulses = [(p.request["row"], p.request["device"].name) for p in seen(run(tiny_mca, [item]))]
    assert pulses == [(9, "MINUS")] * 2 + [(11, "PLUS")] + [(15, "PLUS")] * 5


@pytest.mark.parametrize("config", [one_layer, tiny_mca], ids=["one_layer", "tiny_mca"])
def test_closed_window(config: Config) -> None:
    """Exactly as many words fit as the queue holds, and nothing moves."""
    dut = PulseScheduler(config)
    taken = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i_words.valid, 1)
        ctx.set(dut.i_words.payload, word(config, 0))
        for _ in range(60):
            if (await ctx.tick().sample(dut.i_words.ready))[-1]:
                taken.append(1)
        assert ctx.get(dut.busy)

    trace = simulate(dut, bench, watch=WATCH)
    assert len(taken) == config.pulse_queue_depth
    assert not seen(trace)


def test_windows_by_layer() -> None:
    """Words of the upper layers leave while only their window is open; ``upper_busy`` says from the
    cycle after the transfer to the end of the last gap that one is there."""
    config = tiny_mca
    dut = PulseScheduler(config)
    upper = {"layer": 1, "unit": 0, "word": 0, "counts": [2, -1] + [0] * 6}
    first = upper | {"layer": 0}
    period = config.pulse.set_cycles + config.pulse.gap_cycles

    async def bench(ctx: Any) -> None:
        await put(ctx, dut.i_words, [upper, upper, first])
        assert ctx.get(dut.upper_busy)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.upper_busy)
        ctx.set(dut.upper_window, 1)
        # Six pulses of the upper words, the first of them WORD_LATENCY after the window opens.
        await ctx.tick().repeat(PulseScheduler.WORD_LATENCY + 6 * period - 1)
        assert ctx.get(dut.upper_busy)
        await ctx.tick()
        assert not ctx.get(dut.upper_busy)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.busy)
        ctx.set(dut.first_window, 1)
        await ctx.tick().repeat(PulseScheduler.WORD_LATENCY + 3 * period)
        assert not ctx.get(dut.busy)

    trace = simulate(dut, bench, watch=WATCH)
    assert [pulse.request["layer"] for pulse in seen(trace)] == [1] * 6 + [0] * 3


def request(layer: int, row: int, col: int, device: Device, kind: PulseKind) -> dict[str, Any]:
    return {"layer": layer, "row": row, "col": col, "device": device, "kind": kind}


REQUESTS = [
    request(0, 20, 8, Device.PLUS, PulseKind.RESET),
    request(0, 20, 8, Device.MINUS, PulseKind.RESET),
    request(1, 3, 2, Device.MINUS, PulseKind.SET),
    request(0, 0, 0, Device.PLUS, PulseKind.SET),
]


@pytest.mark.parametrize("idle", PATTERNS)
def test_requests(idle: str) -> None:
    """Single pulses of both kinds, REQUEST_LATENCY after their transfer, the window closed."""
    dut = PulseScheduler(tiny_mca)

    async def bench(ctx: Any) -> None:
        await put(ctx, dut.i_requests, REQUESTS, idle)
        while ctx.get(dut.busy):
            await ctx.tick()

    trace = simulate(dut, bench, watch=WATCH)
    pulses = seen(trace)
    timing = tiny_mca.pulse
    widths = {PulseKind.SET: timing.set_cycles, PulseKind.RESET: timing.reset_cycles}
    assert [pulse.request for pulse in pulses] == REQUESTS
    assert [pulse.width for pulse in pulses] == [widths[item["kind"]] for item in REQUESTS]
    assert [pulse.begin for pulse in pulses] == [
        transfer.cycle + PulseScheduler.REQUEST_LATENCY for transfer in trace["i_requests"]
    ]
    for before, after, transfer in zip(pulses, pulses[1:], trace["i_requests"][1:], strict=False):
        free = before.begin + before.width + tiny_mca.pulse.gap_cycles
        assert after.begin == max(free, transfer.offered + PulseScheduler.REQUEST_LATENCY)
    assert trace.cycles("reset_pulse") == [pulse.begin for pulse in pulses[:2]]
    assert trace.cycles("set_pulse") == [pulse.begin for pulse in pulses[2:]]
    assert trace.cycles("busy")[-1] == pulses[-1].begin + pulses[-1].width + 1


def test_requests_before_words() -> None:
    """Offered together, all requests go first; a word that was begun is finished first."""
    dut = PulseScheduler(tiny_mca)
    items = [
        {"layer": 0, "unit": 1, "word": 0, "counts": [1, 0, -2, 0, 0, 0, 0, 0]},
        {"layer": 1, "unit": 2, "word": 0, "counts": [0, 0, 0, 3, 0, 0, 0, 0]},
    ]

    async def bench(ctx: Any) -> None:
        await put(ctx, dut.i_words, items)
        ctx.set(dut.i_requests.payload, REQUESTS[0])
        ctx.set(dut.i_requests.valid, 1)
        ctx.set(dut.first_window, 1)
        ctx.set(dut.upper_window, 1)
        await put(ctx, dut.i_requests, REQUESTS[:2])
        await ctx.tick().until(dut.set_pulse)
        await put(ctx, dut.i_requests, REQUESTS[2:])
        while ctx.get(dut.busy):
            await ctx.tick()

    trace = simulate(dut, bench, watch=WATCH)
    order = [pulse.request for pulse in seen(trace)]
    assert order == (
        REQUESTS[:2]
        + pulses_of_word(tiny_mca, items[0])
        + REQUESTS[2:]
        + pulses_of_word(tiny_mca, items[1])
    )


def test_array_busy_holds_pulses() -> None:
    """While the array is busy no pulse begins; one that runs is not cut short."""
    dut = PulseScheduler(tiny_mca)
    item = {"layer": 0, "unit": 1, "word": 0, "counts": [3, 0, 0, 0, 0, 0, 0, -1]}
    levels: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.first_window, 1)
        ctx.set(dut.upper_window, 1)
        await put(ctx, dut.i_words, [item])
        for cycle in range(120):
            ctx.set(dut.program.busy, cycle // 17 % 2)
            levels.append(cycle // 17 % 2)
            await ctx.tick()
        assert not ctx.get(dut.busy)

    trace = simulate(dut, bench, watch=[*WATCH, "program.busy"])
    pulses = seen(trace)
    assert [pulse.request for pulse in pulses] == pulses_of_word(tiny_mca, item)
    assert {pulse.width for pulse in pulses} == {tiny_mca.pulse.set_cycles}
    assert not any(trace.history["program.busy"][pulse.begin - 1] for pulse in pulses)


def test_random_words_and_requests() -> None:
    """Both streams at once: each keeps its order, no pulse is lost, widths and gaps hold."""
    dut = PulseScheduler(tiny_mca)
    rng = np.random.default_rng(9)
    items = [word(tiny_mca, seed, 0.15) for seed in range(20)]
    singles = [
        request(1, row, 3, Device.PLUS, PulseKind(k % 2))
        for k, row in enumerate(rng.integers(0, 9, 20).tolist())
    ]

    async def words(ctx: Any) -> None:
        ctx.set(dut.first_window, 1)
        ctx.set(dut.upper_window, 1)
        await put(ctx, dut.i_words, items, "110100")

    async def requests(ctx: Any) -> None:
        await put(ctx, dut.i_requests, singles, "0" * 30 + "1")
        while ctx.get(dut.busy):
            await ctx.tick()

    trace = simulate(dut, words, requests, watch=WATCH)
    pulses = seen(trace)
    begun = {transfer.cycle + 1 for transfer in trace["i_requests"]}
    assert [p.request for p in pulses if p.begin in begun] == singles
    assert [p.request for p in pulses if p.begin not in begun] == [
        pulse for item in items for pulse in pulses_of_word(tiny_mca, item)
    ]
    for before, after in itertools.pairwise(pulses):
        assert after.begin >= before.begin + before.width + tiny_mca.pulse.gap_cycles


def test_full_size() -> None:
    """32 lanes, 50-cycle pulses, every lane of one word; the last row and column."""
    full = {"layer": 0, "unit": 249, "word": 3, "counts": [1, -1] * 16}
    last = {"layer": 0, "unit": 249, "word": 24, "counts": [0] * 16 + [-2] + [0] * 15}
    trace = run(mca_mlp, [full, last])
    pulses = seen(trace)
    assert len(pulses) == 34
    assert pulses[-1].request == request(0, 784, 249, Device.MINUS, PulseKind.SET)
    assert pulses[-1].begin - pulses[0].begin == 33 * (50 + 2)
