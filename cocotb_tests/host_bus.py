"""The host's side of a unit's registers, inside a cocotb test."""

from collections.abc import Iterable
from typing import Any

from cocotb.triggers import FallingEdge

from hw.axi import AXIResponse
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

    async def write(
        self, address: int, value: int, strobes: int = 0xF, pause: int = 0
    ) -> AXIResponse:
        """One AXI4-Lite write of the bytes that ``strobes`` names; how it is answered. The answer
        waits for ``pause`` cycles until it is taken."""
        dut = self.dut
        await self._begin(dut.s_axi__bvalid)
        dut.s_axi__awaddr.value = address
        dut.s_axi__wdata.value = value & 0xFFFF_FFFF
        dut.s_axi__wstrb.value = strobes
        dut.s_axi__bready.value = int(pause == 0)
        waiting = [(dut.s_axi__awvalid, dut.s_axi__awready), (dut.s_axi__wvalid, dut.s_axi__wready)]
        for valid, _ in waiting:
            valid.value = 1
        while waiting:
            accepted = [pair for pair in waiting if int(pair[1].value)]
            await FallingEdge(dut.clk)
            for pair in accepted:
                pair[0].value = 0
                waiting.remove(pair)
        await self._answer(dut.s_axi__bvalid, dut.s_axi__bready, pause)
        response = AXIResponse(int(dut.s_axi__bresp.value))
        await FallingEdge(dut.clk)
        dut.s_axi__bready.value = 0
        return response

    async def read(self, address: int, pause: int = 0) -> tuple[AXIResponse, int]:
        """One AXI4-Lite read; how it is answered, and the data. The answer waits as a write's."""
        dut = self.dut
        await self._begin(dut.s_axi__rvalid)
        dut.s_axi__araddr.value = address
        dut.s_axi__arvalid.value = 1
        dut.s_axi__rready.value = int(pause == 0)
        while not int(dut.s_axi__arready.value):
            await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.s_axi__arvalid.value = 0
        await self._answer(dut.s_axi__rvalid, dut.s_axi__rready, pause)
        answer = AXIResponse(int(dut.s_axi__rresp.value)), int(dut.s_axi__rdata.value)
        await FallingEdge(dut.clk)
        dut.s_axi__rready.value = 0
        return answer

    async def _begin(self, valid: Any) -> None:
        """Waits for where signals may change; the access before must have had one answer."""
        await FallingEdge(self.dut.clk)
        assert not int(valid.value), "A register access was answered twice."

    async def _answer(self, valid: Any, ready: Any, pause: int) -> None:
        """Waits for an answer, and for some cycles more; it is taken at the next rising edge."""
        while not int(valid.value):
            await FallingEdge(self.dut.clk)
        for _ in range(pause):
            await FallingEdge(self.dut.clk)
        ready.value = 1

    async def write_register(self, name: str, value: int) -> None:
        """Writes a register; fails unless it is answered with OKAY."""
        response = await self.write(self.offsets[name], value)
        assert response == AXIResponse.OKAY, f"The write of {name} was refused."

    async def read_register(self, offset: int) -> int:
        """Reads a register; fails unless it is answered with OKAY."""
        response, value = await self.read(offset)
        assert response == AXIResponse.OKAY, f"The read of 0x{offset:03X} was refused."
        return value

    async def read_counter(self, name: str) -> int:
        """A counter of 64 bits, low word first."""
        low = await self.read_register(self.offsets[name])
        return await self.read_register(self.offsets[name] + 4) << 32 | low
