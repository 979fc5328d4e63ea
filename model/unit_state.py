"""What must be kept of a unit and its arrays to go on later in the same bits."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from model.checkpoint import Checkpoint, restore_crossbars
from model.crossbar import Crossbar
from model.unit import UnitState

__all__ = ["restore_unit", "unit_arrays"]

_SAVED = ("maxima", "refresh", "counters", "device_time_s")
"""State of the unit besides chi; the rest of it is rewritten by every image."""


def _own_arrays(unit: UnitState) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {name: getattr(unit, name) for name in _SAVED}
    return arrays | {f"chi{layer}": chi for layer, chi in enumerate(unit.chi)}


def unit_arrays(unit: UnitState, crossbars: Sequence[Crossbar]) -> dict[str, NDArray[Any]]:
    """The state between two images as named arrays, for :func:`model.checkpoint.write_checkpoint`.

    ``maxima``, ``refresh``, ``counters``, ``device_time_s`` and ``chi<layer>`` of the unit as in
    :class:`model.unit.UnitState`, ``array<layer>.*`` as of :meth:`model.crossbar.Crossbar.save`.
    """
    arrays = _own_arrays(unit)
    for layer, crossbar in enumerate(crossbars):
        arrays |= {f"array{layer}.{name}": value for name, value in crossbar.save().items()}
    return arrays


def restore_unit(checkpoint: Checkpoint, unit: UnitState, crossbars: Sequence[Crossbar]) -> None:
    """Brings a unit and crossbars of the same configuration to their saved state.

    Raises
    ------
    CheckpointError
        If the saved arrays do not fit them.
    """
    checkpoint.copy_into(_own_arrays(unit))
    restore_crossbars(checkpoint, crossbars)
