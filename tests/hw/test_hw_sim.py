"""The test helpers themselves: a broken stream must not pass."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.hw.hw_sim import STALLS, get, put, simulate


class Register(wiring.Component):
    """One-word pipeline stage; ``fault`` breaks one stream rule."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
            m.d.comb += self.i.ready.eq(1)
        free = Signal(8)
        m.d.sync += free.eq(free + 1)
        if self.fault == "unstable":
            m.d.sync += self.o.payload.eq(free)
        if self.fault == "withdrawn":
            with m.If(free[2]):
                m.d.sync += self.o.valid.eq(0)
        if self.fault == "twice":
            with m.If(free == 9):
                m.d.sync += self.o.valid.eq(1)
        return m


def run(dut: Register, idle: str, stall: str) -> list[int]:
    taken: list[int] = []

    async def consumer(ctx) -> None:
        taken.extend(await get(ctx, dut.o, 5, stall))

    simulate(dut, lambda ctx: put(ctx, dut.i, [3, 1, 4, 1, 5], idle), consumer, max_cycles=200)
    return taken


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_passes_sound_stream(idle: str, stall: str) -> None:
    assert run(Register(), idle, stall) == [3, 1, 4, 1, 5]


@pytest.mark.parametrize(
    ("fault", "message"),
    [("unstable", "payload changed"), ("withdrawn", "valid fell"), ("twice", "too many")],
)
def test_catches_broken_stream(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        run(Register(fault), "1", "1" if fault == "twice" else "0001")


def test_cycle_limit() -> None:
    dut = Register()

    async def consumer(ctx) -> None:
        await get(ctx, dut.o, 1)

    with pytest.raises(AssertionError, match="still run after 30 cycles"):
        simulate(dut, consumer, max_cycles=30)
    with pytest.raises(ValueError, match="not '00'"):
        run(Register(), "00", "1")


def test_cycles_and_watch() -> None:
    dut = Register()

    async def consumer(ctx) -> None:
        await get(ctx, dut.o, 2, "1")

    trace = simulate(dut, lambda ctx: put(ctx, dut.i, [7, 8], "01"), consumer, watch=["o.valid"])
    assert [transfer.cycle for transfer in trace["i"]] == [1, 3]
    assert [(transfer.offered, transfer.payload) for transfer in trace["o"]] == [(2, 7), (4, 8)]
    assert trace.cycles("o.valid") == [2, 4]
