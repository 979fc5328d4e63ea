"""Threshold: how many pulses an accumulated update is worth, and what stays behind."""

from model.jit import njit

__all__ = ["COUNT_BITS", "threshold"]

COUNT_BITS = 4
"""Width of a signed pulse count: -5..5 occur unless a word of chi is wrong, see
:func:`model.chi_memory.accumulate`."""


@njit
def threshold(chi: int, epsilon_log2: int) -> tuple[int, int]:
    """``p = trunc(chi / eps)`` and the remainder ``chi - p * eps``, with ``eps = 2**epsilon_log2``.

    Rounds toward zero, so the remainder has the sign of chi and a magnitude below eps. Gateware:
    shifts only; the pulse count is the arithmetic shift, plus one where chi is negative and has low
    bits.
    Source: Nandakumar 2020, Methods (p is chi/eps rounded toward zero; chi is reduced by p eps).
    """
    pulses = chi >> epsilon_log2
    remainder = chi - (pulses << epsilon_log2)
    if chi < 0 and remainder != 0:
        pulses += 1
        remainder -= 1 << epsilon_log2
    return pulses, remainder
