"""The sigmoid table against exact values of the sigmoid."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from model.activation_unit import BIAS, activate, sigmoid_table
from model.config import Config
from model.configurations import mca_mlp


def with_adc(bits: int) -> Config:
    return replace(mca_mlp, converter=replace(mca_mlp.converter, adc_bits=bits))


@pytest.mark.parametrize("adc_bits", [3, 6, 8, 10, 12])
def test_table(adc_bits: int) -> None:
    """Within half a step of the real sigmoid everywhere; monotonic; the address is the code."""
    config = with_adc(adc_bits)
    table = sigmoid_table(config)
    assert table.dtype == np.uint8
    assert table.shape == (2**adc_bits,)
    codes = range(-config.converter.code_max - 1, config.converter.code_max + 1)
    values = [int(table[code & (2**adc_bits - 1)]) for code in codes]
    assert values == sorted(values)
    for code, value in zip(codes, values, strict=True):
        exact = 255 / (1 + math.exp(-code * config.converter.forward_lsb))
        assert abs(value - exact) <= 0.5
        # A tie would make the rounding depend on the last bit of exp: there is only the one at 0.
        assert code == 0 or abs(abs(value - exact) - 0.5) > 1e-9


def test_table_by_hand() -> None:
    """Code 16 is a pre-activation of 1: 255 / (1 + 1/e) = 186.4; code 0 is 127.5, to even 128."""
    table = sigmoid_table(mca_mlp)
    assert table[0] == 128
    assert table[16] == 186
    assert table[256 - 16] == 69
    assert (table[127], table[128]) == (255, 0)
    assert Fraction(BIAS, 255) == 1


def test_table_is_symmetric() -> None:
    table = sigmoid_table(mca_mlp).astype(int)
    for code in range(1, 128):
        assert table[code] + table[256 - code] == 255


def test_activate_leaves_the_bias() -> None:
    table = sigmoid_table(mca_mlp)
    activations = np.full(6, BIAS, np.uint8)
    activate(table, np.array([-128, -1, 0, 1, 127], np.int16), activations)
    assert activations.tolist() == [0, int(table[255]), 128, int(table[1]), 255, BIAS]
