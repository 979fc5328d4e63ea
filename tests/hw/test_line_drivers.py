# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.hdl import signed, unsigned

from hw.line_drivers import LineDrivers
from tests.hw.hw_configs import words
from tests.hw.hw_sim import PATTERNS, plain, put, simulate


def test_init() -> None:
    dut = LineDrivers(n_lines=21, shape=unsigned(8), lanes=8, double_buffered=True, bias=True)
    assert (dut.n_lines, dut.n_values, dut.n_words, dut.lanes) == (21, 20, 3, 8)
    assert not hasattr(LineDrivers(n_lines=4, shape=signed(8), lanes=8), "apply")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_lines": 1, "bias": True}, "besides the bias, not 1"),
        ({"n_lines": 0}, "besides the bias, not 0"),
        ({"lanes": 0}, "lanes must be positive, not 0"),
        ({"shape": signed(8), "bias": True}, "unsigned shape"),
    ],
)
def test_init_wrong(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LineDrivers(**({"n_lines": 4, "shape": unsigned(8), "lanes": 8} | arguments))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("n_lines", [1, 3, 8, 9, 16, 21])
def test_single_buffered(n_lines: int, pattern: str) -> None:
    """Each word shows in the cycle after its transfer; the other lines keep their values."""
    rng = np.random.default_rng(n_lines)
    dut = LineDrivers(n_lines=n_lines, shape=signed(8), lanes=8)
    vectors = [[-128] * n_lines, [127] * n_lines, *rng.integers(-128, 128, (3, n_lines)).tolist()]
    payloads = [word for vector in vectors for word in words(vector, 8, "values")]

    trace = simulate(dut, lambda ctx: put(ctx, dut.i, payloads, pattern), watch=["drive"])

    drive = [0] * n_lines
    transfers = {transfer.cycle: transfer.payload for transfer in trace["i"]}
    index = 0
    for cycle, seen in enumerate(trace.history["drive"]):
        assert seen == drive
        if cycle in transfers:
            first = index % dut.n_words * 8
            drive[first : first + 8] = transfers[cycle]["values"][: n_lines - first]
            index += 1
    assert index == len(payloads)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("n_lines", [2, 9, 17, 21])
def test_double_buffered(n_lines: int, pattern: str) -> None:
    """A vector shows only after `apply`, whole, while the next one waits outside until then."""
    rng = np.random.default_rng(n_lines)
    dut = LineDrivers(n_lines=n_lines, shape=unsigned(8), lanes=8, double_buffered=True, bias=True)
    vectors = rng.integers(0, 256, (4, n_lines - 1)).tolist()
    payloads = [word for vector in vectors for word in words(vector, 8, "values")]

    async def apply(ctx) -> None:
        for number in range(len(vectors)):
            # `i` closes behind a complete vector; then wait a little before applying it.
            while ctx.get(dut.i.ready):
                await ctx.tick()
            for _ in range(number):
                await ctx.tick()
                assert not ctx.get(dut.i.ready)
            ctx.set(dut.apply, 1)
            await ctx.tick()
            ctx.set(dut.apply, 0)

    trace = simulate(
        dut,
        lambda ctx: put(ctx, dut.i, payloads, pattern),
        apply,
        watch=["drive", "i.ready", "apply"],
    )
    applied = trace.cycles("apply")
    expected = [0] * (n_lines - 1)
    for cycle, seen in enumerate(trace.history["drive"]):
        assert seen == [*expected, 255]
        if cycle in applied:
            expected = vectors[applied.index(cycle)]
    for number, cycle in enumerate(applied):
        assert trace["i"][(number + 1) * dut.n_words - 1].cycle < cycle
        assert trace.history["i.ready"][cycle : cycle + 2] == [0, 1]
    assert expected == vectors[-1]


@pytest.mark.parametrize("n_sent", [1, 2, 3])
def test_rewind(n_sent: int) -> None:
    """A partly or completely loaded vector can be dropped without touching the drivers."""
    dut = LineDrivers(n_lines=21, shape=unsigned(8), lanes=8, double_buffered=True, bias=True)

    async def bench(ctx) -> None:
        await put(ctx, dut.i, words([200] * 20, 8, "values")[:n_sent])
        assert ctx.get(dut.i.ready) == (n_sent < 3)
        ctx.set(dut.rewind, 1)
        await ctx.tick()
        ctx.set(dut.rewind, 0)
        assert ctx.get(dut.i.ready)
        await put(ctx, dut.i, words(range(20), 8, "values"))
        assert plain(ctx.get(dut.drive)) == [0] * 20 + [255]
        ctx.set(dut.apply, 1)
        await ctx.tick()
        ctx.set(dut.apply, 0)
        assert plain(ctx.get(dut.drive)) == [*range(20), 255]

    simulate(dut, bench)


def test_rewind_wins_over_transfer() -> None:
    dut = LineDrivers(n_lines=21, shape=unsigned(8), lanes=8, double_buffered=True, bias=True)

    async def bench(ctx) -> None:
        await put(ctx, dut.i, words([200] * 20, 8, "values")[:2])
        ctx.set(dut.rewind, 1)
        await put(ctx, dut.i, words([200] * 20, 8, "values")[2:])
        ctx.set(dut.rewind, 0)
        await put(ctx, dut.i, words(range(20), 8, "values"))
        ctx.set(dut.apply, 1)
        await ctx.tick()
        assert plain(ctx.get(dut.drive)) == [*range(20), 255]

    simulate(dut, bench)
