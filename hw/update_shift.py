"""Update shift: all exponents of an update folded into one left shift."""

from amaranth.hdl import Array, Const, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.config import Config
from model.quantiser import ACTIVATION_EXPONENT

__all__ = ["UpdateShift"]


class UpdateShift(wiring.Component):
    """``shift = min(k + 7 + update_exponent[layer] + r, epsilon_log2 - 1)``; below zero the update
    is dropped.

    k is the absolute exponent of the error codes, 7 that of every activation vector, r the
    learning-rate exponent. Equal to :func:`model.outer_product.update_shift`. Combinational.

    Members
    -------
    layer : ``In(range(n_layers))``
        Weight layer to be updated.
    error_exponent : ``In(range(scale_bits + 1))``
        k, from the quantiser.
    learning_rate_log2 : ``In(signed(6))``
        r, from the host.
    epsilon_log2 : ``In(range(chi_bits))``
        log2 of the threshold.
    shift : ``Out(range(chi_bits))``
        The shift; valid when ``keep`` is high.
    keep : ``Out(1)``
        Whether the shift is not negative.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "layer": In(range(max(2, config.network.n_layers))),
                "error_exponent": In(range(config.scale_bits + 1)),
                "learning_rate_log2": In(signed(6)),
                "epsilon_log2": In(range(config.update.chi_bits)),
                "shift": Out(range(config.update.chi_bits)),
                "keep": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layers = range(self.config.network.n_layers)
        constants = Array(
            Const(self.config.update_exponent(k) + ACTIVATION_EXPONENT, signed(8)) for k in layers
        )
        total = (self.error_exponent + constants[self.layer]) + self.learning_rate_log2
        limit = self.epsilon_log2 - 1
        m.d.comb += self.keep.eq(total >= 0)
        with m.If(total > limit):
            m.d.comb += self.shift.eq(limit)
        with m.Else():
            m.d.comb += self.shift.eq(total)
        return m
