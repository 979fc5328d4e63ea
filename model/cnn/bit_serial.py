"""Bit-serial drive: an input vector as one-bit phases, least significant bit first."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bit_plane"]


def bit_plane(values: NDArray[Any], bit: int) -> NDArray[np.uint8]:
    """The bits driven in phase ``bit`` of a step: ``(values >> bit) & 1``, uint8 of the same shape.

    ``values``: uint8 of any shape; ``bit``: 0..7. A 1 is a read pulse, a 0 leaves the line at rest.
    """
    return ((values >> bit) & 1).astype(np.uint8)
