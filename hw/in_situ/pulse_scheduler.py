"""Pulse scheduler in gate-voltage mode: a row's RESET and SET pulses, all columns at once."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import (
    change_word_layout,
    layer_shape,
    max_cols,
    max_inputs,
    max_unit_words,
    program_signature,
)
from hw.layouts import PulseKind
from hw.line_drivers import LineDrivers
from hw.priority import encode, lowest
from model.in_situ.config import InSituConfig
from model.in_situ.pulse_scheduler import FULL_GATE, NOT_SELECTED

__all__ = ["PulseScheduler", "RowBuffer"]


class RowBuffer(wiring.Component):
    """Collects the changes of one row until its pulses are out.

    The gate lines' :class:`~hw.line_drivers.LineDrivers`; columns that the row's layer does not
    have read as unchanged, whatever longer row was there before.

    **Timing**: a word transferred in cycle t is at the outputs from t + 1; the first word of a row
    drops the row before.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.in_situ.layouts.change_word_layout`
    layer : ``In``
        Whose row it is; stable until the next row's first word.
    changes : ``Out(ArrayLayout(change, n_cols))``
    wanted : ``Out(4)``
        Which pulses the row needs, in their order: RESET, SET of the plus devices, RESET, SET of
        the minus devices.
    """

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        self.change = change_word_layout(config)["changes"].shape.elem_shape
        super().__init__(
            {
                "i": In(stream.Signature(change_word_layout(config), always_ready=True)),
                "layer": In(layer_shape(config)),
                "changes": Out(data.ArrayLayout(self.change, max_cols(config))),
                "wanted": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, lanes = self.config, self.config.update.lanes
        m.submodules.lines = lines = LineDrivers(
            n_lines=max_cols(config), shape=self.change, lanes=lanes
        )
        m.d.comb += [
            lines.i.valid.eq(self.i.valid),
            lines.i.p["values"].eq(self.i.p.changes),
            lines.i.p.last.eq(self.i.p.last),
        ]
        words = Array(Const(config.unit_words(k)) for k in range(config.network.n_layers))
        used = words[self.layer]
        for word in range(max_unit_words(config)):
            for col in range(word * lanes, min((word + 1) * lanes, max_cols(config))):
                with m.If(word < used):
                    m.d.comb += self.changes[col].eq(lines.drive[col])

        first, of_word = Signal(init=1), []
        for device in ("plus", "minus"):
            changes = [change[device] for change in self.i.p.changes]
            of_word += [
                Cat(change.falls for change in changes).any(),
                Cat(change.gate.any() for change in changes).any(),
            ]
        with m.If(self.i.valid):
            m.d.sync += [
                first.eq(self.i.p.last),
                self.wanted.eq(Mux(first, 0, self.wanted) | Cat(of_word)),
            ]
        return m


class PulseScheduler(wiring.Component):
    """Two pulses for each device of a row that changes: RESET if its code falls, then SET.

    Row i (plus devices), then row n_inputs + i (minus devices): one RESET pulse on all columns
    whose code falls, one SET pulse on all columns whose code changes, each with its own gate
    voltage; a pulse that no column needs is left out. Nothing is verified.
    :func:`model.in_situ.pulse_scheduler.row_pulses`.

    **Timing**: with the last word of a row transferred in cycle 0, the first pulse is high from
    cycle 2 on for its width, and the next begins ``pulse.gap_cycles`` after its end; ``row_done``
    is high in cycle ``ROW_LATENCY`` = 1 plus all widths and gaps. While ``program.busy`` is high no
    pulse begins.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.in_situ.layouts.change_word_layout`
        Words of one row; the next row's only after ``row_done``.
    layer, unit : ``In``
        The row: stable from its first word to ``row_done``.
    program : ``Out`` of :func:`hw.in_situ.layouts.program_signature`
    row_done : ``Out(1)``
        Strobe: the row's pulses are out.
    set_pulse, reset_pulse : ``Out(1)``
        Strobes in the first cycle of a pulse.

    Source
    ------
    Li 2018: RESET only where the gate voltage falls, then SET; rows in parallel.
    """

    ROW_LATENCY = 1  # from the last word to row_done, if there is no pulse

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(change_word_layout(config), always_ready=True)),
                "layer": In(layer_shape(config)),
                "unit": In(range(max_inputs(config))),
                "program": Out(program_signature(config)),
                "row_done": Out(1),
                "set_pulse": Out(1),
                "reset_pulse": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, timing, program = self.config, self.config.pulse, self.program
        m.submodules.row = row = RowBuffer(config)
        m.d.comb += [
            row.i.valid.eq(self.i.valid),
            row.i.p.eq(self.i.p),
            row.layer.eq(self.layer),
        ]

        # The next pulse of the row.
        issued, pending, pulse = Signal(4), Signal(4), Signal(2)
        m.d.comb += [pending.eq(row.wanted & ~issued), pulse.eq(encode(lowest(pending)))]
        is_set, is_minus = pulse[0], pulse[1]
        inputs = Array(Const(config.network.n_inputs(k)) for k in range(config.network.n_layers))
        request = Signal(program.request.shape())
        m.d.comb += [
            request.layer.eq(self.layer),
            request.row.eq(self.unit + Mux(is_minus, inputs[self.layer], 0)),
            request.kind.eq(Mux(is_set, PulseKind.SET, PulseKind.RESET)),
        ]
        for gate, change in zip(request.gates, row.changes, strict=True):
            code = Mux(is_minus, change.minus.gate, change.plus.gate)
            falls = Mux(is_minus, change.minus.falls, change.plus.falls)
            m.d.comb += gate.eq(Mux(is_set, code, Mux(falls, FULL_GATE, NOT_SELECTED)))

        widths = (timing.set_cycles, timing.reset_cycles)
        timer = Signal(range(max(*widths, timing.gap_cycles)))
        m.d.sync += [self.set_pulse.eq(0), self.reset_pulse.eq(0)]
        with m.FSM():
            # The words of a row come.
            with m.State("COLLECT"):
                m.d.sync += issued.eq(0)
                with m.If(self.i.valid & self.i.p.last):
                    m.next = "PULSES"
            # One pulse after the other: high for its width, then low for the gap.
            with m.State("PULSES"):
                with m.If(timer != 0):
                    m.d.sync += timer.eq(timer - 1)
                with m.Elif(program.pulse):
                    m.d.sync += [program.pulse.eq(0), timer.eq(timing.gap_cycles - 1)]
                with m.Elif(~pending.any()):
                    m.d.comb += self.row_done.eq(1)
                    m.next = "COLLECT"
                with m.Elif(~program.busy):
                    m.d.sync += [
                        program.pulse.eq(1),
                        program.request.eq(request),
                        issued.eq(issued | lowest(pending)),
                        timer.eq(Mux(is_set, timing.set_cycles - 1, timing.reset_cycles - 1)),
                        self.set_pulse.eq(is_set),
                        self.reset_pulse.eq(~is_set),
                    ]
        return m
