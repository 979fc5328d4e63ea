"""The TaOx/HfOx device: one pulse, a write with a Gaussian error, retention.

All functions take and give conductances in uS, arrays of any one shape, and never leave the window
``g_min_us..g_max_us``.
"""

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import RramConfig
from model.cnn.write_verify import Decision

__all__ = ["Floats", "device_speeds", "pulse", "retain", "stuck_devices", "write"]

Floats = NDArray[np.float64]


def device_speeds(config: RramConfig, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Factor of each device's mean step: log-normal with median 1, float64 of ``shape``."""
    return np.exp(config.device_spread * rng.standard_normal(shape))


def stuck_devices(
    config: RramConfig, conductance_us: Floats, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which devices never change; their conductances are put to either end of the window."""
    stuck = rng.random(conductance_us.shape) < config.stuck_fraction
    high = rng.random(conductance_us.shape) < 0.5
    conductance_us[stuck] = np.where(high, config.g_max_us, config.g_min_us)[stuck]
    return stuck


def pulse(
    config: RramConfig,
    conductance_us: Floats,
    speeds: Floats,
    decision: Decision,
    rng: np.random.Generator,
) -> Floats:
    """Conductances after one identical 50 ns pulse on each device.

    The mean step of a SET is ``set_step_us * (g_max - G) / (g_max - g_min)``, of a RESET
    ``-reset_step_us * G / g_max``, each times the device's speed: steps shrink towards the state
    that the pulse leads to. A step varies from pulse to pulse by ``step_spread`` of its mean, so a
    step may also go the other way.
    """
    span = config.g_max_us - config.g_min_us
    if decision is Decision.SET:
        mean = config.set_step_us * (config.g_max_us - conductance_us) / span
    else:
        mean = -config.reset_step_us * conductance_us / config.g_max_us
    step = mean * speeds * (1 + config.step_spread * rng.standard_normal(conductance_us.shape))
    return np.clip(conductance_us + step, config.g_min_us, config.g_max_us)


def write(config: RramConfig, targets_us: Floats, rng: np.random.Generator) -> Floats:
    """Conductances after a write with an error of ``write_sigma_us``. Source: Yao 2020, Methods."""
    error = rng.normal(0.0, config.write_sigma_us, targets_us.shape)
    return np.clip(targets_us + error, config.g_min_us, config.g_max_us)


def retain(
    config: RramConfig, conductance_us: Floats, seconds: float, rng: np.random.Generator
) -> Floats:
    """Conductances ``seconds`` after they were written.

    With d = log10(1 + seconds / t0) decades, every conductance falls by ``retention_mean * d`` of
    itself and spreads by ``retention_sigma_us * sqrt(d)``, tail devices ``retention_tail_factor``
    times as far.
    """
    decades = np.log10(1 + seconds / config.retention_t0_s)
    tail = rng.random(conductance_us.shape) < config.retention_tail
    sigma = config.retention_sigma_us * np.where(tail, config.retention_tail_factor, 1.0)
    moved = conductance_us * (1 - config.retention_mean * decades)
    moved += sigma * np.sqrt(decades) * rng.standard_normal(conductance_us.shape)
    return np.clip(moved, config.g_min_us, config.g_max_us)
