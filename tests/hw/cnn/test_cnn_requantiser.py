# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.requantiser import Requantiser
from model.cnn.config import CnnConfig
from model.cnn.requantiser import SHIFT_MAX, requantise
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.hw_sim import put, simulate

LAYERS = [
    (name, layer)
    for name, config in VARIANTS.items()
    if config.replicas.n == 1
    for layer in range(config.n_conv)
]


def parameters(config: CnnConfig, layer: int, shift: int, rng: np.random.Generator):
    outs, bits = config.outs(layer), config.psum_bits(layer)
    offsets = rng.integers(-(2 ** (bits - 2)), 2 ** (bits - 2), outs).astype(np.int32)
    multipliers = rng.integers(0, 2**config.requantiser.multiplier_bits, outs).astype(np.int32)
    multipliers[0] = 2**config.requantiser.multiplier_bits - 1
    words = [
        {
            "array": 0,
            "channel": channel,
            "offset": int(offsets[channel]),
            "multiplier": int(multipliers[channel]),
            "shift": shift,
        }
        for channel in rng.permutation(outs).tolist()
    ]
    return offsets, multipliers, words


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("shift", [0, 1, 11, SHIFT_MAX])
@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_requantise(name: str, layer: int, shift: int, gap: int) -> None:
    """Corners of the sums, ties of the rounding, words as close together as they may come."""
    config = VARIANTS[name]
    rng = np.random.default_rng(shift)
    dut = Requantiser(config, layer)
    outs, bits = config.outs(layer), config.psum_bits(layer)
    offsets, multipliers, words = parameters(config, layer, shift, rng)
    sums = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (12, outs)).astype(np.int32)
    sums[0], sums[1], sums[2] = 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), 0
    # Products around the halves between two results.
    target = (2 * rng.integers(-1, 256, (6, outs)) + 1) << shift >> 1
    near = target // np.maximum(multipliers, 1) - offsets + rng.integers(-1, 2, target.shape)
    sums[3:9] = np.clip(near, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    expected = np.zeros((len(sums), outs), np.uint8)
    for row, result in zip(sums, expected, strict=True):
        requantise(row, offsets, multipliers, shift, result)

    async def bench(ctx) -> None:
        await put(ctx, dut.i_parameters, words)
        for row in sums.tolist():
            await put(ctx, dut.i, [row])
            for _ in range(outs - 1 + gap):
                await ctx.tick()

    trace = simulate(dut, bench, settle=outs + 8)
    assert trace.payloads("o") == expected.tolist()
    for taken, pixel in zip(trace["i"], trace["o"], strict=True):
        assert pixel.cycle == taken.cycle + outs + Requantiser.LATENCY
