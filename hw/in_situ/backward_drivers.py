"""Backward drivers: signed errors on unipolar line drivers, one sign a pass."""

from amaranth.hdl import Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import ERROR, error_word_layout
from hw.line_drivers import LineDrivers
from model.in_situ.config import InSituConfig

__all__ = ["BackwardDrivers"]


class BackwardDrivers(wiring.Component):
    """Holds a layer's errors and drives its columns with ``max(error, 0)`` or ``max(-error, 0)``.

    :class:`hw.line_drivers.LineDrivers` of signed errors, and
    :func:`model.in_situ.error_unit.drive_pass` behind every line.

    **Timing**: a word transferred in cycle t drives from t + 1 on; ``i`` is always ready.
    ``negative`` selects the pass in the same cycle.

    Parameters
    ----------
    config : InSituConfig
    layer : int
        Whose columns.

    Members
    -------
    i : ``In(stream)`` of :func:`hw.in_situ.layouts.error_word_layout`
    negative : ``In(1)``
        The pass.
    drive : ``Out(ArrayLayout(unsigned(8), n_cols))``
    """

    def __init__(self, config: InSituConfig, layer: int) -> None:
        self.config = config
        self.n_cols = config.network.n_cols(layer)
        super().__init__(
            {
                "i": In(stream.Signature(error_word_layout(config), always_ready=True)),
                "negative": In(1),
                "drive": Out(data.ArrayLayout(8, self.n_cols)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lines = lines = LineDrivers(
            n_lines=self.n_cols, shape=ERROR, lanes=self.config.update.lanes
        )
        m.d.comb += [
            lines.i.valid.eq(self.i.valid),
            lines.i.p["values"].eq(self.i.p.errors),
            lines.i.p.last.eq(self.i.p.last),
        ]
        for drive, error in zip(self.drive, lines.drive, strict=True):
            is_driven = (error < 0) == self.negative
            m.d.comb += drive.eq(Mux(is_driven, abs(error), 0))
        return m
