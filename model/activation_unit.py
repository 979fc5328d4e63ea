"""Activation unit: sigmoid by table, from an ADC code to an unsigned 8-bit activation."""

import numpy as np
import numpy.typing as npt

from model.config import Config
from model.jit import njit

__all__ = ["BIAS", "activate", "sigmoid_table"]

BIAS = 255
"""Drive of the bias line: full scale, activation 1."""


def sigmoid_table(config: Config) -> npt.NDArray[np.uint8]:
    """The table ``round(255 / (1 + exp(-code * forward_lsb)))``, half to even, for every ADC code.

    Returns uint8 ``[2**adc_bits]``; entry ``code & (2**adc_bits - 1)``, so that the two's
    complement code is the address. Source of the sigmoid: recalled of Nandakumar 2020, appendix
    A.2.
    """
    span = 2**config.converter.adc_bits
    codes = np.arange(span)
    codes = np.where(codes > config.converter.code_max, codes - span, codes)
    return np.rint(255.0 / (1.0 + np.exp(-codes * config.converter.forward_lsb))).astype(np.uint8)


@njit
def activate(
    table: npt.NDArray[np.uint8], codes: npt.NDArray[np.int16], activations: npt.NDArray[np.uint8]
) -> None:
    """``activations[i] = table[codes[i] mod 2**adc_bits]``.

    ``codes``: int16 ``[n]``; ``activations``: uint8 ``[>= n]``, the first n written (the bias entry
    stays).
    """
    mask = table.shape[0] - 1
    for unit in range(codes.shape[0]):
        activations[unit] = table[codes[unit] & mask]
