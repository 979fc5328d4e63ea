"""The one way functions of model/ are compiled: numba, cached on disk, no fast-math.

Without fast-math and without parallel loops a compiled function gives the same bits wherever it is called from, so the
trainer, a test bench and a plain Python call agree exactly.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["njit"]

F = TypeVar("F", bound=Callable[..., Any])


def njit(function: F) -> F:
    """Compiles ``function`` with numba on first call; the result behaves as the function itself."""
    return cast(F, numba.njit(cache=True)(function))
