"""Host interface of the in-situ learning unit: the MCA unit's frames, other registers."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.axi import axi4_lite_signature, axi4_stream_signature
from hw.counters import COUNTER_BITS
from hw.in_situ.registers import register_table
from hw.input_buffer import InputBuffer
from hw.layouts import activation_word_layout
from hw.register_file import RegisterFile
from hw.registers import ADDRESS_BITS
from hw.result_buffer import ResultBuffer
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig

__all__ = ["HostInterface"]


class HostInterface(wiring.Component):
    """Joins input buffer, result buffer and register file; adds no logic of its own.

    Parameters
    ----------
    config : InSituConfig

    Members
    -------
    s_axis_image, m_axis_result, s_axi
        As of :class:`hw.host_interface.HostInterface`; registers by
        :func:`hw.in_situ.registers.register_table`.
    o_drives, rewind, image_ready, label, take
        Loading an image; as of :class:`hw.input_buffer.InputBuffer`.
    i_outputs, commit, commit_label, commit_trained, commit_skipped, ready_for_image
        Delivering a result; as of :class:`hw.result_buffer.ResultBuffer`.
    run, train : ``Out(1)``
        Take images; train on them.
    rate, rate_decay : ``Out(rate_bits)``
        Learning rate at the start of a run, and its fall.
    rate_now : ``In(rate_bits)``
    shifts : ``Out(ArrayLayout(range(32), n_layers))``
    idle : ``In(1)``
        No image under way and no pulse due.
    initialising : ``In(1)``
        The memories are being initialised.
    array_timeout : ``In(1)``
        Strobe: an array did not answer in time.
    counters : ``In``, cycles_idle : ``In(64)``
        As of :class:`hw.in_situ.counters.Counters`.
    """

    def __init__(self, config: InSituConfig) -> None:
        self.config = config
        lanes, n_classes = config.update.lanes, config.network.layers[-1]
        words = activation_word_layout(config)
        super().__init__(
            {
                "s_axis_image": In(axi4_stream_signature(lanes)),
                "m_axis_result": Out(axi4_stream_signature(lanes)),
                "s_axi": In(axi4_lite_signature(ADDRESS_BITS)),
                "o_drives": Out(stream.Signature(words)),
                "rewind": Out(1),
                "image_ready": Out(1),
                "label": Out(range(n_classes)),
                "take": In(1),
                "i_outputs": In(stream.Signature(words, always_ready=True)),
                "commit": In(1),
                "commit_label": In(range(n_classes)),
                "commit_trained": In(1),
                "commit_skipped": In(1),
                "ready_for_image": Out(1),
                "run": Out(1),
                "train": Out(1),
                "rate": Out(config.update.rate_bits),
                "rate_decay": Out(config.update.rate_bits),
                "rate_now": In(config.update.rate_bits),
                "shifts": Out(data.ArrayLayout(range(32), config.network.n_layers)),
                "idle": In(1),
                "initialising": In(1),
                "array_timeout": In(1),
                "counters": In(data.ArrayLayout(unsigned(COUNTER_BITS), len(Activity))),
                "cycles_idle": In(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = RegisterFile(register_table(self.config))
        m.submodules.input_buffer = images = InputBuffer(self.config)
        m.submodules.result_buffer = results = ResultBuffer(self.config)
        connect(m, flipped(self.s_axi), registers.bus)
        connect(m, flipped(self.s_axis_image), images.i)
        connect(m, images.o_drives, flipped(self.o_drives))
        connect(m, flipped(self.i_outputs), results.i_outputs)
        connect(m, results.o, flipped(self.m_axis_result))
        m.d.comb += [
            self.rewind.eq(images.rewind),
            self.image_ready.eq(images.image_ready),
            self.label.eq(images.label),
            images.take.eq(self.take),
            results.commit.eq(self.commit),
            results.label.eq(self.commit_label),
            results.trained.eq(self.commit_trained),
            results.skipped.eq(self.commit_skipped),
            self.ready_for_image.eq(results.ready_for_image),
            self.run.eq(registers.control_run),
            self.train.eq(registers.control_train),
            self.rate.eq(registers.rate),
            self.rate_decay.eq(registers.rate_decay),
            registers.rate_now.eq(self.rate_now),
            registers.status_idle.eq(self.idle),
            registers.status_image_ready.eq(images.image_ready),
            registers.status_initialising.eq(self.initialising),
            registers.status_result_waiting.eq(results.o.tvalid),
            registers.errors_short_frame.eq(images.short_frame),
            registers.errors_long_frame.eq(images.long_frame),
            registers.errors_bad_label.eq(images.bad_label),
            registers.errors_array_timeout.eq(self.array_timeout),
            registers.count_cycles_idle.eq(self.cycles_idle),
        ]
        for layer, shift in enumerate(self.shifts):
            m.d.comb += shift.eq(getattr(registers, f"shift_{layer}"))
        for activity in Activity:
            counter: Signal = getattr(registers, f"count_{activity.name.lower()}")
            m.d.comb += counter.eq(self.counters[activity])
        return m
