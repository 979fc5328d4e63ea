"""Check bits of the chi memory: every accumulator word is a codeword by itself.

A codeword has the word's bits below and the check bits above. Both codes are linear and given by a
column of check bits for every bit of the word: a check bit is the sum (modulo 2) of the bits whose
column has it. The syndrome of a codeword, its check bits plus those that its bits ask for, is zero
if it is one of the code, else the sum of the columns of the bits that flipped.

- Parity: one check bit. A syndrome of 1 tells that an odd number of bits flipped, not which.
- SECDED: distinct columns of odd weight (Hsiao 1970). The syndrome of one flipped bit is its
  column; that of two is not zero and has an even weight, so it is no column.

A word that is wrong and cannot be corrected counts as zero: the update that is lost was below one
pulse, while a flipped upper bit left as it is would make several wrong ones.

Source: M. Y. Hsiao, A class of optimal minimum odd-weight-column SEC-DED codes, IBM J. Res. Dev.
14, 395 (1970).
"""

import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.config import ChiProtection, Config

__all__ = ["Code", "Decoded", "code_of"]


class Decoded(NamedTuple):
    """What codewords were found to be, element by element."""

    #: int64: the words, one flipped bit corrected; 0 if lost.
    chi: NDArray[np.int64]
    #: bool: one bit was flipped, and is not any more.
    corrected: NDArray[np.bool_]
    #: bool: wrong, and taken as zero.
    lost: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code of words of ``data_bits`` bits."""

    data_bits: int
    corrects: bool
    """Whether one flipped bit is corrected: SECDED; else parity."""

    @property
    def check_bits(self) -> int:
        """Check bits of a word: 1, or the fewest with enough columns of odd weight."""
        if not self.corrects:
            return 1
        # Of n bits half of all columns have an odd weight; n of these are the check bits' own.
        return next(n for n in itertools.count(2) if 2 ** (n - 1) - n >= self.data_bits)

    @property
    def word_bits(self) -> int:
        """Bits of a codeword."""
        return self.data_bits + self.check_bits

    @functools.cached_property
    def columns(self) -> tuple[int, ...]:
        """The column of each bit of a codeword, those of the check bits last."""
        own = tuple(1 << k for k in range(self.check_bits))
        if not self.corrects:
            return (1,) * self.data_bits + own
        odd = (c for c in range(2**self.check_bits) if c.bit_count() % 2 and c.bit_count() > 1)
        # Light columns first: fewer gates.
        return tuple(sorted(odd, key=lambda c: (c.bit_count(), c))[: self.data_bits]) + own

    @functools.cached_property
    def rows(self) -> tuple[int, ...]:
        """For each check bit the bits of a codeword, itself included, whose sum is zero."""
        return tuple(
            sum(1 << k for k, column in enumerate(self.columns) if column >> row & 1)
            for row in range(self.check_bits)
        )

    @property
    def encoder_gates(self) -> int:
        """Gates of two inputs that make the check bits of a word."""
        return sum(row.bit_count() - 2 for row in self.rows)

    @property
    def decoder_gates(self) -> int:
        """Gates of two inputs that check a codeword, and correct it or make it zero.

        The syndrome; whether it is zero; a column's recognition and an inversion for each bit if
        the code corrects, and whether any column was recognised; a gate a bit that makes zero.
        """
        n, c = self.data_bits, self.check_bits
        syndrome = sum(row.bit_count() - 1 for row in self.rows)
        correction = self.word_bits * (c - 1) + n + self.word_bits if self.corrects else 0
        return syndrome + c - 1 + correction + n

    @functools.cached_property
    def _flipped(self) -> NDArray[np.int64]:
        """The bits that each syndrome corrects: one, or none."""
        flipped = np.zeros(1 << self.check_bits, np.int64)
        if self.corrects:
            flipped[list(self.columns)] = 1 << np.arange(self.word_bits)
        return flipped

    def syndrome(self, codewords: ArrayLike) -> NDArray[np.int64]:
        """The syndromes of codewords (int64, any shape), 0 of those of the code."""
        words = np.asarray(codewords, np.int64)
        ones = [np.bitwise_count(words & row).astype(np.int64) for row in self.rows]
        return np.sum([(count & 1) << k for k, count in enumerate(ones)], axis=0)

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """The codewords of signed values of ``data_bits`` bits (any shape); that of 0 is 0."""
        data = np.asarray(values, np.int64) & (1 << self.data_bits) - 1
        return data | self.syndrome(data) << self.data_bits

    def decode(self, codewords: ArrayLike) -> Decoded:
        """What codewords (int64, any shape) hold."""
        words = np.asarray(codewords, np.int64)
        syndromes = self.syndrome(words)
        flipped = self._flipped[syndromes]
        corrected = flipped != 0
        lost = (syndromes != 0) & ~corrected
        data = (words ^ flipped) & (1 << self.data_bits) - 1
        values = data - (data >> self.data_bits - 1 << self.data_bits)
        return Decoded(np.where(lost, 0, values), corrected, lost)


def code_of(config: Config) -> Code | None:
    """The code of a configuration's chi memory; None without check bits."""
    protection = config.update.chi_protection
    if protection is ChiProtection.NONE:
        return None
    return Code(data_bits=config.update.chi_bits, corrects=protection is ChiProtection.SECDED)
