"""The two roundings of the digital unit: shifts that round half away from zero, and saturation."""

from model.jit import njit

__all__ = ["saturate", "shift_round"]


@njit
def shift_round(value: int, shift: int) -> int:
    """``value / 2**shift``, rounded half away from zero.

    ``value``: any int64 with ``|value| + 2**(shift-1) < 2**63``; ``shift``: 0..62. Gateware: adds
    half to the magnitude, shifts right, restores the sign.
    """
    if shift == 0:
        return value
    half = 1 << (shift - 1)
    if value < 0:
        return -((-value + half) >> shift)
    return (value + half) >> shift


@njit
def saturate(value: int, low: int, high: int) -> int:
    """``value`` clipped to ``low..high``."""
    return min(max(value, low), high)
