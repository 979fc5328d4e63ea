"""Expansion of pulse counts, spelt out and as a property."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.pulse_scheduler import MINUS, PLUS, PULSES_PER_LANE, expand


def pulses(word: int, counts: list[int]) -> list[tuple[int, int]]:
    rows = np.full(PULSES_PER_LANE * len(counts), -1, np.int32)
    devices = np.full(len(rows), -1, np.int8)
    n_pulses = expand(word, np.array(counts, np.int8), rows, devices)
    assert (rows[n_pulses:] == -1).all()
    return list(zip(rows[:n_pulses].tolist(), devices[:n_pulses].tolist(), strict=True))


def test_by_hand() -> None:
    assert pulses(0, [0, 0, 0, 0]) == []
    assert pulses(2, [1, 0, -2, 0]) == [(8, PLUS), (10, MINUS), (10, MINUS)]


def test_largest_word() -> None:
    assert len(pulses(0, [-8, -8] * 16)) == PULSES_PER_LANE * 32


@given(st.integers(0, 24), st.lists(st.integers(-8, 7), min_size=8, max_size=8))
def test_signed_counts_come_back(word: int, counts: list[int]) -> None:
    """Plus minus minus, a row each, gives the counts again; rows rise."""
    result = pulses(word, counts)
    totals = [0] * 8
    for row, device in result:
        totals[row - word * 8] += 1 if device == PLUS else -1
    assert totals == counts
    assert len(result) == sum(map(abs, counts))
    assert [row for row, _ in result] == sorted(row for row, _ in result)
