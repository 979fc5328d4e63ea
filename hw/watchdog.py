"""Watchdog: tells the host that the arrays hold programming off for too long."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Counts the cycles in a row in which ``busy`` is high; every ``limit`` of them is a time-out.

    Nothing is ended by it: no pulse is lost, and the unit goes on when the array does. Products
    have a fixed time and cannot be late.

    **Timing**: ``timeout`` is high for one cycle, in the ``limit``-th cycle of ``busy``.

    Parameters
    ----------
    limit : int
        Cycles, at least 2.

    Members
    -------
    busy : ``In(1)``
    timeout : ``Out(1)``

    Raises
    ------
    ValueError
        If the limit is below 2.
    """

    def __init__(self, limit: int) -> None:
        if limit < 2:
            raise ValueError(f"limit must be at least 2, not {limit}.")
        self.limit = limit
        super().__init__({"busy": In(1), "timeout": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycles = Signal(range(self.limit))
        m.d.comb += self.timeout.eq(self.busy & (cycles == self.limit - 1))
        with m.If(~self.busy | self.timeout):
            m.d.sync += cycles.eq(0)
        with m.Else():
            m.d.sync += cycles.eq(cycles + 1)
        return m
