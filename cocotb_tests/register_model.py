"""What a host sees of a register table, access by access: the golden model of the register file."""

from collections.abc import Iterable

from hw.axi import AXIResponse
from hw.registers import Access, Register

__all__ = ["RegisterModel"]

OKAY, SLVERR = AXIResponse["OKAY"], AXIResponse["SLVERR"]


class RegisterModel:
    """The rules of ``hw.registers.to_markdown`` on a dictionary.

    What the unit shows is set through :attr:`bits`; fetched registers read from there too.

    Parameters
    ----------
    registers
        The table.

    Attributes
    ----------
    bits
        By offset, the 32 or 64 bits of every register.
    """

    def __init__(self, registers: Iterable[Register]) -> None:
        self.table = {register.offset: register for register in registers}
        self.bits = {offset: register.reset for offset, register in self.table.items()}
        self._high = 0

    def write(self, address: int, value: int, strobes: int = 15) -> AXIResponse:
        """A write of the bytes that ``strobes`` names; returns the answer."""
        offset = address & ~3
        register = self.table.get(offset)
        if register is None or register.access not in (Access.RW, Access.W1C):
            return SLVERR
        mask = sum(0xFF << (8 * k) for k in range(4) if strobes >> k & 1)
        if register.access is Access.W1C:
            self.bits[offset] &= ~(value & mask)
            return OKAY
        merged = (self.bits[offset] & ~mask) | (value & mask)
        for field in register.fields:
            low, high = field.bounds
            if not low <= field.decode(merged) <= high:
                return SLVERR
        self.bits[offset] = sum(field.encode(field.decode(merged)) for field in register.fields)
        return OKAY

    def read(self, address: int) -> tuple[AXIResponse, int]:
        """A read; returns the answer and the data, zero if refused."""
        offset = address & ~3
        if offset in self.table:
            if self.table[offset].width == 64:
                self._high = self.bits[offset] >> 32
            return OKAY, self.bits[offset] & 0xFFFFFFFF
        low = self.table.get(offset - 4)
        if low is not None and low.width == 64:
            return OKAY, self._high
        return SLVERR, 0
