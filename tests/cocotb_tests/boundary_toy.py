"""A unit with the analog boundary of the real one and next to nothing behind it.

Every ``period`` cycles it gives a new ``drive`` vector and a ``start`` strobe, samples ``codes``
``latency`` cycles later, and adds them lane by lane to the rows of a memory, one row after the
other.
"""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from cocotb_tests.bench import Field, Latch, MemoryProbe, Probe


def toy_probes(toy, latched=False):
    """Every write of a row, and the rows on demand; if latched, the boundary without Python's
    signals too: the drives when they start, the codes given."""
    width = 32 * toy.n_codes
    address = Field(expression="dut.write__addr", width=(toy.depth - 1).bit_length())
    data_field = Field(expression="dut.write__data", width=width)
    writes = Probe(
        name="writes",
        strobe="dut.write__en",
        fields=(Field(expression="cycle", width=64), address, data_field),
    )
    rows = MemoryProbe(name="rows", memory="dut.rows.mem", depth=toy.depth, width=width)
    if not latched:
        return writes, rows
    drive = Field(expression="drive", width=8 * toy.n_drive)
    drives = Probe(name="drives", strobe="start", fields=(drive,), on_rise=True)
    return writes, rows, drives, Latch(name="codes", port="codes")


def toy_parameters(toy, **changes):
    """What the toy's bench is told."""
    names = ("n_drive", "n_codes", "code_bits", "depth", "period")
    return {name: getattr(toy, name) for name in names} | {
        "products": 10,
        "seed": 1,
        "latched": False,
        **changes,
    }


class BoundaryToy(wiring.Component):
    """Product k (0, 1, ...) drives ``(k + line) % 256``; the codes go to rows 0 .. depth-1 in
    turn, row k % depth."""

    def __init__(self, *, n_drive=37, n_codes=8, code_bits=9, depth=4, period=30, latency=13):
        self.n_drive = n_drive
        self.n_codes = n_codes
        self.code_bits = code_bits
        self.depth = depth
        self.period = period
        self.latency = latency
        super().__init__(
            {
                "go": In(1),
                "drive": Out(data.ArrayLayout(unsigned(8), n_drive)),
                "start": Out(1),
                "codes": In(data.ArrayLayout(signed(code_bits), n_codes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows = memory.Memory(
            shape=data.ArrayLayout(signed(32), self.n_codes), depth=self.depth, init=[]
        )
        m.submodules.rows = rows
        read = rows.read_port()
        write = rows.write_port()
        count = Signal(range(self.period))
        drive = Signal(data.ArrayLayout(unsigned(8), self.n_drive), init=range(self.n_drive))
        first = Signal(init=1)
        row = Signal(range(self.depth))
        held = Signal(data.ArrayLayout(signed(self.code_bits), self.n_codes))
        m.d.comb += [self.drive.eq(drive), read.addr.eq(row), read.en.eq(1), write.addr.eq(row)]
        # A memory wakes up with anything in it: the first round does not look at it.
        fresh = Signal(init=1)
        for lane in range(self.n_codes):
            m.d.comb += write.data[lane].eq(Mux(fresh, 0, read.data[lane]) + held[lane])
        m.d.comb += write.en.eq(count == self.latency + 2)
        m.d.sync += self.start.eq(0)
        with m.If(self.go):
            m.d.sync += count.eq(count + 1)
            with m.If(count == self.period - 1):
                m.d.sync += [count.eq(0), row.eq(row + 1)]
                with m.If(row == self.depth - 1):
                    m.d.sync += [row.eq(0), fresh.eq(0)]
            with m.If(count == 0):
                m.d.sync += [self.start.eq(1), first.eq(0)]
                with m.If(~first):
                    # Lines shift by one; the last gets the next number.
                    m.d.sync += drive.as_value().eq(drive.as_value()[8:])
                    m.d.sync += drive[self.n_drive - 1].eq(drive[self.n_drive - 1] + 1)
            with m.If(count == self.latency + 1):
                m.d.sync += held.eq(self.codes)
        return m
