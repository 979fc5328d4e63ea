# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.feature_map import FeatureMap
from tests.hw.hw_sim import PATTERNS, get, put, simulate


def words(pixels: np.ndarray) -> list[dict]:
    return [{"address": k, "pixel": pixel} for k, pixel in enumerate(pixels.tolist())]


async def strobe(ctx, signal) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


@pytest.mark.parametrize("stall", [*PATTERNS, "w"])
@pytest.mark.parametrize("rows", [(0, 4), (0, 1), (1, 3), (3, 4)])
def test_band(rows: tuple[int, int], stall: str) -> None:
    """The band comes twice, the first pixel in the cycle after `start`, then nothing more."""
    dut = FeatureMap(shape=(4, 3, 2), first_row=rows[0], end_row=rows[1])
    pixels = np.random.default_rng(1).integers(0, 256, (12, 2))
    band = pixels[rows[0] * 3 : rows[1] * 3].tolist()

    async def bench(ctx) -> None:
        await put(ctx, dut.i, words(pixels))
        for _ in range(2):
            await strobe(ctx, dut.start)
            assert await get(ctx, dut.o, len(band), stall) == band

    trace = simulate(dut, bench, watch=["start"])
    starts = trace.cycles("start")
    assert trace["o"][0].offered == starts[0] + FeatureMap.LATENCY
    assert trace["o"][len(band)].offered == starts[1] + FeatureMap.LATENCY


def test_double_buffered() -> None:
    """While one map is read the other is written."""
    dut = FeatureMap(shape=(2, 3, 1), first_row=0, end_row=2, double_buffered=True)
    maps = np.random.default_rng(2).integers(0, 256, (4, 6, 1))

    async def write(ctx) -> None:
        await put(ctx, dut.i, words(maps[0]))
        for number in range(1, 4):
            ctx.set(dut.bank, number % 2)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await put(ctx, dut.i, words(maps[number]))
            for _ in range(20):
                await ctx.tick()

    async def read(ctx) -> None:
        expected = maps[:3].reshape(-1, 1).tolist()
        assert await get(ctx, dut.o, len(expected), "110") == expected

    simulate(dut, write, read)


@pytest.mark.parametrize("rows", [(0, 5), (2, 2), (-1, 2)])
def test_init_wrong_rows(rows: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="rows of the map's 4"):
        FeatureMap(shape=(4, 3, 2), first_row=rows[0], end_row=rows[1])
