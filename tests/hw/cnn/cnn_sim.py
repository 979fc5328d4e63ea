"""Arrays for the tests of the CNN's gateware: random devices, and their answers in time."""

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.cnn.layouts import ReadRange
from model.cnn.config import CnnConfig
from model.cnn.convolver import Requantisation
from model.cnn.crossbar import LayerArrays
from model.cnn.inference_unit import InferenceUnit
from tests.hw.hw_sim import plain

__all__ = ["parameter_words", "random_images", "random_unit", "serve_array"]


def _randomise(arrays: LayerArrays, rng: np.random.Generator) -> None:
    """Devices all over the window, converters that clip now and then."""
    device = arrays.config.device
    arrays.conductance_us = rng.uniform(device.g_min_us, device.g_max_us, arrays.stuck.shape)
    arrays.refresh()
    arrays.lsb = max(1, int(arrays.units.sum(axis=1).max() * 0.8) // arrays.config.array.code_max)


def random_unit(config: CnnConfig, seed: int) -> InferenceUnit:
    """A unit with random devices and a requantisation that uses the whole range."""
    rng = np.random.default_rng(seed)
    unit = InferenceUnit(config, np.random.default_rng(seed))
    for arrays in unit.arrays:
        _randomise(arrays, rng)
    for replica in unit.requantisations:
        for layer in range(config.n_conv):
            outs, bits = config.outs(layer), config.requantiser.multiplier_bits
            # A typical sum is a tenth of the largest; it is to become an activation of about 100.
            multipliers = rng.integers(2 ** (bits - 1), 2**bits, outs)
            largest = 255 * config.array.code_max * config.chunks(layer)
            shift = max(0, int(np.log2(largest * 0.1 * 2**bits / 100)))
            offsets = rng.integers(-largest // 20, largest // 20 + 1, outs)
            replica[layer] = Requantisation(
                offsets.astype(np.int32), multipliers.astype(np.int32), shift
            )
    return unit


def random_images(config: CnnConfig, seed: int, n: int) -> NDArray[np.uint8]:
    """Images uint8 ``[n, height, width, channels]``, the second black, the third white."""
    network = config.network
    shape = (n, network.height, network.width, network.channels)
    images = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    images[1:2], images[2:3] = 0, 255
    return images


def parameter_words(config: CnnConfig, unit: InferenceUnit) -> list[dict[str, int]]:
    """What the host sends to the requantisers."""
    return [
        {
            "array": replica * config.n_conv + layer,
            "channel": channel,
            "offset": int(parameters.offsets[channel]),
            "multiplier": int(parameters.multipliers[channel]),
            "shift": parameters.shift,
        }
        for replica, layers in enumerate(unit.requantisations)
        for layer, parameters in enumerate(layers)
        for channel in range(config.outs(layer))
    ]


def serve_array(
    port: Any, arrays: LayerArrays, seen: list[tuple[int, int, list[list[int]]]] | None = None
) -> Callable[[Any], Awaitable[None]]:
    """A background testbench that answers at an array port: garbage at all times but in the cycle
    in which a line is sampled.

    ``seen``: receives cycle, step and drive of every phase of a product.
    """
    config, rng = arrays.config, np.random.default_rng(1)
    array, phase_cycles = config.array, config.array.phase_cycles
    shape = (config.tiles(arrays.layer), config.lines(arrays.layer))
    slots = np.arange(shape[1]) % array.lines_per_adc

    async def run(ctx: Any) -> None:
        cycle, held, start, hold = 0, np.zeros(shape, int), -2 * phase_cycles, None
        converting, conversion_start = held, -phase_cycles
        while True:
            if ctx.get(port.phase):
                assert cycle - start >= phase_cycles, "phases overlap"
                drive, step, start = plain(ctx.get(port.drive)), ctx.get(port.step), cycle
                if ctx.get(port.range).value == ReadRange.COMPUTE.value:
                    assert ctx.get(port.hold) != hold, "the held lines are not converted yet"
                    hold = ctx.get(port.hold)
                    held = arrays.phase(step, np.array(drive, np.uint8))
                    if seen is not None:
                        seen.append((cycle, step, drive))
                else:
                    assert np.sum(drive) == 1, "a verify read drives more than one line"
                    ((tile, line),) = np.argwhere(drive)
                    held = np.zeros(shape, int)
                    held[tile] = arrays.verify(tile * config.steps(arrays.layer) + step, line)
            if start <= cycle < start + phase_cycles:
                assert plain(ctx.get(port.drive)) == drive, "drive changed within a phase"
                assert ctx.get(port.step) == step
            since = cycle - conversion_start
            codes = rng.integers(0, array.code_max + 1, shape)
            if 0 <= since < phase_cycles:
                slot, rest = divmod(since, array.conversion_cycles)
                if rest == array.conversion_cycles - 1:
                    assert ctx.get(port.slot) == slot
                    codes = np.where(slots == slot, converting, codes)
            ctx.set(port.codes, codes.tolist())
            if cycle == start + phase_cycles - 1:
                converting, conversion_start = held, cycle + 1
            await ctx.tick()
            cycle += 1

    return run
