"""Column read-out: the digital sum of the codes that the tiles of a split layer give for one read
line."""

import numpy as np
import numpy.typing as npt

from model.jit import njit
from model.rounding import saturate

__all__ = ["partial_sum"]


@njit
def partial_sum(
    tile_codes: npt.NDArray[np.int16], code_max: int, codes: npt.NDArray[np.int16]
) -> None:
    """``codes[i] = saturate(sum_k tile_codes[k, i], -code_max - 1, code_max)``.

    ``tile_codes``: int16 ``[n_tiles, n_lines]``, each within the ADC's range; ``codes``: int16
    ``[n_lines]``, written. The sum is exact; only the result saturates. With one tile this is the
    identity.
    """
    for line in range(codes.shape[0]):
        total = 0
        for tile in range(tile_codes.shape[0]):
            total += int(tile_codes[tile, line])
        codes[line] = saturate(total, -code_max - 1, code_max)
