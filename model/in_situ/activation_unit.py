"""Activation unit: rectified linear with a clip, from an ADC code to a drive code."""

from model.jit import njit

__all__ = ["relu"]


@njit
def relu(code: int, shift: int) -> int:
    """``min(max(code, 0) * 2**shift, 255)``: drive of the next layer's row.

    ``code``: a signed ADC code; returns 0..255. Exact.
    Source: Li 2018, Methods, ``V = c I`` for ``I > 0`` else 0, clipped at full drive.
    """
    return min(max(code, 0) << shift, 255)
