"""The far side of the analog boundary: device arrays that answer the digital unit.

No simulator is known here; :mod:`cocotb_tests.unit_bench` puts it behind the ports of the emitted
Verilog, and the pysim test behind those of the gateware. To simulate the unit around a device
model of one's own, pass objects with the methods of :class:`ArrayModel`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.config import Config

__all__ = ["BACKWARD", "FORWARD", "READ", "ArrayModel", "Boundary"]

# Values of hw.layouts.Direction.
FORWARD, BACKWARD, READ = 0, 1, 2


class ArrayModel(Protocol):
    """What an array must do; :class:`model.crossbar.Crossbar` does it."""

    def forward(self, drive: npt.NDArray[np.uint8], time_s: float) -> npt.NDArray[np.int16]:
        """Rows driven with ``drive`` uint8 ``[n_rows]``; codes int16 ``[row_tiles, n_cols]``."""

    def backward(self, drive: npt.NDArray[np.int8], time_s: float) -> npt.NDArray[np.int16]:
        """Columns driven with ``drive`` int8 ``[n_cols]``; codes int16 ``[col_tiles, n_rows]``."""

    def read(self, row: int, device: int, time_s: float) -> npt.NDArray[np.int16]:
        """One device (0 plus, 1 minus) of every pair of a row; codes int16 ``[n_cols]``."""

    def program(self, row: int, col: int, device: int, kind: int, time_s: float) -> None:
        """One pulse on a device: kind 0 SET, 1 RESET."""


class Boundary:
    """All arrays of a unit, and the device time at which they are asked.

    Device time is that of the image's start, as in :mod:`model.unit`: :meth:`end_image` lets it
    pass.
    """

    def __init__(self, config: Config, arrays: Sequence[ArrayModel]) -> None:
        self.config = config
        self.arrays = arrays
        self.time_s = 0.0

    def compute(
        self,
        layer: int,
        direction: int,
        row: int,
        device: int,
        drive: npt.NDArray[Any],
    ) -> npt.NDArray[np.int16]:
        """Answers one transaction; returns the codes, int16 ``[tiles, lines]``.

        For a read ``drive`` is not looked at; its codes appear on the tile that holds the row, the
        others give zeros.
        """
        array = self.arrays[layer]
        if direction == FORWARD:
            return array.forward(drive, self.time_s)
        if direction == BACKWARD:
            return array.backward(drive, self.time_s)
        codes = array.read(row, device, self.time_s)
        tiles = np.zeros((self.config.row_tiles(layer), codes.size), dtype=np.int16)
        tiles[row // self.config.array.max_rows] = codes
        return tiles

    def program(self, layer: int, row: int, col: int, device: int, kind: int) -> None:
        """Applies one pulse."""
        self.arrays[layer].program(row, col, device, kind, self.time_s)

    def end_image(self, cycles: int) -> None:
        """Lets the device time of one image pass."""
        pace_s = self.config.device.seconds_per_image
        self.time_s += pace_s if pace_s > 0 else cycles * self.config.clock_period_s
