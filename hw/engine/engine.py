"""Training engine: an all-digital baseline of in-memory training. It only wires."""

from amaranth.hdl import Array, Const, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from hw.activation_unit import ActivationUnit
from hw.chi_memory import ChiMemory
from hw.code_buffer import CodeBuffer
from hw.counters import COUNTER_BITS
from hw.engine.counters import EngineCounters
from hw.engine.layouts import image_word_layout, weight_word_layout
from hw.engine.mac_array import MacArray
from hw.engine.outer_steps import OuterSteps
from hw.engine.sequencer import EnginePhase, EngineSequencer
from hw.engine.stores import ActivationStore, ErrorStore
from hw.engine.sums import BackCodes, CodeGather, HiddenErrors
from hw.error_operands import HiddenOperands, OutputOperands
from hw.error_unit import ErrorUnit
from hw.layouts import activation_word_layout, operand_word_layout
from hw.outer_product import OuterProduct
from hw.quantiser import Quantiser
from hw.update_shift import UpdateShift
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig

__all__ = ["Engine"]


class Engine(wiring.Component):
    """A training engine: images in, activations of the output layer out.

    ::

        image ─► ActivationStore ─► MacArray ─► CodeGather ─► ActivationUnit ─┬─► outputs
                       ▲               ▲                                      │
                       └───────────────┼──────────────────────────────────────┤ hidden
                                       │ ErrorStore ◄─ errors ◄─ ErrorUnit ◄──┘ output
        direct:  errors, activations ─►│ OuterSteps ─► steps of all weights
        chi:     codes ─► OuterProduct ─► ChiMemory ─► steps of single weights

    Everything equals :func:`model.engine.training_engine.train_image`: outputs, weights, chi and
    cycles. With a chi update the error path is that of the in-memory system, block for block.

    **Timing**: ``image`` is ready while no image is under way (with a chi update after its memory
    is cleared); ``done`` is high in the last cycle of an image.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    image : In(stream of image_word_layout)
    training : In(1), learning_rate_log2 : In(signed(6))
        Stable from an image's last word to ``done``.
    outputs : Out(stream of activation_word_layout)
        Never stalled.
    done : Out(1)
    weight_enable, weight_write, weight_address, weight_data, weight_read
        The host's side of the weights, see :class:`~hw.engine.mac_array.MacArray`; to be used while
        no image is under way.
    counters : Out(ArrayLayout(unsigned(64), len(EngineActivity)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.layers = range(config.network.n_layers)
        words = activation_word_layout(config.unit)
        super().__init__(
            {
                "image": In(stream.Signature(image_word_layout(config))),
                "training": In(1),
                "learning_rate_log2": In(signed(6)),
                "outputs": Out(stream.Signature(words, always_ready=True)),
                "done": Out(1),
                "weight_enable": In(1),
                "weight_write": In(1),
                "weight_address": In(range(config.weight_depth)),
                "weight_data": In(weight_word_layout(config)),
                "weight_read": Out(weight_word_layout(config)),
                "counters": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(EngineActivity))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.sequencer = self.sequencer = EngineSequencer(config)
        m.submodules.array = self.array = MacArray(config)
        m.submodules.activations = self.activations = ActivationStore(config)
        m.submodules.errors = self.errors = ErrorStore(config)
        m.submodules.activation_unit = self.activation_unit = ActivationUnit(config.unit)
        m.submodules.error_unit = self.error_unit = ErrorUnit(config.unit)
        m.submodules.activity = self.counts = EngineCounters(config)
        self._connect_host(m)
        self._connect_forward(m)
        self._connect_errors(m)
        if config.is_chi:
            self._connect_chi_update(m)
        else:
            self._connect_direct_update(m)
        return m

    def _connect_host(self, m: Module) -> None:
        array, sequencer, counts = self.array, self.sequencer, self.counts
        self.image_ready, self.loaded = Signal(), Signal()
        self.label = Signal.like(self.image.p.label)
        m.d.comb += [
            self.image.ready.eq((sequencer.phase == EnginePhase.IDLE) & self.image_ready),
            self.loaded.eq(self.image.valid & self.image.ready),
            sequencer.start.eq(self.loaded & self.image.p.last),
            sequencer.training.eq(self.training),
            self.done.eq(sequencer.done),
            array.host_enable.eq(self.weight_enable),
            array.host_write.eq(self.weight_write),
            array.host_address.eq(self.weight_address),
            array.host_data.eq(self.weight_data),
            self.weight_read.eq(array.host_read),
            counts.phase.eq(sequencer.phase),
            counts.image_word.eq(self.loaded),
            counts.done.eq(sequencer.done),
            counts.product_word.eq(array.product_word),
            counts.product_backward.eq(array.product_backward),
            counts.activated.eq(sequencer.forward_done),
            counts.layer.eq(sequencer.layer),
            counts.error_layer.eq(sequencer.error_layer),
            counts.step.eq(array.stepping),
            self.counters.eq(counts.counters),
        ]
        with m.If(self.loaded):
            m.d.sync += self.label.eq(self.image.p.label)

    def _connect_forward(self, m: Module) -> None:
        """Image and hidden activations into their store, through the array, to the next layer."""
        config, array, sequencer = self.config, self.array, self.sequencer
        store, unit = self.activations, self.activation_unit
        m.submodules.gather = gather = CodeGather(config)
        connect(m, array.o_sums, gather.i)
        m.d.comb += [
            unit.i.valid.eq(gather.o.valid),
            unit.i.p.eq(gather.o.p),
            unit.o.ready.eq(1),
            array.i_command.valid.eq(sequencer.product),
            array.i_command.p.layer.eq(sequencer.layer),
            array.i_command.p.backward.eq(sequencer.backward),
            sequencer.product_ready.eq(array.i_command.ready),
            array.activations.eq(store.activations),
            store.layer.eq(array.activation_layer),
            store.word.eq(array.activation_word),
            sequencer.forward_done.eq(unit.o.valid & unit.o.p.last),
        ]
        widths = [config.network.n_cols(layer) for layer in self.layers]
        valid_lanes = Array(Const((width - 1) % config.lanes + 1) for width in widths)
        m.d.comb += unit.valid_lanes.eq(valid_lanes[sequencer.layer])

        is_last = sequencer.layer == self.layers[-1]
        self.is_output, self.is_hidden = Signal(), Signal()
        m.d.comb += [
            self.is_output.eq(unit.o.valid & is_last),
            self.is_hidden.eq(unit.o.valid & ~is_last),
            self.outputs.valid.eq(self.is_output),
            self.outputs.p.eq(unit.o.p),
            store.i.valid.eq(self.is_hidden | self.loaded),
            store.i.p.eq(unit.o.p),
            store.write_layer.eq(sequencer.layer + 1),
        ]
        with m.If(self.loaded):
            m.d.comb += [
                store.i.p.activations.eq(self.image.p.pixels),
                store.i.p.last.eq(self.image.p.last),
                store.write_layer.eq(0),
            ]

    def _connect_errors(self, m: Module) -> None:
        """Outputs through the error unit; errors from their store to the backward product."""
        array, sequencer, unit = self.array, self.sequencer, self.activation_unit
        m.submodules.output_operands = output_operands = OutputOperands(self.config.unit)
        self.operands = stream.Signature(operand_word_layout(self.config.unit)).create()
        m.d.comb += [
            output_operands.i.valid.eq(self.is_output & self.training),
            output_operands.i.p.eq(unit.o.p),
            output_operands.label.eq(self.label),
            output_operands.o.ready.eq(self.operands.ready),
            self.operands.valid.eq(output_operands.o.valid),
            self.operands.p.eq(output_operands.o.p),
            self.errors.write_layer.eq(sequencer.error_layer),
            self.errors.layer.eq(sequencer.layer),
            self.errors.unit.eq(array.error_unit),
            array.error.eq(self.errors.error),
        ]
        connect(m, self.operands, self.error_unit.i)

    def _connect_direct_update(self, m: Module) -> None:
        """All errors in full width; every weight changes."""
        config, array, sequencer = self.config, self.array, self.sequencer
        m.submodules.hidden_errors = hidden = HiddenErrors(config)
        m.submodules.outer_steps = steps = OuterSteps(config)
        connect(m, array.o_columns, hidden.i)
        connect(m, steps.o, array.i_steps)
        exact = self.error_unit.o
        m.d.comb += [
            exact.ready.eq(1),
            self.errors.i.valid.eq(exact.valid | hidden.o.valid),
            self.errors.i.p.last.eq(exact.p.last),
        ]
        for lane in range(config.lanes):
            m.d.comb += self.errors.i.p.errors[lane].eq(exact.p.errors[lane])
        with m.If(hidden.o.valid):
            m.d.comb += self.errors.i.p.eq(hidden.o.p)
        stored, is_hidden = Signal(), Signal()
        m.d.comb += [
            stored.eq(self.errors.i.valid & self.errors.i.p.last),
            is_hidden.eq(sequencer.phase == EnginePhase.BACKWARD),
            self.image_ready.eq(1),
            # Hidden errors are stored at once: nothing waits for them any more.
            sequencer.hidden_done.eq(stored),
            sequencer.errors_done.eq(stored | is_hidden),
            self.counts.errors_computed.eq(stored),
            hidden.activations.eq(self.activations.activations),
            steps.i_command.valid.eq(sequencer.update),
            steps.i_command.p.layer.eq(sequencer.layer),
            sequencer.update_ready.eq(steps.i_command.ready),
            steps.shift.eq(config.update_shift(0) - self.learning_rate_log2),
            steps.activations.eq(self.activations.activations),
            steps.error.eq(self.errors.error),
            sequencer.update_busy.eq(steps.busy | array.stepping),
        ]
        with m.If(is_hidden):
            m.d.comb += [
                self.activations.layer.eq(sequencer.layer),
                self.activations.word.eq(hidden.word),
            ]
        with m.If(sequencer.phase == EnginePhase.UPDATE):
            m.d.comb += [
                self.activations.layer.eq(steps.layer),
                self.activations.word.eq(steps.word),
                self.errors.layer.eq(steps.layer),
                self.errors.unit.eq(steps.unit),
            ]

    def _connect_chi_update(self, m: Module) -> None:
        """Errors coded as in the in-memory system; pulses become steps of a weight's LSB."""
        config, sequencer = self.config, self.sequencer
        m.submodules.quantiser = quantiser = Quantiser(config.unit)
        m.submodules.outer_product = outer_product = OuterProduct(config.unit)
        m.submodules.chi_memory = chi_memory = ChiMemory(config.unit)
        if len(self.layers) > 1:
            self._connect_hidden_operands(m)
        connect(m, self.error_unit.o, quantiser.i)
        connect(m, outer_product.o, chi_memory.i)
        self._connect_scaled(m, quantiser, outer_product)
        self._connect_codes(m, outer_product)

        # The shift of an update belongs to the errors last sent, not to those that wait.
        m.submodules.update_shift = update_shift = UpdateShift(config.unit)
        shift, keep = Signal.like(update_shift.shift), Signal()
        m.d.comb += [
            update_shift.layer.eq(sequencer.error_layer),
            update_shift.error_exponent.eq(quantiser.update_exponent),
            update_shift.learning_rate_log2.eq(self.learning_rate_log2),
            update_shift.epsilon_log2.eq(config.unit.update.epsilon_log2),
            outer_product.i_command.valid.eq(sequencer.update & keep),
            outer_product.i_command.p.layer.eq(sequencer.layer),
            outer_product.i_command.p.shift.eq(shift),
            sequencer.update_ready.eq(outer_product.i_command.ready),
            chi_memory.epsilon_log2.eq(config.unit.update.epsilon_log2),
            sequencer.update_busy.eq(outer_product.busy | chi_memory.busy | self.array.stepping),
        ]
        with m.If(sequencer.errors_done):
            m.d.sync += [shift.eq(update_shift.shift), keep.eq(update_shift.keep)]

        # A count is a step; both lie at the address of their word.
        pulses, steps = chi_memory.o, self.array.i_steps
        bases = Array(Const(config.weight_base(k)) for k in self.layers)
        words = Array(Const(config.n_words(k)) for k in self.layers)
        layer = pulses.p.layer
        m.d.comb += [
            steps.valid.eq(pulses.valid),
            pulses.ready.eq(steps.ready),
            steps.p.address.eq(bases[layer] + pulses.p.unit * words[layer] + pulses.p.word),
            steps.p.steps.eq(pulses.p.counts),
            self.counts.products.eq(chi_memory.i.p.products),
            self.counts.product_valid.eq(chi_memory.i.valid & chi_memory.i.ready),
        ]
        with m.If(~chi_memory.busy):
            m.d.sync += self.image_ready.eq(1)

    def _connect_hidden_operands(self, m: Module) -> None:
        """Backward sums as codes, joined with the hidden activations."""
        sequencer, unit = self.sequencer, self.activation_unit
        m.submodules.back_codes = back_codes = BackCodes(self.config)
        m.submodules.hidden_operands = hidden = HiddenOperands(self.config.unit)
        connect(m, self.array.o_columns, back_codes.i)
        m.d.comb += [
            hidden.i_activations.valid.eq(self.is_hidden),
            hidden.i_activations.p.eq(unit.o.p),
            hidden.write_layer.eq(sequencer.layer),
            hidden.i.valid.eq(back_codes.o.valid),
            hidden.i.p.eq(back_codes.o.p),
            hidden.layer.eq(sequencer.error_layer),
            hidden.o.ready.eq(self.operands.ready),
        ]
        with m.If(sequencer.phase == EnginePhase.BACKWARD):
            m.d.comb += [
                self.operands.valid.eq(hidden.o.valid),
                self.operands.p.eq(hidden.o.p),
            ]

    def _connect_scaled(self, m: Module, quantiser: Quantiser, outer_product: OuterProduct) -> None:
        """Coded errors to their store and to the outer product, when the sequencer sends them."""
        sequencer, scaled, exact = self.sequencer, quantiser.o, self.error_unit.o
        computed = exact.valid & exact.ready & exact.p.last
        complete = Signal()  # the vector of this phase is in the quantiser
        m.d.comb += [
            quantiser.layer.eq(sequencer.error_layer),
            quantiser.scale_policy.eq(1),
            quantiser.emit.eq(sequencer.send),
            sequencer.hidden_done.eq(complete & quantiser.scaled),
            sequencer.errors_done.eq(scaled.valid & scaled.ready & scaled.p.last),
            self.counts.errors_computed.eq(computed),
            outer_product.i_errors.valid.eq(scaled.valid),
            outer_product.i_errors.p.codes.eq(scaled.p.codes),
            outer_product.i_errors.p.last.eq(scaled.p.last),
            scaled.ready.eq(outer_product.i_errors.ready),
            self.errors.i.valid.eq(scaled.valid & scaled.ready),
            self.errors.i.p.errors.eq(scaled.p.drives),
            self.errors.i.p.last.eq(scaled.p.last),
        ]
        with m.If(computed):
            m.d.sync += complete.eq(1)
        with m.Elif(sequencer.errors_done):
            m.d.sync += complete.eq(0)

    def _connect_codes(self, m: Module, outer_product: OuterProduct) -> None:
        """Every layer's inputs as update codes, for the outer product."""
        unit = self.activation_unit
        m.d.comb += outer_product.codes.eq(0)
        for layer in self.layers:
            m.submodules[f"code_buffer_{layer}"] = codes = CodeBuffer(self.config.unit, layer)
            m.d.comb += [
                codes.address.eq(outer_product.code_address),
                outer_product.nonzero[layer].eq(codes.nonzero),
            ]
            with m.If(outer_product.layer == layer):
                m.d.comb += outer_product.codes.eq(codes.codes)
            if layer == 0:
                # The second bank is not used: the image before is done when the next one comes.
                loaded = Signal()
                m.d.sync += loaded.eq(self.sequencer.start)
                m.d.comb += [
                    codes.i.valid.eq(self.loaded),
                    codes.i.p.activations.eq(self.image.p.pixels),
                    codes.i.p.last.eq(self.image.p.last),
                    codes.swap.eq(loaded),
                ]
            else:
                is_next = self.is_hidden & (self.sequencer.layer == layer - 1)
                m.d.comb += [codes.i.valid.eq(is_next), codes.i.p.eq(unit.o.p)]
