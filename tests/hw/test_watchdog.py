# amaranth: UnusedElaboratable=no
"""Watchdog: passes a wait on for limit cycles, then ends it with a strobe."""

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

    waited, held, ended = 0, [], []
    for cycle, busy in enumerate(pattern):
        waited = waited + 1 if busy else 0
        if 0 < waited <= limit:
            held.append(cycle)
        if waited == limit:
            ended.append(cycle)
    trace = simulate(dut, drive, watch=["hold", "timeout"])
    assert trace.cycles("hold") == held
    assert trace.cycles("timeout") == ended
    assert len(ended) == 2


def test_init_wrong_limit() -> None:
    with pytest.raises(ValueError, match=r"limit must be at least 2, not 1\."):
        Watchdog(1)
