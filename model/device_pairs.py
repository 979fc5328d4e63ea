"""The device pairs of one array: their records, their ages, and the weights that follow from them.

A device's drift factor is taken at the geometric midpoint of its age class, a sixteenth of an
octave wide, so the weight of a pair changes only when one of its devices is pulsed or enters a new
class.
The devices of a class stand in a list in the order of their last pulses. They leave it in the same
order, so bringing an array to a later time costs a look at the head of each list and the devices
that are due, whatever the size of the array.

The functions take arrays, not the tuple that holds them: handing a tuple of arrays on inside a loop
counts references of every array in it, which takes far longer than the work itself.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.devices import ELAPSED_MIN_S, N_AGE_CLASSES, find_age_class
from model.jit import njit

__all__ = [
    "AGELESS",
    "DEVICE_DTYPE",
    "ArrayPhysics",
    "age_devices",
    "append",
    "rebuild",
    "unlink",
    "update_pair",
]

#: Age class of devices that do not drift: no list, drift factor 1.
AGELESS = N_AGE_CLASSES


class ArrayPhysics(NamedTuple):
    """The numbers of an array's physics; units as in the configuration."""

    weight_us: float
    forward_lsb: float
    backward_lsb: float
    read_lsb_us: float
    history_decay: float
    g_min_us: float
    g_max_us: float
    noise_slope: float
    noise_offset_us: float
    reset_mean_us: float
    reset_std_us: float
    reset_min_us: float


#: One device: 32 bytes, so a pair is one cache line.
DEVICE_DTYPE = np.dtype(
    [
        ("pulse_time_s", np.float64),  # device time of the last pulse
        ("conductance_us", np.float32),  # at t0 after the last pulse
        ("history", np.float32),  # P
        ("older", np.int32),  # neighbours in the list of the age class, -1 at its ends
        ("younger", np.int32),
        ("age_class", np.int16),
        ("stuck", np.uint8),  # 1: never changes
    ],
    align=True,
)


@njit
def update_pair(
    pair: int,
    physics: ArrayPhysics,
    devices: NDArray[np.void],
    factors: NDArray[np.float64],
    weight: NDArray[np.float32],
    variance: NDArray[np.float32],
) -> None:
    """Recomputes the weight and noise variance of a pair from its devices' age classes."""
    plus = devices[2 * pair]
    minus = devices[2 * pair + 1]
    g_plus = plus.conductance_us * factors[plus.age_class]
    g_minus = minus.conductance_us * factors[minus.age_class]
    noise_plus = (physics.noise_slope * g_plus + physics.noise_offset_us) / physics.weight_us
    noise_minus = (physics.noise_slope * g_minus + physics.noise_offset_us) / physics.weight_us
    weight[pair] = (g_plus - g_minus) / physics.weight_us
    variance[pair] = noise_plus * noise_plus + noise_minus * noise_minus


@njit
def _due(born_s: float, wait_s: float) -> float:
    """When a device pulsed at ``born_s`` leaves a class that ends ``wait_s`` after the pulse.

    A hint, early by more than the rounding of the sum: the test that decides compares the elapsed
    time with the class's end, as :func:`~model.devices.find_age_class` does.
    """
    return born_s + wait_s - 1e-12 * (abs(born_s) + wait_s)


@njit
def append(
    index: int,
    age: int,
    devices: NDArray[np.void],
    ends: NDArray[np.int32],
    due_s: NDArray[np.float64],
    starts_s: NDArray[np.float64],
) -> None:
    """Puts a device at the young end of a class's list."""
    device = devices[index]
    last = ends[age, 1]
    device.age_class = age
    device.older = last
    device.younger = -1
    ends[age, 1] = index
    if last < 0:
        ends[age, 0] = index
        due_s[age] = _due(device.pulse_time_s, starts_s[age + 1])
    else:
        devices[last].younger = index


@njit
def unlink(
    index: int,
    devices: NDArray[np.void],
    ends: NDArray[np.int32],
    due_s: NDArray[np.float64],
    starts_s: NDArray[np.float64],
) -> None:
    """Takes a device out of its class's list."""
    age = devices[index].age_class
    older = devices[index].older
    younger = devices[index].younger
    if younger < 0:
        ends[age, 1] = older
    else:
        devices[younger].older = older
    if older >= 0:
        devices[older].younger = younger
    else:
        ends[age, 0] = younger
        if younger < 0:
            due_s[age] = math.inf
        else:
            due_s[age] = _due(devices[younger].pulse_time_s, starts_s[age + 1])


@njit
def age_devices(
    time_s: float,
    physics: ArrayPhysics,
    devices: NDArray[np.void],
    weight: NDArray[np.float32],
    variance: NDArray[np.float32],
    ends: NDArray[np.int32],
    due_s: NDArray[np.float64],
    starts_s: NDArray[np.float64],
    factors: NDArray[np.float64],
) -> float:
    """Moves every due device to its new class and recomputes its pair; the next time one is due.

    Classes are visited from old to young, so devices that jump into the same class arrive there in
    the order of their pulses, behind those that came earlier: lists stay sorted without sorting.
    """
    next_due = math.inf
    for age in range(N_AGE_CLASSES - 1, -1, -1):
        if due_s[age] > time_s:
            next_due = min(next_due, due_s[age])
            continue
        index = ends[age, 0]
        while index >= 0:
            elapsed = max(time_s - devices[index].pulse_time_s, ELAPSED_MIN_S)
            if elapsed < starts_s[age + 1]:
                break
            new_age = age + 1
            if elapsed >= starts_s[age + 2]:
                new_age = find_age_class(elapsed, starts_s)
            following = devices[index].younger
            append(index, new_age, devices, ends, due_s, starts_s)
            next_due = min(next_due, due_s[new_age])
            update_pair(index >> 1, physics, devices, factors, weight, variance)
            index = following
        ends[age, 0] = index
        if index < 0:
            ends[age, 1] = -1
            due_s[age] = math.inf
        else:
            devices[index].older = -1
            due_s[age] = _due(devices[index].pulse_time_s, starts_s[age + 1])
        next_due = min(next_due, due_s[age])
    return next_due


@njit
def rebuild(
    time_s: float,
    order: NDArray[np.int64],
    drifts: bool,
    physics: ArrayPhysics,
    devices: NDArray[np.void],
    weight: NDArray[np.float32],
    variance: NDArray[np.float32],
    ends: NDArray[np.int32],
    due_s: NDArray[np.float64],
    starts_s: NDArray[np.float64],
    factors: NDArray[np.float64],
) -> None:
    """Classes, lists and pairs from conductances and pulse times, at ``time_s``.

    ``order`` lists the devices from the earliest to the latest pulse. The result is the state that
    a run of operations up to this time leaves, but for the order of devices that were
    pulsed at the same time, which no result depends on.
    """
    ends[:] = -1
    due_s[:] = math.inf
    for index in order:
        if drifts and not devices[index].stuck:
            age = find_age_class(time_s - devices[index].pulse_time_s, starts_s)
            append(index, age, devices, ends, due_s, starts_s)
        else:
            devices[index].age_class = AGELESS
    for pair in range(weight.size):
        update_pair(pair, physics, devices, factors, weight, variance)
