"""Inference unit: everything between the host's streams and the arrays' ports. It only wires."""

from itertools import pairwise

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.cnn.convolution_layer import ConvolutionLayer
from hw.cnn.counters import InferenceCounters
from hw.cnn.fully_connected import FullyConnected
from hw.cnn.image_loader import ImageLoader, image_word_layout
from hw.cnn.layouts import (
    ReadRange,
    array_signature,
    n_copies,
    parameter_layout,
    program_signature,
    result_layout,
    write_command_layout,
    write_result_layout,
)
from hw.cnn.sequencer import InferenceSequencer
from hw.cnn.write_verify import WriteVerify
from hw.counters import COUNTER_BITS
from model.cnn.activity import activity_names
from model.cnn.config import CnnConfig

__all__ = ["InferenceUnit"]


class InferenceUnit(wiring.Component):
    """A convolutional network on RRAM arrays: host streams on one side, array ports on the other.

    ::

        i_image ─► ImageLoader ─► ConvolutionLayer 0 ─► ... ─► FullyConnected ─► o_result
                                      │ 0 .. n - 1                   │
                                      ▼                              ▼
                                  array r * n_conv                 array n * n_conv
                                      ▲                              ▲
        i_write ─► WriteVerify ───────┴──────────────────────────────┴─► program
                        └─► o_write

    Classifies images, and writes devices between them. All numbers are the model's: the same ADC
    codes, activations, classes, pulses and cycles.

    **Timing**: see :class:`~hw.cnn.sequencer.InferenceSequencer`; an image is loaded while the one
    before is classified. A write command is accepted between groups of images, and before the
    next one that waits.

    Parameters
    ----------
    config : CnnConfig
        The system.

    Members
    -------
    i_image : ``In(stream)`` of :func:`hw.cnn.image_loader.image_word_layout`
    o_result : ``Out(stream)`` of :func:`hw.cnn.layouts.result_layout`
        One an image, in their order.
    i_parameters : ``In(stream)`` of :func:`hw.cnn.layouts.parameter_layout`
        Requantisation of every channel of every array but the last: all of them before the first
        image, later only between images. Never stalls.
    i_write : ``In(stream)`` of :func:`hw.cnn.layouts.write_command_layout`
    o_write : ``Out(stream)`` of :func:`hw.cnn.layouts.write_result_layout`
    array_0, array_1, ... : ``Out(array_signature(config, layer))``
        The compute side of each array, numbered by :func:`model.cnn.config.CnnConfig.array_index`.
    program : ``Out(program_signature(config))``
        The programming side of all arrays.
    layer : ``Out``
        Layer under way; ``n_layers`` for none.
    counters : ``Out(ArrayLayout(64, n))``
        See :class:`~hw.cnn.counters.InferenceCounters`.
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        replicas, convolutions = range(config.replicas.n), range(config.n_conv)
        self.arrays = {
            config.array_index(replica, layer): (replica, layer)
            for replica in replicas
            for layer in convolutions
        } | {config.n_arrays - 1: (0, config.n_conv)}
        counters = data.ArrayLayout(COUNTER_BITS, len(activity_names(config)))
        super().__init__(
            {
                "i_image": In(stream.Signature(image_word_layout(config))),
                "o_result": Out(stream.Signature(result_layout(config))),
                "i_parameters": In(stream.Signature(parameter_layout(config), always_ready=True)),
                "i_write": In(stream.Signature(write_command_layout(config))),
                "o_write": Out(stream.Signature(write_result_layout(config))),
            }
            | {
                f"array_{index}": Out(array_signature(config, layer))
                for index, (_, layer) in self.arrays.items()
            }
            | {
                "program": Out(program_signature(config)),
                "layer": Out(range(config.n_layers + 1)),
                "counters": Out(counters),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.loader = self.loader = ImageLoader(config)
        self.layers = [ConvolutionLayer(config, layer) for layer in range(config.n_conv)]
        for k, layer in enumerate(self.layers):
            m.submodules[f"convolution_{k}"] = layer
        m.submodules.fully_connected = self.fully_connected = FullyConnected(config)
        m.submodules.sequencer = self.sequencer = InferenceSequencer(config)
        m.submodules.writer = self.writer = WriteVerify(config)
        m.submodules.activity = self.activity = InferenceCounters(config)
        self._connect_layers(m)
        self._connect_sequencer(m)
        self._connect_writer(m)
        self._connect_arrays(m)
        self._connect_counters(m)
        return m

    def _connect_layers(self, m: Module) -> None:
        """Images through all layers to the results."""
        connect(m, flipped(self.i_image), self.loader.i)
        stages = [self.loader, *self.layers, self.fully_connected]
        for stage, following in pairwise(stages):
            for copy in range(n_copies(self.config)):
                connect(m, getattr(stage, f"o_{copy}"), getattr(following, f"i_{copy}"))
        connect(m, self.fully_connected.o, flipped(self.o_result))
        for layer in self.layers:
            m.d.comb += [
                layer.i_parameters.valid.eq(self.i_parameters.valid),
                layer.i_parameters.p.eq(self.i_parameters.p),
            ]

    def _connect_sequencer(self, m: Module) -> None:
        sequencer, n_conv = self.sequencer, self.config.n_conv
        m.d.comb += [
            sequencer.group_ready.eq(self.loader.ready),
            sequencer.n_images.eq(self.loader.n_images),
            self.loader.take.eq(sequencer.take),
            sequencer.result_free.eq(~self.o_result.valid | self.o_result.ready),
            self.layers[0].bank.eq(sequencer.bank),
            self.layer.eq(sequencer.layer),
            self.fully_connected.image.eq(sequencer.image),
            self.fully_connected.start.eq(sequencer.start[n_conv]),
            sequencer.done[n_conv].eq(self.fully_connected.done),
        ]
        for k, layer in enumerate(self.layers):
            m.d.comb += [
                layer.active.eq(sequencer.active),
                layer.start.eq(sequencer.start[k]),
                sequencer.done[k].eq(layer.done),
            ]

    def _connect_writer(self, m: Module) -> None:
        """Commands between groups of images."""
        idle = self.sequencer.idle
        m.d.comb += [
            self.sequencer.writing.eq(self.writer.busy | self.i_write.valid),
            self.writer.i.valid.eq(self.i_write.valid & idle),
            self.writer.i.p.eq(self.i_write.p),
            self.i_write.ready.eq(self.writer.i.ready & idle),
        ]
        connect(m, self.writer.o, flipped(self.o_write))
        connect(m, self.writer.program, flipped(self.program))

    def _connect_arrays(self, m: Module) -> None:
        """Arrays to their layers; to the writer while it reads one of them."""
        writer = self.writer
        row = writer.program.request
        for index, (replica, layer) in self.arrays.items():
            array = getattr(self, f"array_{index}")
            is_last = layer == self.config.n_conv
            owner = self.fully_connected if is_last else self.layers[layer]
            connect(m, getattr(owner, "array" if is_last else f"array_{replica}"), flipped(array))
            with m.If(writer.reading & (row.array == index)):
                m.d.comb += [
                    array.phase.eq(writer.phase),
                    array.step.eq(row.step),
                    array.range.eq(ReadRange.VERIFY),
                    array.slot.eq(writer.slot),
                ]
                for tile, lines in enumerate(array.drive):
                    chosen = writer.driving & (row.tile == tile)
                    for line, driven in enumerate(lines):
                        m.d.comb += driven.eq(chosen & (row.input == line))
            for tile, codes in enumerate(array.codes):
                with m.If((row.array == index) & (row.tile == tile)):
                    m.d.comb += [
                        target.eq(code) for target, code in zip(writer.codes, codes, strict=False)
                    ]

    def _connect_counters(self, m: Module) -> None:
        activity, writer = self.activity, self.writer
        m.d.comb += [
            activity.layer.eq(self.layer),
            activity.image.eq(self.fully_connected.done),
            activity.verify_read.eq(writer.read),
            activity.set_pulse.eq(writer.set_pulse),
            activity.reset_pulse.eq(writer.reset_pulse),
            activity.mask.eq(writer.program.request.mask),
            self.counters.eq(activity.counters),
        ]
        for index, (replica, layer) in self.arrays.items():
            array = getattr(self, f"array_{index}")
            is_last = layer == self.config.n_conv
            owner = self.fully_connected if is_last else self.layers[layer]
            m.d.comb += [
                getattr(activity, f"phase_{index}").eq(array.phase),
                getattr(activity, f"drive_{index}").eq(array.drive),
                getattr(activity, f"events_{index}").eq(
                    getattr(owner, "events" if is_last else f"events_{replica}")
                ),
            ]
        for k, layer in enumerate(self.layers):
            words = getattr(activity, f"words_{k}")
            for copy in range(n_copies(self.config)):
                m.d.comb += words[copy].eq(getattr(layer, f"o_{copy}").valid)
