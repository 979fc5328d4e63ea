"""Memristive devices: what one SET pulse does, how a conductance drifts, how it is read.

A device is described by three pieces, all of them data by the time an array is simulated:

* the **step** of a SET pulse, a mean and a spread over conductance and pulse history. Any
  :class:`StepModel` will do; :func:`step_table` turns it into a :class:`StepTable`, so that the
  compiled array code is the same for every device;
* the **drift** ``G(t) = G (t / t0)**-nu``, its clock restarting at every pulse, taken in age
  classes (:func:`class_starts`, :func:`drift_factors`);
* read noise, RESET and limits: plain numbers of :class:`~model.config.DeviceConfig`.

The pulse history P is 1 after RESET and is multiplied by ``exp(-1 / history_pulses)`` at every SET,
before the step is drawn: the first pulse sees P = exp(-1 / history_pulses).

Source: J. Appl. Phys. 124, 152135 (2018) in the parameters of the public code srnn-pcm; see
docs/devices.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.config import ConfigError, DeviceConfig
from model.device_code import import_function, is_code
from model.device_table import read_device_table
from model.jit import njit

__all__ = [
    "CLASSES_PER_OCTAVE",
    "ELAPSED_MIN_S",
    "N_AGE_CLASSES",
    "RESET",
    "SET",
    "PcmStep",
    "StepModel",
    "StepTable",
    "class_starts",
    "drift_error_bound",
    "drift_factors",
    "find_age_class",
    "initial_history",
    "interpolate_step",
    "step_table",
]

#: Pulse kinds.
SET = 0
RESET = 1

#: Shortest time after a pulse, in s: the power law needs a positive time.
ELAPSED_MIN_S = 1e-9

#: Age classes a factor of two in time after the pulse.
CLASSES_PER_OCTAVE = 16

#: 64 octaves from 1 ns on: 584 years. The last class is open.
N_AGE_CLASSES = 64 * CLASSES_PER_OCTAVE

#: End of the last age class; finite, so that sums with it stay ordered.
_NEVER_S = 1e300

#: Knots on which a Python-defined device is sampled, over conductance and over history.
_SAMPLED_CONDUCTANCES = 513
_SAMPLED_HISTORIES = 33


class StepModel(Protocol):
    """What one SET pulse does on average and how it scatters: the interface of a user's device.

    Any function of this signature is a device. It is called once, on arrays, when an array of
    devices is made, never during training, so it may be slow.

    Called with ``conductance_us`` (float64, any shape: the conductance before the pulse, as read
    ``drift_t0_s`` after the last one) and ``history`` (float64, the same shape: P after this
    pulse's own decay, 0..1); returns the mean step and its standard deviation, both in uS and of
    that shape. The spread must not be negative.
    """

    def __call__(
        self, conductance_us: NDArray[np.float64], history: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the step, in uS."""
        ...


@dataclass(frozen=True)
class PcmStep:
    """The phase-change device: ``mean = m1 G + c1 + A1 P`` and ``std = m2 G + c2 + A2 P``.

    Source: J. Appl. Phys. 124, 152135 (2018), in the form and with the values of srnn-pcm.
    """

    device: DeviceConfig

    def __call__(
        self, conductance_us: NDArray[np.float64], history: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See :class:`StepModel`."""
        d = self.device
        mean = d.mean_slope * conductance_us + d.mean_offset_us + d.mean_history_us * history
        std = d.std_slope * conductance_us + d.std_offset_us + d.std_history_us * history
        return mean, std


class StepTable(NamedTuple):
    """A step model on knots; bilinear between them, held beyond the ends.

    ``conductance_us`` float64 [n], rising; ``mean_us`` and ``std_us`` float64 [n, m], m >= 2,
    column j being history ``j / (m - 1)``.
    """

    conductance_us: NDArray[np.float64]
    mean_us: NDArray[np.float64]
    std_us: NDArray[np.float64]


def step_table(device: DeviceConfig) -> StepTable:
    """The step table of ``device.model``.

    * ``pcm``: :class:`PcmStep`. It is linear in G and in P, so two knots each way are exact.
    * a path ending in ``.csv``: the measured table, see :mod:`model.device_table`.
    * ``file.py:name`` or ``module:name``: a :class:`StepModel` from a Python file or an installed
      module, sampled at 513 conductances from 0 to ``g_max_us`` and 33 histories from 0 to 1; only
      if code is allowed, see :mod:`model.device_code`.

    Raises
    ------
    ConfigError
        If the model is none of these, is not allowed, cannot be loaded, or gives a negative or
        undefined spread.
    """
    if device.model == "pcm":
        return _sample(PcmStep(device), np.array([0.0, device.g_max_us]), 2, "pcm")
    if device.model.endswith(".csv"):
        knots, mean, std = read_device_table(device.model)
        # The measured table knows no history: the same column at P = 0 and P = 1.
        return StepTable(knots, np.repeat(mean[:, None], 2, 1), np.repeat(std[:, None], 2, 1))
    if is_code(device.model):
        knots = np.linspace(0.0, device.g_max_us, _SAMPLED_CONDUCTANCES)
        return _sample(import_function(device.model), knots, _SAMPLED_HISTORIES, device.model)
    raise ConfigError(
        "device.model must be pcm, the path of a .csv table, file.py:function or module:function, "
        f"not {device.model!r}."
    )


def _sample(
    step: Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]],
    knots: NDArray[np.float64],
    n_histories: int,
    name: str,
) -> StepTable:
    conductance, history = np.meshgrid(knots, np.linspace(0.0, 1.0, n_histories), indexing="ij")
    try:
        mean, std = (
            np.ascontiguousarray(value, dtype=np.float64) for value in step(conductance, history)
        )
    except Exception as error:
        raise ConfigError(
            f"Device {name} failed on arrays of conductance and history: {error}."
        ) from None
    if mean.shape != conductance.shape or std.shape != conductance.shape:
        raise ConfigError(
            f"Device {name} must return mean and spread of shape {conductance.shape}, not "
            f"{mean.shape} and {std.shape}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
        raise ConfigError(
            f"Device {name} must give a finite mean step and a finite spread of at least 0 from 0 "
            f"to {knots[-1]:g} uS."
        )
    return StepTable(knots, mean, std)


@njit
def interpolate_step(
    table: StepTable, conductance_us: float, history: float
) -> tuple[float, float]:
    """Mean and spread of a SET step, in uS: bilinear, and held beyond the ends of the table."""
    knots = table.conductance_us
    n = knots.size
    i = min(max(int(np.searchsorted(knots, conductance_us)) - 1, 0), max(n - 2, 0))
    u = 0.0
    if n > 1:
        u = min(max((conductance_us - knots[i]) / (knots[i + 1] - knots[i]), 0.0), 1.0)
    k = min(i + 1, n - 1)
    last = table.mean_us.shape[1] - 1
    position = min(max(history, 0.0), 1.0) * last
    j = min(int(position), last - 1)
    v = position - j
    mean = (1 - u) * ((1 - v) * table.mean_us[i, j] + v * table.mean_us[i, j + 1]) + u * (
        (1 - v) * table.mean_us[k, j] + v * table.mean_us[k, j + 1]
    )
    std = (1 - u) * ((1 - v) * table.std_us[i, j] + v * table.std_us[i, j + 1]) + u * (
        (1 - v) * table.std_us[k, j] + v * table.std_us[k, j + 1]
    )
    return mean, std


def initial_history(
    table: StepTable, device: DeviceConfig, conductance_us: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The history P of devices known only by their conductance, float64 of its shape.

    A choice of ours, since the paper gives the initial conductances alone: P is that of a device
    which the average SET steps brought from RESET to this conductance, ``exp(-n / history_pulses)``
    with n the (fractional) number of such pulses, at most 64. For 1.6 uS, n = 0.82 and P = 0.73.
    """
    path = np.empty(65)
    path[0] = device.reset_mean_us
    for n in range(1, path.size):
        history = math.exp(-n / device.history_pulses)
        mean, _ = interpolate_step(table, path[n - 1], history)
        path[n] = max(path[n - 1], min(path[n - 1] + mean, device.g_max_us))
    pulses = np.interp(conductance_us, path, np.arange(path.size))
    return np.exp(-pulses / device.history_pulses)


def class_starts() -> NDArray[np.float64]:
    """Time after the pulse at which each age class begins, in s; float64 [N_AGE_CLASSES + 1].

    ``start[k] = 1 ns * 2**(k / 16)``; the entry after the last lies beyond any
    time.
    """
    starts = ELAPSED_MIN_S * np.exp2(np.arange(N_AGE_CLASSES + 1) / CLASSES_PER_OCTAVE)
    starts[N_AGE_CLASSES] = _NEVER_S
    return starts


def drift_factors(device: DeviceConfig) -> NDArray[np.float64]:
    """Drift factor of each age class, float64 [N_AGE_CLASSES + 1].

    ``factor[k] = (start[k] * 2**(1/32) / t0)**-nu``, the power law at the class's geometric middle.
    One more entry, 1, is for devices that do not drift.
    """
    middles = ELAPSED_MIN_S * np.exp2((np.arange(N_AGE_CLASSES) + 0.5) / CLASSES_PER_OCTAVE)
    return np.append((middles / device.drift_t0_s) ** -device.drift_nu, 1.0)


def drift_error_bound(device: DeviceConfig) -> float:
    """Largest relative error of a conductance from age classes: ``2**(nu / 32) - 1``.

    For nu = 0.04 it is 0.087 %, a thirtieth of the read noise, which is 3 % of G at least.
    """
    return math.exp2(device.drift_nu / (2 * CLASSES_PER_OCTAVE)) - 1.0


@njit
def find_age_class(elapsed_s: float, starts: NDArray[np.float64]) -> int:
    """The class k with ``starts[k] <= elapsed_s < starts[k + 1]``; times below 1 ns count as 1 ns.

    The logarithm only gives a first guess: the table decides, so that a class never depends on the
    last digit of a library's logarithm.
    """
    elapsed = max(elapsed_s, ELAPSED_MIN_S)
    guess = int(CLASSES_PER_OCTAVE * math.log2(elapsed / ELAPSED_MIN_S))
    k = min(max(guess, 0), N_AGE_CLASSES - 1)
    # The last class is open: beyond its end lies no other.
    while k < N_AGE_CLASSES - 1 and elapsed >= starts[k + 1]:
        k += 1
    while k > 0 and elapsed < starts[k]:
        k -= 1
    return k
