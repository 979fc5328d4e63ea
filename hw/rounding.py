"""Rounding shifts of signed values, as expressions."""

from amaranth.hdl import Cat, Const, Mux, Shape, Value

__all__ = ["shift_round"]


def shift_round(value: Value, shift: Value, result_bits: int) -> Value:
    """``value / 2**shift`` rounded half away from zero: the gateware of the model's function.

    ``value`` is signed, ``shift`` unsigned and of any size; combinational. The result must fit
    ``result_bits`` bits with the sign, else its upper bits are lost. With m = ``abs(value)`` the
    rounded magnitude is ``(floor(2 m / 2**shift) + 1) >> 1``: one shifter, one increment, and the
    shift by zero needs no case of its own. Reference: :func:`model.rounding.shift_round`.
    """
    magnitude = abs(value)[: Shape.cast(value.shape()).width]
    doubled = (Cat(Const(0, 1), magnitude) >> shift)[: result_bits + 1]
    rounded = ((doubled + 1) >> 1)[:result_bits]
    return Mux(value < 0, -rounded, rounded)[:result_bits].as_signed()
