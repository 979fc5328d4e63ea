"""The sequencer's order of commands, phases and strobes, around components that take their time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hw.layouts import Direction
from hw.sequencer import Phase, Sequencer, SkipMode
from model.config import Config, NetworkConfig, SkipPolicy
from model.configurations import tiny_mca
from model.outer_product import update_shift
from model.unit import SKIP_CODES
from tests.hw.hw_sim import simulate

PRODUCT = 9
"""Cycles from an accepted command to the last word of its product."""

SCALE = 4
"""Cycles from the last word of a product to the last scaled error word."""

FORWARD, BACKWARD = Direction.FORWARD.value, Direction.BACKWARD.value


def network(n_layers: int) -> Config:
    return replace(tiny_mca, network=NetworkConfig(layers=(11, 9, 6, 3)[: n_layers + 1]))


def exponent(config: Config) -> int:
    """Of all error codes; large enough that no layer's update is dropped."""
    return config.scale_bits - 4


@dataclass
class Played:
    """What the sequencer did, as lists of cycles and what happened in them."""

    products: list[tuple[int, int, int]] = field(default_factory=list)
    """Cycle, direction, layer of each accepted product."""
    updates: list[tuple[int, int, int]] = field(default_factory=list)
    """Cycle, layer, shift of each update command."""
    upper: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    loads: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    window: list[int] = field(default_factory=list)
    upper_window: list[int] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    skipped: bool = False
    training: bool = False


def play(
    config: Config,
    *,
    images: int = 1,
    train: bool = True,
    skip: SkipMode = SkipMode.NEVER,
    zeros: Callable[[int], tuple[bool, bool]] = lambda layer: (False, False),
    refresh: int = 0,
    update: int = 3,
    pulses: int = 0,
    accept_after: int = 0,
    withheld: str = "",
    max_cycles: int = 400,
) -> Played:
    """Plays the rest of the unit for some images.

    ``zeros``: whether a layer's errors, and its error codes, are all zero; ``refresh``, ``update``,
    ``pulses``: cycles of busy after a refresh strobe, after an update command, from the window on;
    ``accept_after``: cycles in which a read-out does not accept; ``withheld``: an input that stays
    low.
    """
    dut = Sequencer(config)
    played = Played()
    outputs = {
        name: getattr(dut, name)
        for name in (
            "load",
            "read_command",
            "layer",
            "direction",
            "error_layer",
            "refresh_upper",
            "refresh_first",
            "first_window",
            "upper_window",
            "done",
            "phase",
            "skipped",
            "training",
        )
    } | {
        "update": dut.update_command.valid,
        "update_layer": dut.update_command.p.layer,
        "update_shift": dut.update_command.p.shift,
    }

    async def bench(ctx: Any) -> None:
        for name in ("run", "image_ready", "next_ready", "result_ready", "initialised"):
            ctx.set(getattr(dut, name), name != withheld)
        ctx.set(dut.train, train)
        ctx.set(dut.skip_policy, skip)
        ctx.set(dut.epsilon_log2, config.update.epsilon_log2)
        ctx.set(dut.update_command.ready, 1)
        forward = scale = refreshing = updating = pulsing = refused = -1
        for cycle in range(max_cycles):
            _, _, *values = await ctx.tick().sample(*outputs.values())
            out = dict(zip(outputs, values, strict=True))
            played.phases.append(out["phase"])
            for name, log in (
                ("load", played.loads),
                ("refresh_upper", played.upper),
                ("refresh_first", played.first),
                ("first_window", played.window),
                ("upper_window", played.upper_window),
                ("done", played.done),
            ):
                if out[name]:
                    log.append(cycle)
            forward, scale, refreshing = forward - 1, scale - 1, refreshing - 1
            updating, pulsing, refused = updating - 1, pulsing - 1, refused - 1
            if out["read_command"] and ctx.get(dut.read_accepted):
                played.products.append((cycle, out["direction"].value, out["layer"]))
                if out["direction"] == Direction.FORWARD:
                    forward = PRODUCT
                else:
                    scale = PRODUCT + SCALE
                refused = accept_after
            if out["update"]:
                played.updates.append((cycle, out["update_layer"], out["update_shift"]))
                updating, pulsing = update, pulses
            if forward == 0 and train and out["layer"] == config.network.n_layers - 1:
                scale = SCALE
            if out["refresh_upper"] or out["refresh_first"]:
                refreshing = refresh
            if not out["first_window"] and pulsing >= 0:
                pulsing += 1
            if out["done"]:
                played.skipped, played.training = out["skipped"], out["training"]
                if len(played.done) == images:
                    return
            ctx.set(dut.read_accepted, refused < 0)
            ctx.set(dut.forward_done, forward == 1)
            ctx.set(dut.refresh_busy, refreshing > 0)
            ctx.set(dut.update_busy, updating > 0)
            ctx.set(dut.pulse_busy, pulsing > 0)
            if scale == 1 and not ctx.get(dut.settled):
                scale = 2
            ctx.set(dut.scaled_done, scale == 1)
            error, codes = zeros(out["error_layer"]) if scale == 1 else (True, True)
            ctx.set(dut.zero_error, error)
            ctx.set(dut.zero_codes, codes)
            ctx.set(dut.update_exponent, exponent(config) if scale == 1 else 0)

    simulate(dut, bench, max_cycles=max_cycles + 8)
    return played


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_training_order(n_layers: int) -> None:
    """Products up and down; every layer's update as soon as its codes are there."""
    config = network(n_layers)
    played = play(config)
    layers = range(n_layers)
    assert [item[1:] for item in played.products] == [
        *((FORWARD, layer) for layer in layers),
        *((BACKWARD, layer) for layer in reversed(layers) if layer > 0),
    ]
    epsilon = config.update.epsilon_log2
    assert [item[1:] for item in played.updates] == [
        (layer, update_shift(exponent(config), config.update_exponent(layer), 0, epsilon))
        for layer in reversed(layers)
    ]
    # An update runs beside the backward product of its own layer.
    backward = [cycle for cycle, direction, _ in played.products if direction == BACKWARD]
    assert [cycle for cycle, *_ in played.updates][: n_layers - 1] == backward
    assert played.training
    assert not played.skipped


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_inference_order(n_layers: int) -> None:
    """Forward only; no array is offered for refresh."""
    played = play(network(n_layers), train=False, images=2)
    assert [item[1:] for item in played.products] == 2 * [(FORWARD, k) for k in range(n_layers)]
    assert played.updates == played.upper == played.first == []
    assert {Phase.FORWARD, Phase.UPDATE} >= set(played.phases) - {Phase.IDLE}
    assert not played.training


def test_phases() -> None:
    """Every phase begins with its command and ends with its strobe; they leave no cycle out."""
    played = play(network(2), update=30)
    lengths = {phase: played.phases.count(phase) for phase in Phase}
    assert lengths[Phase.FORWARD] == 1 + 2 * (PRODUCT + 1)
    assert lengths[Phase.ERROR] == SCALE
    assert lengths[Phase.BACKWARD] == PRODUCT + SCALE + 1
    first, last = played.loads[0], played.done[0]
    assert Phase.IDLE not in played.phases[first : last + 1]
    assert played.phases[last] == Phase.UPDATE


@pytest.mark.parametrize("withheld", ["run", "image_ready", "result_ready", "initialised"])
def test_load_waits(withheld: str) -> None:
    played = play(network(2), withheld=withheld, max_cycles=40)
    assert played.loads == []
    assert set(played.phases) == {Phase.IDLE}


@pytest.mark.parametrize("skip", SkipMode)
@pytest.mark.parametrize("zero", [(False, False), (False, True), (True, True)])
def test_skip(skip: SkipMode, zero: tuple[bool, bool]) -> None:
    """Skipped when the policy says so; then there is no backward product and no update."""
    expected = {
        SkipMode.NEVER: False,
        SkipMode.ZERO_ERROR: zero[0],
        SkipMode.ZERO_CODES: zero[1],
    }[skip]
    played = play(network(2), skip=skip, zeros=lambda layer: zero if layer else (False, False))
    assert played.skipped == expected
    directions = [direction for _, direction, _ in played.products]
    assert directions.count(BACKWARD) == (not expected)
    layers = [layer for _, layer, _ in played.updates]
    assert layers == ([] if expected else [0] if zero[1] else [1, 0])


def test_skip_modes_are_the_models() -> None:
    modes = {policy: mode.value for policy, mode in zip(SkipPolicy, SkipMode, strict=True)}
    assert modes == SKIP_CODES


def test_zero_hidden_codes_update_nothing() -> None:
    played = play(network(3), zeros=lambda layer: (layer == 1, layer == 1))
    assert [layer for _, layer, _ in played.updates] == [2, 0]
    assert not played.skipped


@pytest.mark.parametrize("refresh", [1, 5, 40])
def test_refresh_and_products_share_the_arrays(refresh: int) -> None:
    """The first array's refresh begins behind its product and behind the others' refresh; the
    second product waits for the others' refresh, and only for that."""
    played = play(network(2), refresh=refresh)
    load = played.loads[0]
    assert played.upper == [load]
    upper_end = load + 1 + refresh
    forward_end = load + 1 + PRODUCT
    assert played.first == [max(upper_end, forward_end + 1)]
    second = [cycle for cycle, *_ in played.products][1]
    assert second == max(forward_end + 1, upper_end)


def test_window_is_for_pulses_only() -> None:
    """From the end of the products, unless refresh still writes, to the end of the image."""
    played = play(network(2), pulses=25)
    updates = [k for k, phase in enumerate(played.phases) if phase == Phase.UPDATE]
    assert played.window == played.upper_window == updates
    played = play(network(2), refresh=60)
    assert played.window[0] == played.first[0] + 1 + 60
    assert played.phases[played.first[0] + 60] == Phase.UPDATE


@pytest.mark.parametrize("busy", ["update", "pulses"])
def test_done_waits(busy: str) -> None:
    short, long = (play(network(2), **{busy: cycles}).done[0] for cycles in (5, 35))
    assert long == short + 30


def test_slow_read_out() -> None:
    """A command is held until it is taken, and given once."""
    played = play(network(2), accept_after=15, images=2)
    assert len(played.products) == 6
    assert len(played.done) == 2


def overlapped(n_layers: int) -> Config:
    config = network(n_layers)
    return replace(config, update=replace(config.update, overlap=True))


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_overlap(n_layers: int) -> None:
    """The next image begins when the products and refresh are over; its errors wait for the rest
    of the update, and so does the refresh of the first array."""
    late = PRODUCT * n_layers + 30
    played = play(overlapped(n_layers), images=2, update=late, refresh=1)
    update_end = played.updates[n_layers - 1][0] + late + 1
    assert played.loads[1] == played.done[0] + 1 == played.updates[n_layers - 1][0] + 1
    assert played.first[1] == update_end
    assert [cycle for cycle in played.upper if cycle > played.loads[1]] == [played.loads[1] + 1]


def test_overlap_windows() -> None:
    """Upper pulses from the end of the products on, first ones from that of the next product."""
    played = play(overlapped(2), images=2, update=60)
    done, forward_end = played.done[0], played.loads[1] + 1 + PRODUCT
    assert played.upper_window[0] == done
    assert played.upper_window[1] == done + 1
    assert played.window[0] == forward_end + 1


@pytest.mark.parametrize("withheld", ["next_ready", "train"])
def test_overlap_needs_a_training_image(withheld: str) -> None:
    """Otherwise the image ends as without overlap."""
    options = {"train": False} if withheld == "train" else {"withheld": withheld}
    played = play(overlapped(2), images=2, update=60, **options)
    plain = play(network(2), images=2, update=60, train=withheld != "train")
    assert played.done == plain.done


def test_images_follow_each_other() -> None:
    played = play(network(2), images=3)
    assert [load - done for load, done in zip(played.loads[1:], played.done, strict=False)] == [
        1,
        1,
    ]
