import numpy as np
import pytest

from hw.error_unit import ErrorUnit
from model.config import Config
from model.configurations import tiny_mca
from model.error_unit import hidden_error, output_error
from tests.hw.hw_configs import VARIANTS
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate


def run(
    config: Config, pairs: list[tuple[int, int, int]], idle: str = "1", stall: str = "1"
) -> Trace:
    """Sends (factor, activation, expected error) lane by lane, several words a vector."""
    dut, lanes = ErrorUnit(config), config.update.lanes
    pairs = pairs + [(0, 0, 0)] * (-len(pairs) % lanes)
    payloads, expected = [], []
    for first in range(0, len(pairs), lanes):
        factors, activations, errors = zip(*pairs[first : first + lanes], strict=True)
        last = int(first % 3 == 0)
        payloads.append({"factors": list(factors), "activations": list(activations), "last": last})
        expected.append({"errors": list(errors), "last": last})
    taken: list[dict] = []

    async def consume(ctx) -> None:
        taken.extend(await get(ctx, dut.o, len(expected), stall))

    trace = simulate(dut, lambda ctx: put(ctx, dut.i, payloads, idle), consume)
    assert taken == expected
    return trace


def output_pairs() -> list[tuple[int, int, int]]:
    """Every output activation, as target and as not."""
    return [
        (y - 255 * is_target, y, output_error(y, bool(is_target)))
        for is_target in (0, 1)
        for y in range(256)
    ]


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_output_errors(config: Config) -> None:
    run(config, output_pairs())


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_hidden_errors(config: Config) -> None:
    rng = np.random.default_rng(2)
    code_max = config.converter.code_max
    corners = [(c, a) for c in (-code_max - 1, -1, 0, 1, code_max) for a in (0, 1, 127, 128, 255)]
    codes = rng.integers(-code_max - 1, code_max + 1, 300)
    drawn = zip(codes.tolist(), rng.integers(0, 256, 300).tolist(), strict=True)
    run(config, [(c, a, hidden_error(c, a)) for c, a in (*corners, *drawn)])


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_stalls(idle: str, stall: str) -> None:
    run(tiny_mca, output_pairs()[::5], idle, stall)


def test_latency() -> None:
    trace = run(tiny_mca, output_pairs()[:200])
    for sent, received in zip(trace["i"], trace["o"], strict=True):
        assert received.offered == sent.cycle + ErrorUnit.LATENCY
    assert [transfer.cycle for transfer in trace["i"]] == list(range(25))


def test_holds_two_words() -> None:
    """A word may enter behind a bubble: only two full stages stall the input."""
    dut = ErrorUnit(tiny_mca)
    word = {"factors": [1] * 8, "activations": [2] * 8, "last": 0}

    async def bench(ctx) -> None:
        await put(ctx, dut.i, [word, word], "00001")
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.i.ready)
        assert len(await get(ctx, dut.o, 2)) == 2

    simulate(dut, bench)
