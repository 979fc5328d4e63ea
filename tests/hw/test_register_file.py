"""Register file: every access answered once and right, whatever order the channels come in."""

import itertools
from typing import Any

import numpy as np
import pytest

from cocotb_tests.register_model import RegisterModel
from hw.axi import AXIResponse
from hw.register_file import RegisterFile
from hw.registers import Access, Field, Register, register_table
from model.configurations import tiny_mca
from tests.hw.axi_faces import AXIFaces
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate

OKAY, SLVERR = AXIResponse.OKAY, AXIResponse.SLVERR

TABLE = (
    Register(
        name="NAME",
        offset=0x000,
        access=Access.CONSTANT,
        meaning="",
        fields=(
            Field(name="low", low=0, width=8, reset=0xA5, meaning=""),
            Field(name="high", low=24, width=8, reset=0x5A, meaning=""),
        ),
    ),
    Register(
        name="PLAIN",
        offset=0x010,
        access=Access.RW,
        meaning="",
        fields=(Field(name="value", reset=0x01234567, meaning=""),),
    ),
    Register(
        name="MIXED",
        offset=0x014,
        access=Access.RW,
        meaning="",
        fields=(
            Field(name="signed", low=0, width=8, minimum=-5, maximum=3, reset=-1, meaning=""),
            Field(name="flag", low=12, width=1, meaning=""),
            Field(name="small", low=16, width=8, minimum=2, maximum=9, reset=2, meaning=""),
        ),
    ),
    Register(
        name="EVENTS",
        offset=0x018,
        access=Access.W1C,
        meaning="",
        fields=(
            Field(name="first", low=0, width=1, meaning=""),
            Field(name="second", low=9, width=1, meaning=""),
        ),
    ),
    Register(
        name="SEEN",
        offset=0x01C,
        access=Access.RO,
        meaning="",
        fields=(Field(name="level", low=4, width=3, meaning=""),),
    ),
    Register(
        name="ASKED",
        offset=0x020,
        access=Access.FETCHED,
        meaning="",
        fields=(Field(name="value", width=32, minimum=-(2**31), meaning=""),),
    ),
    Register(
        name="COUNT",
        offset=0x100,
        access=Access.RO,
        meaning="",
        fields=(Field(name="value", width=64, meaning=""),),
        width=64,
    ),
)


def write_payloads(writes: list[tuple[int, int, int]]) -> tuple[list[Any], list[Any]]:
    addresses = [{"awaddr": address} for address, _, _ in writes]
    return addresses, [{"wdata": value, "wstrb": strobes} for _, value, strobes in writes]


def run_writes(
    dut: AXIFaces,
    writes: list[tuple[int, int, int]],
    idles: tuple[str, str] = ("1", "1"),
    stall: str = "1",
) -> tuple[Trace, list[AXIResponse]]:
    addresses, words = write_payloads(writes)
    responses: list[Any] = []

    async def host(ctx: Any) -> None:
        responses.extend(await get(ctx, dut.b, len(writes), stall))

    trace = simulate(
        dut,
        lambda ctx: put(ctx, dut.aw, addresses, idles[0]),
        lambda ctx: put(ctx, dut.w, words, idles[1]),
        host,
    )
    return trace, [AXIResponse(response["bresp"]) for response in responses]


async def read(ctx: Any, dut: AXIFaces, address: int) -> tuple[AXIResponse, int]:
    await put(ctx, dut.ar, [{"araddr": address}])
    (answer,) = await get(ctx, dut.r, 1, extra=3)
    return AXIResponse(answer["rresp"]), answer["rdata"]


async def write(
    ctx: Any, dut: AXIFaces, address: int, value: int, strobes: int = 15
) -> AXIResponse:
    (addresses, words) = write_payloads([(address, value, strobes)])
    await put(ctx, dut.aw, addresses)
    await put(ctx, dut.w, words)
    (answer,) = await get(ctx, dut.b, 1, extra=3)
    return AXIResponse(answer["bresp"])


def interesting_writes(rng: np.random.Generator, n: int) -> list[tuple[int, int, int]]:
    offsets = [0x000, 0x010, 0x014, 0x014, 0x014, 0x018, 0x01C, 0x020, 0x024, 0x100, 0x104, 0xFFC]
    values = [0, 0xFFFFFFFF, 0x000200FF, 0x00091003, 0x000A0000, 0x000200FA, 0x00020004, 0x00011000]
    writes = []
    for _ in range(n):
        value = int(rng.choice(values) if rng.random() < 0.7 else rng.integers(2**32))
        address = int(rng.choice(offsets)) + int(rng.integers(4) * (rng.random() < 0.2))
        writes.append((address, value, int(rng.choice([15, 15, 15, 0, 1, 2, 4, 8, 3, 12, 5]))))
    return writes


@pytest.mark.parametrize(
    ("idles", "stall"),
    [
        *(((a, d), "1") for a, d in itertools.product(("1", "10", "0001"), repeat=2)),
        *((("1", "1"), stall) for _, stall in STALLS[:5]),
        (("0001", "1"), "0001"),
        (("1", "0001"), "w"),
    ],
)
def test_writes(idles: tuple[str, str], stall: str) -> None:
    writes = interesting_writes(np.random.default_rng(1), 60)
    model = RegisterModel(TABLE)
    expected = [model.write(*access) for access in writes]
    dut = AXIFaces(RegisterFile(TABLE))
    _, responses = run_writes(dut, writes, idles, stall)
    assert responses == expected
    assert {OKAY, SLVERR} == set(responses)


def test_a_write_changes_what_the_model_says() -> None:
    dut = AXIFaces(RegisterFile(TABLE))
    model = RegisterModel(TABLE)

    async def host(ctx: Any) -> None:
        for access in interesting_writes(np.random.default_rng(2), 120):
            assert await write(ctx, dut, *access) == model.write(*access), access
            for offset in (0x010, 0x014):
                assert await read(ctx, dut, offset) == model.read(offset), access
            for register in TABLE[1:3]:
                for field in register.fields:
                    port = ctx.get(getattr(dut.dut, register.port(field)))
                    assert port == field.decode(model.bits[register.offset])

    simulate(dut, host, max_cycles=20_000)


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_reads(idle: str, stall: str) -> None:
    # All of the map: registers, the gaps between them, addresses that are no multiple of 4.
    rng = np.random.default_rng(3)
    addresses = [*range(0, 0x30), *range(0xFC, 0x10C), 0xFFC]
    addresses = [a for a in rng.permutation(addresses).tolist() if a & ~3 != 0x20]
    dut = AXIFaces(RegisterFile(TABLE))
    model = RegisterModel(TABLE)
    model.bits |= {0x01C: 5 << 4, 0x100: 0x0123456789ABCDEF}
    answers: list[Any] = []

    async def unit(ctx: Any) -> None:
        ctx.set(dut.dut.seen_level, 5)
        ctx.set(dut.dut.count, 0x0123456789ABCDEF)

    async def host(ctx: Any) -> None:
        answers.extend(await get(ctx, dut.r, len(addresses), stall))

    simulate(
        dut, unit, lambda ctx: put(ctx, dut.ar, [{"araddr": a} for a in addresses], idle), host
    )
    got = [(AXIResponse(answer["rresp"]), answer["rdata"]) for answer in answers]
    assert got == [model.read(address) for address in addresses]


def test_counter_is_read_in_one_piece() -> None:
    dut = AXIFaces(RegisterFile(TABLE))

    async def host(ctx: Any) -> None:
        ctx.set(dut.dut.count, 0x1_FFFF_FFFF)
        assert await read(ctx, dut, 0x100) == (OKAY, 0xFFFF_FFFF)
        ctx.set(dut.dut.count, 0x2_0000_0000)
        assert await read(ctx, dut, 0x104) == (OKAY, 1)
        assert await read(ctx, dut, 0x100) == (OKAY, 0)
        assert await read(ctx, dut, 0x104) == (OKAY, 2)

    simulate(dut, host)


def test_sticky_bits_stay_until_cleared() -> None:
    dut = AXIFaces(RegisterFile(TABLE))

    async def strobe(ctx: Any, name: str) -> None:
        ctx.set(getattr(dut.dut, name), 1)
        await ctx.tick()
        ctx.set(getattr(dut.dut, name), 0)

    async def host(ctx: Any) -> None:
        await strobe(ctx, "events_first")
        await strobe(ctx, "events_second")
        assert await read(ctx, dut, 0x018) == (OKAY, 0x201)
        assert await write(ctx, dut, 0x018, 0, 15) == OKAY
        assert await write(ctx, dut, 0x018, 0x200, 0b0001) == OKAY  # not in that byte
        assert await read(ctx, dut, 0x018) == (OKAY, 0x201)
        assert await write(ctx, dut, 0x018, 0x200) == OKAY
        assert await read(ctx, dut, 0x018) == (OKAY, 0x001)
        assert await write(ctx, dut, 0x018, 0xFFFFFFFF) == OKAY
        assert await read(ctx, dut, 0x018) == (OKAY, 0)

    simulate(dut, host)


@pytest.mark.parametrize("cycle", range(5))
def test_an_event_wins_over_its_clear(cycle: int) -> None:
    # Address and data go in cycle 0, the bit is cleared in cycle 1: an event then or later stays.
    dut = AXIFaces(RegisterFile(TABLE))

    async def unit(ctx: Any) -> None:
        for _ in range(cycle):
            await ctx.tick()
        ctx.set(dut.dut.events_first, 1)
        await ctx.tick()
        ctx.set(dut.dut.events_first, 0)

    async def host(ctx: Any) -> None:
        await get(ctx, dut.b, 1)
        assert await read(ctx, dut, 0x018) == (OKAY, int(cycle >= RegisterFile.WRITE_LATENCY - 1))

    addresses, words = write_payloads([(0x018, 0x201, 15)])
    simulate(
        dut,
        unit,
        lambda ctx: put(ctx, dut.aw, addresses),
        lambda ctx: put(ctx, dut.w, words),
        host,
    )


@pytest.mark.parametrize("delay", [0, 1, 7])
@pytest.mark.parametrize("refused", [0, 1])
def test_fetched_register(delay: int, refused: int) -> None:
    dut = AXIFaces(RegisterFile(TABLE))
    fetches = []

    async def unit(ctx: Any) -> None:
        for value in (-2, 2**31 - 1):
            while not ctx.get(dut.dut.asked_fetch):
                await ctx.tick()
            for _ in range(delay):
                await ctx.tick()
            fetches.append(value)
            ctx.set(dut.dut.asked, value)
            ctx.set(dut.dut.asked_refused, refused)
            ctx.set(dut.dut.asked_done, 1)
            await ctx.tick()
            ctx.set(dut.dut.asked_done, 0)
            ctx.set(dut.dut.asked, 0)

    async def host(ctx: Any) -> None:
        for bits in (0xFFFFFFFE, 0x7FFFFFFF):
            expected = (SLVERR, 0) if refused else (OKAY, bits)
            assert await read(ctx, dut, 0x020) == expected
        assert await read(ctx, dut, 0x010) == (OKAY, 0x01234567)

    trace = simulate(dut, unit, host, watch=["dut.asked_fetch"])
    assert len(trace.cycles("dut.asked_fetch")) == 2
    assert trace["r"][0].cycle == trace.cycles("dut.asked_fetch")[0] + delay + 1


def test_latencies() -> None:
    dut = AXIFaces(RegisterFile(TABLE))
    trace, _ = run_writes(dut, [(0x010, 1, 15)] * 3, ("1", "001"))
    for k in range(3):
        last = max(trace["aw"][k].cycle, trace["w"][k].cycle)
        assert trace["b"][k].offered == last + RegisterFile.WRITE_LATENCY

    dut = AXIFaces(RegisterFile(TABLE))
    addresses = [{"araddr": 0x010}, {"araddr": 0x300}]
    trace = simulate(
        dut, lambda ctx: put(ctx, dut.ar, addresses), lambda ctx: get(ctx, dut.r, 2, "01")
    )
    for k in range(2):
        assert trace["r"][k].offered == trace["ar"][k].cycle + RegisterFile.READ_LATENCY


def test_reads_and_writes_side_by_side() -> None:
    dut = AXIFaces(RegisterFile(TABLE))
    writes = [(0x010, k, 15) for k in range(20)]
    addresses, words = write_payloads(writes)
    seen = []

    async def reader(ctx: Any) -> None:
        seen.extend(answer["rdata"] for answer in await get(ctx, dut.r, 25, "10"))

    simulate(
        dut,
        lambda ctx: put(ctx, dut.aw, addresses, "110"),
        lambda ctx: put(ctx, dut.w, words, "10"),
        lambda ctx: get(ctx, dut.b, 20, "1"),
        lambda ctx: put(ctx, dut.ar, [{"araddr": 0x010}] * 25),
        reader,
    )
    values = [value for value in seen if value != 0x01234567]
    assert values == sorted(values)
    assert values[-1] == 19


def test_the_whole_table_of_a_configuration() -> None:
    table = register_table(tiny_mca)
    dut = AXIFaces(RegisterFile(table))

    async def host(ctx: Any) -> None:
        known = {r.offset for r in table} | {r.offset + 4 for r in table if r.width == 64}
        for register in table:
            if register.access in (Access.CONSTANT, Access.RW):
                assert await read(ctx, dut, register.offset) == (OKAY, register.reset)
        for offset in range(0, max(known) + 12, 4):
            if offset not in known:
                assert await read(ctx, dut, offset) == (SLVERR, 0)
                assert await write(ctx, dut, offset, 0) == SLVERR

    simulate(dut, host)
