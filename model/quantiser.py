"""Quantiser: vectors to few-bit codes with one shared power-of-two scale.

A vector of exact errors gets two codings: 7 bits and sign by its own maximum, to drive the array
backwards, and signed 3 bits (-3..3) for the outer product, by its own or a running maximum.
Activations always have the bias at full scale (255) among them, so the scale of their own maximum
is the constant 2**7.
"""

from model.jit import njit
from model.rounding import shift_round

__all__ = [
    "ACTIVATION_EXPONENT",
    "DRIVE_CODE_MAX",
    "UPDATE_CODE_MAX",
    "activation_code",
    "crowded_maximum",
    "running_maximum",
    "scale_exponent",
]

DRIVE_CODE_MAX = 127
"""Largest magnitude of a backward drive code: 7 bits and sign."""

UPDATE_CODE_MAX = 3
"""Largest magnitude of an update code: signed 3 bits without -4."""

ACTIVATION_EXPONENT = 7
"""Exponent of every activation vector: the smallest k with round(255 / 2**k) <= 3."""


@njit
def scale_exponent(maximum: int, code_max: int) -> int:
    """The smallest k >= 0 with ``round(maximum / 2**k) <= code_max``, rounding half away from zero.

    ``code_max`` is ``2**n - 1``. Gateware: position of the leading one, plus one where the n + 1
    leading bits are all ones.
    """
    exponent = 0
    while shift_round(maximum, exponent) > code_max:
        exponent += 1
    return exponent


@njit
def running_maximum(previous: int, maximum: int, decay_log2: int) -> int:
    """``max(maximum, previous - (previous >> decay_log2))``: the largest magnitude seen, decaying
    by an image."""
    return max(maximum, previous - (previous >> decay_log2))


@njit
def crowded_maximum(
    maximum: int, n_nonzero: int, crowded_codes: int, decay_log2: int, scale_bits: int
) -> int:
    """The running maximum after a vector with ``n_nonzero`` codes that are not zero.

    A vector with more than ``crowded_codes`` of them, unless that is 0, is crowded: the maximum
    grows by ``maximum >> (decay_log2 - 2)``, four times what :func:`running_maximum` takes off in
    an image, so that it settles where a quarter of the images are crowded. It stops growing at
    ``2**(scale_bits - 1)``: ``scale_bits`` bits suffice for a ``decay_log2`` of 2 or more.
    """
    if crowded_codes == 0 or n_nonzero <= crowded_codes or maximum >> (scale_bits - 1) != 0:
        return maximum
    return maximum + (maximum >> (decay_log2 - 2))


@njit
def activation_code(activation: int) -> int:
    """The update code of an activation: ``round(a / 2**7)``, half away from zero: 0, 1 or 2."""
    return shift_round(activation, ACTIVATION_EXPONENT)
