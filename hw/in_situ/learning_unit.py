"""In-situ learning unit: everything between the host's buses and the arrays' ports. It only
wires."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from hw.counters import DriveMeter
from hw.error_operands import OutputOperands
from hw.host_interface import host_ports
from hw.in_situ.activation_scan import ActivationScan
from hw.in_situ.activation_unit import ActivationUnit
from hw.in_situ.backward_drivers import BackwardDrivers
from hw.in_situ.counters import Counters
from hw.in_situ.error_buffer import ErrorBuffer
from hw.in_situ.gate_memory import GateMemory
from hw.in_situ.gradient_memory import GradientMemory
from hw.in_situ.hidden_errors import HiddenErrors
from hw.in_situ.host_interface import HostInterface
from hw.in_situ.layouts import (
    ERROR,
    array_signature,
    error_word_layout,
    product_word_layout,
    program_signature,
    read_command_layout,
    scalar_layout,
    update_command_layout,
)
from hw.in_situ.pulse_scheduler import PulseScheduler
from hw.in_situ.rate import LearningRate
from hw.in_situ.sequencer import Phase, Sequencer
from hw.in_situ.softmax import Softmax
from hw.in_situ.write_controller import WriteController
from hw.line_drivers import LineDrivers
from hw.outer_product import WordWalker
from hw.read_out import CodeReader
from hw.watchdog import Watchdog
from model.in_situ.config import InSituConfig

__all__ = ["LearningUnit"]


class LearningUnit(wiring.Component):
    """The digital unit of in-situ learning: host buses on one side, array ports on the other.

    ::

        s_axis_image ─► HostInterface ─► LineDrivers 0 ─► array 0 ─► CodeReader 0 ─► ActivationUnit
        s_axi ────────►      ▲                                                           │
        m_axis_result ◄──────┤              array l ◄─ LineDrivers l ◄───────────────────┤
                             │                 │            │                            ▼
                             │                 │            │      OutputOperands ◄─ Softmax
                             │                 ▼            │            ▼
                             │          HiddenErrors ───────┼───► errors ─► BackwardDrivers l
                             │                              ▼            ▼
                             │             ActivationScan l ─► WordWalker ◄─ ErrorBuffer
                             │                                     ▼
                             │   WriteController ─► GradientMemory, GateMemory ─► PulseScheduler
                             └── LearningRate ──────────────────────────▲              │
                                                                          program ◄────┘

    All phases are the sequencer's; all numbers are the model's:
    :func:`model.in_situ.unit.train_images` computes the same codes, errors, gradients, gates,
    pulses and cycles.

    Parameters
    ----------
    config : InSituConfig
        The system.

    Members
    -------
    s_axis_image, m_axis_result, s_axi
        As of :class:`~hw.in_situ.host_interface.HostInterface`.
    array_0, array_1, ... : ``Out(array_signature(config, layer))``
        The compute side of each layer's array.
    program : ``Out(program_signature(config))``
        The programming side of all arrays.
    """

    def __init__(self, config: InSituConfig) -> None:
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
        self.readers = [self._reader(layer) for layer in layers]
        self.row_drivers = [self._row_drivers(layer) for layer in layers]
        for layer in layers:
            m.submodules[f"reader_{layer}"] = self.readers[layer]
            m.submodules[f"row_drivers_{layer}"] = self.row_drivers[layer]
        m.submodules.activation_unit = self.activation_unit = ActivationUnit(config)
        m.submodules.softmax = self.softmax = Softmax(config)
        m.submodules.error_buffer = self.error_buffer = ErrorBuffer(config)
        m.submodules.walker = self.walker = self._walker()
        m.submodules.gradient_memory = self.gradient_memory = GradientMemory(config)
        m.submodules.gate_memory = self.gate_memory = GateMemory(config)
        m.submodules.write_controller = self.write_controller = WriteController(config)
        m.submodules.pulse_scheduler = self.pulse_scheduler = PulseScheduler(config)
        m.submodules.rate = self.rate = LearningRate(config)
        m.submodules.activity = self.counters = Counters(config)

        self._connect_host(m)
        self._connect_arrays(m)
        self._connect_forward(m)
        self._connect_errors(m)
        self._connect_update(m)
        self._connect_write(m)
        self._connect_counters(m)
        self._connect_meters(m)
        return m

    # Shared blocks with this system's sizes.

    def _reader(self, layer: int) -> CodeReader:
        config = self.config
        members = dict(array_signature(config, layer).members)
        return CodeReader(
            command=read_command_layout(config),
            lanes=config.update.lanes,
            code_bits=config.converter.adc_bits,
            n_cols=config.network.n_cols(layer),
            n_rows=config.network.n_inputs(layer) if layer else 0,
            mvm_cycles=config.array.mvm_cycles,
            read_cycles=config.array.mvm_cycles,
            # The pass goes to the backward drivers, not to the array.
            array=members | {"negative": Out(1)},
        )

    def _row_drivers(self, layer: int) -> LineDrivers:
        return LineDrivers(
            n_lines=self.config.network.n_inputs(layer),
            shape=unsigned(8),
            lanes=self.config.update.lanes,
            double_buffered=layer == 0,
        )

    def _walker(self) -> WordWalker:
        config = self.config
        return WordWalker(
            units=[config.network.n_inputs(layer) for layer in self.layers],
            words=[config.unit_words(layer) for layer in self.layers],
            scalar=scalar_layout(config),
            code=ERROR,
            command=update_command_layout(config),
            product=product_word_layout(config),
        )

    # Connections.

    def _connect_host(self, m: Module) -> None:
        host, sequencer = self.host, self.sequencer
        m.submodules.watchdog = self.watchdog = watchdog = Watchdog(
            self.config.pulse.timeout_cycles
        )
        for name in self.host_ports:
            connect(m, getattr(host, name), flipped(getattr(self, name)))
        # The label of the current image; the next one may be loaded meanwhile.
        self.label = Signal.like(host.label)
        with m.If(sequencer.load):
            m.d.sync += self.label.eq(host.label)
        ran = Signal()
        m.d.sync += ran.eq(host.run)
        m.d.comb += [
            sequencer.run.eq(host.run & ran),
            sequencer.train.eq(host.train),
            sequencer.image_ready.eq(host.image_ready),
            sequencer.result_ready.eq(host.ready_for_image),
            sequencer.initialised.eq(~(self.gradient_memory.busy | self.gate_memory.busy)),
            host.take.eq(sequencer.load),
            host.commit.eq(sequencer.done),
            host.commit_label.eq(self.label),
            host.commit_trained.eq(sequencer.training),
            host.commit_skipped.eq(sequencer.skipped),
            host.idle.eq(sequencer.phase == Phase.IDLE),
            host.initialising.eq(~sequencer.initialised),
            watchdog.busy.eq(self.program.busy),
            host.array_timeout.eq(watchdog.timeout),
            self.rate.start.eq(host.rate),
            self.rate.decay.eq(host.rate_decay),
            self.rate.load.eq(host.run & ~ran),
            self.rate.step.eq(self.write_controller.done),
            host.rate_now.eq(self.rate.rate),
        ]

    def _connect_arrays(self, m: Module) -> None:
        """Arrays to their readers; commands from the sequencer."""
        sequencer = self.sequencer
        for layer, reader in enumerate(self.readers):
            array = getattr(self, f"array_{layer}")
            m.d.comb += [
                array.start.eq(reader.start),
                array.direction.eq(reader.direction),
                array.row_drive.eq(self.row_drivers[layer].drive),
                reader.col_codes.eq(array.col_codes),
                reader.row_codes.eq(array.row_codes),
                reader.i_command.p.direction.eq(sequencer.direction),
                reader.i_command.p.negative.eq(sequencer.negative),
            ]
            with m.If(sequencer.layer == layer):
                m.d.comb += [
                    reader.i_command.valid.eq(sequencer.read_command),
                    sequencer.read_accepted.eq(reader.i_command.ready),
                ]

    def _connect_forward(self, m: Module) -> None:
        """Image to the first array; codes through the activation unit to the next layer, and those
        of the last layer to the softmax."""
        host, sequencer = self.host, self.sequencer
        activation_unit, softmax, last_layer = self.activation_unit, self.softmax, self.layers[-1]
        first = self.row_drivers[0]
        m.d.comb += [
            first.i.valid.eq(host.o_drives.valid),
            first.i.p["values"].eq(host.o_drives.p.activations),
            first.i.p.last.eq(host.o_drives.p.last),
            host.o_drives.ready.eq(first.i.ready),
            first.apply.eq(sequencer.load),
            first.rewind.eq(host.rewind),
        ]
        activations = activation_unit.o
        m.d.comb += [activations.ready.eq(1), activation_unit.valid_lanes.eq(activation_unit.lanes)]
        for layer, reader in enumerate(self.readers):
            sink = softmax.i if layer == last_layer else activation_unit.i
            with m.If((sequencer.phase == Phase.FORWARD) & (sequencer.layer == layer)):
                m.d.comb += [
                    sink.valid.eq(reader.o_words.valid),
                    sink.p.eq(reader.o_words.p),
                    reader.o_words.ready.eq(sink.ready),
                ]
        with m.If(sequencer.layer == last_layer):
            m.d.comb += sequencer.forward_done.eq(
                softmax.i.valid & softmax.i.ready & softmax.i.p.last
            )
        with m.Else():
            m.d.comb += sequencer.forward_done.eq(activations.valid & activations.p.last)
        for layer in self.layers[1:]:
            drivers = self.row_drivers[layer]
            m.d.comb += [
                drivers.i.valid.eq(activations.valid & (sequencer.layer == layer - 1)),
                drivers.i.p["values"].eq(activations.p.activations),
                drivers.i.p.last.eq(activations.p.last),
            ]

    def _connect_errors(self, m: Module) -> None:
        """Errors of either kind to the error buffer and the backward drivers."""
        host, sequencer, outputs = self.host, self.sequencer, self.softmax.o
        m.submodules.output_operands = operands = OutputOperands(self.config)
        m.d.comb += [
            outputs.ready.eq(1),
            host.i_outputs.valid.eq(outputs.valid),
            host.i_outputs.p.eq(outputs.p),
            operands.i.valid.eq(outputs.valid),
            operands.i.p.eq(outputs.p),
            operands.label.eq(self.label),
            operands.o.ready.eq(1),
        ]
        self.errors = stream.Signature(error_word_layout(self.config), always_ready=True).create(
            path=("errors",)
        )
        m.d.comb += [
            self.errors.valid.eq(operands.o.valid),
            self.errors.p.last.eq(operands.o.p.last),
            sequencer.errors_done.eq(self.errors.valid & self.errors.p.last),
            sequencer.zero_error.eq(~self.error_buffer.nonzero.any()),
        ]
        for error, factor in zip(self.errors.p.errors, operands.o.p.factors, strict=True):
            m.d.comb += error.eq(factor)
        if len(self.layers) > 1:
            self._connect_backward(m)
        connect(m, self.errors, self.error_buffer.i)

    def _connect_backward(self, m: Module) -> None:
        """Columns driven with one sign of the errors; the codes of both passes joined."""
        sequencer = self.sequencer
        m.submodules.hidden_errors = hidden = HiddenErrors(self.config)
        m.d.comb += [hidden.negative.eq(sequencer.negative), hidden.o.ready.eq(1)]
        for layer in self.layers[1:]:
            reader, row_drivers = self.readers[layer], self.row_drivers[layer]
            drivers = BackwardDrivers(self.config, layer)
            m.submodules[f"backward_drivers_{layer}"] = drivers
            m.d.comb += [
                drivers.i.valid.eq(self.errors.valid & (sequencer.error_layer == layer)),
                drivers.i.p.eq(self.errors.p),
                drivers.negative.eq(reader.negative),
                getattr(self, f"array_{layer}").col_drive.eq(drivers.drive),
            ]
            with m.If((sequencer.phase == Phase.BACKWARD) & (sequencer.layer == layer)):
                m.d.comb += [
                    hidden.i.valid.eq(reader.o_words.valid),
                    hidden.i.p.eq(reader.o_words.p),
                    reader.o_words.ready.eq(hidden.i.ready),
                    *(
                        hidden.active[unit].eq(row_drivers.drive[unit] != 0)
                        for unit in range(self.config.network.n_inputs(layer))
                    ),
                ]
        m.d.comb += sequencer.pass_done.eq(hidden.i.valid & hidden.i.ready & hidden.i.p.last)
        with m.If(sequencer.phase == Phase.BACKWARD):
            m.d.comb += [self.errors.valid.eq(hidden.o.valid), self.errors.p.eq(hidden.o.p)]

    def _connect_update(self, m: Module) -> None:
        """Activations and errors into the gradient memory."""
        sequencer, walker, errors = self.sequencer, self.walker, self.error_buffer
        command = sequencer.update_command
        connect(m, command, walker.i_command)
        connect(m, walker.o, self.gradient_memory.i)
        m.d.comb += [
            sequencer.update_busy.eq(walker.busy),
            errors.address.eq(walker.code_address),
            walker.codes.eq(errors.errors),
        ]
        for layer in self.layers:
            scan = ActivationScan(self.config, layer)
            m.submodules[f"activation_scan_{layer}"] = scan
            m.d.comb += [
                walker.nonzero[layer].eq(errors.nonzero),
                scan.drive.eq(self.row_drivers[layer].drive),
                scan.start.eq(command.valid & command.ready & (command.p.layer == layer)),
                scan.drop.eq(walker.drop),
            ]
            with m.If(walker.layer == layer):
                m.d.comb += [
                    walker.i_scalars.valid.eq(scan.o.valid),
                    walker.i_scalars.p.eq(scan.o.p),
                    scan.o.ready.eq(walker.i_scalars.ready),
                ]

    def _connect_write(self, m: Module) -> None:
        """Gradients into gates, gates into pulses."""
        sequencer, controller, scheduler = (
            self.sequencer,
            self.write_controller,
            self.pulse_scheduler,
        )
        gradients, gates = self.gradient_memory, self.gate_memory
        connect(m, controller.o, gates.i)
        connect(m, gates.o, scheduler.i)
        m.d.comb += [
            self.program.request.eq(scheduler.program.request),
            self.program.pulse.eq(scheduler.program.pulse),
            scheduler.program.busy.eq(self.watchdog.hold),
            controller.start.eq(sequencer.write),
            controller.row_done.eq(scheduler.row_done),
            sequencer.write_done.eq(controller.done),
            gradients.take.eq(controller.o.valid),
            gradients.take_address.eq(controller.o.p.address),
            gates.gradients.eq(gradients.taken),
            gates.mantissa.eq(self.rate.mantissa),
            gates.shifts.eq(self.host.shifts),
            scheduler.layer.eq(controller.layer),
            scheduler.unit.eq(controller.unit),
        ]

    def _connect_counters(self, m: Module) -> None:
        sequencer, counters, program = self.sequencer, self.counters, self.program
        products = self.gradient_memory.i
        m.d.comb += [
            counters.phase.eq(sequencer.phase),
            counters.done.eq(sequencer.done),
            counters.skipped.eq(sequencer.skipped),
            counters.write_done.eq(self.write_controller.done),
            counters.product.eq(sequencer.read_command & sequencer.read_accepted),
            counters.layer.eq(sequencer.layer),
            counters.direction.eq(sequencer.direction),
            counters.errors_done.eq(sequencer.errors_done & sequencer.training),
            counters.error_layer.eq(sequencer.error_layer),
            counters.products.eq(products.p.products),
            counters.product_valid.eq(products.valid),
            counters.gate_word.eq(self.gate_memory.i.valid),
            counters.pulse.eq(self.pulse_scheduler.set_pulse | self.pulse_scheduler.reset_pulse),
            counters.kind.eq(program.request.kind),
            counters.gates.eq(program.request.gates),
            self.host.counters.eq(counters.counters),
            self.host.cycles_idle.eq(counters.cycles_idle),
        ]

    def _connect_meters(self, m: Module) -> None:
        """Three meters: the loaded image, hidden activations, errors that drive backwards."""
        config, host, sequencer, counters = self.config, self.host, self.sequencer, self.counters
        lanes, layers = config.update.lanes, config.network.layers
        is_product = sequencer.read_command & sequencer.read_accepted
        is_hidden = (sequencer.phase == Phase.FORWARD) & (sequencer.layer != 0)
        activations = self.activation_unit.o
        image = DriveMeter(shape=unsigned(8), lanes=lanes, n_lines=layers[0], bias_lines=0)
        forward = DriveMeter(shape=unsigned(8), lanes=lanes, n_lines=max(layers[1:]), bias_lines=0)
        backward = DriveMeter(shape=ERROR, lanes=lanes, n_lines=max(layers[1:]), bias_lines=0)
        m.submodules.image_meter = image
        m.submodules.forward_meter = forward
        m.submodules.backward_meter = backward
        m.d.comb += [
            image.values.eq(host.o_drives.p.activations),
            image.valid.eq(host.o_drives.valid & host.o_drives.ready),
            image.commit.eq(sequencer.load),
            image.clear.eq(host.rewind),
            forward.values.eq(activations.p.activations),
            forward.valid.eq(activations.valid),
            forward.commit.eq(is_product & is_hidden),
            # Both passes together: the first drives some of the errors, the second the others.
            backward.values.eq(self.errors.p.errors),
            backward.valid.eq(self.errors.valid & (sequencer.error_layer != 0)),
            backward.commit.eq(is_product & sequencer.negative),
            backward.clear.eq(sequencer.load),
            counters.lines.eq(image.lines + forward.lines + backward.lines),
            counters.drive_sum.eq(image.cycles + forward.cycles + backward.cycles),
        ]
