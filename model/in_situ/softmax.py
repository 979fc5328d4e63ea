"""Softmax: output codes to probabilities of eight bits, by an exponential and a reciprocal table.

In the order of the hardware, one class at a time: the largest code; the exponentials of the
distances to it and their sum; each exponential times the sum's reciprocal.
"""

import math

import numpy as np
import numpy.typing as npt

from model.in_situ.config import InSituConfig
from model.jit import njit
from model.rounding import shift_round

__all__ = [
    "EXPONENTIAL_BITS",
    "RECIPROCAL_BITS",
    "exponential_table",
    "reciprocal_table",
    "softmax",
]

EXPONENTIAL_BITS = 15
"""Fraction bits of an exponential: 1 is 2**15."""

RECIPROCAL_BITS = 8
"""Bits of the sum behind its leading one that address the reciprocal table."""


def exponential_table(config: InSituConfig) -> npt.NDArray[np.uint16]:
    """``round(2**15 * exp(-d * softmax_lsb))``, half to even, for every distance d of two codes.

    Returns uint16 ``[2**adc_bits]``, from 32768 falling to 0.
    """
    distance = np.arange(2**config.converter.adc_bits)
    # math.exp is the platform's own, correct to the last bit or nearly so; a tie is out of reach.
    values = [math.exp(-int(d) * config.converter.softmax_lsb) for d in distance]
    return np.rint(2**EXPONENTIAL_BITS * np.array(values)).astype(np.uint16)


def reciprocal_table() -> npt.NDArray[np.uint16]:
    """``round(255 * 2**8 / (1 + (f + 1/2) / 256))``, half to even, for f = 0..255.

    255 over a number in 1..2 of which f are the first eight fraction bits; uint16 ``[256]``, 32672
    to 65153.
    """
    fraction = np.arange(2**RECIPROCAL_BITS)
    return np.rint(255 * 2**8 / (1 + (fraction + 0.5) / 2**RECIPROCAL_BITS)).astype(np.uint16)


@njit
def softmax(
    codes: npt.NDArray[np.int16],
    exponentials: npt.NDArray[np.uint16],
    reciprocals: npt.NDArray[np.uint16],
    outputs: npt.NDArray[np.uint8],
) -> None:
    """``outputs[c] ~ 255 * exp(codes[c] lsb) / sum(exp(codes lsb))``, at most 1 off.

    With ``e[c] = exponentials[max(codes) - codes[c]]``, their sum ``S`` in ``2**(15+s) ..
    2**(16+s) - 1`` and ``r = reciprocals[(S >> (s + 7)) & 255]``: ``outputs[c] = min(255,
    round(e[c] * r / 2**(23 + s)))``, half away from zero.

    ``codes``: int16 ``[n_classes]``, at most 256 of them; the tables of :func:`exponential_table`
    and :func:`reciprocal_table`; ``outputs``: uint8 ``[n_classes]``, written.
    """
    top = int(codes[0])
    for unit in range(1, codes.shape[0]):
        top = max(top, int(codes[unit]))
    total = 0
    for unit in range(codes.shape[0]):
        total += int(exponentials[top - int(codes[unit])])
    scale = 0
    while total >> (EXPONENTIAL_BITS + 1 + scale) != 0:
        scale += 1
    fraction = (total >> (EXPONENTIAL_BITS - RECIPROCAL_BITS + scale)) & (2**RECIPROCAL_BITS - 1)
    reciprocal = int(reciprocals[fraction])
    for unit in range(codes.shape[0]):
        product = int(exponentials[top - int(codes[unit])]) * reciprocal
        outputs[unit] = min(255, shift_round(product, EXPONENTIAL_BITS + 8 + scale))
