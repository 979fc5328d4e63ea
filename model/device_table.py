"""A device from measurements: a CSV file with mean and spread of its SET step over conductance."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import ConfigError
from model.files import read_bytes
from model.settings import shown

__all__ = ["COLUMNS", "read_device_table"]

#: Columns that a table must have, by name and in any order; others are ignored.
COLUMNS = ("conductance_us", "mean_step_us", "std_step_us")

#: Bytes of the largest table that is read: some 100,000 rows.
FILE_BYTES = 1 << 22

#: The largest value, in uS: any device is far below, and no sum of them overflows.
LARGEST_US = 1e9


def read_device_table(
    path: str | Path,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Reads a table of SET steps.

    The file is UTF-8 CSV with a header line. Each row gives, in uS, a conductance before the pulse
    and the mean and standard deviation of the step there; between rows the step is linear, beyond
    the first and the last it is held. Lines that begin with ``#`` and empty lines are skipped.

    Parameters
    ----------
    path
        The file; relative to the working directory.

    Returns
    -------
    conductance_us, mean_step_us, std_step_us
        float64 [n], n >= 1, conductances rising strictly.

    Raises
    ------
    ConfigError
        If the file cannot be read, lacks a column or has no rows, or if a value is missing, not a
        finite number, beyond 1e9 uS, a negative conductance or spread, or a conductance that does
        not rise.
    """
    path = Path(path)
    try:
        lines = read_bytes(path, FILE_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"Cannot read device table {path}: {reason}.") from None
    # Numbered before comments go, so that a message names the line an editor shows.
    numbered = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    try:
        rows = [next(csv.reader([line])) for _, line in numbered]
    except csv.Error as error:
        raise ConfigError(f"Device table {path} is not CSV: {error}.") from None
    header = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ConfigError(
            f"Device table {path} must have the columns {', '.join(COLUMNS)}; missing: "
            f"{', '.join(missing)}."
        )
    places = [header.index(name) for name in COLUMNS]
    values: list[list[float]] = []
    for (number, _), row in zip(numbered[1:], rows[1:], strict=True):
        where = f"Device table {path}, line {number}"
        entry = [_parse(where, COLUMNS[k], row, place) for k, place in enumerate(places)]
        if entry[0] < 0 or entry[2] < 0:
            raise ConfigError(f"{where}: conductance and spread must not be negative.")
        if values and entry[0] <= values[-1][0]:
            raise ConfigError(
                f"{where}: conductance_us must rise from row to row, but {entry[0]:g} follows "
                f"{values[-1][0]:g}."
            )
        values.append(entry)
    if not values:
        raise ConfigError(f"Device table {path} has no rows.")
    columns = np.array(values, dtype=np.float64).T
    return columns[0].copy(), columns[1].copy(), columns[2].copy()


def _parse(where: str, name: str, row: list[str], place: int) -> float:
    text = row[place].strip() if place < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: {name} must be a finite number, not {shown(text)}.")
    if abs(value) > LARGEST_US:
        raise ConfigError(
            f"{where}: {name} must be within {LARGEST_US:g} uS of zero, not {shown(text)}."
        )
    return value
