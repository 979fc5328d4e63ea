"""Refresh controller: which pairs are saturated, and how their difference is written again."""

import math
from typing import NamedTuple

from model.config import Config
from model.jit import njit

__all__ = ["RefreshThresholds", "refresh_pulses", "refresh_thresholds", "saturated"]

PULSES_MAX = 7
"""Largest number of SET pulses that the re-programming of one device can be given."""


class RefreshThresholds(NamedTuple):
    """The refresh configuration in codes of a single-device read."""

    saturated: int
    """A device is high when its code is at least this."""
    difference: int
    """A pair is worth refreshing when the difference of its codes is below this."""
    steps: tuple[int, int, int, int, int, int, int]
    """Pulse n (1..7) is given when the difference of codes is at least ``steps[n - 1]``."""


def refresh_thresholds(config: Config) -> RefreshThresholds:
    """The thresholds of ``config.refresh`` in read codes, so that the gateware only compares.

    ``saturated`` and ``difference`` are rounded up; ``steps[n-1] = ceil((n - 1/2) step / LSB)``,
    which gives ``round(difference / step)`` pulses, half up; pulses beyond ``max_set_pulses`` get a
    threshold no code reaches.
    """
    lsb = config.converter.read_lsb_us
    never = 2 ** (config.converter.adc_bits + 1) - 1
    steps = [
        min(never, math.ceil((n - 0.5) * config.refresh.set_step_us / lsb))
        if n <= config.refresh.max_set_pulses
        else never
        for n in range(1, PULSES_MAX + 1)
    ]
    return RefreshThresholds(
        saturated=min(never, math.ceil(config.refresh.saturated_us / lsb)),
        difference=min(never, math.ceil(config.refresh.difference_us / lsb)),
        steps=(steps[0], steps[1], steps[2], steps[3], steps[4], steps[5], steps[6]),
    )


@njit
def saturated(plus: int, minus: int, thresholds: RefreshThresholds) -> bool:
    """Whether a pair with these read codes is refreshed: one device is high and the difference is
    small."""
    return max(plus, minus) >= thresholds.saturated and abs(plus - minus) < thresholds.difference


@njit
def refresh_pulses(plus: int, minus: int, thresholds: RefreshThresholds) -> int:
    """Signed number of SET pulses after both devices are RESET: positive for the plus device.

    ``sign(plus - minus) * #{n : |plus - minus| >= steps[n]}``, -7..7.
    """
    difference = abs(plus - minus)
    count = 0
    for step in thresholds.steps:
        if difference >= step:
            count += 1
    return count if plus >= minus else -count
