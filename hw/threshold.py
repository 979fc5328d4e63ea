"""Threshold: how many pulses an accumulated update is worth, and what stays behind."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.config import Config
from model.threshold import COUNT_BITS

__all__ = ["Threshold"]


class Threshold(wiring.Component):
    """``count = trunc(chi / eps)``, ``remainder = chi - count * eps``, ``eps = 2**epsilon_log2``.

    Rounds toward zero, as :func:`model.threshold.threshold`. Shifts and masks only: the count is
    the arithmetic shift, plus one where chi is negative and has bits below epsilon; the remainder
    is those bits, with the sign of chi above them.

    Exact for ``|chi| < 8 eps``. Chi stays below 5.5 eps as long as epsilon does not shrink under a
    filled chi memory and no step exceeds 4.5 eps; beyond 8 eps the count wraps.

    Timing: combinational.

    Parameters
    ----------
    config : Config
        Gives ``update.chi_bits``.

    Members
    -------
    chi : In(signed(chi_bits))
    epsilon_log2 : In(range(chi_bits))
    count : Out(signed(4))
    remainder : Out(signed(chi_bits))
        Magnitude below epsilon, sign of chi.

    Source
    ------
    Nandakumar 2020, Methods: p is chi/epsilon rounded toward zero, chi is reduced by p epsilon.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        chi_bits = config.update.chi_bits
        super().__init__(
            {
                "chi": In(signed(chi_bits)),
                "epsilon_log2": In(range(chi_bits)),
                "count": Out(signed(COUNT_BITS)),
                "remainder": Out(signed(chi_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        below = Signal(unsigned(self.config.update.chi_bits))  # ones at the bits below epsilon
        round_up = Signal()  # the shift rounds toward minus infinity
        m.d.comb += [
            below.eq((1 << self.epsilon_log2) - 1),
            round_up.eq((self.chi < 0) & (self.chi & below).any()),
            self.count.eq((self.chi >> self.epsilon_log2) + round_up),
            # A negative remainder keeps chi's low bits under ones: low - eps, without a subtractor.
            self.remainder.eq(Mux(round_up, self.chi | ~below, self.chi & below)),
        ]
        return m
