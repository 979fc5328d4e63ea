"""The host's side of a unit's registers, inside a cocotb test."""

from collections.abc import Iterable
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from hw.registers import Register

__all__ = ["HostBus"]


class HostBus:
    """One AXI4-Lite access after the other.

    Signals change at falling edges, so that a handshake seen at one is a transfer at the next
    rising edge.

    Parameters
    ----------
    dut
        cocotb's handle of the bench module, with the ports ``s_axi``.
    registers
        The unit's register table.
    """

    def __init__(self, dut: Any, registers: Iterable[Register]) -> None:
        self.dut = dut
        self.offsets = {register.name: register.offset for register in registers}

    async def write_register(self, name: str, value: int) -> None:
        """One AXI4-Lite write; fails unless it is answered with OKAY."""
        dut = self.dut
        dut.s_axi__awaddr.value = self.offsets[name]
        dut.s_axi__wdata.value = value & 0xFFFF_FFFF
        dut.s_axi__wstrb.value = 0xF
        dut.s_axi__bready.value = 1
        waiting = [(dut.s_axi__awvalid, dut.s_axi__awready), (dut.s_axi__wvalid, dut.s_axi__wready)]
        for valid, _ in waiting:
            valid.value = 1
        while waiting or not int(dut.s_axi__bvalid.value):
            await FallingEdge(dut.clk)
            accepted = [pair for pair in waiting if int(pair[1].value)]
            if accepted:
                await RisingEdge(dut.clk)
                for valid, ready in accepted:
                    valid.value = 0
                    waiting.remove((valid, ready))
        assert int(dut.s_axi__bresp.value) == 0, f"The write of {name} was refused."
        await FallingEdge(dut.clk)

    async def read_register(self, offset: int) -> int:
        """One AXI4-Lite read; fails unless it is answered with OKAY."""
        dut = self.dut
        dut.s_axi__araddr.value = offset
        dut.s_axi__arvalid.value = 1
        dut.s_axi__rready.value = 1
        await FallingEdge(dut.clk)
        while not int(dut.s_axi__arready.value):
            await FallingEdge(dut.clk)
        await RisingEdge(dut.clk)
        dut.s_axi__arvalid.value = 0
        await FallingEdge(dut.clk)
        while not int(dut.s_axi__rvalid.value):
            await FallingEdge(dut.clk)
        assert int(dut.s_axi__rresp.value) == 0, f"The read of 0x{offset:03X} was refused."
        value = int(dut.s_axi__rdata.value)
        await FallingEdge(dut.clk)
        return value

    async def read_counter(self, name: str) -> int:
        """A counter of 64 bits, low word first."""
        low = await self.read_register(self.offsets[name])
        return await self.read_register(self.offsets[name] + 4) << 32 | low
