"""Gate memory: the gate voltage of every device, and what a batch's gradients do to it."""

from itertools import pairwise

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import (
    MANTISSA_BITS,
    change_word_layout,
    gate_word_layout,
    gradient_word_layout,
    write_step_layout,
)
from hw.rounding import shift_round
from model.in_situ.config import InSituConfig

__all__ = ["GateMemory", "GateMover"]


class GateMover(wiring.Component):
    """Moves the gates of one pair: plus by ``step``, minus by ``-step``. Combinational.

    :func:`model.in_situ.gate_memory.move_gate` and ``gate_code`` on both devices: the sums are
    clamped to ``gate.low..gate.high``; codes are gates rounded half up to whole DAC LSBs.

    Members
    -------
    gates, moved : ``In``, ``Out`` of a pair of :func:`hw.in_situ.layouts.gate_word_layout`
    step : ``In(signed(word_bits + 2))``
        In LSBs of the memory, saturated.
    change : ``Out`` of a pair of :func:`hw.in_situ.layouts.change_word_layout`
    """

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        pair = gate_word_layout(config).elem_shape
        super().__init__(
            {
                "gates": In(pair),
                "step": In(signed(config.gate.word_bits + 2)),
                "moved": Out(pair),
                "change": Out(change_word_layout(config)["changes"].shape.elem_shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gate = self.config.gate
        half = 1 << (gate.fraction_bits - 1)

        def code(value: Value) -> Value:
            return (value + half) >> gate.fraction_bits

        for device, step in (("plus", self.step), ("minus", -self.step)):
            before, after = self.gates[device], self.moved[device]
            # A gate and a step of up to twice as much, either way.
            total, was, now = Signal(signed(gate.word_bits + 3)), Signal(8), Signal(8)
            m.d.comb += [
                total.eq(before + step),
                after.eq(Mux(total < gate.low, gate.low, Mux(total > gate.high, gate.high, total))),
                was.eq(code(before)),
                now.eq(code(after)),
                self.change[device].gate.eq(Mux(now != was, now, 0)),
                self.change[device].falls.eq(now < was),
            ]
        return m


class GateMemory(wiring.Component):
    """Updates a word of ``lanes`` pairs of gates a cycle, and says which gate codes change.

    For every lane, with the functions of :mod:`model.in_situ.gate_memory`::

        step = gate_step(gradient, mantissa, shift)
        plus, minus = move_gate(plus, step, low, high), move_gate(minus, -step, low, high)
        codes = gate_code(plus, fraction_bits), gate_code(minus, fraction_bits)

    ::

        i ─► address ─► SRAM ──────────► gates ─────────────► GateMover ─┬─► o
        gradients ────► x mantissa ────► >> shift ─► saturate ──────▲    └─► SRAM
        cycle 0         cycle 1          cycle 2               cycle 3

    **Timing**: ``LATENCY`` = 3 cycles from the transfer at ``i`` to ``o.valid``; one word a cycle,
    never stalls. ``gradients`` belong to the word transferred in the cycle before. A word may be
    updated again ``LATENCY`` + 1 cycles after an update. After reset ``busy`` is high while the
    memory writes ``gate.initial`` to each of its words, one a cycle; no word may come then.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    i : ``In(stream)`` of :func:`hw.in_situ.layouts.write_step_layout`
    gradients : ``In`` of :func:`hw.in_situ.layouts.gradient_word_layout`
    mantissa : ``In(8)``, shifts : ``In(ArrayLayout(range(32), n_layers))``
        Learning rate; stable over a write phase.
    o : ``Out(stream)`` of :func:`hw.in_situ.layouts.change_word_layout`
    busy : ``Out(1)``
        Initialising.

    Source
    ------
    Li 2018: ``dV_gate = [+dW, -dW]``, clamped to 0.6-1.7 V; there in software and floating point.
    """

    LATENCY = 3  # from i transfer to o.valid

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        self.row_shape = gate_word_layout(config)
        step = write_step_layout(config)
        super().__init__(
            {
                "i": In(stream.Signature(step, always_ready=True)),
                "gradients": In(gradient_word_layout(config)),
                "mantissa": In(MANTISSA_BITS),
                "shifts": In(data.ArrayLayout(range(32), config.network.n_layers)),
                "o": Out(stream.Signature(change_word_layout(config), always_ready=True)),
                "busy": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, lanes, depth = self.config, self.config.update.lanes, self.config.gradient_depth
        m.submodules.rows = self.rows = rows = memory.Memory(
            shape=self.row_shape, depth=depth, init=[]
        )
        read, write = rows.read_port(), rows.write_port()

        # Cycle 0: read.
        m.d.comb += [read.addr.eq(self.i.p.address), read.en.eq(self.i.valid)]
        steps = [Signal.like(self.i.p, name=f"step_{stage}") for stage in range(self.LATENCY)]
        valid = Signal(self.LATENCY)
        m.d.sync += [valid.eq(valid << 1 | self.i.valid), steps[0].eq(self.i.p)]
        m.d.sync += [after.eq(before) for before, after in pairwise(steps)]

        # Cycle 1: gates and gradients are here; multiply.
        product_shape = signed(config.gradient_bits + MANTISSA_BITS)
        products = Signal(data.ArrayLayout(product_shape, lanes))
        gates, gates_at_o = Signal(self.row_shape), Signal(self.row_shape)
        m.d.sync += [gates.eq(read.data), gates_at_o.eq(gates)]
        for product, gradient in zip(products, self.gradients, strict=True):
            m.d.sync += product.eq(gradient * self.mantissa)

        # Cycle 2: shift, and saturate beyond what any gate can move.
        limit = 2 ** (config.gate.word_bits + 1) - 1
        shift = Signal(range(32))
        with m.Switch(steps[1].layer):
            for layer in range(config.network.n_layers):
                with m.Case(layer):
                    m.d.comb += shift.eq(self.shifts[layer])
        moves = Signal(data.ArrayLayout(signed(config.gate.word_bits + 2), lanes))
        for move, product in zip(moves, products, strict=True):
            wide = shift_round(product, shift, product_shape.width)
            low, high = Const(-limit), Const(limit)
            m.d.sync += move.eq(Mux(wide > high, high, Mux(wide < low, low, wide)))

        # Cycle 3: move and write back.
        moved = Signal(self.row_shape)
        m.d.comb += [self.o.valid.eq(valid[-1]), self.o.p.last.eq(steps[-1].last)]
        for lane in range(lanes):
            m.submodules[f"mover_{lane}"] = mover = GateMover(config)
            m.d.comb += [
                mover.gates.eq(gates_at_o[lane]),
                mover.step.eq(moves[lane]),
                moved[lane].eq(mover.moved),
                self.o.p.changes[lane].eq(mover.change),
            ]

        # After reset: the initial gate everywhere.
        initialised = Signal(range(max(2, depth)))
        pair = gate_word_layout(config).elem_shape.const(
            {"plus": config.gate.initial, "minus": config.gate.initial}
        )
        initial = self.row_shape.const([pair] * lanes)
        m.d.comb += [
            write.addr.eq(Mux(self.busy, initialised, steps[-1].address)),
            write.data.eq(Mux(self.busy, initial.as_value(), moved.as_value())),
            write.en.eq(self.busy | valid[-1]),
        ]
        with m.If(self.busy):
            m.d.sync += [initialised.eq(initialised + 1), self.busy.eq(initialised != depth - 1)]
        return m
