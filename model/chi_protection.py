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

import enum
import functools
import itertools
from dataclasses import dataclass

from model.config import ChiProtection, Config

__all__ = ["Code", "Outcome", "code_of"]


class Outcome(enum.Enum):
    """What a codeword was found to be."""

    #: One of the code.
    GOOD = "good"
    #: One bit was flipped, and is not any more.
    CORRECTED = "corrected"
    #: Wrong, and taken as zero.
    LOST = "lost"


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

    def syndrome(self, codeword: int) -> int:
        """The syndrome of a codeword, 0 if it is one of the code."""
        return sum((codeword & row).bit_count() % 2 << k for k, row in enumerate(self.rows))

    def encode(self, value: int) -> int:
        """The codeword of a signed value of ``data_bits`` bits; that of 0 is 0."""
        data = value & (1 << self.data_bits) - 1
        return data | self.syndrome(data) << self.data_bits

    def decode(self, codeword: int) -> tuple[int, Outcome]:
        """The signed value of a codeword, corrected or zero, and what the codeword was."""
        syndrome, outcome = self.syndrome(codeword), Outcome.GOOD
        if syndrome and self.corrects and syndrome in self.columns:
            codeword ^= 1 << self.columns.index(syndrome)
            outcome = Outcome.CORRECTED
        elif syndrome:
            return 0, Outcome.LOST
        data = codeword & (1 << self.data_bits) - 1
        return data - (data >> self.data_bits - 1 << self.data_bits), outcome


def code_of(config: Config) -> Code | None:
    """The code of a configuration's chi memory; None without check bits."""
    protection = config.update.chi_protection
    if protection is ChiProtection.NONE:
        return None
    return Code(data_bits=config.update.chi_bits, corrects=protection is ChiProtection.SECDED)
