"""Check bits of chi: one flipped bit is corrected, two are told, whatever the word."""

from typing import Any

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal, signed

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from hw.chi_protection import Encoder
from model.chi_protection import Code
from model.configurations import mca_mlp

__all__ = ["PROOFS"]

SECDED = Code(data_bits=mca_mlp.update.chi_bits, corrects=True)


def corrects(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """A word, encoded; none, one or two of its bits, whichever, flip before it is decoded."""
    code = dut.code
    m.submodules.encoder = encoder = Encoder(code)
    chi = Signal(signed(code.data_bits))
    places = [Signal(range(code.word_bits), name=f"place{k}") for k in range(2)]
    flips = Signal(2)
    hits = [
        Cat(flips[k] & (place == bit) for bit in range(code.word_bits))
        for k, place in enumerate(places)
    ]
    count = Signal(2)
    m.d.comb += [
        chi.eq(AnySeq(code.data_bits)),
        encoder.chi.eq(chi),
        flips.eq(AnyConst(2)),
        *(place.eq(AnyConst(len(place))) for place in places),
        dut.codeword.eq(encoder.codeword ^ hits[0] ^ hits[1]),
        count.eq(Mux(hits[0] == hits[1], 0, hits[0].any() + hits[1].any())),
        Assert(dut.corrected == (count == 1)),
        Assert(dut.lost == (count == 2)),
        Assert(dut.chi == Mux(count == 2, 0, chi)),
        Cover((count == 1) & dut.corrected & (chi < 0)),
        Cover((count == 2) & dut.lost & (dut.chi == 0) & (chi != 0)),
    ]


PROOFS = (
    Proof(
        name="secded_corrects",
        says="Of an encoded word one flipped bit, any, is corrected, two, any, give zero and are "
        "told; a word without a flip is what it was.",
        component="chi_protection.Decoder",
        build=lambda block: block(SECDED),
        sizes="32 + 7 bits",
        harness=corrects,
        depth=1,
        fault=Fault(
            "a lost word is kept",
            "chi_protection",
            "Mux(self.lost, 0, self.codeword ^ flipped)",
            "self.codeword ^ flipped",
        ),
    ),
)
