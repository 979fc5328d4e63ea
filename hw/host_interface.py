"""Host interface: images in and results out on AXI4-Stream, registers on AXI4-Lite."""

import enum
from collections.abc import Iterable, Mapping

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.axi import axi4_lite_signature, axi4_stream_signature
from hw.counters import COUNTER_BITS
from hw.input_buffer import InputBuffer
from hw.layouts import activation_word_layout
from hw.register_file import RegisterFile
from hw.registers import ADDRESS_BITS, Register, register_table
from hw.result_buffer import ResultBuffer
from model.activity import Activity
from model.chi_protection import code_of
from model.config import Config, ScalePolicy, SkipPolicy
from model.frames import UnitSizes

__all__ = ["ChiWindow", "HostInterface", "UnitInterface", "host_ports"]


def host_ports(lanes: int) -> dict[str, wiring.Member]:
    """The buses between a unit and its host, seen from the unit, for beats of ``lanes`` bytes."""
    return {
        # Image frames; see InputBuffer.
        "s_axis_image": In(axi4_stream_signature(lanes)),
        # Result frames; see ResultBuffer.
        "m_axis_result": Out(axi4_stream_signature(lanes)),
        # Registers; see RegisterFile and the unit's register_table.
        "s_axi": In(axi4_lite_signature(ADDRESS_BITS)),
    }


class ChiWindow(wiring.Component):
    """Reads one accumulator of the chi memory for the host, or refuses.

    Timing: ``request`` in cycle 0 asks the memory in the same cycle; it answers in cycle
    LATENCY = 1, in which ``done`` is high with the lane's value. Refused, with the same timing,
    unless the unit is idle and the memory honours the request.

    Parameters
    ----------
    config : Config
        The system.

    Members
    -------
    request : In(1)
        Strobe: read the accumulator at ``address`` and ``lane``, both stable until ``done``.
    address : In(range(chi_depth))
    lane : In(range(lanes))
    idle : In(1)
        The unit is idle.
    value : Out(signed(chi_bits))
        The accumulator, valid with ``done``.
    done : Out(1)
        Strobe: answered.
    refused : Out(1)
        Valid with ``done``: the read was refused.
    chi_address, chi_enable, chi_ack, chi_data
        As of :class:`HostInterface`.
    """

    LATENCY = 1  # from request to done

    def __init__(self, config: Config) -> None:
        self.config = config
        chi = signed(config.update.chi_bits)
        super().__init__(
            {
                "request": In(1),
                "address": In(range(config.chi_depth)),
                "lane": In(range(config.update.lanes)),
                "idle": In(1),
                "value": Out(chi),
                "done": Out(1),
                "refused": Out(1),
                "chi_address": Out(range(config.chi_depth)),
                "chi_enable": Out(1),
                "chi_ack": In(1),
                "chi_data": In(data.ArrayLayout(chi, config.update.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Cycle 0: the memory is asked.
        m.d.comb += [
            self.chi_address.eq(self.address),
            self.chi_enable.eq(self.request & self.idle),
        ]
        asked = Signal()
        m.d.sync += [self.done.eq(self.request), asked.eq(self.chi_enable)]
        m.d.comb += self.refused.eq(~(asked & self.chi_ack))

        # Cycle 1: one lane of its word.
        with m.Switch(self.lane):
            for lane in range(self.config.update.lanes):
                with m.Case(lane):
                    m.d.comb += self.value.eq(self.chi_data[lane])

        return m


class UnitInterface(wiring.Component):
    """The part of :class:`HostInterface` that every unit with its frames has; it only wires.

    Timing: that of its parts, as there. A subclass adds its settings to ``registers``, and what
    else it wants of ``images``.

    Parameters
    ----------
    config : UnitSizes
    table : iterable of Register
        CONTROL, STATUS, ERRORS and a counter an activity, as in :mod:`hw.registers`, among others.
    activities : type[enum.IntEnum]
        The activities counted, in the order of ``counters``.
    members : Mapping
        Further members of the subclass.

    Members
    -------
    All of :class:`HostInterface` but ``o_codes``, settings and chi
        And those of ``members``.
    """

    def __init__(
        self,
        config: UnitSizes,
        *,
        table: Iterable[Register],
        activities: type[enum.IntEnum],
        members: Mapping[str, wiring.Member],
    ) -> None:
        self.config = config
        self.table = tuple(table)
        self.activities = activities
        lanes, n_classes = config.update.lanes, config.network.layers[-1]
        words = activation_word_layout(config)
        super().__init__(
            host_ports(lanes)
            | {
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
                "ready_for_next": Out(1),
                "run": Out(1),
                "train": Out(1),
                "idle": In(1),
                "initialising": In(1),
                "array_timeout": In(1),
                "counters": In(data.ArrayLayout(unsigned(COUNTER_BITS), len(activities))),
                "cycles_idle": In(COUNTER_BITS),
            }
            | dict(members)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = self.registers = registers = RegisterFile(self.table)
        m.submodules.input_buffer = self.images = images = InputBuffer(self.config)
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
            self.ready_for_next.eq(results.ready_for_next),
            self.run.eq(registers.control_run),
            self.train.eq(registers.control_train),
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
        for activity in self.activities:
            counter: Signal = getattr(registers, f"count_{activity.name.lower()}")
            m.d.comb += counter.eq(self.counters[activity])
        return m


class HostInterface(UnitInterface):
    """Joins input buffer, result buffer, register file and chi window; adds no logic of its own.

    ::

        s_axis_image  --> InputBuffer  --> o_drives, o_codes
                              |  malformed frames: sticky errors
        s_axi         <-> RegisterFile <-> settings, status, counters
                              |  CHI_DATA
                          ChiWindow    <-> chi memory
        m_axis_result <-- ResultBuffer <-- i_outputs, commit

    Timing: that of its parts. All ports belong to one clock domain with a synchronous reset, active
    high; where the host's AXI reset is active low, the parent inverts it. Settings change between
    two cycles at any time: the sequencer samples them when it takes an image.

    Parameters
    ----------
    config : Config
        The system.

    Members
    -------
    s_axis_image : In(axi4_stream_signature(lanes))
        Image frames; see :class:`~hw.input_buffer.InputBuffer`.
    m_axis_result : Out(axi4_stream_signature(lanes))
        Result frames; see :class:`~hw.result_buffer.ResultBuffer`.
    s_axi : In(axi4_lite_signature(12))
        Registers; see :class:`~hw.register_file.RegisterFile` and ``hw.registers.register_table``.
    o_drives, o_codes, rewind, image_ready, label, take
        Loading an image; as of the input buffer.
    i_outputs, commit, commit_label, commit_trained, commit_skipped, ready_for_image, ready_for_next
        Delivering a result; as of the result buffer.
    run, train : Out(1)
        Take images; train on them.
    learning_rate_log2 : Out(signed(6))
    epsilon_log2 : Out(range(chi_bits))
    scale_policy : Out(range(2))
        Position in ``ScalePolicy``.
    skip_policy : Out(range(3))
        Position in ``SkipPolicy``.
    idle : In(1)
        No image under way and no pulse due; chi may be read while it is high.
    initialising : In(1)
        The chi memory is being cleared.
    array_timeout : In(1)
        Strobe: an array did not answer in time.
    counters : In(ArrayLayout(unsigned(64), len(Activity)))
        Activity counters, in the order of ``Activity``.
    cycles_idle : In(64)
        Cycles without an image under way.
    chi_address : Out(range(chi_depth)), chi_enable : Out(1)
        Read this word of chi.
    chi_ack : In(1), chi_data : In(ArrayLayout(signed(chi_bits), lanes))
        One cycle later: the memory did it; the word. As of :class:`~hw.chi_memory.ChiMemory`.
    chi_corrected, chi_lost : In(64), chi_loss : In(1)
        Only with ``update.chi_protection``; as of the same.
    """

    def __init__(self, config: Config) -> None:
        lanes = config.update.lanes
        self.is_protected = code_of(config) is not None
        codes = stream.Signature(activation_word_layout(config), always_ready=True)
        super().__init__(
            config,
            table=register_table(config),
            activities=Activity,
            members={
                "o_codes": Out(codes),
                "learning_rate_log2": Out(signed(6)),
                "epsilon_log2": Out(range(config.update.chi_bits)),
                "scale_policy": Out(range(len(ScalePolicy))),
                "skip_policy": Out(range(len(SkipPolicy))),
                "chi_address": Out(range(config.chi_depth)),
                "chi_enable": Out(1),
                "chi_ack": In(1),
                "chi_data": In(data.ArrayLayout(signed(config.update.chi_bits), lanes)),
            }
            | (
                {"chi_corrected": In(COUNTER_BITS), "chi_lost": In(COUNTER_BITS), "chi_loss": In(1)}
                if self.is_protected
                else {}
            ),
        )
        self.config: Config = config

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        registers = self.registers
        m.submodules.chi_window = window = ChiWindow(self.config)
        connect(m, self.images.o_codes, flipped(self.o_codes))
        m.d.comb += [
            self.learning_rate_log2.eq(registers.learning_rate_log2),
            self.epsilon_log2.eq(registers.epsilon_log2),
            self.scale_policy.eq(registers.scale_policy),
            self.skip_policy.eq(registers.skip_policy),
            window.request.eq(registers.chi_data_fetch),
            window.address.eq(registers.chi_address),
            window.lane.eq(registers.chi_lane),
            window.idle.eq(self.idle),
            registers.chi_data.eq(window.value),
            registers.chi_data_done.eq(window.done),
            registers.chi_data_refused.eq(window.refused),
            self.chi_address.eq(window.chi_address),
            self.chi_enable.eq(window.chi_enable),
            window.chi_ack.eq(self.chi_ack),
            window.chi_data.eq(self.chi_data),
        ]
        if self.is_protected:
            m.d.comb += [
                registers.count_chi_corrected.eq(self.chi_corrected),
                registers.count_chi_lost.eq(self.chi_lost),
                registers.errors_chi_lost.eq(self.chi_loss),
            ]
        return m
