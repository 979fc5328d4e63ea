"""Small convolutional networks drawn at random, their devices, images, and rows to be written."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cocotb_tests.cnn.checker import WriteCommand
from model.cnn.config import (
    CnnArrayConfig,
    CnnConfig,
    CnnNetworkConfig,
    CnnTrainingConfig,
    ConfigError,
    ReplicaConfig,
    ReplicaMode,
    RequantiserConfig,
    RramConfig,
    WriteConfig,
)
from model.cnn.inference_unit import InferenceUnit

__all__ = ["draw_cnns", "draw_writes"]

DECKS: dict[str, Sequence[Any]] = {
    "n_conv": (1, 2, 2, 3),
    "kernel": (1, 2, 3, 3, 4),
    "stride": (1, 1, 2, 3),
    "pool": (1, 2, 3),
    "outs": (1, 2, 3, 5, 7),
    "channels": (1, 1, 2, 3),
    "classes": (2, 3, 4, 10),
    "lines_per_adc": (1, 2, 3, 4),
    "conversion_cycles": (1, 1, 2),
    "adc_bits": (5, 8, 8, 10),
    "multiplier_bits": (4, 8, 12),
    "replicas": (1, 2, 2, 3),
    "mode": (ReplicaMode.BANDS, ReplicaMode.BANDS, ReplicaMode.IMAGES),
    "max_pulses": (1, 3, 40),
    "pulse": ((1, 1, 1), (4, 4, 1), (2, 5, 3)),
}


def _configuration(rng: np.random.Generator, name: str) -> CnnConfig:
    def draw(deck: str) -> Any:
        values = DECKS[deck]
        return values[int(rng.integers(len(values)))]

    n_conv = draw("n_conv")
    kernels = tuple(draw("kernel") for _ in range(n_conv))
    outs = tuple(draw("outs") for _ in range(n_conv))
    classes = draw("classes")
    set_cycles, reset_cycles, gap_cycles = draw("pulse")
    largest = 2 * max(*outs, classes)
    return CnnConfig(
        name=name,
        network=CnnNetworkConfig(
            height=int(rng.integers(4, 12)),
            width=int(rng.integers(4, 10)),
            channels=draw("channels"),
            kernels=kernels,
            outputs=outs,
            strides=tuple(draw("stride") for _ in range(n_conv)),
            pools=tuple(draw("pool") for _ in range(n_conv)),
            classes=classes,
        ),
        array=CnnArrayConfig(
            n_inputs=max(kernels) ** 2 + int(rng.integers(0, 4)),
            n_lines=largest * int(rng.integers(1, 3)) + int(rng.integers(0, 3)),
            lines_per_adc=draw("lines_per_adc"),
            conversion_cycles=draw("conversion_cycles"),
            adc_bits=draw("adc_bits"),
        ),
        requantiser=RequantiserConfig(multiplier_bits=draw("multiplier_bits")),
        replicas=ReplicaConfig(n=draw("replicas"), mode=draw("mode")),
        write=WriteConfig(
            set_cycles=set_cycles,
            reset_cycles=reset_cycles,
            gap_cycles=gap_cycles,
            max_pulses=draw("max_pulses"),
            margin_us=2.0,
        ),
        device=RramConfig(stuck_fraction=0.05),
        training=CnnTrainingConfig(hybrid_rate_us=10.0),  # a batch of few images changes weights
    )


def draw_cnns(seed: int, n: int) -> list[CnnConfig]:
    """``n`` configurations, named ``random_cnn_<seed>_<index>``; equal for equal arguments.

    What a configuration refuses, such as a kernel larger than its map, is drawn again.
    """
    rng = np.random.default_rng(seed)
    found: list[CnnConfig] = []
    while len(found) < n:
        try:
            found.append(_configuration(rng, f"random_cnn_{seed}_{len(found)}"))
        except ConfigError:
            continue
    return found


def draw_writes(unit: InferenceUnit, seed: int, n: int) -> list[WriteCommand]:
    """Rows all over the arrays, most devices enabled; the first row of none."""
    config, rng = unit.config, np.random.default_rng(seed)
    commands = []
    for number in range(n):
        array = int(rng.integers(len(unit.arrays)))
        arrays = unit.arrays[array]
        chunks, inputs, lines = arrays.units.shape
        top = round(20 / config.read_lsb_us)
        commands.append(
            WriteCommand(
                array=array,
                chunk=int(rng.integers(chunks)),
                input=int(rng.integers(inputs)),
                targets=rng.integers(round(2.5 / config.read_lsb_us), top + 1, lines),
                enables=(rng.random(lines) < 0.7) & (number > 0),
            )
        )
    return commands
