"""What a block is proved on: memories that promise nothing, and a look inside."""

import sys
from collections import defaultdict
from types import FrameType, SimpleNamespace
from typing import Any

from amaranth.asserts import AnySeq
from amaranth.hdl import Elaboratable, Fragment, MemoryInstance, Module, Mux, Shape, Signal, Value
from amaranth.lib import memory

__all__ = ["FormalPlatform", "in_state"]


def in_state(inside: SimpleNamespace, name: str) -> Value:
    """Whether the state machine of a block, seen from inside, is in a state."""
    fsm = inside.fsm
    return fsm.state == fsm.encoding[name]


class FormalPlatform:
    """A platform on which a harness sees registers and memory rows of the block under proof.

    Every memory wakes up with any contents, as an SRAM does. What a read port gives for a row that
    is written in the same cycle is anything too, unless the port is transparent: a proof does not
    lean on the macro's behaviour.

    Attributes
    ----------
    verilog : dict of str to str
        Modules that the block instantiates, each with the options to read it with.
    """

    def __init__(self) -> None:
        self.verilog: dict[str, str] = {}
        self._memories: dict[int, MemoryInstance] = {}
        self._locals: dict[int, dict[str, Any]] = defaultdict(dict)

    def elaborate(self, block: Elaboratable) -> Fragment:
        """Elaborates a block and all in it, keeping what its methods named."""

        def keep(frame: FrameType, event: str, _: Any) -> None:
            if event == "return" and "elaborate" in frame.f_code.co_name:
                self._locals[id(frame.f_locals.get("self"))] |= frame.f_locals

        sys.setprofile(keep)
        try:
            fragment = Fragment.get(block, self)
        finally:
            sys.setprofile(None)
        self._locals[id(block)] |= fragment.generated
        return fragment

    def inside(self, block: Elaboratable) -> SimpleNamespace:
        """Signals and components inside a block, by the names that its ``elaborate`` gives them;
        ``fsm`` is the state machine of the block itself."""
        return SimpleNamespace(**self._locals[id(block)])

    def row(self, contents: memory.Memory, address: Signal) -> Any:
        """The row of a memory at an address, as it is stored."""
        row = Signal(contents.shape)
        self._memories[id(contents)].read_port(
            domain="comb", addr=address, data=row, en=1, transparent_for=()
        )
        return row

    def get_memory(self, contents: memory.Memory) -> Module:
        """What :class:`amaranth.lib.memory.Memory` elaborates to."""
        m = Module()
        width = Shape.cast(contents.shape).width
        m.submodules.instance = instance = MemoryInstance(data=contents.data, attrs=contents.attrs)
        self._memories[id(contents)] = instance
        writes = {
            port: instance.write_port(
                domain=port.domain, addr=port.addr, data=port.data, en=port.en
            )
            for port in contents.write_ports
        }
        for port in contents.read_ports:
            clashes = [
                other.en.any() & (other.addr == port.addr)
                for other in contents.write_ports
                if port.domain != "comb" and other not in port.transparent_for
            ]
            data = Signal(width) if clashes else port.data
            instance.read_port(
                domain=port.domain,
                addr=port.addr,
                data=data,
                en=port.en,
                transparent_for=tuple(writes[other] for other in port.transparent_for),
            )
            if clashes:
                clash = Signal(reset_less=True)
                anything = Signal(width, reset_less=True)
                with m.If(port.en):
                    m.d.sync += clash.eq(sum(clashes).any())
                    m.d.sync += anything.eq(AnySeq(width))
                m.d.comb += port.data.eq(Mux(clash, anything, data))
        return m
