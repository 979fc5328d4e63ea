"""Check bits of the chi memory: one lane's encoder and decoder."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.chi_protection import Code

__all__ = ["Decoder", "Encoder"]


class Encoder(wiring.Component):
    """``codeword = code.encode(chi)``, see :class:`model.chi_protection.Code`.

    Timing: combinational.

    Members
    -------
    chi : In(signed(data_bits))
    codeword : Out(word_bits)
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        super().__init__({"chi": In(signed(code.data_bits)), "codeword": Out(code.word_bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        data = self.chi.as_unsigned()
        checks = ((data & (row & (1 << len(data)) - 1)).xor() for row in self.code.rows)
        m.d.comb += self.codeword.eq(Cat(data, *checks))
        return m


class Decoder(wiring.Component):
    """``chi, corrected, lost = code.decode(codeword)``, see :class:`model.chi_protection.Code`.

    Timing: combinational.

    Members
    -------
    codeword : In(word_bits)
    chi : Out(signed(data_bits))
        Corrected; zero if lost.
    corrected, lost : Out(1)
        What the codeword was, unless it was good.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        super().__init__(
            {
                "codeword": In(code.word_bits),
                "chi": Out(signed(code.data_bits)),
                "corrected": Out(1),
                "lost": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        code = self.code
        syndrome, flipped = Signal(code.check_bits), Signal(code.word_bits)
        m.d.comb += syndrome.eq(Cat((self.codeword & row).xor() for row in code.rows))
        if code.corrects:
            m.d.comb += flipped.eq(Cat(syndrome == column for column in code.columns))
        m.d.comb += [
            self.corrected.eq(flipped.any()),
            self.lost.eq(syndrome.any() & ~self.corrected),
            self.chi.eq(Mux(self.lost, 0, self.codeword ^ flipped)),
        ]
        return m
