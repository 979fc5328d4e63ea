# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest

from hw.error_operands import HiddenOperands, OutputOperands
from model.config import Config, NetworkConfig
from model.configurations import tiny_mca
from tests.hw.hw_configs import VARIANTS, words
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate

WIDE = replace(tiny_mca, name="wide_output", network=NetworkConfig(layers=(5, 4, 21)))
HIDDEN = [(name, k) for name, c in VARIANTS.items() for k in range(c.network.n_layers - 1)]


def joined(factors: list[int], activations: list[int], lanes: int) -> list[dict]:
    """The operand words of two vectors of one length."""
    return [
        {"factors": f["factors"], "activations": a["activations"], "last": f["last"]}
        for f, a in zip(
            words(factors, lanes, "factors"), words(activations, lanes, "activations"), strict=True
        )
    ]


def run_output(config: Config, idle: str, stall: str) -> Trace:
    """Every label once, each with another output vector."""
    dut, lanes = OutputOperands(config), config.update.lanes
    rng = np.random.default_rng(0)
    n_classes = config.network.layers[-1]
    vectors = rng.integers(0, 256, (n_classes, n_classes))
    vectors[0], vectors[1] = 0, 255
    taken: list[dict] = []
    expected = []
    for label, y in enumerate(vectors):
        target = np.where(np.arange(n_classes) == label, 255, 0)
        expected += joined((y - target).tolist(), y.tolist(), lanes)

    async def produce(ctx) -> None:
        for label, y in enumerate(vectors):
            ctx.set(dut.label, label)
            await put(ctx, dut.i, words(y, lanes, "activations"), idle)

    async def consume(ctx) -> None:
        taken.extend(await get(ctx, dut.o, len(expected), stall))

    trace = simulate(dut, produce, consume)
    assert taken == expected
    return trace


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_output_stalls(idle: str, stall: str) -> None:
    run_output(WIDE, idle, stall)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_output_sizes_and_latency(config: Config) -> None:
    trace = run_output(config, "1", "1")
    for sent, received in zip(trace["i"], trace["o"], strict=True):
        assert received.cycle == sent.cycle + OutputOperands.LATENCY


def run_hidden(config: Config, idle: str, stall: str, layers: list[int]) -> Trace:
    """Stores every hidden vector, then joins those of ``layers``; twice, with new values."""
    dut, lanes = HiddenOperands(config), config.update.lanes
    rng = np.random.default_rng(0)
    code_max = config.converter.code_max
    expected, sends = [], []
    for _ in range(2):
        hidden = [rng.integers(0, 256, width) for width in config.network.layers[1:-1]]
        codes = {k: rng.integers(-code_max - 1, code_max + 1, len(hidden[k])) for k in layers}
        sends.append((hidden, codes))
        for layer in layers:
            expected.append(joined(codes[layer].tolist(), hidden[layer].tolist(), lanes))
    taken: list[list[dict]] = []

    async def bench(ctx) -> None:
        for hidden, codes in sends:
            for layer, h in enumerate(hidden):
                ctx.set(dut.write_layer, layer)
                await put(ctx, dut.i_activations, words(h, lanes, "activations"), idle)
            for layer in layers:
                done = len(taken)
                ctx.set(dut.layer, layer)
                await put(ctx, dut.i, words(codes[layer], lanes, "codes"), idle)
                while len(taken) == done:
                    await ctx.tick()

    async def consume(ctx) -> None:
        for vector in expected:
            taken.append(await get(ctx, dut.o, len(vector), stall, extra=0))
        taken.append(await get(ctx, dut.o, 0, stall))

    trace = simulate(dut, bench, consume)
    assert taken[:-1] == expected
    return trace


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_hidden_stalls(idle: str, stall: str) -> None:
    run_hidden(VARIANTS["three_layers"], idle, stall, [1, 0])


@pytest.mark.parametrize(("name", "layer"), HIDDEN)
def test_hidden_sizes_and_latency(name: str, layer: int) -> None:
    trace = run_hidden(VARIANTS[name], "1", "1", [layer])
    for sent, received in zip(trace["i"], trace["o"], strict=True):
        assert received.offered == sent.cycle + HiddenOperands.LATENCY
        assert received.cycle == received.offered


def test_no_hidden_layer() -> None:
    config = replace(tiny_mca, network=NetworkConfig(layers=(20, 4)))
    with pytest.raises(ValueError, match="no hidden activations"):
        HiddenOperands(config)
