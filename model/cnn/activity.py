"""What the inference unit counts while it works: one list of names for gateware, co-simulation and
estimator, and what images cause.

``a`` is the number of an array (:meth:`model.cnn.config.CnnConfig.array_index`), ``l`` that of a
layer:

========================= ========================================================================
``images``                images classified
``cycles_l, cycles_idle`` cycles in a layer, and in none
``phases_a``              one-bit phases, each on all tiles; verify reads among them
``lines_a``               input lines driven in these phases, over all tiles
``conversions_a``         ADC codes of products, each shifted and added once
``patches_a``             products, each a patch handed to the drivers and a word of sums
``pixels_a``              pixels from a convolution's feature map through its line buffer
``words_l``               pooled pixels written to the next layer's map, or vector
``verify_reads``          reads of a row in closed-loop writing
``set_, reset_pulses``    pulses on a row
``set_, reset_devices``   devices selected in these pulses
========================= ========================================================================
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import INPUT_BITS, CnnConfig, ReplicaMode
from model.cnn.cycles import image_cycles
from model.cnn.inference_unit import InferenceUnit

__all__ = ["activity_names", "map_activity", "unit_activity"]


def activity_names(config: CnnConfig) -> tuple[str, ...]:
    """Names of the counters in their order."""
    arrays, convolutions = range(config.n_arrays), range(config.n_conv)
    return (
        "images",
        *(f"cycles_{layer}" for layer in range(config.n_layers)),
        "cycles_idle",
        *(f"{kind}_{a}" for kind in ("phases", "lines", "conversions", "patches") for a in arrays),
        *(f"pixels_{array}" for array in arrays[:-1]),
        *(f"words_{layer}" for layer in convolutions),
        "verify_reads",
        "set_pulses",
        "reset_pulses",
        "set_devices",
        "reset_devices",
    )


def map_activity(
    config: CnnConfig, maps: Sequence[NDArray[np.uint8]], replica: int | None
) -> Counter[str]:
    """What the products of some images cause, by name; cycles are not among it.

    ``maps``: the input of every layer, uint8 ``[n, height, width, channels]``, the last one that of
    the fully connected layer; ``replica``: the one that computes all rows, None for each its band.
    """
    found = Counter[str]()
    n = len(maps[0])

    def products(array: int, layer: int, patches: int, lines: int) -> None:
        codes = config.tiles(layer) * config.lines(layer)
        phases = patches * config.steps(layer) * INPUT_BITS
        found[f"phases_{array}"] += phases
        found[f"lines_{array}"] += lines
        found[f"conversions_{array}"] += phases * codes
        found[f"patches_{array}"] += patches

    for layer in range(config.n_conv):
        kernel, stride = config.network.kernels[layer], config.network.strides[layer]
        height, width, _ = config.out_shape(layer)
        in_width, out_width = config.in_shape(layer)[1], config.conv_shape(layer)[1]
        found[f"words_{layer}"] += n * height * width
        # Every 1 bit of a pixel drives a line in each patch that the pixel is in.
        ones = np.bitwise_count(maps[layer]).sum(axis=3, dtype=np.int64)
        bands = config.bands(layer)
        for r, band in enumerate(bands) if replica is None else [(replica, bands[0])]:
            array = config.array_index(r, layer)
            top, span = band.in_first, (band.conv_rows - 1) * stride + 1
            lines = sum(
                ones[:, top + ky : top + ky + span : stride, kx:][
                    :, :, : (out_width - 1) * stride + 1 : stride
                ].sum()
                for ky, kx in np.ndindex(kernel, kernel)
            )
            products(array, layer, n * band.conv_rows * out_width, int(lines))
            found[f"pixels_{array}"] += n * (band.in_end - band.in_first) * in_width
    last = int(np.bitwise_count(maps[config.n_conv]).sum(dtype=np.int64))
    products(config.n_arrays - 1, config.n_conv, n, last)
    return found


def unit_activity(unit: InferenceUnit, images: NDArray[np.uint8]) -> Counter[str]:
    """What a unit counts while it classifies images: every name of :func:`activity_names`.

    ``images``: uint8 ``[n, ...]``, ``height * width * channels`` pixels each. Idle cycles depend on
    the host and are 0 here.
    """
    config = unit.config
    n = config.replicas.n if config.replicas.mode is ReplicaMode.IMAGES else 1
    found = Counter(dict.fromkeys(activity_names(config), 0))
    for k in range(n):
        replica = k if n > 1 else None
        maps = [unit.as_maps(images[k::n])]
        for layer in range(config.n_conv):
            maps.append(unit.convolve(layer, maps[-1], replica))
        found += map_activity(config, maps, replica)
    groups, rest = divmod(len(images), n)
    for count, size in ((groups, n), (1, rest)):
        if count and size:
            cycles = image_cycles(config, size)
            for layer, value in enumerate((*cycles.convolutions, cycles.fully_connected)):
                found[f"cycles_{layer}"] += count * value
    found["images"] = len(images)
    return Counter({name: found[name] for name in activity_names(config)})
