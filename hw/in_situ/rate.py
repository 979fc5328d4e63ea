"""Learning rate: a register that falls by itself from one write phase to the next."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.in_situ.layouts import MANTISSA_BITS
from model.in_situ.config import InSituConfig

__all__ = ["LearningRate"]


class LearningRate(wiring.Component):
    """``rate = max(rate - decay, 0)`` at every ``step``: a linear schedule without the host.

    :func:`model.in_situ.gate_memory.next_rate` and ``rate_mantissa``.

    **Timing**: ``load`` or ``step`` in cycle t is seen from t + 1 on; ``load`` wins.

    Parameters
    ----------
    config : InSituConfig
        Gives ``update.rate_bits``.

    Members
    -------
    start, decay : ``In(rate_bits)``
    load : ``In(1)``
        Strobe: the rate becomes ``start``.
    step : ``In(1)``
        Strobe: a write phase has ended.
    rate : ``Out(rate_bits)``
    mantissa : ``Out(8)``
        Its upper bits: what gradients are multiplied with.
    """

    def __init__(self, config: InSituConfig) -> None:
        bits = config.update.rate_bits
        super().__init__(
            {
                "start": In(bits),
                "decay": In(bits),
                "load": In(1),
                "step": In(1),
                "rate": Out(bits),
                "mantissa": Out(MANTISSA_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lowered = Signal(len(self.rate) + 1)
        m.d.comb += [
            lowered.eq(self.rate - self.decay),
            self.mantissa.eq(self.rate[-MANTISSA_BITS:]),
        ]
        with m.If(self.load):
            m.d.sync += self.rate.eq(self.start)
        with m.Elif(self.step):
            m.d.sync += self.rate.eq(Mux(lowered[-1], 0, lowered))
        return m
