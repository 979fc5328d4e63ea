"""Host interface of the in-situ learning unit: the MCA unit's frames, other registers."""

from amaranth.hdl import Module
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.host_interface import UnitInterface
from hw.in_situ.registers import register_table
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig

__all__ = ["HostInterface"]


class HostInterface(UnitInterface):
    """Joins input buffer, result buffer and register file; adds no logic of its own.

    Timing: that of its parts. Settings change between two cycles at any time.

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
        super().__init__(
            config,
            table=register_table(config),
            activities=Activity,
            members={
                "rate": Out(config.update.rate_bits),
                "rate_decay": Out(config.update.rate_bits),
                "rate_now": In(config.update.rate_bits),
                "shifts": Out(data.ArrayLayout(range(32), config.network.n_layers)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        registers = self.registers
        m.d.comb += [
            self.rate.eq(registers.rate),
            self.rate_decay.eq(registers.rate_decay),
            registers.rate_now.eq(self.rate_now),
        ]
        for layer, shift in enumerate(self.shifts):
            m.d.comb += shift.eq(getattr(registers, f"shift_{layer}"))
        return m
