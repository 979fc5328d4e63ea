"""Shared power-of-two scales: the smallest that fits, and how the running maximum decays."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.quantiser import (
    ACTIVATION_EXPONENT,
    DRIVE_CODE_MAX,
    UPDATE_CODE_MAX,
    activation_code,
    crowded_maximum,
    running_maximum,
    scale_exponent,
)
from model.rounding import shift_round

maxima = st.integers(0, 2**45)


@pytest.mark.parametrize(
    ("maximum", "code_max", "expected"),
    [
        (0, 3, 0),
        (3, 3, 0),
        (4, 3, 1),
        (6, 3, 1),
        (7, 3, 2),  # 7 / 2 rounds up to 4: one more
        (13, 3, 2),
        (14, 3, 3),
        (127, 127, 0),
        (128, 127, 1),
        (254, 127, 1),
        (255, 127, 2),
        (2_456_500, 127, 15),
        (2_456_500, 3, 20),
    ],
)
def test_scale_corners(maximum: int, code_max: int, expected: int) -> None:
    assert scale_exponent(maximum, code_max) == expected


@given(maxima, st.sampled_from([DRIVE_CODE_MAX, UPDATE_CODE_MAX, 1, 31]))
def test_scale_is_the_smallest_that_fits(maximum: int, code_max: int) -> None:
    exponent = scale_exponent(maximum, code_max)

    def rounded(k: int) -> int:
        return math.floor(Fraction(maximum, 2**k) + Fraction(1, 2))

    assert rounded(exponent) <= code_max
    assert exponent == 0 or rounded(exponent - 1) > code_max


@given(maxima, st.sampled_from([DRIVE_CODE_MAX, UPDATE_CODE_MAX]))
def test_scale_is_the_leading_one(maximum: int, code_max: int) -> None:
    """What the gateware does: bit length, one more where the n + 1 leading bits are ones."""
    n_bits = code_max.bit_length()
    excess = maximum.bit_length() - n_bits
    expected = max(0, excess)
    if excess > 0:
        leading = maximum >> (maximum.bit_length() - n_bits - 1)
        expected += leading == 2 ** (n_bits + 1) - 1
    assert scale_exponent(maximum, code_max) == expected


@given(st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=20))
def test_codes_use_the_range(errors: list[int]) -> None:
    """All codes fit, and the largest has all seven bits: the scale wastes none."""
    maximum = max(map(abs, errors))
    exponent = scale_exponent(maximum, DRIVE_CODE_MAX)
    codes = [shift_round(error, exponent) for error in errors]
    assert max(map(abs, codes)) <= DRIVE_CODE_MAX
    assert exponent == 0 or max(map(abs, codes)) >= (DRIVE_CODE_MAX + 1) // 2


def test_running_maximum_by_hand() -> None:
    assert running_maximum(0, 0, 4) == 0
    assert running_maximum(0, 77, 4) == 77
    assert running_maximum(1600, 1499, 4) == 1500
    assert running_maximum(1600, 1501, 4) == 1501
    assert running_maximum(15, 0, 4) == 15  # too small to decay: the last bits stay


@given(maxima, maxima, st.integers(1, 16))
def test_running_maximum(previous: int, maximum: int, decay_log2: int) -> None:
    result = running_maximum(previous, maximum, decay_log2)
    decayed = Fraction(previous) * (1 - Fraction(1, 2**decay_log2))
    assert result == max(maximum, math.ceil(decayed))
    assert maximum <= result <= max(maximum, previous)


def test_activation_codes() -> None:
    """0 up to 63, 1 up to 191, 2 from 192: round(a / 128), and the bias is 2."""
    codes = [activation_code(a) for a in range(256)]
    assert codes == [0] * 64 + [1] * 128 + [2] * 64
    assert scale_exponent(255, UPDATE_CODE_MAX) == ACTIVATION_EXPONENT


def test_crowded_maximum_by_hand() -> None:
    assert crowded_maximum(1600, 4, 4, 6, 40) == 1600  # as many codes as allowed
    assert crowded_maximum(1600, 5, 4, 6, 40) == 1700
    assert crowded_maximum(1600, 5, 4, 2, 40) == 3200
    assert crowded_maximum(1600, 5, 0, 6, 40) == 1600  # switched off
    assert crowded_maximum(1600, 5, 4, 6, 11) == 1600  # its top bit is set
    assert crowded_maximum(0, 5, 4, 6, 40) == 0


@given(st.integers(0, 2**20 - 1), st.integers(2, 16))
def test_crowded_maximum_outgrows_decay(maximum: int, decay_log2: int) -> None:
    """It grows by three to four times what the next image's decay takes off, and keeps its bits."""
    grown = crowded_maximum(maximum, 2, 1, decay_log2, 20)
    assert maximum <= grown < 2**20
    if maximum < 2**19:
        assert grown - maximum == maximum >> (decay_log2 - 2)
    assert running_maximum(grown, 0, decay_log2) <= grown


def test_crowded_quarter() -> None:
    """One crowded image in four holds the maximum where it is, to second order."""
    maximum = start = 2**40
    for image in range(400):
        maximum = running_maximum(maximum, 0, 8)
        maximum = crowded_maximum(maximum, 2 if image % 4 == 0 else 1, 1, 8, 60)
    assert abs(maximum - start) < 0.02 * start
