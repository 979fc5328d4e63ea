"""The update shift equals the model's, clamp and drop included."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from hw.update_shift import UpdateShift
from model.config import Config, NetworkConfig, UpdateConfig
from model.configurations import mca_mlp, tiny_mca
from model.outer_product import update_shift
from tests.hw.hw_sim import simulate

CONFIGS = (
    mca_mlp,
    tiny_mca,
    replace(tiny_mca, name="one_layer", network=NetworkConfig(layers=(20, 9))),
    replace(tiny_mca, name="three_layers", network=NetworkConfig(layers=(20, 9, 7, 4))),
    replace(tiny_mca, name="narrow", update=UpdateConfig(lanes=8, chi_bits=12, epsilon_log2=8)),
)


def check(config: Config, cases: list[tuple[int, int, int, int]]) -> list[int]:
    """Compares ``layer, error_exponent, learning_rate_log2, epsilon_log2``; returns the shifts."""
    dut = UpdateShift(config)
    shifts = []

    async def bench(ctx: Any) -> None:
        for case in cases:
            layer, exponent, rate, epsilon = case
            ctx.set(dut.layer, layer)
            ctx.set(dut.error_exponent, exponent)
            ctx.set(dut.learning_rate_log2, rate)
            ctx.set(dut.epsilon_log2, epsilon)
            expected = update_shift(exponent, config.update_exponent(layer), rate, epsilon)
            got = ctx.get(dut.shift) if ctx.get(dut.keep) else -1
            assert got == expected, case
            shifts.append(got)

    simulate(dut, bench)
    return shifts


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_equals_model(config: Config) -> None:
    layers = range(config.network.n_layers)
    corners = product(layers, (0, config.scale_bits), (-32, 31), (2, config.update.chi_bits - 4))
    rng = np.random.default_rng(1)
    random = [
        (
            int(rng.integers(len(layers))),
            int(rng.integers(config.scale_bits + 1)),
            int(rng.integers(-32, 32)),
            int(rng.integers(2, config.update.chi_bits - 3)),
        )
        for _ in range(300)
    ]
    check(config, [*corners, *random])


@pytest.mark.parametrize("layer", [0, 1])
def test_around_the_bounds(layer: int) -> None:
    """From below zero over every shift to beyond the clamp, a step at a time."""
    epsilon = mca_mlp.update.epsilon_log2
    exponents = range(mca_mlp.scale_bits + 1)
    shifts = check(mca_mlp, [(layer, exponent, 0, epsilon) for exponent in exponents])
    shifts += check(mca_mlp, [(layer, exponent, -16, epsilon) for exponent in exponents])
    assert set(shifts) >= {-1, 0, 1, epsilon - 2, epsilon - 1}
    assert max(shifts) == epsilon - 1
