# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.max_pool import MaxPool
from model.cnn.pooling import max_pool
from tests.hw.hw_sim import PATTERNS, get, put, simulate

# Height, width, channels, pool.
SHAPES = [
    (6, 6, 1, 2),
    (7, 5, 3, 2),
    (8, 10, 2, 3),
    (4, 4, 1, 4),
    (3, 2, 2, 3),
    (5, 1, 1, 2),
    (1, 5, 1, 3),
    (3, 4, 2, 1),
    (1, 1, 1, 1),
]


@pytest.mark.parametrize("idle", PATTERNS)
@pytest.mark.parametrize("shape", SHAPES)
def test_bands(shape: tuple[int, ...], idle: str) -> None:
    """Windows at the edges are partial; a pooled pixel follows its last one by a cycle."""
    height, width, channels, pool = shape
    dut = MaxPool(width=width, height=height, channels=channels, pool=pool)
    rng = np.random.default_rng(pool)
    bands = rng.integers(0, 256, (2, height, width, channels)).astype(np.uint8)
    bands[1] //= 200  # mostly zero, ties
    expected = [max_pool(band, pool).reshape(-1, channels).tolist() for band in bands]

    async def bench(ctx) -> None:
        for band in bands:
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await put(ctx, dut.i, band.reshape(-1, channels).tolist(), idle)

    async def consume(ctx) -> None:
        pixels = expected[0] + expected[1]
        assert await get(ctx, dut.o, len(pixels)) == pixels

    trace = simulate(dut, bench, consume)
    ends = [
        y * width + x
        for y in range(height)
        for x in range(width)
        if (y % pool == pool - 1 or y == height - 1) and (x % pool == pool - 1 or x == width - 1)
    ]
    for pixel, end in zip(trace["o"], ends, strict=False):
        assert pixel.offered == trace["i"][end].cycle + MaxPool.LATENCY


def test_waits_to_be_taken() -> None:
    dut = MaxPool(width=2, height=2, channels=1, pool=2)

    async def bench(ctx) -> None:
        await put(ctx, dut.i, [[3], [9], [4], [1]])
        for _ in range(5):
            assert ctx.get(dut.o.valid)
            await ctx.tick()
        assert await get(ctx, dut.o, 1) == [[9]]

    simulate(dut, bench)
