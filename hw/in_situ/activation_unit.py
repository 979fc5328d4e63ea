"""Activation unit of the in-situ learning unit: clipped ReLU as the table of the shared lookup."""

from hw.activation_unit import ActivationTable
from model.in_situ.activation_unit import relu
from model.in_situ.config import InSituConfig

__all__ = ["ActivationUnit", "relu_table"]


def relu_table(config: InSituConfig) -> list[int]:
    """``relu(code)`` at ``code mod 2**adc_bits``; synthesis makes a few gates of it."""
    bits = config.converter.adc_bits
    codes = [*range(2 ** (bits - 1)), *range(-(2 ** (bits - 1)), 0)]
    return [relu(code, config.converter.relu_shift) for code in codes]


class ActivationUnit(ActivationTable):
    """``activations[k] = relu(codes[k])``: as :func:`model.in_situ.activation_unit.relu`.

    Timing and members are those of :class:`hw.activation_unit.ActivationUnit`. Lanes beyond a
    vector need no mask: relu(0) is 0.
    """

    def __init__(self, config: InSituConfig) -> None:
        super().__init__(entries=relu_table(config), lanes=config.update.lanes)
