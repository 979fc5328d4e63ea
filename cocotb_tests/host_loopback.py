"""A small unit around the host interface, whose answers follow from its questions."""

from typing import Any

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Mux,
    ResetSignal,
    Signal,
    unsigned,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.axi import axi4_lite_signature, axi4_stream_signature
from hw.host_interface import HostInterface
from hw.line_drivers import LineDrivers
from hw.registers import ADDRESS_BITS
from model.activity import Activity
from model.config import Config

__all__ = ["COUNTER_START", "WORK_CYCLES", "HostLoopback"]

#: What the counters show after reset: close enough to a carry into the high word that a test of a
#: thousand cycles sees it.
COUNTER_START = (5 << 32) - 600

#: Cycles that an image takes besides those of its output words.
WORK_CYCLES = 7


class HostLoopback(wiring.Component):
    """The host interface with the real line drivers and a stand-in for the rest of the unit.

    - Outputs of an image: its first ``n_outputs`` pixels, as they stand on the line drivers
      WORK_CYCLES cycles after it was taken. Trained: the setting at that time. Skipped: bit 0 of
      the label.
    - Counters: ``COUNT_IMAGES`` counts results; every other one is COUNTER_START plus the cycles
      since reset plus its index.
    - chi: lane k of word w holds ``-1 - (w * lanes + k)``; it may be read while no image is under
      way.

    All of it runs on ``host_clk``, which Python drives: a host in Python must look just before the
    clock's edge, and of the bench's own clock it hears just after.

    Parameters
    ----------
    config : Config
        As many inputs as outputs at least.

    Members
    -------
    s_axis_image, m_axis_result, s_axi
        As of :class:`hw.host_interface.HostInterface`.
    array_timeout : In(1)
        Strobe: sets the error bit.
    host_clk, host_rst : In(1)
        Clock and synchronous reset of all above.
    alive : Out(1)
        Toggles with the bench's own clock, which nothing else uses.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        lanes = config.update.lanes
        super().__init__(
            {
                "s_axis_image": In(axi4_stream_signature(lanes)),
                "m_axis_result": Out(axi4_stream_signature(lanes)),
                "s_axi": In(axi4_lite_signature(ADDRESS_BITS)),
                "array_timeout": In(1),
                "host_clk": In(1),
                "host_rst": In(1),
                "alive": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Builds the module."""
        top = Module()
        top.domains.host = ClockDomain()
        top.d.comb += [
            ClockSignal("host").eq(self.host_clk),
            ResetSignal("host").eq(self.host_rst),
        ]
        top.d.sync += self.alive.eq(~self.alive)
        top.submodules.unit = DomainRenamer("host")(self._unit())
        return top

    def _unit(self) -> Module:
        m = Module()
        lanes = self.config.update.lanes
        m.submodules.host = host = HostInterface(self.config)
        m.submodules.drivers = drivers = LineDrivers(
            n_lines=self.config.network.n_rows(0),
            shape=unsigned(8),
            lanes=lanes,
            double_buffered=True,
            bias=True,
        )
        connect(m, flipped(self.s_axis_image), host.s_axis_image)
        connect(m, flipped(self.s_axi), host.s_axi)
        connect(m, host.m_axis_result, flipped(self.m_axis_result))
        m.d.comb += [
            host.array_timeout.eq(self.array_timeout),
            drivers.i.valid.eq(host.o_drives.valid),
            drivers.i.payload.eq(host.o_drives.payload.as_value()),
            host.o_drives.ready.eq(drivers.i.ready),
            drivers.rewind.eq(host.rewind),
            drivers.apply.eq(host.take),
        ]
        self._elaborate_work(m, host, drivers.drive)
        self._elaborate_facts(m, host)
        return m

    def _elaborate_work(self, m: Module, host: HostInterface, drive: Any) -> None:
        lanes, n_outputs = self.config.update.lanes, self.config.network.layers[-1]
        n_words = self.config.rows_to_words(n_outputs)
        step = Signal(range(WORK_CYCLES + n_words))
        outputs = host.i_outputs
        m.d.comb += [
            host.commit_skipped.eq(host.commit_label[0]),
            outputs.payload.last.eq(step == WORK_CYCLES + n_words - 1),
        ]
        with m.Switch(step):
            for word in range(n_words):
                with m.Case(WORK_CYCLES + word):
                    for lane in range(min(lanes, n_outputs - word * lanes)):
                        pixel = drive[word * lanes + lane]
                        m.d.comb += outputs.payload.activations[lane].eq(pixel)
        with m.FSM():
            # Nothing to do: chi may be read.
            with m.State("IDLE"):
                m.d.comb += host.take.eq(host.run & host.image_ready & host.ready_for_image)
                m.d.comb += host.idle.eq(~host.take)
                with m.If(host.take):
                    m.d.sync += [
                        host.commit_label.eq(host.label),
                        host.commit_trained.eq(host.train),
                        step.eq(0),
                    ]
                    m.next = "WORK"

            # An image is under way.
            with m.State("WORK"):
                m.d.sync += step.eq(step + 1)
                m.d.comb += outputs.valid.eq(step >= WORK_CYCLES)
                with m.If(outputs.valid & outputs.payload.last):
                    m.d.comb += host.commit.eq(1)
                    m.next = "IDLE"

    def _elaborate_facts(self, m: Module, host: HostInterface) -> None:
        lanes = self.config.update.lanes
        images = Signal(64)
        cycles = Signal(64, init=COUNTER_START)
        m.d.sync += [images.eq(images + host.commit), cycles.eq(cycles + 1)]
        for activity in Activity:
            value = images if activity is Activity.IMAGES else cycles + activity
            m.d.comb += host.counters[activity].eq(value)
        m.d.comb += host.cycles_idle.eq(cycles + len(Activity))

        m.d.sync += host.chi_ack.eq(host.chi_enable)
        for lane in range(lanes):
            value = -1 - (host.chi_address * lanes + lane)
            m.d.sync += host.chi_data[lane].eq(Mux(host.chi_enable, value, 0))
