import numpy as np
import pytest

from hw.activation_unit import ActivationUnit
from model.activation_unit import activate, sigmoid_table
from model.config import Config
from model.configurations import tiny_mca
from tests.hw.hw_configs import VARIANTS, words
from tests.hw.hw_sim import STALLS, get, put, simulate


def run(config: Config, vectors: list[np.ndarray], idle: str = "1", stall: str = "1"):
    """Sends vectors of one length; asserts the words that come out; returns the trace."""
    dut = ActivationUnit(config)
    lanes = config.update.lanes
    payloads, expected = [], []
    for codes in vectors:
        activations = np.zeros(codes.shape, np.uint8)
        activate(sigmoid_table(config), codes.astype(np.int16), activations)
        payloads += words(codes, lanes, "codes")
        expected += words(activations, lanes, "activations")
    taken: list[dict] = []

    async def produce(ctx) -> None:
        ctx.set(dut.valid_lanes, (len(vectors[0]) - 1) % lanes + 1)
        await put(ctx, dut.i, payloads, idle)

    async def consume(ctx) -> None:
        taken.extend(await get(ctx, dut.o, len(expected), stall))

    trace = simulate(dut, produce, consume)
    assert taken == expected
    return trace


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_every_code(config: Config) -> None:
    code_max = config.converter.code_max
    run(config, [np.arange(-code_max - 1, code_max + 1)])


@pytest.mark.parametrize(("idle", "stall"), STALLS)
@pytest.mark.parametrize("length", [1, 8, 19])
def test_stalls(length: int, idle: str, stall: str) -> None:
    rng = np.random.default_rng(length)
    run(tiny_mca, list(rng.integers(-128, 128, (4, length))), idle, stall)


def test_latency() -> None:
    trace = run(tiny_mca, [np.arange(64)])
    for sent, received in zip(trace["i"], trace["o"], strict=True):
        assert received.offered == sent.cycle + ActivationUnit.LATENCY
    assert [transfer.cycle for transfer in trace["i"]] == list(range(8))
