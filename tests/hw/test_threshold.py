"""The threshold equals its model: every multiple of epsilon, both signs, and random words."""

from dataclasses import replace

import numpy as np
import pytest

from hw.threshold import Threshold
from model.configurations import mca_mlp, tiny_mca
from model.threshold import threshold
from tests.hw.hw_sim import simulate


def run(dut: Threshold, cases: list[tuple[int, int]]) -> list[tuple[int, int]]:
    results = []

    async def bench(ctx) -> None:
        for chi, epsilon_log2 in cases:
            ctx.set(dut.chi, chi)
            ctx.set(dut.epsilon_log2, epsilon_log2)
            results.append((ctx.get(dut.count), ctx.get(dut.remainder)))

    simulate(dut, bench)
    return results


def corners(chi_bits: int, epsilon_log2: int) -> list[tuple[int, int]]:
    epsilon = 1 << epsilon_log2
    limit = min(8 * epsilon, 1 << (chi_bits - 1))
    near = {k * epsilon + d for k in range(-8, 9) for d in (-2, -1, 0, 1, 2)}
    return [(chi, epsilon_log2) for chi in sorted(near) if -limit < chi < limit]


@pytest.mark.parametrize("chi_bits", [8, 13, 32])
def test_equals_model(chi_bits: int) -> None:
    config = replace(
        tiny_mca, update=replace(tiny_mca.update, chi_bits=chi_bits, epsilon_log2=chi_bits - 4)
    )
    rng = np.random.default_rng(chi_bits)
    cases = [case for k in range(chi_bits) for case in corners(chi_bits, k)]
    for epsilon_log2 in range(chi_bits):
        limit = min(8 << epsilon_log2, 1 << (chi_bits - 1))
        cases += [(int(chi), epsilon_log2) for chi in rng.integers(1 - limit, limit, 20)]
    assert run(Threshold(config), cases) == [threshold(*case) for case in cases]


def test_paper_values() -> None:
    """Worked by hand: eps = 2**20; -2.5 eps is two pulses on the minus device and -0.5 eps left."""
    epsilon = 1 << 20
    cases = [(-5 * epsilon // 2, 20), (epsilon, 20), (-epsilon, 20), (epsilon - 1, 20), (-1, 20)]
    expected = [(-2, -epsilon // 2), (1, 0), (-1, 0), (0, epsilon - 1), (0, -1)]
    assert run(Threshold(mca_mlp), cases) == expected
