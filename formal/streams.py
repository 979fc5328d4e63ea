"""What is asserted of any stream: a word that waits stays as it is."""

from typing import Any

from amaranth.hdl import Assert, Cover, Module, Signal, Value

__all__ = ["holds"]


def holds(m: Module, valid: Value, ready: Value, payload: Any) -> None:
    """A word that is offered and not taken is offered in the next cycle too, unchanged."""
    waits, held = Signal(), Signal.like(Value.cast(payload))
    m.d.sync += [waits.eq(valid & ~ready), held.eq(payload)]
    m.d.comb += [
        Assert(~waits | (valid & (Value.cast(payload) == held))),
        Cover(waits & ready & held.any()),
    ]
