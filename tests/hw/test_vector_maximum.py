# amaranth: UnusedElaboratable=no
from typing import Any

import numpy as np
import pytest

from hw.vector_maximum import VectorMaximum
from tests.hw.hw_sim import simulate

Found = tuple[int, int, int]
"""Cycle of ``done``, maximum, index."""


def search(
    vectors: list[list[int]], *, width: int, lanes: int, n_words: int, idle: str = "1"
) -> tuple[list[int], list[Found]]:
    """The cycles of the vectors' last words, and what was found when; ``idle`` as in hw_sim."""
    dut = VectorMaximum(width=width, lanes=lanes, n_words=n_words)
    ends: list[int] = []
    found: list[Found] = []
    steps: list[tuple[list[int] | None, bool]] = []
    for vector in vectors:
        padded = vector + [0] * (-len(vector) % lanes)
        for first in range(0, len(padded), lanes):
            while idle[len(steps) % len(idle)] == "0":
                steps.append((None, False))
            steps.append((padded[first : first + lanes], first + lanes == len(padded)))

    async def bench(ctx: Any) -> None:
        for cycle, (word, last) in enumerate(steps + [(None, False)] * 5):
            # Between the words the values are anything.
            ctx.set(dut.values, [2**width - 1] * lanes if word is None else word)
            ctx.set(dut.valid, word is not None)
            ctx.set(dut.last, last or word is None)
            if last:
                ends.append(cycle)
            if ctx.get(dut.done):
                found.append((cycle, ctx.get(dut.maximum), ctx.get(dut.index)))
            await ctx.tick()

    simulate(dut, bench)
    return ends, found


def expected(ends: list[int], vectors: list[list[int]]) -> list[Found]:
    return [
        (end + VectorMaximum.LATENCY, max(vector), vector.index(max(vector)))
        for end, vector in zip(ends, vectors, strict=True)
    ]


@pytest.mark.parametrize("idle", ["1", "10", "110100"])
@pytest.mark.parametrize(("lanes", "n_words"), [(1, 5), (2, 1), (4, 3), (8, 2), (32, 2), (64, 1)])
def test_vectors(lanes: int, n_words: int, idle: str) -> None:
    """Corners, then random vectors of every length, back to back, with many equals among them."""
    rng = np.random.default_rng(lanes)
    longest = lanes * n_words
    vectors = [[0] * longest, [255] * longest, [0] * (longest - 1) + [1], [1] + [0] * (longest - 1)]
    for _ in range(20):
        levels = rng.choice(256, 3)
        vectors.append(rng.choice(levels, rng.integers(1, longest + 1)).tolist())
    ends, found = search(vectors, width=8, lanes=lanes, n_words=n_words, idle=idle)
    assert found == expected(ends, vectors)


def test_every_lane_wins() -> None:
    vectors = [[5 if k == winner else 4 for k in range(16)] for winner in range(16)]
    ends, found = search(vectors, width=3, lanes=8, n_words=2)
    assert found == expected(ends, vectors)


@pytest.mark.parametrize("lanes", [0, 6])
def test_wrong_lanes(lanes: int) -> None:
    with pytest.raises(ValueError, match=f"power of two, not {lanes}"):
        VectorMaximum(width=8, lanes=lanes, n_words=1)
