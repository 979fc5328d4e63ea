"""Ta/HfO2 devices behind transistors: conductance by gate voltage, its spread, stuck devices.

The gate voltage during a SET pulse limits the current and so decides the conductance; a device
that must fall is RESET first. So a device has no history but its last gate code, and a write needs
no read.
"""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.in_situ.config import Curve, InSituConfig
from model.settings import ConfigError, require

__all__ = [
    "LINE_OFFSET_US",
    "LINE_SLOPE_US_PER_V",
    "conductance_table",
    "intrinsic_curve",
    "set_spread_us",
    "stuck_devices",
]

DATA = Path(__file__).parent / "data"

N_CODES = 256
"""Gate codes: 8-bit DAC."""

LINE_OFFSET_US = 63.5
"""In-network conductance at 0 V, extrapolated. Source: Li 2018, Fig. 3d, the line, digitised."""

LINE_SLOPE_US_PER_V = 150.6
"""In-network conductance a volt of gate. Source: Li 2018, Fig. 3d, the line, digitised."""


def intrinsic_curve() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gate voltages in V and median conductances in uS of rising gates, single devices.

    Source: Li 2018, Fig. 1h, digitised.
    """
    table = np.genfromtxt(DATA / "intrinsic_curve.csv", delimiter=",", names=True)
    rising = table[table["pulse_index"] <= 100]
    return rising["gate_voltage_V"], rising["median_conductance_uS"]


def conductance_table(config: InSituConfig) -> NDArray[np.float64]:
    """Mean conductance after a SET pulse at each gate code, in uS, float64 ``[256]``.

    The intrinsic curve is interpolated linearly and constant beyond its ends, 0.6 and 1.6 V.
    """
    volts = np.arange(N_CODES) * config.gate.step_v
    if config.device.curve is Curve.INTRINSIC:
        return np.interp(volts, *intrinsic_curve())
    return np.asarray(LINE_OFFSET_US + LINE_SLOPE_US_PER_V * volts)


def set_spread_us(config: InSituConfig) -> float:
    """Standard deviation of the conductance after a SET pulse: a fraction of the range."""
    table = conductance_table(config)
    span = table[config.gate.code_max] - table[config.gate.code_min]
    return config.device.update_variation * float(span)


def _read_map(config: InSituConfig) -> list[tuple[int, int, int, float]]:
    """The entries of ``device.stuck_map``."""
    path, network = Path(config.device.stuck_map), config.network
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            columns = ("layer", "row", "col", "conductance_us")
            require(
                table.fieldnames is not None and set(columns) <= set(table.fieldnames),
                f"The stuck-device map {path} must have the columns {', '.join(columns)}.",
            )
            entries = [
                (int(e["layer"]), int(e["row"]), int(e["col"]), float(e["conductance_us"]))
                for e in table
            ]
    except OSError as error:
        raise ConfigError(f"Cannot read the stuck-device map {path}: {error.strerror}.") from None
    except (ValueError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"The stuck-device map {path} has an entry that is no number.") from None
    for layer, row, col, conductance_us in entries:
        inside = 0 <= layer < network.n_layers
        inside = inside and 0 <= row < network.n_rows(layer) and 0 <= col < network.n_cols(layer)
        require(
            inside and 0 <= conductance_us <= 2000,
            f"The stuck-device map {path} names layer {layer}, row {row}, column {col} at "
            f"{conductance_us:g} uS, which the array does not have.",
        )
    return entries


def stuck_devices(
    config: InSituConfig, layer: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Conductance in uS at which each device of a layer is stuck, NaN where it responds.

    Float64 ``[n_rows, n_cols]``. Each device is stuck OFF or ON with the configured probabilities,
    independently; entries of the map come on top. The same generator state gives nested sets: what
    is stuck at a smaller fraction is stuck at a larger one too.

    Raises
    ------
    ConfigError
        If the map cannot be read or names a device that does not exist.
    """
    device = config.device
    shape = config.network.n_rows(layer), config.network.n_cols(layer)
    draw = rng.random(shape)
    stuck = np.full(shape, np.nan)
    stuck[draw < device.stuck_off_fraction] = device.stuck_off_us
    stuck[draw >= 1 - device.stuck_on_fraction] = device.stuck_on_us
    if device.stuck_map:
        for place, row, col, conductance_us in _read_map(config):
            if place == layer:
                stuck[row, col] = conductance_us
    return stuck
