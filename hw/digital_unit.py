"""Digital unit: everything between the host's buses and the arrays' ports. It only wires."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from hw.activation_unit import ActivationUnit
from hw.chi_memory import ChiMemory
from hw.code_buffer import CodeBuffer
from hw.counters import Counters, DriveMeter
from hw.error_operands import HiddenOperands, OutputOperands
from hw.error_unit import ErrorUnit
from hw.host_interface import HostInterface, host_ports
from hw.layouts import Direction, array_signature, operand_word_layout, program_signature
from hw.line_drivers import LineDrivers
from hw.outer_product import OuterProduct
from hw.pulse_scheduler import PulseScheduler
from hw.quantiser import Quantiser
from hw.read_out import ReadOut
from hw.refresh_controller import RefreshController
from hw.sequencer import Phase, Sequencer
from hw.watchdog import Watchdog
from model.config import Config

__all__ = ["DigitalUnit"]


class DigitalUnit(wiring.Component):
    """The digital unit of in-memory training: host buses on one side, array ports on the other.

    ::

        s_axis_image ─► HostInterface ─► LineDrivers 0 ─► array 0 ─► ReadOut 0 ─┐
        s_axi ────────►      ▲     └───► CodeBuffer 0                           ▼
        m_axis_result ◄──────┴──────────────────────────────────────────── ActivationUnit
                                                                                │
              array l ◄─ LineDrivers l, CodeBuffer l, HiddenOperands ◄──────────┤
                 │                                                              ▼
                 └► ReadOut l ─► HiddenOperands ─► ErrorUnit ◄─────────── OutputOperands
                                                      ▼
              array l ◄─ LineDrivers back l ◄───── Quantiser ─► OuterProduct ─► ChiMemory
                                                                                    ▼
              program ◄──────── PulseScheduler ◄────────────────────────────────────┘
                                     ▲
                             RefreshController ◄─► ReadOut l

    All phases are the sequencer's; all numbers are the model's: :func:`model.unit.train_image`
    computes the same codes, errors, chi words, pulses and cycles.

    Parameters
    ----------
    config : Config
        The system.

    Members
    -------
    s_axis_image, m_axis_result, s_axi
        As of :class:`~hw.host_interface.HostInterface`.
    array_0, array_1, ... : ``Out(array_signature(config, layer))``
        The compute side of each layer's array.
    program : ``Out(program_signature(config))``
        The programming side of all arrays.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.layers = range(config.network.n_layers)
        self.host_ports = host_ports(config.update.lanes)
        super().__init__(
            self.host_ports
            | {f"array_{layer}": Out(array_signature(config, layer)) for layer in self.layers}
            | {"program": Out(program_signature(config))}
        )

    def elaborate(self, platform: object) -> Module:
        config, layers = self.config, self.layers
        m = Module()
        m.submodules.host = self.host = HostInterface(config)
        m.submodules.sequencer = self.sequencer = Sequencer(config)
        self.read_outs = [ReadOut(config, layer) for layer in layers]
        self.row_drivers = [self._row_drivers(layer) for layer in layers]
        self.code_buffers = [CodeBuffer(config, layer) for layer in layers]
        for layer in layers:
            m.submodules[f"read_out_{layer}"] = self.read_outs[layer]
            m.submodules[f"row_drivers_{layer}"] = self.row_drivers[layer]
            m.submodules[f"code_buffer_{layer}"] = self.code_buffers[layer]
        m.submodules.activation_unit = self.activation_unit = ActivationUnit(config)
        m.submodules.error_unit = self.error_unit = ErrorUnit(config)
        m.submodules.quantiser = self.quantiser = Quantiser(config)
        m.submodules.outer_product = self.outer_product = OuterProduct(config)
        m.submodules.chi_memory = self.chi_memory = ChiMemory(config)
        m.submodules.pulse_scheduler = self.pulse_scheduler = PulseScheduler(config)
        m.submodules.refresh_controller = self.refresh_controller = RefreshController(config)
        m.submodules.activity = self.counters = Counters(config)

        self._connect_host(m)
        self._connect_arrays(m)
        self._connect_forward(m)
        self._connect_errors(m)
        self._connect_update(m)
        self._connect_refresh(m)
        self._connect_counters(m)
        return m

    def _row_drivers(self, layer: int) -> LineDrivers:
        return LineDrivers(
            n_lines=self.config.network.n_rows(layer),
            shape=unsigned(8),
            lanes=self.config.update.lanes,
            double_buffered=layer == 0,
            bias=True,
        )

    def _connect_host(self, m: Module) -> None:
        host, sequencer = self.host, self.sequencer
        m.submodules.watchdog = self.watchdog = watchdog = Watchdog(
            self.config.pulse.timeout_cycles
        )
        for name in self.host_ports:
            connect(m, getattr(host, name), flipped(getattr(self, name)))
        # What the host sets is looked at between images only.
        self.label = Signal.like(host.label)
        self.epsilon_log2 = Signal.like(host.epsilon_log2)
        self.scale_policy = Signal.like(host.scale_policy)
        learning_rate_log2 = Signal.like(host.learning_rate_log2)
        skip_policy = Signal.like(host.skip_policy)
        with m.If(sequencer.load):
            m.d.sync += [
                self.label.eq(host.label),
                self.epsilon_log2.eq(host.epsilon_log2),
                self.scale_policy.eq(host.scale_policy),
                learning_rate_log2.eq(host.learning_rate_log2),
                skip_policy.eq(host.skip_policy),
            ]
        m.d.comb += [
            sequencer.run.eq(host.run),
            sequencer.train.eq(host.train),
            sequencer.learning_rate_log2.eq(learning_rate_log2),
            sequencer.epsilon_log2.eq(self.epsilon_log2),
            sequencer.skip_policy.eq(skip_policy),
            sequencer.image_ready.eq(host.image_ready),
            sequencer.result_ready.eq(host.ready_for_image),
            sequencer.next_ready.eq(host.image_ready & host.ready_for_next),
            host.take.eq(sequencer.load),
            host.commit.eq(sequencer.done),
            host.commit_label.eq(self.label),
            host.commit_trained.eq(sequencer.training),
            host.commit_skipped.eq(sequencer.skipped),
            host.idle.eq(sequencer.phase == Phase.IDLE),
            watchdog.busy.eq(self.program.busy),
            host.array_timeout.eq(watchdog.timeout),
        ]

    def _connect_arrays(self, m: Module) -> None:
        """Arrays to their read-outs; commands from the sequencer and the refresh controller."""
        sequencer, refresh = self.sequencer, self.refresh_controller
        for layer, read_out in enumerate(self.read_outs):
            array = getattr(self, f"array_{layer}")
            from_sequencer = sequencer.read_command & (sequencer.layer == layer)
            from_refresh = refresh.o_commands.valid & (refresh.o_commands.p.layer == layer)
            m.d.comb += [
                array.start.eq(read_out.start),
                array.direction.eq(read_out.direction),
                array.row.eq(read_out.row),
                array.device.eq(read_out.device),
                array.row_drive.eq(self.row_drivers[layer].drive),
                read_out.col_codes.eq(array.col_codes),
                read_out.row_codes.eq(array.row_codes),
                read_out.i_command.valid.eq(from_sequencer | from_refresh),
            ]
            # The two never ask for the same array: refresh uses those that the image does not.
            with m.If(from_refresh):
                m.d.comb += [
                    read_out.i_command.p.eq(refresh.o_commands.p.command),
                    refresh.o_commands.ready.eq(read_out.i_command.ready),
                ]
            with m.Elif(from_sequencer):
                m.d.comb += [
                    read_out.i_command.p.direction.eq(sequencer.direction),
                    sequencer.read_accepted.eq(read_out.i_command.ready),
                ]

    def _connect_forward(self, m: Module) -> None:
        """Image to the first array; codes through the activation unit to the next layer."""
        host, sequencer, activation_unit = self.host, self.sequencer, self.activation_unit
        network, lanes = self.config.network, self.config.update.lanes
        first_drivers, first_codes = self.row_drivers[0], self.code_buffers[0]
        m.d.comb += [
            first_drivers.i.valid.eq(host.o_drives.valid),
            first_drivers.i.p.values.eq(host.o_drives.p.activations),
            first_drivers.i.p.last.eq(host.o_drives.p.last),
            host.o_drives.ready.eq(first_drivers.i.ready),
            first_drivers.apply.eq(sequencer.load),
            first_drivers.rewind.eq(host.rewind),
            first_codes.swap.eq(sequencer.load),
            first_codes.rewind.eq(host.rewind),
        ]
        connect(m, host.o_codes, first_codes.i)
        if self.config.update.overlap:
            command = sequencer.update_command
            m.d.comb += first_codes.select.eq(
                command.valid & command.ready & (command.p.layer == 0)
            )

        # One layer at a time: its code words reach the activation unit, its activations the next.
        last_layer = self.layers[-1]
        widths = [network.n_cols(layer) for layer in self.layers]
        valid_lanes = Array(Const((width - 1) % lanes + 1) for width in widths)
        m.d.comb += activation_unit.valid_lanes.eq(valid_lanes[sequencer.layer])
        activations = activation_unit.o
        m.d.comb += [
            activations.ready.eq(1),
            sequencer.forward_done.eq(activations.valid & activations.p.last),
        ]
        for layer, read_out in enumerate(self.read_outs):
            with m.If(read_out.direction == Direction.FORWARD):
                with m.If(sequencer.layer == layer):
                    m.d.comb += [
                        activation_unit.i.valid.eq(read_out.o_words.valid),
                        activation_unit.i.p.eq(read_out.o_words.p),
                        read_out.o_words.ready.eq(activation_unit.i.ready),
                    ]
        for layer in self.layers[1:]:
            is_next = activations.valid & (sequencer.layer == layer - 1)
            drivers, codes = self.row_drivers[layer], self.code_buffers[layer]
            m.d.comb += [
                drivers.i.valid.eq(is_next),
                drivers.i.p.values.eq(activations.p.activations),
                drivers.i.p.last.eq(activations.p.last),
                codes.i.valid.eq(is_next),
                codes.i.p.eq(activations.p),
            ]
        self.is_output = activations.valid & (sequencer.layer == last_layer)
        m.d.comb += [host.i_outputs.valid.eq(self.is_output), host.i_outputs.p.eq(activations.p)]

    def _connect_errors(self, m: Module) -> None:
        """Operands of either kind through error unit and quantiser to drivers and outer product."""
        sequencer, quantiser = self.sequencer, self.quantiser
        activations = self.activation_unit.o
        m.submodules.output_operands = output_operands = OutputOperands(self.config)
        m.d.comb += [
            output_operands.i.valid.eq(self.is_output & sequencer.training),
            output_operands.i.p.eq(activations.p),
            output_operands.label.eq(self.label),
            output_operands.o.ready.eq(self.error_unit.i.ready),
        ]
        operands = stream.Signature(operand_word_layout(self.config)).create()
        m.d.comb += [operands.valid.eq(output_operands.o.valid), operands.p.eq(output_operands.o.p)]
        if len(self.layers) > 1:
            hidden = self._connect_hidden_operands(m)
            with m.If(sequencer.phase == Phase.BACKWARD):
                m.d.comb += [operands.valid.eq(hidden.o.valid), operands.p.eq(hidden.o.p)]
        m.d.comb += operands.ready.eq(self.error_unit.i.ready)
        connect(m, operands, self.error_unit.i)

        connect(m, self.error_unit.o, quantiser.i)
        m.d.comb += [
            quantiser.layer.eq(sequencer.error_layer),
            quantiser.scale_policy.eq(self.scale_policy),
            quantiser.decay.eq(sequencer.decay),
            sequencer.zero_error.eq(quantiser.zero_error),
            sequencer.zero_codes.eq(quantiser.zero_codes),
            sequencer.update_exponent.eq(quantiser.update_exponent),
        ]
        # Scaled words go to the outer product and, but for the first layer's, to the drivers of
        # the next backward product. The outer product alone can stall, and what is left of the
        # update before.
        scaled = quantiser.o
        self.scaled_transfer = scaled.valid & scaled.ready
        m.d.comb += [
            self.outer_product.i_errors.valid.eq(scaled.valid & sequencer.settled),
            self.outer_product.i_errors.p.codes.eq(scaled.p.codes),
            self.outer_product.i_errors.p.last.eq(scaled.p.last),
            scaled.ready.eq(self.outer_product.i_errors.ready & sequencer.settled),
            sequencer.scaled_done.eq(self.scaled_transfer & scaled.p.last),
        ]
        for layer in self.layers[1:]:
            drivers = LineDrivers(
                n_lines=self.config.network.n_cols(layer),
                shape=signed(8),
                lanes=self.config.update.lanes,
            )
            m.submodules[f"col_drivers_{layer}"] = drivers
            m.d.comb += [
                drivers.i.valid.eq(self.scaled_transfer & (sequencer.error_layer == layer)),
                drivers.i.p.values.eq(scaled.p.drives),
                drivers.i.p.last.eq(scaled.p.last),
                getattr(self, f"array_{layer}").col_drive.eq(drivers.drive),
            ]

    def _connect_hidden_operands(self, m: Module) -> HiddenOperands:
        sequencer, activations = self.sequencer, self.activation_unit.o
        m.submodules.hidden_operands = hidden = HiddenOperands(self.config)
        m.d.comb += [
            hidden.i_activations.valid.eq(activations.valid & ~self.is_output),
            hidden.i_activations.p.eq(activations.p),
            hidden.write_layer.eq(sequencer.layer),
            hidden.layer.eq(sequencer.error_layer),
            hidden.o.ready.eq(self.error_unit.i.ready),
        ]
        for layer in self.layers[1:]:
            read_out = self.read_outs[layer]
            with m.If(read_out.direction == Direction.BACKWARD):
                with m.If(sequencer.layer == layer):
                    m.d.comb += [
                        hidden.i.valid.eq(read_out.o_words.valid),
                        hidden.i.p.eq(read_out.o_words.p),
                        read_out.o_words.ready.eq(hidden.i.ready),
                    ]
        return hidden

    def _connect_update(self, m: Module) -> None:
        """Outer product, chi memory and pulse scheduler in a row."""
        host, sequencer = self.host, self.sequencer
        outer_product, chi_memory = self.outer_product, self.chi_memory
        connect(m, sequencer.update_command, outer_product.i_command)
        connect(m, outer_product.o, chi_memory.i)
        connect(m, chi_memory.o, self.pulse_scheduler.i_words)
        program = self.pulse_scheduler.program
        m.d.comb += [
            self.program.request.eq(program.request),
            self.program.pulse.eq(program.pulse),
            program.busy.eq(self.watchdog.hold),
        ]
        for layer, code_buffer in enumerate(self.code_buffers):
            m.d.comb += [
                code_buffer.address.eq(outer_product.code_address),
                outer_product.nonzero[layer].eq(code_buffer.nonzero),
            ]
        with m.Switch(outer_product.layer):
            for layer, code_buffer in enumerate(self.code_buffers):
                with m.Case(layer):
                    m.d.comb += outer_product.codes.eq(code_buffer.codes)

        initialised = Signal()
        with m.If(~chi_memory.busy):
            m.d.sync += initialised.eq(1)
        # A carried update keeps its threshold, whatever the host sets for the image beside it.
        epsilon_log2 = self.epsilon_log2
        if self.config.update.overlap:
            epsilon_log2 = Signal.like(self.epsilon_log2)
            with m.If(sequencer.update_command.valid & sequencer.update_command.ready):
                m.d.sync += epsilon_log2.eq(self.epsilon_log2)
        m.d.comb += [
            chi_memory.epsilon_log2.eq(epsilon_log2),
            chi_memory.read_enable.eq(host.chi_enable),
            chi_memory.read_address.eq(host.chi_address),
            host.chi_ack.eq(chi_memory.read_ack),
            host.chi_data.eq(chi_memory.read_data),
            host.initialising.eq(~initialised),
            sequencer.initialised.eq(initialised),
            sequencer.update_busy.eq(outer_product.busy | chi_memory.busy),
            sequencer.pulse_busy.eq(self.pulse_scheduler.busy),
            sequencer.upper_busy.eq(self.pulse_scheduler.upper_busy),
            self.pulse_scheduler.first_window.eq(sequencer.first_window),
            self.pulse_scheduler.upper_window.eq(sequencer.upper_window),
        ]
        if host.is_protected:
            m.d.comb += [
                host.chi_corrected.eq(chi_memory.corrected),
                host.chi_lost.eq(chi_memory.lost),
                host.chi_loss.eq(chi_memory.loss),
            ]

    def _connect_refresh(self, m: Module) -> None:
        """Refresh every ``refresh.interval`` training images, on arrays that the image leaves."""
        sequencer, refresh = self.sequencer, self.refresh_controller
        interval = self.config.refresh.interval
        images = Signal(range(interval + 1))
        begins = sequencer.load & (sequencer.train | sequencer.carried)
        first_layer = 1
        if interval:
            m.d.comb += refresh.due.eq(images + begins >= interval)
            with m.If(refresh.complete):
                m.d.sync += images.eq(0)
            with m.Elif(begins & (images != interval)):
                m.d.sync += images.eq(images + 1)
        m.d.comb += [
            refresh.start.eq(sequencer.refresh_upper | sequencer.refresh_first),
            refresh.layers_mask.eq(Mux(sequencer.refresh_first, first_layer, ~first_layer)),
            sequencer.refresh_busy.eq(refresh.busy),
        ]
        connect(m, refresh.o_requests, self.pulse_scheduler.i_requests)
        for layer, read_out in enumerate(self.read_outs):
            is_read = read_out.direction == Direction.READ
            with m.If(is_read & (refresh.layer == layer)):
                m.d.comb += [
                    refresh.i_words.valid.eq(read_out.o_words.valid),
                    refresh.i_words.p.eq(read_out.o_words.p),
                    read_out.o_words.ready.eq(refresh.i_words.ready),
                ]

    def _connect_counters(self, m: Module) -> None:
        sequencer, counters, scheduler = self.sequencer, self.counters, self.pulse_scheduler
        products, pulses = self.chi_memory.i, self.chi_memory.o
        m.d.comb += [
            counters.phase.eq(sequencer.phase),
            counters.done.eq(sequencer.done),
            counters.skipped.eq(sequencer.skipped),
            counters.scaled_done.eq(sequencer.scaled_done),
            counters.error_layer.eq(sequencer.error_layer),
            counters.products.eq(products.p.products),
            counters.product_valid.eq(products.valid & products.ready),
            counters.pulse_word.eq(pulses.valid & pulses.ready),
            counters.set_pulse.eq(scheduler.set_pulse),
            counters.reset_pulse.eq(scheduler.reset_pulse),
            counters.refreshed_pair.eq(self.refresh_controller.refreshed_pair),
            self.host.counters.eq(counters.counters),
            self.host.cycles_idle.eq(counters.cycles_idle),
        ]
        self._connect_meters(m)

    def _connect_meters(self, m: Module) -> None:
        """Three meters: the loaded image, hidden activations, backward drives."""
        config, host, sequencer, counters = self.config, self.host, self.sequencer, self.counters
        lanes, layers = config.update.lanes, config.network.layers
        is_product = sequencer.read_command & sequencer.read_accepted
        is_forward = sequencer.direction == Direction.FORWARD
        activations, scaled = self.activation_unit.o, self.quantiser.o
        image = DriveMeter(shape=unsigned(8), lanes=lanes, n_lines=layers[0], bias_lines=1)
        m.submodules.image_meter = image
        m.d.comb += [
            image.values.eq(host.o_drives.p.activations),
            image.valid.eq(host.o_drives.valid & host.o_drives.ready),
            image.commit.eq(sequencer.load),
            image.clear.eq(host.rewind),
        ]
        forward = DriveMeter(shape=unsigned(8), lanes=lanes, n_lines=max(layers[1:]), bias_lines=1)
        m.submodules.forward_meter = forward
        m.d.comb += [
            forward.values.eq(activations.p.activations),
            forward.valid.eq(activations.valid & ~self.is_output),
            forward.commit.eq(is_product & is_forward & (sequencer.layer != 0)),
        ]
        backward = DriveMeter(shape=signed(8), lanes=lanes, n_lines=max(layers[1:]), bias_lines=0)
        m.submodules.backward_meter = backward
        m.d.comb += [
            backward.values.eq(scaled.p.drives),
            backward.valid.eq(self.scaled_transfer & (sequencer.error_layer != 0)),
            backward.commit.eq(is_product & ~is_forward),
            backward.clear.eq(sequencer.load),
            counters.lines.eq(image.lines + forward.lines + backward.lines),
            counters.cycles.eq(image.cycles + forward.cycles + backward.cycles),
        ]
        refresh = self.refresh_controller
        m.d.comb += [
            counters.product.eq(is_product),
            counters.layer.eq(sequencer.layer),
            counters.direction.eq(sequencer.direction),
            counters.read.eq(refresh.o_commands.valid & refresh.o_commands.ready),
            counters.read_layer.eq(refresh.o_commands.p.layer),
        ]
