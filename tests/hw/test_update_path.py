"""The update path in a row: its cycles are those of model.update_timing, stalls included."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.chi_memory import ChiMemory
from hw.layouts import (
    program_signature,
    update_command_layout,
)
from hw.outer_product import OuterProduct, error_code_word_layout, nonzero_layout
from hw.pulse_scheduler import PulseScheduler
from model import update_timing as timing_module
from model.chi_memory import accumulate
from model.config import Config, NetworkConfig
from model.configurations import tiny_mca
from model.outer_product import nonzero_words, word_products
from model.update_timing import (
    FIRST,
    NEVER,
    UPPER,
    UpdateTiming,
    drain,
    new_timing,
    open_window,
    update_timing,
)
from tests.hw.hw_sim import put, simulate

EPSILON_LOG2 = 20


def test_constants_are_those_of_the_gateware() -> None:
    assert timing_module.FIRST_WORD == OuterProduct.FIRST_WORD
    assert timing_module.EMPTY_CYCLES == OuterProduct.EMPTY_CYCLES
    assert timing_module.CHI_LATENCY == ChiMemory.LATENCY
    assert timing_module.QUEUE_LATENCY == PulseScheduler.QUEUE_LATENCY
    assert timing_module.WORD_LATENCY == PulseScheduler.WORD_LATENCY


class UpdatePath(wiring.Component):
    """OuterProduct, ChiMemory, PulseScheduler in a row."""

    def __init__(self, config: Config) -> None:
        self.outer_product = OuterProduct(config)
        self.chi_memory = ChiMemory(config)
        self.pulse_scheduler = PulseScheduler(config)
        super().__init__(
            {
                "i_errors": In(stream.Signature(error_code_word_layout(config))),
                "i_command": In(stream.Signature(update_command_layout(config))),
                "codes": In(self.outer_product.codes.shape()),
                "code_address": Out(self.outer_product.code_address.shape()),
                "nonzero": In(nonzero_layout(config)),
                "first_window": In(1),
                "upper_window": In(1),
                "program": Out(program_signature(config)),
                "multiplying": Out(1),
                "accumulating": Out(1),
                "pulsing": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.outer_product = outer_product = self.outer_product
        m.submodules.chi_memory = chi_memory = self.chi_memory
        m.submodules.pulse_scheduler = scheduler = self.pulse_scheduler
        for up, down in (
            (flipped(self.i_errors), outer_product.i_errors),
            (flipped(self.i_command), outer_product.i_command),
            (outer_product.o, chi_memory.i),
            (chi_memory.o, scheduler.i_words),
            (scheduler.program, flipped(self.program)),
        ):
            connect(m, up, down)
        m.d.comb += [
            outer_product.codes.eq(self.codes),
            outer_product.nonzero.eq(self.nonzero),
            self.code_address.eq(outer_product.code_address),
            chi_memory.epsilon_log2.eq(EPSILON_LOG2),
            scheduler.first_window.eq(self.first_window),
            scheduler.upper_window.eq(self.upper_window),
            self.multiplying.eq(outer_product.busy),
            self.accumulating.eq(chi_memory.busy),
            self.pulsing.eq(scheduler.busy),
        ]
        return m


@dataclass
class Update:
    """One layer's update: its codes, and by the model its words, pulse words and pulses."""

    layer: int
    errors: np.ndarray
    codes: np.ndarray
    wait: str
    """What the command waits for beside the outer product: ``no``, ``chi`` memory, ``pulses``."""
    n_words: int = 0
    positions: list[int] = field(default_factory=list)
    pulses: list[int] = field(default_factory=list)

    def count(self, config: Config, chi: np.ndarray) -> None:
        words = np.zeros(config.n_words(self.layer), np.int32)
        products, counts = (np.zeros(config.update.lanes, np.int8) for _ in range(2))
        base = config.chi_base(self.layer)
        for unit in np.flatnonzero(self.errors).tolist():
            for word in words[: nonzero_words(self.codes, words)].tolist():
                word_products(self.codes[word], int(self.errors[unit]), products)
                row = chi[base + unit * config.n_words(self.layer) + word]
                shift, chi_bits = EPSILON_LOG2 - 1, config.update.chi_bits
                if accumulate(row, products, shift, EPSILON_LOG2, chi_bits, counts):
                    self.positions.append(self.n_words)
                    self.pulses.append(int(np.abs(counts).sum()))
                self.n_words += 1


def random_updates(config: Config, seed: int, count: int) -> list[Update]:
    rng = np.random.default_rng(seed)
    chi = np.zeros((config.chi_depth, config.update.lanes), np.int32)
    updates = []
    for _ in range(count):
        layer = int(rng.integers(config.network.n_layers))
        density = rng.choice([0.0, 0.1, 0.4, 0.8], 2)
        codes = np.zeros((config.n_words(layer), config.update.lanes), np.int8)
        codes[rng.random(codes.shape) < density[0] / 4] = 1
        codes[-1, 0] = 2
        errors = rng.integers(-3, 4, config.network.n_cols(layer))
        errors[rng.random(len(errors)) > density[1]] = 0
        wait = str(rng.choice(["no", "no", "chi", "pulses"]))
        updates.append(Update(layer, errors.astype(np.int8), codes, wait))
        updates[-1].count(config, chi)
    return updates


@dataclass
class Observed:
    """What the components did."""

    commands: list[int]
    outer_product_idle: list[int]
    chi_idle: list[int]
    scheduler_idle: int
    n_pulses: int


def observe(
    config: Config,
    updates: list[Update],
    windows: tuple[int, int],
) -> Observed:
    """Simulates the updates; the windows UPPER and FIRST open in given cycles after clearing."""
    dut = UpdatePath(config)
    running: list[Update] = []
    done: list[bool] = []
    lanes = config.update.lanes

    async def producer(ctx: Any) -> None:
        for _ in range(config.chi_depth):
            await ctx.tick()
        for update in updates:
            n_units = config.rows_to_words(len(update.errors))
            padded = np.zeros(n_units * lanes, int)
            padded[: len(update.errors)] = update.errors
            await put(
                ctx,
                dut.i_errors,
                [
                    {"codes": row.tolist(), "last": int(k == n_units - 1)}
                    for k, row in enumerate(padded.reshape(n_units, lanes))
                ],
            )
            busy = {"no": [], "chi": [dut.accumulating], "pulses": [dut.accumulating, dut.pulsing]}
            while any(ctx.get(signal) for signal in busy[update.wait]):
                await ctx.tick()
            flags = sum(int(word.any()) << k for k, word in enumerate(update.codes))
            ctx.set(dut.nonzero[update.layer], flags)
            running.append(update)
            await put(ctx, dut.i_command, [{"layer": update.layer, "shift": EPSILON_LOG2 - 1}])
        while ctx.get(dut.multiplying) or ctx.get(dut.accumulating) or ctx.get(dut.pulsing):
            await ctx.tick()
        done.append(True)

    async def code_memory(ctx: Any) -> None:
        while not done:
            address = (await ctx.tick().sample(dut.code_address))[-1]
            if running and ctx.get(dut.multiplying):
                codes = running[-1].codes
                ctx.set(dut.codes, codes[min(address, len(codes) - 1)].tolist())

    async def opener(ctx: Any) -> None:
        for cycle in range(max(windows) + 1):
            ctx.set(dut.upper_window, cycle >= windows[UPPER])
            ctx.set(dut.first_window, cycle >= windows[FIRST])
            await ctx.tick()

    watch = ["multiplying", "accumulating", "pulsing", "program.pulse"]
    trace = simulate(dut, producer, code_memory, opener, watch=watch, max_cycles=40_000, settle=2)
    history = trace.history
    commands = [transfer.cycle for transfer in trace["i_command"]]

    def idle_from(names: list[str], begin: int) -> int:
        return next(
            cycle
            for cycle in range(begin, len(history[names[0]]))
            if not any(history[name][cycle] for name in names)
        )

    ends = [*commands[1:], None]
    pulse = history["program.pulse"]
    busy = trace.cycles("pulsing")
    return Observed(
        commands=commands,
        outer_product_idle=[idle_from(["multiplying"], c + 1) for c in commands],
        # The next command may come while the chi memory still works: then this is not observable.
        chi_idle=[
            idle if end is None or idle <= end else NEVER
            for idle, end in zip(
                [idle_from(["multiplying", "accumulating"], c + 1) for c in commands],
                ends,
                strict=True,
            )
        ],
        scheduler_idle=busy[-1] + 1 if busy else 0,
        n_pulses=sum(a and not b for a, b in zip(pulse, [0, *pulse], strict=False)),
    )


class SmallQueue(Config):
    """A queue of ``pulse.queue_depth`` words and no more, so that it often is full."""

    @property
    def pulse_queue_depth(self) -> int:
        return self.pulse.queue_depth


def fast(config: Config, set_cycles: int, gap_cycles: int, queue_depth: int) -> Config:
    pulse = replace(
        config.pulse, set_cycles=set_cycles, gap_cycles=gap_cycles, queue_depth=queue_depth
    )
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    return SmallQueue(**{**values, "pulse": pulse})


narrow = replace(tiny_mca, network=NetworkConfig(layers=(6, 11, 3)))
"""One word a unit: updates of few words, of which several are in the chi memory at once."""


@pytest.mark.parametrize("config", [tiny_mca, narrow], ids=["tiny_mca", "narrow"])
@pytest.mark.parametrize(
    ("set_cycles", "gap_cycles", "queue_depth"), [(1, 1, 2), (1, 1, 5), (5, 2, 4), (2, 3, 3)]
)
@pytest.mark.parametrize("seed", range(4))
def test_equals_gateware(
    config: Config, set_cycles: int, gap_cycles: int, queue_depth: int, seed: int
) -> None:
    """A run of updates with the windows opening anywhere, also while the queue is full."""
    config = fast(config, set_cycles, gap_cycles, queue_depth)
    updates = random_updates(config, seed, 14)
    rng = np.random.default_rng(seed)
    upper, first = (config.chi_depth + int(rng.integers(-10, 200)) for _ in range(2))
    windows = (upper, upper) if seed % 2 else (upper, first)
    seen = observe(config, updates, windows)

    timing = new_timing(config)
    for window in (UPPER, FIRST):
        open_window(timing, window, windows[window])
    check_updates(timing, updates, seen)
    assert drain(timing) == seen.scheduler_idle
    assert seen.n_pulses == sum(sum(update.pulses) for update in updates)


def check_updates(timing: UpdateTiming, updates: list[Update], seen: Observed) -> None:
    for update, command, outer_product, chi in zip(
        updates, seen.commands, seen.outer_product_idle, seen.chi_idle, strict=True
    ):
        positions, pulses = np.array([update.positions, update.pulses], np.int32)
        result = update_timing(
            timing,
            command,
            update.n_words,
            positions,
            pulses,
            len(positions),
            UPPER if update.layer else FIRST,
        )
        assert result[0] == outer_product
        assert chi in (result[1], NEVER)


def test_cases_cover_stalls() -> None:
    """The random cases do fill the queue, across updates too: else they would prove nothing."""
    config = fast(narrow, 1, 1, 2)
    updates = random_updates(config, 1, 14)
    seen = observe(config, updates, (config.chi_depth + 40, config.chi_depth + 40))
    unstalled = sum(update.n_words for update in updates)
    busy = sum(b - a for a, b in zip(seen.commands, seen.outer_product_idle, strict=True))
    assert busy > 2 * unstalled
    assert NEVER in seen.chi_idle
