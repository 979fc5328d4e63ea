# amaranth: UnusedElaboratable=no
"""Watchdog: a strobe in every limit-th busy cycle in a row, none before."""

import pytest

from hw.watchdog import Watchdog
from tests.hw.hw_sim import simulate


@pytest.mark.parametrize("limit", [2, 5, 8])
def test_timeout(limit: int) -> None:
    pattern = [1] * (limit - 1) + [0] + [1] * (2 * limit + 1) + [0, 0] + [1] * limit + [0]
    dut = Watchdog(limit)

    async def drive(ctx) -> None:
        for busy in pattern:
            ctx.set(dut.busy, busy)
            await ctx.tick()

    run, expected = 0, []
    for cycle, busy in enumerate(pattern):
        run = run + 1 if busy else 0
        if run == limit:
            expected.append(cycle)
            run = 0
    assert simulate(dut, drive, watch=["timeout"]).cycles("timeout") == expected
    assert len(expected) == 3


def test_init_wrong_limit() -> None:
    with pytest.raises(ValueError, match=r"limit must be at least 2, not 1\."):
        Watchdog(1)
