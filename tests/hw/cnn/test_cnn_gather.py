# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.gather import Gather
from tests.hw.hw_sim import PATTERNS, put, simulate


@pytest.mark.parametrize("idle", PATTERNS)
@pytest.mark.parametrize(
    ("shape", "first_rows"),
    [((4, 3, 2), (0,)), ((4, 3, 2), (0, 1, 3)), ((3, 1, 1), (0, 1, 2)), ((1, 1, 3), (0,))],
)
def test_maps(shape: tuple[int, int, int], first_rows: tuple[int, ...], idle: str) -> None:
    """Two maps: every pixel under its address, one a cycle, `done` with the last of each."""
    height, width, channels = shape
    dut = Gather(shape=shape, first_rows=first_rows)
    pixels = np.random.default_rng(1).integers(0, 256, (2, height * width, channels))
    ends = [*first_rows[1:], height]

    finished: list[int] = []

    def feed(k: int):
        async def bench(ctx) -> None:
            for number in range(2):
                part = pixels[number, first_rows[k] * width : ends[k] * width]
                await put(ctx, getattr(dut, f"i_{k}"), part.tolist(), idle)
                # All bands of a map before any of the next, as in the unit.
                finished.append(number)
                while finished.count(number) < len(first_rows):
                    await ctx.tick()

        return bench

    trace = simulate(dut, *(feed(k) for k in range(len(first_rows))), watch=["done"])
    words = trace["o"]
    for number in range(2):
        got = words[number * height * width : (number + 1) * height * width]
        by_address = {word.payload["address"]: word.payload["pixel"] for word in got}
        assert by_address == dict(enumerate(pixels[number].tolist()))
        assert trace.cycles("done")[number] == got[-1].cycle
    assert len(words) == 2 * height * width
    assert len(trace.cycles("done")) == 2
    sent = sorted(transfer.cycle for k in range(len(first_rows)) for transfer in trace[f"i_{k}"])
    assert [word.cycle for word in words] == [cycle + Gather.LATENCY for cycle in sent]


def test_lowest_input_first() -> None:
    dut = Gather(shape=(3, 1, 1), first_rows=(0, 1, 2))
    trace = simulate(
        dut, *(lambda ctx, k=k: put(ctx, getattr(dut, f"i_{k}"), [[k]]) for k in range(3))
    )
    assert [word["pixel"] for word in trace.payloads("o")] == [[0], [1], [2]]
