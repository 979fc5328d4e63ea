"""What a block is proved on: memories that promise nothing, views of its inside."""

from amaranth.asserts import AnySeq
from amaranth.hdl import MemoryInstance, Module, Mux, ShapeLike, Signal
from amaranth.lib import memory

__all__ = ["FormalPlatform"]


class FormalPlatform:
    """A platform on which a harness sees registers and memory rows of the block under proof.

    Every memory wakes up with any contents, as an SRAM does. What a read port gives for a row that
    is written in the same cycle is anything too, unless the port is transparent: a proof does not
    lean on the macro's behaviour.

    Attributes
    ----------
    views : dict of str to Signal
        Signals that a harness reads, by the path of the signal whose value they have.
    """

    def __init__(self) -> None:
        self.views: dict[str, Signal] = {}
        self._rows: list[tuple[Signal, Signal]] = []

    def view(self, path: str, shape: ShapeLike = 1) -> Signal:
        """The signal at a path inside the block, such as ``dut.word_valid``."""
        return self.views.setdefault(path, Signal(shape, name=f"view_{len(self.views)}"))

    def row(self, address: Signal, shape: ShapeLike) -> Signal:
        """The row at ``address`` of the next memory that is elaborated, as it is stored."""
        row = Signal(shape, name=f"row_{len(self._rows)}")
        self._rows.append((address, row))
        return row

    def get_memory(self, contents: memory.Memory) -> Module:
        """What :class:`amaranth.lib.memory.Memory` elaborates to."""
        m = Module()
        m.submodules.instance = instance = MemoryInstance(data=contents.data, attrs=contents.attrs)
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
            data = Signal(len(port.data)) if clashes else port.data
            instance.read_port(
                domain=port.domain,
                addr=port.addr,
                data=data,
                en=port.en,
                transparent_for=tuple(writes[other] for other in port.transparent_for),
            )
            if clashes:
                clash = Signal(reset_less=True)
                anything = Signal(len(port.data), reset_less=True)
                with m.If(port.en):
                    m.d.sync += clash.eq(sum(clashes).any())
                    m.d.sync += anything.eq(AnySeq(len(port.data)))
                m.d.comb += port.data.eq(Mux(clash, anything, data))
        for address, row in self._rows:
            instance.read_port(domain="comb", addr=address, data=row, en=1, transparent_for=())
        self._rows.clear()
        return m
