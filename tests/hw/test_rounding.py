import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.rounding import shift_round
from model.rounding import shift_round as reference
from tests.hw.hw_sim import simulate


class Shifter(wiring.Component):
    value: In(signed(9))
    shift: In(range(16))
    result: Out(signed(10))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.result.eq(shift_round(self.value, self.shift, 10))
        return m


@pytest.mark.parametrize("shift", range(16))
def test_every_value(shift: int) -> None:
    """Also shifts beyond the value's width, where only the sign of nothing is left."""
    dut = Shifter()

    async def bench(ctx) -> None:
        ctx.set(dut.shift, shift)
        for value in range(-256, 256):
            ctx.set(dut.value, value)
            assert ctx.get(dut.result) == reference(value, shift)

    simulate(dut, bench)
