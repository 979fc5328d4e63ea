"""Encoder and decoder equal the code: every flipped bit, and every two, of corner words."""

import itertools
from typing import Any

import numpy as np
import pytest

from hw.chi_protection import Decoder, Encoder
from model.chi_protection import Code
from tests.hw.hw_sim import simulate

CODES = [Code(data_bits=bits, corrects=corrects) for bits in (8, 32) for corrects in (False, True)]


def values(bits: int) -> list[int]:
    least = -(2 ** (bits - 1))
    random = np.random.default_rng(bits).integers(least, -least, 8).tolist()
    return [0, -1, least, -least - 1, *random]


@pytest.mark.parametrize("code", CODES, ids=str)
def test_encoder_equals_model(code: Code) -> None:
    dut = Encoder(code)
    single = [1 << k for k in range(code.data_bits - 1)]

    async def bench(ctx: Any) -> None:
        for value in [*values(code.data_bits), *single]:
            ctx.set(dut.chi, value)
            assert ctx.get(dut.codeword) == code.encode(value), value

    simulate(dut, bench)


@pytest.mark.parametrize("code", CODES, ids=str)
def test_decoder_equals_model(code: Code) -> None:
    """No flip, every single one, every two of a corner word, every two of a random word."""
    dut = Decoder(code)
    bits = range(code.word_bits)
    few = [0, *(1 << k for k in bits)]
    pairs = [1 << k | 1 << other for k, other in itertools.combinations(bits, 2)]
    three = [0b111 << k for k in bits[:-2]]
    words = values(code.data_bits)
    cases = [(word, flips) for word in words for flips in few]
    cases += [(word, flips) for word in (words[1], words[-1]) for flips in pairs + three]

    async def bench(ctx: Any) -> None:
        for word, flips in cases:
            codeword = int(code.encode(word)) ^ flips
            found = code.decode(codeword)
            ctx.set(dut.codeword, codeword)
            assert ctx.get(dut.chi) == found.chi, (word, flips)
            assert ctx.get(dut.corrected) == found.corrected
            assert ctx.get(dut.lost) == found.lost

    simulate(dut, bench)
