"""Codes of the chi memory: what one and two flipped bits of any word lead to."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from model.chi_protection import Code, code_of
from model.config import ChiProtection
from model.configurations import mca_mlp, tiny_mca

WIDTHS = (8, 13, 26, 27, 32)


def values(bits: int) -> list[int]:
    """Corners: zero, both ends, single bits of both signs, a pattern."""
    least = -(2 ** (bits - 1))
    return [0, 1, -1, least, -least - 1, -2, 2 ** (bits - 2), 0x5555_5555 & -least - 1]


@pytest.mark.parametrize("corrects", [False, True])
@pytest.mark.parametrize("bits", WIDTHS)
def test_words_come_back(bits: int, corrects: bool) -> None:
    code = Code(data_bits=bits, corrects=corrects)
    assert code.encode(0) == 0
    for value in values(bits):
        assert code.encode(value) < 1 << code.word_bits
        assert code.decode(code.encode(value)) == (value, False, False)


@pytest.mark.parametrize("bits", WIDTHS)
def test_parity_finds_every_odd_flip(bits: int) -> None:
    code = Code(data_bits=bits, corrects=False)
    assert code.word_bits == bits + 1
    for value, k in itertools.product(values(bits), range(code.word_bits)):
        assert int(code.encode(value)).bit_count() % 2 == 0
        assert code.decode(code.encode(value) ^ 1 << k) == (0, False, True)


@pytest.mark.parametrize("bits", WIDTHS)
def test_secded_corrects_every_flip(bits: int) -> None:
    code = Code(data_bits=bits, corrects=True)
    for value, k in itertools.product(values(bits), range(code.word_bits)):
        assert code.decode(code.encode(value) ^ 1 << k) == (value, True, False)


@pytest.mark.parametrize("bits", WIDTHS)
def test_secded_finds_every_two_flips(bits: int) -> None:
    code = Code(data_bits=bits, corrects=True)
    for value, (k, other) in itertools.product(
        values(bits)[:3], itertools.combinations(range(code.word_bits), 2)
    ):
        assert code.decode(code.encode(value) ^ 1 << k ^ 1 << other) == (0, False, True)


@pytest.mark.parametrize("corrects", [False, True])
def test_arrays_are_words_side_by_side(corrects: bool) -> None:
    code = Code(data_bits=32, corrects=corrects)
    words = np.array(values(32)).reshape(2, 4)
    codewords = code.encode(words) ^ [0, 1, 3, 1 << 31]
    found = code.decode(codewords)
    alone = [code.decode(int(codeword)) for codeword in codewords.flat]
    for name in found._fields:
        column = [int(getattr(one, name)) for one in alone]
        assert getattr(found, name).shape == (2, 4)
        assert getattr(found, name).reshape(-1).tolist() == column


def test_sizes() -> None:
    """Hsiao 1970: (13, 8), (22, 16), (39, 32); (39, 32) has 103 ones at least, in seven rows."""
    sizes = {bits: Code(data_bits=bits, corrects=True).check_bits for bits in (8, 16, 26, 27, 32)}
    assert sizes == {8: 5, 16: 6, 26: 6, 27: 7, 32: 7}
    code = Code(data_bits=32, corrects=True)
    assert sum(row.bit_count() for row in code.rows) == 32 * 3 + 7
    assert len(set(code.columns)) == 39


def test_code_of_a_configuration() -> None:
    def of(protection: ChiProtection) -> Code | None:
        update = replace(tiny_mca.update, chi_protection=protection)
        return code_of(replace(tiny_mca, update=update))

    assert code_of(mca_mlp) is None
    assert of(ChiProtection.NONE) is None
    assert of(ChiProtection.PARITY) == Code(data_bits=32, corrects=False)
    assert of(ChiProtection.SECDED) == Code(data_bits=32, corrects=True)
