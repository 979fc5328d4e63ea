"""The zero-skipped outer product against NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.outer_product import nonzero_words, update_shift, word_products
from model.quantiser import ACTIVATION_EXPONENT


def test_nonzero_words_corners() -> None:
    words = np.full(4, -1, np.int32)
    codes = np.zeros((4, 8), np.int8)
    assert nonzero_words(codes, words) == 0
    codes[3, 7] = -1
    assert nonzero_words(codes, words) == 1
    assert words[0] == 3
    codes[:] = 1
    assert nonzero_words(codes, words) == 4
    assert words.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("lanes", [4, 32])
@pytest.mark.parametrize("seed", range(5))
def test_sum_of_words_is_the_outer_product(lanes: int, seed: int) -> None:
    """Words in the order of the unit, put where they belong: -errors x codes, all of it."""
    rng = np.random.default_rng(seed)
    n_units, n_words = 13, 7
    codes = rng.integers(-3, 4, (n_words, lanes)) * (rng.random((n_words, lanes)) < 0.05)
    errors = rng.integers(-3, 4, n_units) * (rng.random(n_units) < 0.5)
    codes, errors = codes.astype(np.int8), errors.astype(np.int8)
    words, products = np.zeros(n_words, np.int32), np.zeros(lanes, np.int8)

    result = np.zeros((n_units, n_words, lanes), int)
    visited, nonzero = [], 0
    for unit in np.flatnonzero(errors):
        for word in words[: nonzero_words(codes, words)]:
            nonzero += word_products(codes[word], int(errors[unit]), products)
            result[unit, word] = products
            visited.append((unit, word))
    expected = -np.multiply.outer(errors.astype(int), codes.astype(int))
    np.testing.assert_array_equal(result, expected)
    assert nonzero == np.count_nonzero(expected)
    assert visited == sorted(visited)
    assert len(visited) == np.count_nonzero(errors) * np.count_nonzero(codes.any(1))


def test_against_the_gradient() -> None:
    """A positive error (output too large) with a positive activation lowers the weight."""
    products = np.zeros(4, np.int8)
    assert word_products(np.array([3, -3, 0, 1], np.int8), 3, products) == 3
    assert products.tolist() == [-9, 9, 0, -3]


@given(st.integers(0, 60), st.integers(-80, 20), st.integers(-16, 8), st.integers(2, 28))
def test_update_shift(
    error_exponent: int, update_exponent: int, learning_rate_log2: int, epsilon_log2: int
) -> None:
    shift = update_shift(error_exponent, update_exponent, learning_rate_log2, epsilon_log2)
    total = error_exponent + ACTIVATION_EXPONENT + update_exponent + learning_rate_log2
    if total < 0:
        assert shift == -1
    elif total <= epsilon_log2 - 1:
        assert shift == total
    else:
        # A step is at most 9 * eps / 2: the chi memory cannot overflow.
        assert shift == epsilon_log2 - 1
