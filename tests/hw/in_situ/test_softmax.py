"""Softmax: equal to the model's, in the cycles promised."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.in_situ.softmax import Reciprocal, Softmax
from model.configurations import li_mlp, tiny_in_situ
from model.in_situ import cycles
from model.in_situ.config import InSituConfig, NetworkConfig
from model.in_situ.softmax import exponential_table, reciprocal_table, softmax
from tests.hw.hw_configs import words
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate


def with_classes(n_classes: int) -> InSituConfig:
    update = replace(tiny_in_situ.update, shifts=(8,))
    return replace(tiny_in_situ, network=NetworkConfig(layers=(3, n_classes)), update=update)


VARIANTS = {
    "tiny": tiny_in_situ,
    # Several words of outputs, the last not full; and a full one.
    "nine": with_classes(9),
    "eight": with_classes(8),
    "two": with_classes(2),
    "li_mlp": li_mlp,
}


def vectors_of(config: InSituConfig, n: int) -> np.ndarray:
    """Corners, then random codes from close together to far apart."""
    rng = np.random.default_rng(n)
    low, high = -config.converter.code_max - 1, config.converter.code_max
    classes = config.network.layers[-1]
    corners = [np.full(classes, value) for value in (low, 0, high)]
    corners.append(np.where(np.arange(classes) == classes - 1, high, low))
    spread = rng.integers(1, high + 1, (n, 1))
    return np.array([*corners, *(rng.integers(-(2**16), 2**16, (n, classes)) % spread)])


def run(config: InSituConfig, vectors: np.ndarray, idle: str = "1", stall: str = "1") -> Trace:
    dut, lanes = Softmax(config), config.update.lanes
    payloads, expected = [], []
    for codes in vectors:
        outputs = np.zeros(len(codes), np.uint8)
        softmax(codes.astype(np.int16), exponential_table(config), reciprocal_table(), outputs)
        payloads += words(codes, lanes, "codes")
        expected += words(outputs, lanes, "activations")
    taken: list[dict[str, Any]] = []

    async def consume(ctx: Any) -> None:
        taken.extend(await get(ctx, dut.o, len(expected), stall))

    trace = simulate(dut, lambda ctx: put(ctx, dut.i, payloads, idle), consume)
    assert taken == expected
    return trace


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_model_and_latency(name: str) -> None:
    config = VARIANTS[name]
    classes, lanes = config.network.layers[-1], config.update.lanes
    trace = run(config, vectors_of(config, 12))
    last_in = [transfer.cycle for transfer in trace["i"] if transfer.payload["last"]]
    sent = iter(trace["o"])
    for cycle in last_in:
        for word in range(config.rows_to_words(classes)):
            behind = classes - min((word + 1) * lanes, classes)
            due = cycle + 1 + Softmax.PASSES * classes + Softmax.LATENCY - 1 - behind
            assert next(sent).cycle == due
    assert next(sent, None) is None


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_stalls(idle: str, stall: str) -> None:
    run(VARIANTS["nine"], vectors_of(VARIANTS["nine"], 2), idle, stall)


def test_reciprocal_of_every_scale() -> None:
    dut, table = Reciprocal(256), reciprocal_table()

    async def bench(ctx: Any) -> None:
        for total in [2**15, 2**15 + 1, *(2**k - 1 for k in range(16, 25)), 2**23, 256 * 2**15]:
            ctx.set(dut.total, total)
            scale = total.bit_length() - 16
            assert ctx.get(dut.scale) == scale
            assert ctx.get(dut.reciprocal) == table[(total >> (scale + 7)) & 255]

    simulate(dut, bench)


def test_constants() -> None:
    assert cycles.SOFTMAX_PASSES == Softmax.PASSES
    assert cycles.SOFTMAX_LATENCY == Softmax.LATENCY
