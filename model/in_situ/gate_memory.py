"""Gate memory: the gate voltage of every device, in fixed point below the DAC's LSB."""

from model.jit import njit
from model.rounding import saturate, shift_round

__all__ = ["gate_code", "gate_step", "move_gate", "next_rate", "rate_mantissa"]


@njit
def rate_mantissa(rate: int, rate_bits: int) -> int:
    """The upper eight bits of the rate register."""
    return rate >> (rate_bits - 8)


@njit
def next_rate(rate: int, decay: int) -> int:
    """``max(rate - decay, 0)``: the rate register after a write phase."""
    return max(rate - decay, 0)


@njit
def gate_step(gradient: int, mantissa: int, shift: int) -> int:
    """``gradient * mantissa / 2**shift``, rounded half away from zero: what a pair's gates move by.

    ``gradient``: a sum of the gradient memory (its sign is against the gradient already);
    ``mantissa``: 0..255; ``shift``: 0..31.
    """
    return shift_round(gradient * mantissa, shift)


@njit
def move_gate(gate: int, step: int, low: int, high: int) -> int:
    """``gate + step`` within ``low..high``. The plus device of a pair takes ``step``, the minus
    device ``-step``. Source: Li 2018, ``dV_gate = [+dW, -dW]``, clamped to 0.6-1.7 V."""
    return saturate(gate + step, low, high)


@njit
def gate_code(gate: int, fraction_bits: int) -> int:
    """The DAC's code: ``gate / 2**fraction_bits`` rounded half up (a gate is positive)."""
    return (gate + (1 << (fraction_bits - 1))) >> fraction_bits
