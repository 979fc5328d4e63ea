"""Write-verify scheduler: a row of devices to their targets, read, compare, pulse, again."""

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import program_signature, write_command_layout, write_result_layout
from hw.layouts import PulseKind
from model.cnn.config import CnnConfig

__all__ = ["WriteVerify"]


class WriteVerify(wiring.Component):
    """Writes the enabled devices of one input line of a chunk, all at the same time.

    Until none is pending: read all; a device within ``config.margin_codes`` of its target is done
    and gets no further pulse; one SET pulse goes to all pending devices below their target, then
    one RESET pulse to all above. What is pending after ``write.max_pulses`` pulses and one more
    read has failed and is reported: :func:`model.cnn.write_verify.write_row`.

    **Timing**: with F = ``array.phase_cycles``, a command transferred in cycle 0 is read from cycle
    1 on. A read takes a phase of F cycles and its conversion of F; the comparison takes
    ``DECIDE_CYCLES`` = 1, each pulse its width and ``write.gap_cycles``. The result is valid in the
    cycle after the last comparison, for a command without an enabled device in cycle 1. The next
    command is accepted in the cycle after the result's transfer. Cycles in which
    ``program.busy`` holds a pulse off come on top.

    Parameters
    ----------
    config : CnnConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.write_command_layout`
    o : ``Out(stream)`` of :func:`hw.cnn.layouts.write_result_layout`
    program : ``Out(program_signature(config))``
    reading : ``Out(1)``
        The array belongs to this unit.
    phase : ``Out(1)``, slot : ``Out``
        See :func:`hw.cnn.layouts.array_signature`.
    driving : ``Out(1)``
        The row's input line is driven.
    codes : ``In``
        Of the row's array and tile, line by line.
    busy : ``Out(1)``
        A command is under way or its result has not left.
    read, set_pulse, reset_pulse : ``Out(1)``
        Strobes, for counters.

    Source
    ------
    Yao 2020, Methods: identical pulses, a read after every pulse, at most 500 pulses; row-parallel
    writing.
    """

    DECIDE_CYCLES = 1  # from the last sample to the first pulse or the result

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.command_shape = write_command_layout(config)
        lines = self.command_shape["targets"].shape
        super().__init__(
            {
                "i": In(stream.Signature(self.command_shape)),
                "o": Out(stream.Signature(write_result_layout(config))),
                "program": Out(program_signature(config)),
                "reading": Out(1),
                "phase": Out(1),
                "slot": Out(range(max(2, config.array.lines_per_adc))),
                "driving": Out(1),
                "codes": In(lines),
                "busy": Out(1),
                "read": Out(1),
                "set_pulse": Out(1),
                "reset_pulse": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        array, write = self.config.array, self.config.write
        command = Signal(self.command_shape)
        n_lines = len(command.targets)
        pending = Signal(n_lines)
        iterations = Signal(self.o.p.iterations.shape())

        # What the codes read say of each device.
        codes = Signal.like(self.codes)
        below, above = self._compare(m, codes, command)
        to_set, to_reset, still = Signal(n_lines), Signal(n_lines), Signal(n_lines)
        m.d.comb += [
            to_set.eq(pending & below),
            to_reset.eq(pending & above),
            still.eq(to_set | to_reset),
        ]

        # A line's code is sampled in the last cycle of its conversion slot.
        cycle = Signal(range(array.conversion_cycles))
        pulses = (write.set_cycles, write.reset_cycles, write.gap_cycles)
        count = Signal(range(max(array.phase_cycles, *pulses) + 1))
        converted = Signal()

        m.d.comb += [
            self.o.p.failed.eq(pending),
            self.o.p.iterations.eq(iterations),
            self.program.request.mask.eq(
                Mux(self.program.request.kind == PulseKind.SET, to_set, to_reset)
            ),
        ]
        for name in ("array", "tile", "step", "input"):
            m.d.comb += [
                self.o.p[name].eq(command[name]),
                self.program.request[name].eq(command[name]),
            ]

        def begin(kind: ValueLike) -> None:
            m.d.sync += [
                self.program.request.kind.eq(kind),
                self.program.pulse.eq(~self.program.busy),
                count.eq(0),
            ]

        width = Mux(
            self.program.request.kind == PulseKind.SET, write.set_cycles, write.reset_cycles
        )
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            # Wait for a row.
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), self.busy.eq(0)]
                m.d.sync += [count.eq(0), iterations.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += [
                        command.eq(self.i.p),
                        pending.eq(Value.cast(self.i.p.enables)),
                    ]
                    m.next = "RESULT"
                    with m.If(Value.cast(self.i.p.enables).any()):
                        m.next = "INTEGRATE"

            # The row's input line is driven for one phase.
            with m.State("INTEGRATE"):
                m.d.comb += [
                    self.reading.eq(1),
                    self.driving.eq(1),
                    self.phase.eq(count == 0),
                    self.read.eq(self.phase),
                ]
                m.d.sync += count.eq(count + 1)
                with m.If(count == array.phase_cycles - 1):
                    m.d.sync += iterations.eq(iterations + 1)
                    m.next = "CONVERT"

            # The held lines are converted, those that share an ADC in turn.
            with m.State("CONVERT"):
                m.d.comb += [
                    self.reading.eq(1),
                    converted.eq(cycle == array.conversion_cycles - 1),
                ]
                m.d.sync += cycle.eq(Mux(converted, 0, cycle + 1))
                with m.If(converted):
                    for line in range(n_lines):
                        with m.If(self.slot == line % array.lines_per_adc):
                            m.d.sync += codes[line].eq(self.codes[line])
                    m.d.sync += self.slot.eq(self.slot + 1)
                    with m.If(self.slot == array.lines_per_adc - 1):
                        m.d.sync += self.slot.eq(0)
                        m.next = "DECIDE"

            # Done, given up, or another pulse.
            with m.State("DECIDE"):
                m.d.sync += pending.eq(still)
                with m.If(~still.any() | (iterations == write.max_pulses + 1)):
                    m.next = "RESULT"
                with m.Elif(to_set.any()):
                    begin(PulseKind.SET)
                    m.d.comb += self.set_pulse.eq(1)
                    m.next = "PULSE"
                with m.Else():
                    begin(PulseKind.RESET)
                    m.d.comb += self.reset_pulse.eq(1)
                    m.next = "PULSE"

            # The pulse, once the arrays are free.
            with m.State("PULSE"):
                with m.If(~self.program.pulse):
                    m.d.sync += self.program.pulse.eq(~self.program.busy)
                with m.Else():
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == width - 1):
                        m.d.sync += [self.program.pulse.eq(0), count.eq(0)]
                        m.next = "GAP"

            # Rest; then the devices above their target, or the next read.
            with m.State("GAP"):
                m.d.sync += count.eq(count + 1)
                with m.If(count == write.gap_cycles - 1):
                    m.d.sync += count.eq(0)
                    m.next = "INTEGRATE"
                    with m.If((self.program.request.kind == PulseKind.SET) & to_reset.any()):
                        begin(PulseKind.RESET)
                        m.d.comb += self.reset_pulse.eq(1)
                        m.next = "PULSE"

            # The report waits to be taken.
            with m.State("RESULT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m

    def _compare(self, m: Module, codes: data.View, command: data.View) -> tuple[Value, Value]:
        """A bit a line: the device is below its target by more than the margin, above it."""
        below, above = Signal(len(codes)), Signal(len(codes))
        margin = self.config.margin_codes
        for line in range(len(codes)):
            code, target = codes[line], command.targets[line]
            m.d.comb += [
                below[line].eq(code + margin < target),
                above[line].eq(code > target + margin),
            ]
        return below, above
