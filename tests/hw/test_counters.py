"""Drive meter and activity counters against the sums they stand for.

Their place in the unit, that is which strobe reaches which counter, is checked against the model by
``test_digital_unit``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned

from hw.counters import Counters, DriveMeter
from hw.layouts import Direction
from hw.sequencer import Phase
from model.activity import Activity
from model.config import ArrayConfig, Config, NetworkConfig
from model.configurations import tiny_mca
from tests.hw.hw_sim import simulate

LANES = 4

tiled = replace(
    tiny_mca,
    network=NetworkConfig(layers=(11, 9, 6, 3)),
    array=ArrayConfig(max_rows=5, max_cols=4, integration_cycles=6, read_integration_cycles=3),
)


def measure(
    meter: DriveMeter, steps: list[tuple[list[int] | None, str]]
) -> list[tuple[int, int, int]]:
    """Gives a word, or none, and strobes each cycle; returns cycle, lines, cycles where not 0."""
    seen: list[tuple[int, int, int]] = []

    async def bench(ctx: Any) -> None:
        for cycle, (word, strobes) in enumerate([*steps, *[(None, "")] * 4]):
            # Without a word the values are anything.
            ctx.set(meter.values, [-1] * LANES if word is None else word)
            ctx.set(meter.valid, word is not None)
            ctx.set(meter.commit, "commit" in strobes)
            ctx.set(meter.clear, "clear" in strobes)
            _, _, lines, cycles = await ctx.tick().sample(meter.lines, meter.cycles)
            if lines or cycles:
                seen.append((cycle, lines, cycles))

    simulate(meter, bench)
    return seen


def new_meter(*, is_signed: bool = False, bias_lines: int = 0) -> DriveMeter:
    shape = signed(8) if is_signed else unsigned(8)
    return DriveMeter(shape=shape, lanes=LANES, n_lines=3 * LANES, bias_lines=bias_lines)


def test_meter_adds_words_and_bias() -> None:
    words = [[1, 0, 255, 2], [0, 0, 0, 0], [255] * 4]
    steps = [(word, "") for word in words] + [(None, "commit")]
    assert measure(new_meter(bias_lines=1), steps) == [
        (3 + DriveMeter.LATENCY, 3 + 4 + 1, 258 + 4 * 255 + 255)
    ]


def test_meter_takes_the_word_of_the_commit_and_no_later_one() -> None:
    steps = [([1, 0, 0, 0], ""), ([2, 0, 0, 0], "commit"), ([4, 4, 0, 0], "commit")]
    assert measure(new_meter(), steps) == [(3, 2, 3), (4, 2, 8)]


def test_meter_magnitudes() -> None:
    steps: list[tuple[list[int] | None, str]] = [([-127, 127, -1, 0], "commit")]
    assert measure(new_meter(is_signed=True), steps) == [(2, 3, 255)]


def test_meter_clear_forgets() -> None:
    steps = [([9, 9, 9, 9], ""), ([8, 8, 8, 8], "clear"), ([1, 1, 0, 0], "commit")]
    assert measure(new_meter(), steps) == [(4, 2, 2)]


@pytest.mark.parametrize("is_signed", [False, True])
def test_meter_random(is_signed: bool) -> None:
    rng = np.random.default_rng(7)
    steps: list[tuple[list[int] | None, str]] = []
    expected = []
    for _ in range(20):
        low = -127 if is_signed else 0
        words = rng.integers(low, 128, (int(rng.integers(1, 4)), LANES))
        words *= rng.integers(0, 2, words.shape)
        for word in words.tolist():
            steps += [(None, "")] * int(rng.integers(0, 2)) + [(word, "")]
        steps.append((None, "commit"))
        totals = (int(np.count_nonzero(words)), int(np.abs(words).sum()))
        if totals[0]:
            expected.append((len(steps) - 1 + DriveMeter.LATENCY, *totals))
    assert measure(new_meter(is_signed=is_signed), steps) == expected


def count(config: Config, events: list[dict[str, Any]]) -> tuple[dict[Activity, int], int]:
    """One dict of inputs a cycle; returns the counters that are not 0, and the idle cycles."""
    dut = Counters(config)
    result: dict[Activity, int] = {}
    idle = 0

    async def bench(ctx: Any) -> None:
        nonlocal idle
        for event in events:
            inputs = {"phase": Phase.IDLE} | event
            for name, value in inputs.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            for name, value in inputs.items():
                ctx.set(getattr(dut, name), Phase.FORWARD if name == "phase" else _none(value))
        # The cycles until the last event is counted.
        ctx.set(dut.phase, Phase.IDLE)
        await ctx.tick().repeat(Counters.LATENCY - 1)
        for activity in Activity:
            value = ctx.get(dut.counters[activity])
            if value:
                result[activity] = value
        idle = ctx.get(dut.cycles_idle)

    simulate(dut, bench)
    return result, idle


def _none(value: Any) -> Any:
    if isinstance(value, list):
        return [0] * len(value)
    return Direction.FORWARD if isinstance(value, Direction) else 0


def test_phases() -> None:
    phases = [Phase.FORWARD] * 4 + [Phase.ERROR] * 3 + [Phase.BACKWARD] * 2 + [Phase.UPDATE]
    counts, idle = count(tiny_mca, [{"phase": phase} for phase in [*phases, Phase.IDLE]])
    assert counts == {
        Activity.CYCLES_FORWARD: 4,
        Activity.CYCLES_ERROR: 3,
        Activity.CYCLES_BACKWARD: 2,
        Activity.CYCLES_UPDATE: 1,
    }
    assert idle == 1


def test_images() -> None:
    """``skipped`` counts with ``done`` only."""
    events = [{"skipped": 1}, {"skipped": 1, "done": 1}, {"done": 1}]
    counts, _ = count(tiny_mca, events)
    assert counts == {Activity.IMAGES: 2, Activity.SKIPPED_IMAGES: 1}


@pytest.mark.parametrize("layer", range(3))
def test_products(layer: int) -> None:
    """Every tile converts its own lines; a read converts one tile's columns."""
    rows, cols = tiled.network.n_rows(layer), tiled.network.n_cols(layer)
    forward = count(tiled, [{"product": 1, "layer": layer, "direction": Direction.FORWARD}])[0]
    assert forward == {
        Activity.FORWARD_PRODUCTS: 1,
        Activity.CONVERSIONS: cols * -(-rows // 5),
        Activity.ACTIVATIONS: cols,
    }
    backward = count(tiled, [{"product": 1, "layer": layer, "direction": Direction.BACKWARD}])[0]
    assert backward == {
        Activity.BACKWARD_PRODUCTS: 1,
        Activity.CONVERSIONS: rows * -(-cols // 4),
    }
    assert count(tiled, [{"read": 1, "read_layer": layer}])[0] == {
        Activity.ROW_READS: 1,
        Activity.DRIVEN_LINES: 1,
        Activity.DRIVE_CYCLES: 3,
        Activity.CONVERSIONS: cols,
    }


def test_everything_in_one_cycle() -> None:
    """A product beside a read on another array, and drives measured then: nothing is lost."""
    event = {
        "product": 1,
        "layer": 0,
        "direction": Direction.FORWARD,
        "read": 1,
        "read_layer": 1,
        "lines": 7,
        "cycles": 100,
        "scaled_done": 1,
        "error_layer": 2,
        "products": [9, 0, -9, 0, 1, 0, 0, 0],
        "product_valid": 1,
        "pulse_word": 1,
        "set_pulse": 1,
        "reset_pulse": 1,
        "refreshed_pair": 1,
    }
    counts, _ = count(tiled, [event, event])
    assert counts == {
        Activity.FORWARD_PRODUCTS: 2,
        Activity.ROW_READS: 2,
        Activity.DRIVEN_LINES: 2 * (7 + 1),
        Activity.DRIVE_CYCLES: 2 * (100 + 3),
        Activity.CONVERSIONS: 2 * (9 * 3 + 6),
        Activity.ACTIVATIONS: 2 * 9,
        Activity.ERRORS: 2 * 3,
        Activity.CHI_WORDS: 2,
        Activity.CHI_LANES: 6,
        Activity.PULSE_WORDS: 2,
        Activity.SET_PULSES: 2,
        Activity.RESET_PULSES: 2,
        Activity.REFRESHED_PAIRS: 2,
    } | {activity: value for activity, value in counts.items() if "CYCLES_" in activity.name}


def test_products_without_valid() -> None:
    assert count(tiny_mca, [{"products": [1] * 8}])[0] == {}
