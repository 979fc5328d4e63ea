"""Quantiser: the smallest exponent with which a maximum fits, and codes that keep in range."""

from typing import Any

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value, signed

from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof
from hw.quantiser import ScaleExponent
from model.configurations import mca_mlp
from model.quantiser import DRIVE_CODE_MAX, UPDATE_CODE_MAX

__all__ = ["PROOFS"]


def smallest(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """The definition of the exponent, by rounding at it and at the one below."""

    def fits(exponent: Value) -> Value:
        half = (Value.cast(1) << exponent) >> 1
        return ((dut.maximum + half) >> exponent) <= dut.code_max

    below = Signal.like(dut.exponent)
    m.d.comb += [
        below.eq(dut.exponent - 1),
        Assert(fits(dut.exponent)),
        Assert((dut.exponent == 0) | ~fits(below)),
        Assert((dut.maximum >> dut.length) == 0),
        Assert((dut.length == 0) | ((dut.maximum << 1) >> dut.length).any()),
        Cover(dut.exponent == dut.width - dut.code_max.bit_length() + 1),
        Cover((dut.exponent == 2) & (dut.length == dut.code_max.bit_length() + 1)),  # a carry
        Cover(dut.maximum == 0),
    ]


def nearest(m: Module, dut: Any, platform: FormalPlatform) -> None:
    """Codes of errors not above the maximum by which the exponent was chosen, in units of that of
    the layers above."""
    config = dut.config
    m.submodules.scale = scale = ScaleExponent(width=config.scale_bits, code_max=UPDATE_CODE_MAX)
    above = Signal(range(config.error_exponent_max * (config.network.n_layers - 1) + 1))
    lane = Signal(range(config.update.lanes))
    error, code = Signal.like(dut.errors[0]), Signal(signed(3))
    shift, unit = Signal.like(dut.code_shift), Signal(config.scale_bits + 1)
    m.d.comb += [
        scale.maximum.eq(AnySeq(config.scale_bits)),
        above.eq(AnySeq(len(above))),
        shift.eq(Mux(scale.exponent > above, scale.exponent - above, 0)),
        lane.eq(AnyConst(len(lane))),
        error.eq(dut.errors[lane]),
        code.eq(dut.codes[lane]),
        unit.eq(1 << shift),
        Assume(dut.code_shift == shift),
        Assume((abs(error) << above) <= scale.maximum),
        Assert((code >= -UPDATE_CODE_MAX) & (code <= UPDATE_CODE_MAX)),
        # The nearest multiple, and of two the one away from zero.
        Assert(abs(2 * (error - (code << shift))) <= unit),
        Assert((abs(2 * (error - (code << shift))) != unit) | (abs(code << shift) > abs(error))),
        Cover((code == -UPDATE_CODE_MAX) & (shift == 0)),
        Cover((code == UPDATE_CODE_MAX) & (abs(code << shift) > abs(error))),
    ]


def _exponent(name: str, width: int, code_max: int, of_what: str) -> Proof:
    return Proof(
        name=name,
        says=f"The exponent of {of_what} is the smallest with which the maximum rounds to at most "
        f"{code_max}.",
        component="quantiser.ScaleExponent",
        build=lambda block: block(width=width, code_max=code_max),
        sizes=f"maxima of {width} bits",
        harness=smallest,
        depth=1,
        fault=Fault(
            "no carry of the rounding",
            "quantiser",
            "self.length - code_bits + Cat(carries).any()",
            "self.length - code_bits",
        ),
    )


PROOFS = (
    _exponent(
        "update_exponent_smallest", mca_mlp.scale_bits, UPDATE_CODE_MAX, "the 3-bit update codes"
    ),
    _exponent(
        "drive_exponent_smallest", mca_mlp.error_bits - 1, DRIVE_CODE_MAX, "the backward drives"
    ),
    Proof(
        name="update_codes_in_range",
        says="With the exponent of any maximum that no error exceeds the codes are in -3..3, the "
        "nearest to the errors, of two equally near the one away from zero.",
        component="quantiser._Coder",
        build=lambda block: block(mca_mlp),
        sizes=f"any of {mca_mlp.update.lanes} lanes, errors of {mca_mlp.error_bits} bits, "
        f"maxima of {mca_mlp.scale_bits}",
        harness=nearest,
        depth=1,
        fault=Fault(
            "rounds a half toward zero", "rounding", "((doubled + 1) >> 1)", "(doubled >> 1)"
        ),
    ),
)
