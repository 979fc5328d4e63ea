"""Watchdog: an array that holds programming off for too long is waited for no longer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Passes the ``busy`` of the arrays on, for at most ``limit`` cycles in a row.

    Then the wait is over: the host is told, ``hold`` stays low until ``busy`` has been low, and the
    unit goes on with the next pulse, which a broken array may lose. Products have a fixed time and
    cannot be late.

    **Timing**: ``hold`` follows ``busy`` in the same cycle; ``timeout`` is high for one cycle, the
    ``limit``-th of ``hold``.

    Parameters
    ----------
    limit : int
        Cycles, at least 2.

    Members
    -------
    busy : ``In(1)``
    hold : ``Out(1)``
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
        super().__init__({"busy": In(1), "hold": Out(1), "timeout": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycles, over = Signal(range(self.limit)), Signal()
        m.d.comb += [
            self.hold.eq(self.busy & ~over),
            self.timeout.eq(self.hold & (cycles == self.limit - 1)),
        ]
        with m.If(~self.busy):
            m.d.sync += [cycles.eq(0), over.eq(0)]
        with m.Elif(self.timeout):
            m.d.sync += over.eq(1)
        with m.Elif(self.hold):
            m.d.sync += cycles.eq(cycles + 1)
        return m
