"""Priority functions against Python's integers, over every vector of a few widths."""

from typing import Any

import pytest
from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.priority import encode, lowest, select, without_lowest
from tests.hw.hw_sim import simulate


class Priority(wiring.Component):
    def __init__(self, width: int) -> None:
        super().__init__(
            {
                "requests": In(width),
                "values": In(data.ArrayLayout(signed(4), width)),
                "lowest": Out(width),
                "rest": Out(width),
                "index": Out(unsigned(8)),
                "value": Out(signed(4)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.lowest.eq(lowest(self.requests)),
            self.rest.eq(without_lowest(self.requests)),
            self.index.eq(encode(self.lowest)),
            self.value.eq(select(self.lowest, self.values)),
        ]
        return m


def check(width: int, vectors: list[int]) -> None:
    dut = Priority(width)
    values = [(3 * k) % 16 - 8 for k in range(width)]

    async def bench(ctx: Any) -> None:
        ctx.set(dut.values, values)
        for vector in vectors:
            ctx.set(dut.requests, vector)
            index = next((k for k in range(width) if vector >> k & 1), None)
            first = 0 if index is None else 1 << index
            assert ctx.get(dut.lowest) == first
            assert ctx.get(dut.rest) == vector - first
            assert ctx.get(dut.index) == (index or 0)
            assert ctx.get(dut.value) == (0 if index is None else values[index])

    simulate(dut, bench)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_every_vector(width: int) -> None:
    check(width, list(range(2**width)))


def test_wide() -> None:
    """The units of mca_mlp: every single bit, alone and with all above it."""
    ones = 2**250 - 1
    check(250, [0, ones] + [1 << k for k in range(250)] + [ones >> k << k for k in range(250)])
