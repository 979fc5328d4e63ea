"""The threshold against truncating division of integers."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.threshold import threshold

chis = st.integers(-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("chi", "epsilon_log2", "expected"),
    [
        (0, 20, (0, 0)),
        (2**20 - 1, 20, (0, 2**20 - 1)),
        (2**20, 20, (1, 0)),
        (2**20 + 1, 20, (1, 1)),
        (-(2**20) + 1, 20, (0, -(2**20) + 1)),
        (-(2**20), 20, (-1, 0)),
        (-(2**20) - 1, 20, (-1, -1)),
        (7, 2, (1, 3)),
        (-7, 2, (-1, -3)),
        (2**31 - 1, 28, (7, 2**28 - 1)),
        (-(2**31), 28, (-8, 0)),
    ],
)
def test_corners(chi: int, epsilon_log2: int, expected: tuple[int, int]) -> None:
    assert threshold(chi, epsilon_log2) == expected


@given(chis, st.integers(0, 28))
def test_equals_truncation(chi: int, epsilon_log2: int) -> None:
    epsilon = 2**epsilon_log2
    pulses = math.trunc(Fraction(chi, epsilon))
    assert threshold(chi, epsilon_log2) == (pulses, chi - pulses * epsilon)


@given(chis, st.integers(0, 28))
def test_nothing_is_lost(chi: int, epsilon_log2: int) -> None:
    """The remainder has the sign of chi and is below epsilon; a second pass makes no pulse."""
    pulses, remainder = threshold(chi, epsilon_log2)
    assert pulses * 2**epsilon_log2 + remainder == chi
    assert abs(remainder) < 2**epsilon_log2
    assert remainder * chi >= 0
    assert threshold(remainder, epsilon_log2) == (0, remainder)


@given(chis, st.integers(0, 28))
def test_odd(chi: int, epsilon_log2: int) -> None:
    """Both directions of the weight are treated alike."""
    pulses, remainder = threshold(chi, epsilon_log2)
    assert threshold(-chi, epsilon_log2) == (-pulses, -remainder)
