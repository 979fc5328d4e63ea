"""The integer functions of the in-situ learning unit's blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.configurations import li_mlp, tiny_in_situ
from model.in_situ.activation_unit import relu
from model.in_situ.error_unit import drive_pass, hidden_error, output_error
from model.in_situ.gate_memory import gate_code, gate_step, move_gate, next_rate, rate_mantissa
from model.in_situ.outer_product import nonzero_count, nonzero_words, word_products
from model.in_situ.pulse_scheduler import row_pulses
from model.in_situ.softmax import exponential_table, reciprocal_table, softmax


@pytest.mark.parametrize(
    ("code", "shift", "expected"),
    [(-128, 1, 0), (-1, 7, 0), (0, 0, 0), (1, 0, 1), (1, 1, 2), (127, 1, 254), (127, 0, 127)]
    + [(64, 2, 255), (63, 2, 252), (2, 7, 255), (1, 7, 128)],
)
def test_relu(code, shift, expected):
    assert relu(code, shift) == expected


# Softmax


EXPONENTIALS, RECIPROCALS = exponential_table(li_mlp), reciprocal_table()


def outputs_of(codes):
    outputs = np.empty(len(codes), np.uint8)
    softmax(np.array(codes, np.int16), EXPONENTIALS, RECIPROCALS, outputs)
    return outputs


def test_tables():
    assert EXPONENTIALS[0] == 2**15
    # exp(-0.25) = 0.77880078: the first distance at 64 uA full scale and k = 5e5 /A.
    assert EXPONENTIALS[1] == round(2**15 * 0.77880078)
    assert EXPONENTIALS[-1] == 0
    assert (np.diff(EXPONENTIALS.astype(int)) <= 0).all()
    assert (RECIPROCALS[0], RECIPROCALS[-1]) == (65153, 32672)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        # One class far ahead: exactly full scale and zeros, so that the image's error vanishes.
        ([127] + [-128] * 9, [255] + [0] * 9),
        ([-128, 127], [0, 255]),
        # Equal classes share 255; the reciprocal's table is half an entry low at a power of two,
        # so that 127.5 and 25.5 round down.
        ([3, 3], [127, 127]),
        ([0] * 10, [25] * 10),
        ([-128] * 256, [1] * 256),
    ],
)
def test_softmax_corners(codes, expected):
    assert outputs_of(codes).tolist() == expected


@given(st.lists(st.integers(-128, 127), min_size=2, max_size=256))
def test_softmax_bound(codes):
    exact = np.exp((np.array(codes) - max(codes)) * li_mlp.converter.softmax_lsb)
    exact *= 255 / exact.sum()
    # The reciprocal's table: half an entry, 1/512 of the value; the exponentials' rounding: half an
    # LSB in 32768 for each; the rounding of the result: half.
    bound = 0.5 + exact / 512 + 255 * (len(codes) + 1) * 0.5 / 32768 + 0.02
    assert (np.abs(outputs_of(codes) - exact) <= bound).all()


def test_softmax_keeps_order():
    codes = np.random.default_rng(1).integers(-128, 128, (200, 10))
    for row in codes:
        assert (np.diff(outputs_of(row)[np.argsort(row)].astype(int)) >= 0).all()


# Errors


def test_output_error():
    assert [output_error(y, True) for y in (0, 255)] == [-255, 0]
    assert [output_error(y, False) for y in (0, 255)] == [0, 255]


@given(st.integers(-255, 255))
def test_passes_are_the_error(error):
    positive, negative = drive_pass(error, 0), drive_pass(error, 1)
    assert positive - negative == error
    assert min(positive, negative) == 0
    assert max(positive, negative) <= 255


def test_hidden_error():
    assert hidden_error(127, -128, 1) == 255
    assert hidden_error(-128, 127, 255) == -255
    assert hidden_error(127, -128, 0) == 0


# Outer product


def test_word_products():
    errors = np.array([-255, 0, 1, 255], np.int16)
    products = np.empty(4, np.int32)
    assert word_products(255, errors, products) == 3
    assert products.tolist() == [65025, 0, -255, -65025]
    assert word_products(0, errors, products) == 0


def test_nonzero():
    errors = np.zeros(10, np.int16)
    assert nonzero_words(errors, 4) == 0
    errors[[3, 9]] = -1
    assert nonzero_words(errors, 4) == 2
    assert nonzero_words(errors, 16) == 1
    assert nonzero_count(errors) == 2


# Gate memory


def test_rate():
    assert rate_mantissa(2**24 - 1, 24) == 255
    assert rate_mantissa(2**16 - 1, 24) == 0
    assert next_rate(10, 3) == 7
    assert next_rate(2, 3) == 0


@pytest.mark.parametrize(
    ("gradient", "mantissa", "shift", "expected"),
    [(1, 1, 1, 1), (-1, 1, 1, -1), (1, 1, 2, 0), (3, 1, 1, 2), (-3, 1, 1, -2), (7, 0, 0, 0)]
    + [(255 * 255 * 50, 255, 14, 50602), (-5, 3, 0, -15)],
)
def test_step_rounds_half_away_from_zero(gradient, mantissa, shift, expected):
    assert gate_step(gradient, mantissa, shift) == expected


def test_gate():
    low, high = li_mlp.gate.low, li_mlp.gate.high
    assert move_gate(low, -1, low, high) == low
    assert move_gate(high, 1, low, high) == high
    assert move_gate(low, 2**30, low, high) == high
    assert [gate_code(100 * 256 + k, 8) for k in (-129, -128, 0, 127, 128)] == [
        99,
        100,
        100,
        100,
        101,
    ]
    assert gate_code(tiny_in_situ.gate.initial, 8) == 100


# Pulses


def test_row_pulses():
    before = np.array([60, 100, 100, 170, 80], np.uint8)
    after = np.array([60, 99, 101, 60, 80], np.uint8)
    reset, set_ = np.full(7, 9, np.uint8), np.full(7, 9, np.uint8)
    assert row_pulses(before, after, reset, set_) == (2, 3)
    assert reset.tolist() == [0, 255, 0, 255, 0, 9, 9]
    assert set_.tolist() == [0, 99, 101, 60, 0, 9, 9]
    assert row_pulses(after, after, reset, set_) == (0, 0)
