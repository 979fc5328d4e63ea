"""Multiply-accumulate array: the weights of an engine, and the lanes that multiply them."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.engine.layouts import (
    column_word_layout,
    layer_shape,
    step_word_layout,
    sum_layout,
    unit_shape,
    walk_command_layout,
    weight_word_layout,
    word_shape,
)
from hw.engine.walker import Walker
from model.engine.config import EngineConfig

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """Products of a layer's weights with a vector, forward or backward, and steps of weights.

    ::

        forward:   sum[unit]       = sum over words and lanes of weights[unit, word, lane] *
                                     activations[word, lane]
        backward:  sums[word, lane] = sum over units of weights[unit, word, lane] * error[unit]
        step:      weight = saturate(weight + step)   to +-(2**(weight_bits - 1) - 1)

    Sums are exact. The vectors lie outside: the array asks for a word of activations and an error
    in one cycle and gets both in the next. Products, steps and the host's accesses exclude each
    other: the caller takes care.

    **Timing**: one weight word a cycle. With a command transferred in cycle 0 and N words, a sum
    whose last word is word k is valid in cycle ``LATENCY + k``; ``busy`` is high from cycle 1 to
    cycle ``N + LATENCY - 1``, that of the last sum. A step takes a cycle to read and one to write
    back: with ``single_port`` one step every two cycles, else one a cycle unless two of one
    address follow each other. Memory contents are undefined until written.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i_command : In(stream of walk_command_layout)
    i_steps : In(stream of step_word_layout)
    activation_layer, activation_word, error_unit : Out
        What the walk is at; forward the first two matter, backward the last.
    activations : In(ArrayLayout(unsigned(8), lanes)), error : In(signed(error_bits))
        That word and that error, one cycle later.
    o_sums : Out(stream of sum_layout), o_columns : Out(stream of column_word_layout)
        Never stalled.
    busy : Out(1)
    stepping : Out(1)
        A step is being written back.
    product_word : Out(1)
        A word is read for a product, backward or forward as ``product_backward`` says.
    host_enable, host_write : In(1), host_address : In, host_data : In, host_read : Out
        The host reads or writes a word; a word read is there one cycle later.
    """

    LATENCY = 4  # from i_command transfer to the sum of word 0

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        word = weight_word_layout(config)
        super().__init__(
            {
                "i_command": In(stream.Signature(walk_command_layout(config))),
                "i_steps": In(stream.Signature(step_word_layout(config))),
                "activation_layer": Out(layer_shape(config)),
                "activation_word": Out(word_shape(config)),
                "error_unit": Out(unit_shape(config)),
                "activations": In(data.ArrayLayout(unsigned(8), config.lanes)),
                "error": In(signed(config.error_bits)),
                "o_sums": Out(stream.Signature(sum_layout(config), always_ready=True)),
                "o_columns": Out(stream.Signature(column_word_layout(config), always_ready=True)),
                "busy": Out(1),
                "stepping": Out(1),
                "product_word": Out(1),
                "product_backward": Out(1),
                "host_enable": In(1),
                "host_write": In(1),
                "host_address": In(range(config.weight_depth)),
                "host_data": In(word),
                "host_read": Out(word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.walker = self.walker = walker = Walker(config)
        m.submodules.weights = weights = memory.Memory(
            shape=weight_word_layout(config), depth=config.weight_depth, init=[]
        )
        self.read, self.write = weights.read_port(), weights.write_port()
        connect(m, flipped(self.i_command), walker.i)
        m.d.comb += [
            self.activation_layer.eq(walker.o.p.layer),
            self.activation_word.eq(walker.o.p.word),
            self.error_unit.eq(walker.o.p.unit),
            self.host_read.eq(self.read.data),
        ]
        self._products(m)
        self._steps(m)
        return m

    def _products(self, m: Module) -> None:
        config, step = self.config, self.walker.o
        backward = Signal()
        with m.If(self.i_command.valid & self.i_command.ready):
            m.d.sync += backward.eq(self.i_command.p.backward)

        # Cycle 0: read the weights; whoever has the vector reads it.
        m.d.comb += [
            step.ready.eq(1),
            self.product_word.eq(step.valid),
            self.product_backward.eq(backward),
        ]
        read = Signal.like(step.p)
        read_valid, multiplied_valid = Signal(), Signal()
        m.d.sync += [read.eq(step.p), read_valid.eq(step.valid)]

        # Cycle 1: multiply. An activation is unsigned and gets a sign.
        products = Signal(
            data.ArrayLayout(signed(config.weight_bits + config.operand_bits), config.lanes)
        )
        multiplied = Signal.like(step.p)
        m.d.sync += [multiplied.eq(read), multiplied_valid.eq(read_valid)]
        with m.If(read_valid):
            for lane in range(config.lanes):
                operand = Signal(signed(config.operand_bits), name=f"operand_{lane}")
                m.d.comb += operand.eq(Mux(backward, self.error, self.activations[lane]))
                m.d.sync += products[lane].eq(self.read.data[lane] * operand)

        # Cycle 2: accumulate, over lanes or lane by lane.
        sums, total = self.o_columns.p.sums, self.o_sums.p.sum
        m.d.sync += [self.o_sums.valid.eq(0), self.o_columns.valid.eq(0)]
        with m.If(multiplied_valid):
            with m.If(backward):
                for lane in range(config.lanes):
                    before = Mux(multiplied.first, 0, sums[lane])
                    m.d.sync += sums[lane].eq(before + products[lane])
            with m.Else():
                m.d.sync += total.eq(Mux(multiplied.first, 0, total) + sum(products))
            m.d.sync += [
                self.o_sums.valid.eq(multiplied.last & ~backward),
                self.o_columns.valid.eq(multiplied.last & backward),
                self.o_sums.p.last.eq(multiplied.end),
                self.o_columns.p.last.eq(multiplied.end),
            ]
        m.d.comb += self.busy.eq(
            step.valid | read_valid | multiplied_valid | self.o_sums.valid | self.o_columns.valid
        )

    def _steps(self, m: Module) -> None:
        config, limit = self.config, self.config.weight_max
        step, stepping = Signal.like(self.i_steps.p), self.stepping
        same = self.i_steps.p.address == step.address
        blocked = stepping if config.single_port else stepping & same

        # Cycle 0: read the word; or the host's.
        accept = Signal()
        m.d.comb += [
            self.i_steps.ready.eq(~blocked),
            accept.eq(self.i_steps.valid & self.i_steps.ready),
            self.read.en.eq(1),
            self.read.addr.eq(self.host_address),
        ]
        with m.If(self.walker.o.valid):
            m.d.comb += self.read.addr.eq(self.walker.o.p.address)
        with m.Elif(accept):
            m.d.comb += self.read.addr.eq(self.i_steps.p.address)
        m.d.sync += stepping.eq(accept)
        with m.If(accept):
            m.d.sync += step.eq(self.i_steps.p)

        # Cycle 1: add, saturate, write back; or the host's word.
        m.d.comb += [
            self.write.en.eq(stepping | (self.host_enable & self.host_write)),
            self.write.addr.eq(Mux(stepping, step.address, self.host_address)),
        ]
        for lane in range(config.lanes):
            changed = self.read.data[lane] + step.steps[lane]
            inside = Mux(changed > limit, limit, Mux(changed < -limit, -limit, changed))
            m.d.comb += self.write.data[lane].eq(Mux(stepping, inside, self.host_data[lane]))
