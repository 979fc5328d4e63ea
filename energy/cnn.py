"""Energy of an image in the convolutional unit, from what its gateware counts.

The counters are those of :mod:`model.cnn.activity`, equal in the Verilog and the model for every
co-simulated image. What a benchmark of bare cores leaves out is kept apart, group by group.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from energy.errors import EnergyError
from energy.estimator import Term, row_term
from energy.published import value
from energy.scaling import Node
from model.cnn.activity import activity_names, map_activity
from model.cnn.config import INPUT_BITS, CnnConfig, ReplicaMode

__all__ = ["CORE_GROUP", "GROUPS", "YAO_NODE", "CnnActivity", "image_groups", "macs", "nominal"]

YAO_NODE = Node(tech_nm=65, vdd_v=1.1)
"""Yao's periphery is simulated at 65 nm. Source: Yao 2020, Methods."""

CORE_GROUP = "core"
"""What the published benchmark holds: converters, array, its periphery."""

GROUPS = {
    CORE_GROUP: "converters, array, periphery of the lines in use",
    "shift_add": "every code is shifted and added to the sum of its output",
    "activation": "requantisation with ReLU, and max-pooling",
    "buffers": "feature maps, line buffers, windows, patches",
    "routing": "pooled pixels to the next map of every replica",
    "write": "pulses of hybrid training",
}
"""Groups of terms in the order in which they are added, and what they are."""


@dataclass(frozen=True, kw_only=True)
class CnnActivity:
    """What a run of a unit counted."""

    config: CnnConfig
    images: int
    counters: Mapping[str, float]
    """Totals by name of :func:`model.cnn.activity.activity_names`."""
    conductance_us: tuple[float, ...]
    """Mean conductance of the devices of each array."""
    set_pulses: float
    """SET pulses on single devices that an image of hybrid training takes ..."""
    reset_pulses: float
    """... and RESET pulses."""
    source: str
    """Where the counters come from."""

    def __post_init__(self) -> None:
        missing = sorted(set(activity_names(self.config)) - self.counters.keys())
        if missing:
            raise EnergyError(f"The run of {self.config.name} lacks the counter {missing[0]}.")
        if self.images < 1:
            raise EnergyError(f"The run of {self.config.name} counted no image.")
        if len(self.conductance_us) != self.config.n_arrays:
            raise EnergyError(f"The run of {self.config.name} lacks conductances of its arrays.")

    def mean(self, name: str) -> float:
        """A counter an image."""
        return self.counters[name] / self.images


def nominal(config: CnnConfig) -> CnnActivity:
    """An image without a run: exact counts, but half of all bits are taken to be ones, devices to
    be at the mean of the levels, and a batch to write the whole last layer with ten pulses each."""
    mode = config.replicas.mode
    n = config.replicas.n if mode is ReplicaMode.IMAGES else 1
    counters = dict.fromkeys(activity_names(config), 0)
    for k in range(n):
        maps = [
            np.full((1, *config.in_shape(layer)), 0b01010101, np.uint8)
            for layer in range(config.n_layers)
        ]
        counters |= {
            name: counters[name] + found
            for name, found in map_activity(config, maps, k if n > 1 else None).items()
        }
    device = config.device
    mean_us = device.level_us * (2 + device.level_max) / 2
    written = 2 * config.flat_inputs * config.outs(config.n_conv) / config.training.batch
    return CnnActivity(
        config=config,
        images=n,
        counters=counters,
        conductance_us=(mean_us,) * config.n_arrays,
        set_pulses=5 * written,
        reset_pulses=5 * written,
        source="configuration; bits, conductances and writes are assumed",
    )


def macs(config: CnnConfig) -> int:
    """Multiply-accumulates of an image, every signed weight counted once."""
    total = config.flat_inputs * config.outs(config.n_conv)
    for layer in range(config.n_conv):
        rows, cols, outs = config.conv_shape(layer)
        total += rows * cols * outs * config.chunks(layer) * config.chunk_inputs(layer)
    return total


class _Charge:
    """Terms of one group."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.terms: list[Term] = []

    def __call__(
        self,
        row_id: str,
        count: float,
        block: str,
        note: str,
        *,
        access: str = "",
        n_bytes: float = 0.0,
        bits: float = 0.0,
    ) -> None:
        self.terms.append(
            row_term(
                row_id,
                count,
                block,
                note,
                YAO_NODE,
                phase=self.group,
                basis="counters",
                access=access,
                n_bytes=n_bytes,
                bits=bits,
            )
        )

    def memory(self, reads: float, writes: float, block: str, n_bytes: float, bits: float) -> None:
        """Accesses to one memory."""
        for access, count in (("read", reads), ("write", writes)):
            self(
                "sram_cacti",
                count,
                block,
                f"{access}s of {bits:.0f} bits",
                access=access,
                n_bytes=n_bytes,
                bits=bits,
            )


def image_groups(activity: CnnActivity) -> dict[str, tuple[Term, ...]]:
    """Terms of a mean image by group of :data:`GROUPS`."""
    config, mean = activity.config, activity.mean
    charge = {group: _Charge(group) for group in GROUPS}
    copies = config.replicas.n  # maps that hold a layer's input
    bands = config.replicas.mode is ReplicaMode.BANDS
    core_mm = math.sqrt(value("yao", "core", "core", "area", "area") / 1e6)
    for array in range(config.n_arrays):
        layer = config.n_conv if array == config.n_arrays - 1 else array % config.n_conv
        name = f"array {array}"
        codes, patches = mean(f"conversions_{array}"), mean(f"patches_{array}")
        outs, sum_bits = config.outs(layer), config.psum_bits(layer)
        core = charge[CORE_GROUP]
        core("adc_kull2013", codes, name, "counted")
        core("periphery_yao", codes, name, "one share a conversion")
        driven = mean(f"lines_{array}") * config.lines(layer) * activity.conductance_us[array]
        core("cell_yao_driven", driven, name, "driven lines x output lines x mean conductance")
        charge["shift_add"]("shift_isaac", codes * sum_bits, name, "a shift a code")
        charge["shift_add"]("add_horowitz", codes * sum_bits, name, "an addition a code")
        window = config.chunks(layer) * config.chunk_inputs(layer) * INPUT_BITS
        buffers = charge["buffers"]
        buffers("register_aladdin", patches * window, name, "patches into the drivers")
        shifts = mean(f"phases_{array}") * config.tiles(layer) * config.chunk_inputs(layer)
        buffers("register_aladdin", shifts * INPUT_BITS, name, "drivers move a bit a phase")
        if layer == config.n_conv:
            charge["activation"]("add_horowitz", patches * outs * sum_bits, name, "largest score")
            continue
        activations, factor = patches * outs, config.requantiser.multiplier_bits
        requantise = charge["activation"]
        requantise("add_horowitz", activations * 2 * sum_bits, name, "offset, rounding")
        requantise("mult_horowitz", activations * sum_bits * factor, name, "multiplier")
        requantise("shift_isaac", activations * sum_bits, name, "shift")
        requantise("add_horowitz", activations * INPUT_BITS, name, "a comparison an activation")
        requantise("register_aladdin", activations * INPUT_BITS, name, "maximum so far")
        height, width, channels = config.in_shape(layer)
        kernel, pixel_bits = config.network.kernels[layer], channels * INPUT_BITS
        pixels = mean(f"pixels_{array}")
        n_maps = 2 if layer == 0 else 1
        buffers.memory(pixels, 0, f"map {array}", n_maps * height * width * channels, pixel_bits)
        if kernel > 1:
            column = (kernel - 1) * pixel_bits
            buffers.memory(pixels, pixels, f"lines {array}", width * column / 8, column)
        buffers("register_aladdin", pixels * window, name, "the window moves")
    for layer in range(config.n_layers):
        height, width, channels = config.in_shape(layer)
        words = mean(f"words_{layer - 1}") if layer else height * width
        bits = channels * INPUT_BITS
        written = words * (copies if bands else 1)
        block = f"input of layer {layer}"
        if layer == config.n_conv:
            charge["buffers"]("register_aladdin", words * bits, block, "the flat vector")
        else:
            n_bytes = (2 if layer == 0 else 1) * height * width * channels
            charge["buffers"].memory(0, written, block, n_bytes, bits)
        charge["routing"](
            "wire_yao", written * bits * core_mm, block, "bits x edge of a 128 x 128 core (assumed)"
        )
    charge["write"]("set_yao", activity.set_pulses, "devices", "pulses on single devices")
    charge["write"]("reset_yao", activity.reset_pulses, "devices", "pulses on single devices")
    return {group: tuple(found.terms) for group, found in charge.items()}
