"""Small configurations drawn at random, and images for them.

Every setting has a deck of values that is dealt out to the configurations of a draw, shuffled, so
that even a draw of two dozen has every value of every setting, each time in other company. Sizes
crowd around multiples of the lanes, rates, thresholds and full scales where a few images make
pulses, stalls, saturation, refresh and skipped updates.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import (
    ArrayConfig,
    Config,
    ConverterConfig,
    DeviceConfig,
    NetworkConfig,
    PulseConfig,
    RefreshConfig,
    ScalePolicy,
    SkipPolicy,
    UpdateConfig,
)

__all__ = ["draw_configurations", "draw_images"]

DECKS: dict[str, Sequence[Any]] = {
    "n_layers": (1, 2, 2, 3),
    # Wide units take long to compile: one in thirteen each.
    "lanes": (4, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16, 32, 64),
    "adc_bits": (3, 4, 5, 6, 7, 8, 9, 10, 12),
    "columns_per_adc": (1, 2, 3, 4),
    "integration_cycles": (1, 2, 5, 11, 40),
    "conversion_cycles": (1, 2, 3),
    "read_integration_cycles": (1, 4, 9),
    # How many arrays the rows and the columns of the first layer are split over, at least.
    "row_tiles": (1, 2, 3, 4),
    "col_tiles": (1, 1, 2, 3),
    "weight_us": (0.5, 1.0, 4.0),
    "forward_full_scale": (1.0, 2.5, 8.0, 16.0),
    "backward_full_scale": (0.25, 0.5, 1.0, 4.0, 64.0),
    "chi_bits": (8, 11, 16, 24, 31, 32),
    # Where between the smallest and the largest that chi has room for.
    "epsilon": (0.0, 0.3, 0.7, 1.0),
    "learning_rate_log2": (0, 1, 2, 3, 5, 8),
    "decay_log2": (1, 2, 4, 16),
    "scale_policy": tuple(ScalePolicy),
    "skip_policy": tuple(SkipPolicy),
    "set_cycles": (1, 2, 5, 8),
    "reset_cycles": (1, 3, 7),
    "gap_cycles": (1, 2, 3),
    "queue_depth": (2, 3, 5, 16),
    # Interval and rows: never, distributed, periodic.
    "refresh": ((0, 1), (1, 1), (3, 1), (1, 1), (2, 0), (3, 1), (1, 0)),
    "saturated_us": (1.0, 2.0, 2.5),
    "difference_us": (0.5, 2.0, 4.0),
    "max_set_pulses": (0, 1, 3, 7),
    "set_step_us": (0.2, 0.768),
    "stuck_fraction": (0.0, 0.0, 0.1, 1.0),
    "noise": (0.0, 1.0, 1.0),
    "drift_nu": (0.0, 0.04),
    "seconds_per_image": (0.0, 1.0),
    "crowded_codes": (0, 1, 3),
    "overlap": (False, True),
}


def _deal(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """A hand of settings for each of ``n``: decks shuffled, and again as often as they run out."""
    columns = {}
    for name, values in DECKS.items():
        order = np.concatenate([rng.permutation(len(values)) for _ in range(-(-n // len(values)))])
        columns[name] = [values[k] for k in order[:n]]
    return [{name: column[k] for name, column in columns.items()} for k in range(n)]


def _width(rng: np.random.Generator, lanes: int, smallest: int, largest: int) -> int:
    """A layer's width: half of the time just at, below or above whole words, else any."""
    if rng.integers(2):
        width = lanes * int(rng.integers(1, 4)) + int(rng.integers(-1, 2))
    else:
        width = int(rng.integers(smallest, largest + 1))
    while width > largest:
        width -= lanes
    return max(smallest, width)


def _configuration(rng: np.random.Generator, name: str, hand: dict[str, Any]) -> Config:
    lanes = hand["lanes"]
    # A layer of the widest units still fits a word; then word counts of one are drawn, too.
    largest = max(20, lanes + 1)
    widths = [_width(rng, lanes, 1, max(33, lanes + 1))]
    widths += [_width(rng, lanes, 1, largest) for _ in range(hand["n_layers"] - 1)]
    widths += [_width(rng, lanes, 2, 12)]
    epsilon_room = hand["chi_bits"] - 4 - 2
    interval, rows = hand["refresh"]
    return Config(
        name=name,
        network=NetworkConfig(layers=tuple(widths)),
        array=ArrayConfig(
            max_rows=max(2, -(-(widths[0] + 1) // hand["row_tiles"])),
            max_cols=max(2, -(-max(widths[1:]) // hand["col_tiles"])),
            integration_cycles=hand["integration_cycles"],
            conversion_cycles=hand["conversion_cycles"],
            columns_per_adc=hand["columns_per_adc"],
            read_integration_cycles=hand["read_integration_cycles"],
        ),
        converter=ConverterConfig(
            adc_bits=hand["adc_bits"],
            weight_us=hand["weight_us"],
            forward_full_scale=hand["forward_full_scale"],
            backward_full_scale=hand["backward_full_scale"],
        ),
        update=UpdateConfig(
            lanes=lanes,
            chi_bits=hand["chi_bits"],
            epsilon_log2=2 + round(hand["epsilon"] * epsilon_room),
            learning_rate_log2=hand["learning_rate_log2"],
            scale_policy=hand["scale_policy"],
            decay_log2=hand["decay_log2"],
            crowded_codes=hand["crowded_codes"] if hand["decay_log2"] >= 2 else 0,
            skip_policy=hand["skip_policy"],
            overlap=hand["overlap"],
        ),
        pulse=PulseConfig(
            set_cycles=hand["set_cycles"],
            reset_cycles=hand["reset_cycles"],
            gap_cycles=hand["gap_cycles"],
            queue_depth=hand["queue_depth"],
        ),
        refresh=RefreshConfig(
            interval=interval,
            rows=rows,
            saturated_us=hand["saturated_us"],
            difference_us=hand["difference_us"],
            max_set_pulses=hand["max_set_pulses"],
            set_step_us=hand["set_step_us"],
        ),
        device=DeviceConfig(
            stuck_fraction=hand["stuck_fraction"],
            noise_slope=0.03 * hand["noise"],
            noise_offset_us=0.13 * hand["noise"],
            drift_nu=hand["drift_nu"],
            seconds_per_image=hand["seconds_per_image"],
        ),
    )


def draw_configurations(seed: int, n: int) -> list[Config]:
    """``n`` configurations, named ``random_<seed>_<index>``; equal for equal arguments."""
    rng = np.random.default_rng(seed)
    return [
        _configuration(rng, f"random_{seed}_{index}", hand)
        for index, hand in enumerate(_deal(rng, n))
    ]


def draw_images(config: Config, seed: int, n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images uint8 ``[n, layers[0]]`` and labels uint8 ``[n]``.

    As digits are: each class has pixels of its own, half of them dark, and some differ from image
    to image. Every seventh image is black, every seventh white.
    """
    rng = np.random.default_rng(seed)
    n_inputs, n_classes = config.network.layers[0], config.network.layers[-1]
    typical = rng.integers(0, 256, (n_classes, n_inputs)) * rng.integers(0, 2, (1, n_inputs))
    labels = rng.integers(0, n_classes, n)
    differs = rng.integers(0, 8, (n, n_inputs)) == 0
    images = np.where(differs, rng.integers(0, 256, differs.shape), typical[labels])
    images[3::7] = 0
    images[5::7] = 255
    return images.astype(np.uint8), labels.astype(np.uint8)
