# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.line_buffer import LineBuffer
from model.cnn.line_buffer import patches, pixels_needed
from tests.hw.hw_sim import STALLS, get, put, simulate

# Height, width, channels, kernel, stride.
SHAPES = [
    (5, 6, 1, 3, 1),
    (4, 4, 2, 2, 2),
    (7, 5, 3, 2, 3),
    (3, 3, 1, 3, 1),
    (4, 5, 2, 1, 1),
    (5, 5, 1, 1, 2),
    (2, 2, 1, 2, 1),
    (1, 1, 4, 1, 1),
    (9, 8, 1, 4, 2),
]


def run(shape: tuple[int, ...], idle: str, stall: str, n_bands: int = 2):
    height, width, channels, kernel, stride = shape
    dut = LineBuffer(width=width, channels=channels, kernel=kernel, stride=stride)
    rng = np.random.default_rng(height)
    bands = rng.integers(0, 256, (n_bands, height, width, channels)).astype(np.uint8)
    expected = [patches(band, kernel, stride).reshape(-1, channels, kernel**2) for band in bands]

    async def bench(ctx) -> None:
        for band in bands:
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await put(ctx, dut.i, band.reshape(-1, channels).tolist(), idle)

    async def consume(ctx) -> None:
        for band in expected:
            assert await get(ctx, dut.o, len(band), stall, extra=0) == band.tolist()

    return simulate(dut, bench, consume, settle=12), expected


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_latency(shape: tuple[int, ...]) -> None:
    """Each patch comes in the cycle after its last pixel."""
    height, width, _, kernel, stride = shape
    trace, expected = run(shape, "1", "1")
    assert len(trace["o"]) == sum(map(len, expected))
    rows = (height - kernel) // stride + 1
    last = pixels_needed(rows, width, kernel, stride).cumsum() - 1
    for number, patch in enumerate(trace["o"][: len(last)]):
        assert patch.offered == trace["i"][last[number]].cycle + LineBuffer.LATENCY


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_stalls(idle: str, stall: str) -> None:
    trace, expected = run((5, 6, 2, 3, 2), idle, stall)
    assert len(trace["o"]) == sum(map(len, expected))


@pytest.mark.parametrize("kernel", [0, 4])
def test_init_wrong_kernel(kernel: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and the width 3, not {kernel}"):
        LineBuffer(width=3, channels=1, kernel=kernel, stride=1)
