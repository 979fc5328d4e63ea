"""Wire resistance: what a device's conductance looks like from the edge of the array.

Rows are driven at their left end and columns are sensed at their bottom end, so the current of the
device at row i, column j passes j + 1 segments of its row and n_rows - i segments of its column,
and a segment at the lead. The series model gives every device that resistance of its own; it leaves
out that devices share wires. :func:`column_currents` solves the shared network, for small arrays:
the tests hold one against the other.
"""

import numpy as np
from numpy.typing import NDArray

from model.in_situ.config import InSituConfig

__all__ = ["LEAD_SEGMENTS", "column_currents", "effective_conductance", "series_resistance"]

LEAD_SEGMENTS = 2
"""Segments between a column's last device and its amplifier. Inferred: with one at the row's driver
this is the count of Li 2018, Eq. 11."""


def series_resistance(config: InSituConfig, layer: int) -> NDArray[np.float64]:
    """Resistance in series with each device of a layer, in ohm, float64 ``[n_rows, n_cols]``.

    ``segment_ohm * (N + 2 + j - i)`` with N rows of the physical array, row i and column j of it
    counted from 0, layers side by side. Source: Li 2018, Eq. 11.
    """
    network = config.network
    first = sum(network.n_cols(k) for k in range(layer))
    rows = np.arange(network.n_rows(layer))[:, None]
    cols = first + np.arange(network.n_cols(layer))[None, :]
    return np.asarray(config.array.segment_ohm * (config.array.rows + 2.0 + cols - rows))


def effective_conductance(
    conductance_us: NDArray[np.float64], resistance_ohm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``1 / (1/G + R)`` in uS: a device and its wires in series."""
    return conductance_us / (1.0 + 1e-6 * conductance_us * resistance_ohm)


def column_currents(
    conductance_us: NDArray[np.float64], segment_ohm: float, drive_v: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Column currents in uA of an array with every wire segment in its place: a nodal solution.

    Two nodes a device, one on its row and one on its column; a segment between neighbours and one
    from the row's driver, ``LEAD_SEGMENTS`` from the column's last device to ground. Dense: for
    arrays of some hundred devices.

    ``conductance_us``: float64 ``[n_rows, n_cols]``; ``segment_ohm``: positive; ``drive_v``:
    float64 ``[n_rows]``.
    """
    n_rows, n_cols = conductance_us.shape
    n = n_rows * n_cols
    wire_us = 1e6 / segment_ohm
    row_node = np.arange(n).reshape(n_rows, n_cols)
    col_node = n + row_node
    matrix = np.zeros((2 * n, 2 * n))
    current = np.zeros(2 * n)

    def connect(a: NDArray[np.int64], b: NDArray[np.int64], siemens: object) -> None:
        a, b = a.ravel(), b.ravel()
        value = np.broadcast_to(siemens, a.shape)  # type: ignore[call-overload]
        for i, j, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            np.add.at(matrix, (i, j), sign * value)

    connect(row_node, col_node, conductance_us.ravel())
    connect(row_node[:, :-1], row_node[:, 1:], wire_us)
    connect(col_node[:-1], col_node[1:], wire_us)
    matrix[row_node[:, 0], row_node[:, 0]] += wire_us
    current[row_node[:, 0]] += wire_us * drive_v
    lead_us = wire_us / LEAD_SEGMENTS
    matrix[col_node[-1], col_node[-1]] += lead_us
    volts = np.linalg.solve(matrix, current)
    return np.asarray(volts[col_node[-1]] * lead_us)
