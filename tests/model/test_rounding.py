"""Shift and saturation against exact fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.rounding import saturate, shift_round

words = st.integers(-(2**40), 2**40)


def half_away(value: Fraction) -> int:
    magnitude = math.floor(abs(value) + Fraction(1, 2))
    return -magnitude if value < 0 else magnitude


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [
        (0, 0, 0),
        (0, 5, 0),
        (7, 0, 7),
        (-7, 0, -7),
        (1, 1, 1),  # +-half goes away from zero, both ways
        (-1, 1, -1),
        (3, 1, 2),
        (-3, 1, -2),
        (5, 2, 1),
        (6, 2, 2),
        (-5, 2, -1),
        (-6, 2, -2),
        (7, 4, 0),
        (8, 4, 1),
        (2_456_500, 15, 75),
        (2**62 - 1, 62, 1),
        (-(2**62 - 1), 62, -1),
    ],
)
def test_corners(value: int, shift: int, expected: int) -> None:
    assert shift_round(value, shift) == expected


@given(words, st.integers(0, 62))
def test_equals_fraction(value: int, shift: int) -> None:
    assert shift_round(value, shift) == half_away(Fraction(value, 2**shift))


@given(words, st.integers(0, 40))
def test_odd_and_within_half(value: int, shift: int) -> None:
    result = shift_round(value, shift)
    assert shift_round(-value, shift) == -result
    assert abs(result * 2**shift - value) * 2 <= 2**shift


@given(words, words, st.integers(0, 30))
def test_monotonic(a: int, b: int, shift: int) -> None:
    low, high = sorted((a, b))
    assert shift_round(low, shift) <= shift_round(high, shift)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-129, -128), (-128, -128), (-1, -1), (0, 0), (127, 127), (128, 127), (2**40, 127)],
)
def test_saturate(value: int, expected: int) -> None:
    assert saturate(value, -128, 127) == expected


@given(words)
def test_saturate_is_the_nearest_allowed(value: int) -> None:
    result = saturate(value, -5, 9)
    assert -5 <= result <= 9
    assert abs(result - value) == min(abs(k - value) for k in range(-5, 10))
