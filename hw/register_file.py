"""Register file: the registers of a table behind an AXI4-Lite port."""

from collections.abc import Iterable

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.axi import AXIResponse, axi4_lite_signature
from hw.registers import ADDRESS_BITS, Access, Field, Register, check_table

__all__ = ["RegisterFile"]


def _shape(field: Field) -> ShapeLike:
    low, high = field.bounds
    if field.is_checked:
        return range(low, high + 1)
    return signed(field.width) if low < 0 else unsigned(field.width)


class RegisterFile(wiring.Component):
    """Answers every access exactly once, by the rules in ``hw.registers.to_markdown``.

    Timing: a write is done in the cycle after the later of its address and data, if the response
    before has left by then; ``bvalid`` follows WRITE_LATENCY = 2 cycles after that transfer.
    ``rvalid`` comes READ_LATENCY = 2 cycles after the address; for a fetched register, 1 cycle
    after its ``done``. One write and one read are under way at a time, side by side; a read beside
    a write of the same register sees either value. No ``ready`` or ``valid`` depends on an input of
    the same cycle. Reset forgets accesses under way.

    Parameters
    ----------
    registers : iterable of Register
        The table.

    Members
    -------
    bus : In(axi4_lite_signature(12))
        To the host.
    <register>_<field> : In or Out
        A port a field, named in lower case, without ``_<field>`` where the field is the register's
        "value": Out(value_range) of a read-write field, In(value_range) of a read-only or fetched
        one, In(1) strobe that sets a sticky bit. Constants have none.
    <register>_fetch : Out(1)
        Strobe: a fetched register is being read.
    <register>_done, <register>_refused : In(1)
        Strobe, at the earliest in the cycle of ``fetch``: the value is valid, or the read is
        refused. Exactly one ``done`` a fetch.

    Raises
    ------
    ValueError
        If names, offsets or bits collide or a reset value is out of range.
    """

    WRITE_LATENCY = 2  # from the transfer of address and data to bvalid
    READ_LATENCY = 2  # from the transfer of the address to rvalid

    def __init__(self, registers: Iterable[Register]) -> None:
        self.registers = tuple(registers)
        check_table(self.registers)
        members: dict[str, wiring.Member] = {"bus": In(axi4_lite_signature(ADDRESS_BITS))}
        for register in self.registers:
            for field in register.fields:
                port = register.port(field)
                match register.access:
                    case Access.RW:
                        members[port] = Out(_shape(field), init=field.reset)
                    case Access.RO | Access.FETCHED:
                        members[port] = In(_shape(field))
                    case Access.W1C:
                        members[port] = In(unsigned(field.width))
            if register.access is Access.FETCHED:
                name = register.name.lower()
                members[f"{name}_fetch"] = Out(1)
                members[f"{name}_done"] = In(1)
                members[f"{name}_refused"] = In(1)
        super().__init__(members)

    def _port(self, register: Register, field: Field) -> Signal:
        return getattr(self, register.port(field))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # What a sticky register holds; all other state is in the ports.
        sticky = {
            register.name: Signal(32, name=f"{register.name.lower()}_sticky", init=register.reset)
            for register in self.registers
            if register.access is Access.W1C
        }
        bits = {register: self._bits(m, register, sticky) for register in self.registers}
        self._elaborate_writes(m, bits, sticky)
        self._elaborate_reads(m, bits)
        return m

    def _bits(self, m: Module, register: Register, sticky: dict[str, Signal]) -> Signal:
        """A register's bits as the host reads them."""
        bits = Signal(register.width, name=f"{register.name.lower()}_bits")
        for field in register.fields:
            part = slice(field.low, field.low + field.width)
            match register.access:
                case Access.CONSTANT:
                    m.d.comb += bits[part].eq(field.reset)
                case Access.W1C:
                    m.d.comb += bits[part].eq(sticky[register.name][part])
                case _:
                    # Assignment extends by the port's sign.
                    m.d.comb += bits[part].eq(self._port(register, field))
        return bits

    def _elaborate_writes(
        self, m: Module, bits: dict[Register, Signal], sticky: dict[str, Signal]
    ) -> None:
        bus = self.bus
        word = Signal(ADDRESS_BITS - 2)
        data = Signal(32)
        strobes = Signal(4)
        has_word = Signal()
        has_data = Signal()

        m.d.comb += [bus.awready.eq(~has_word), bus.wready.eq(~has_data)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [word.eq(bus.awaddr[2:]), has_word.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [data.eq(bus.wdata), strobes.eq(bus.wstrb), has_data.eq(1)]

        # The cycle after both: the register changes, or not.
        mask = Cat(strobe.replicate(8) for strobe in strobes)
        write = Signal()
        accept = Signal()
        m.d.comb += write.eq(has_word & has_data & ~bus.bvalid)
        for register in self.registers:
            if register.access is Access.W1C:
                self._elaborate_sticky(m, register, sticky[register.name], write, word, data & mask)
        with m.Switch(word):
            for register in self.registers:
                if register.access is Access.RW:
                    with m.Case(register.offset // 4):
                        merged = Signal(32, name=f"{register.name.lower()}_merged")
                        m.d.comb += merged.eq((bits[register] & ~mask) | (data & mask))
                        self._elaborate_rw(m, register, merged, write, accept)
                elif register.access is Access.W1C:
                    with m.Case(register.offset // 4):
                        m.d.comb += accept.eq(1)

        with m.If(write):
            m.d.sync += [
                has_word.eq(0),
                has_data.eq(0),
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(accept, AXIResponse.OKAY, AXIResponse.SLVERR)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

    def _elaborate_rw(
        self, m: Module, register: Register, merged: Signal, write: Signal, accept: Signal
    ) -> None:
        in_range = []
        for field in register.fields:
            shape = signed(field.width) if field.minimum < 0 else unsigned(field.width)
            value = Signal(shape, name=f"{register.port(field)}_new")
            m.d.comb += value.eq(merged[field.low : field.low + field.width])
            # A bound that is also the shape's own needs no comparison.
            low, high = field.bounds
            if low not in (0, -(2 ** (field.width - 1))):
                in_range.append(value >= low)
            if high != 2 ** (field.width - shape.signed) - 1:
                in_range.append(value <= high)
            with m.If(write & accept):
                m.d.sync += self._port(register, field).eq(value)
        m.d.comb += accept.eq(Cat(in_range).all() if in_range else 1)

    def _elaborate_sticky(
        self, m: Module, register: Register, held: Signal, write: Signal, word: Signal, ones: Value
    ) -> None:
        # A new event wins over a clear in the same cycle: it must not get lost.
        clear = Mux(write & (word == register.offset // 4), ones, 0)
        events = Signal(32, name=f"{register.name.lower()}_events")
        for field in register.fields:
            target = events[field.low : field.low + field.width]
            m.d.comb += target.eq(self._port(register, field))
        m.d.sync += held.eq((held & ~clear) | events)

    def _elaborate_reads(self, m: Module, bits: dict[Register, Signal]) -> None:
        bus = self.bus
        word = Signal(ADDRESS_BITS - 2)
        high = Signal(32)

        with m.FSM():
            # Waits for an address.
            with m.State("ACCEPT"):
                m.d.comb += bus.arready.eq(1)
                with m.If(bus.arvalid):
                    m.d.sync += word.eq(bus.araddr[2:])
                    m.next = "SELECT"

            # Finds the register; outside the table nothing is found.
            with m.State("SELECT"):
                m.d.sync += [bus.rdata.eq(0), bus.rresp.eq(AXIResponse.SLVERR), bus.rvalid.eq(1)]
                m.next = "RESPOND"
                with m.Switch(word):
                    for register in self.registers:
                        self._elaborate_select(m, register, bits[register], high)

            # The host takes the data in its own time.
            with m.State("RESPOND"):
                with m.If(bus.rready):
                    m.d.sync += bus.rvalid.eq(0)
                    m.next = "ACCEPT"

            for register in self.registers:
                if register.access is Access.FETCHED:
                    # The unit was asked and has not answered yet.
                    with m.State(f"AWAIT_{register.name}"):
                        self._elaborate_answer(m, register, bits[register])

    def _elaborate_select(self, m: Module, register: Register, bits: Signal, high: Signal) -> None:
        bus = self.bus
        with m.Case(register.offset // 4):
            if register.access is Access.FETCHED:
                m.d.comb += getattr(self, f"{register.name.lower()}_fetch").eq(1)
                m.d.sync += bus.rvalid.eq(0)
                m.next = f"AWAIT_{register.name}"
                self._elaborate_answer(m, register, bits)
            else:
                m.d.sync += [bus.rdata.eq(bits[:32]), bus.rresp.eq(AXIResponse.OKAY)]
                if register.width == 64:
                    m.d.sync += high.eq(bits[32:])
        if register.width == 64:
            with m.Case(register.offset // 4 + 1):
                m.d.sync += [bus.rdata.eq(high), bus.rresp.eq(AXIResponse.OKAY)]

    def _elaborate_answer(self, m: Module, register: Register, bits: Signal) -> None:
        bus = self.bus
        name = register.name.lower()
        refused = getattr(self, f"{name}_refused")
        with m.If(getattr(self, f"{name}_done")):
            m.d.sync += [
                bus.rdata.eq(Mux(refused, 0, bits)),
                bus.rresp.eq(Mux(refused, AXIResponse.SLVERR, AXIResponse.OKAY)),
                bus.rvalid.eq(1),
            ]
            m.next = "RESPOND"
