# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.fully_connected import Classifier, Flatten
from model.cnn.fully_connected import classify, flatten
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.hw_sim import PATTERNS, get, plain, put, simulate

NAMES = ["tiny_cnn", "adc_a_line", "odd"]


@pytest.mark.parametrize("idle", PATTERNS)
@pytest.mark.parametrize("name", NAMES)
def test_flatten(name: str, idle: str) -> None:
    """Words in any order; then some of them again."""
    config = VARIANTS[name]
    dut = Flatten(config)
    rng = np.random.default_rng(1)
    height, width, channels = config.out_shape(config.n_conv - 1)
    features = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)

    async def bench(ctx) -> None:
        for share in (1.0, 0.5):
            features[...] = np.where(
                rng.random((height, width, 1)) < share,
                rng.integers(0, 256, features.shape),
                features,
            )
            pixels = features.reshape(-1, channels)
            order = rng.permutation(len(pixels))
            words = [{"address": int(k), "pixel": pixels[k].tolist()} for k in order]
            await put(ctx, dut.i, words, idle)
            assert plain(ctx.get(dut.vector)) == flatten(features, config.array.n_inputs).tolist()

    simulate(dut, bench)


@pytest.mark.parametrize("stall", [*PATTERNS, "w"])
@pytest.mark.parametrize("name", NAMES)
def test_classifier(name: str, stall: str) -> None:
    """The largest anywhere, ties, equal scores, the extremes."""
    config = VARIANTS[name]
    dut = Classifier(config)
    classes, bits = config.network.classes, config.psum_bits(config.n_conv)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rng = np.random.default_rng(2)
    vectors = [np.full(classes, value) for value in (low, 0, high)]
    vectors += [np.where(np.arange(classes) == k, high, low) for k in range(classes)]
    vectors += list(rng.integers(-2, 3, (6, classes)))
    vectors += list(rng.integers(low, high + 1, (3, classes)))

    async def bench(ctx) -> None:
        for vector in vectors:
            await put(ctx, dut.i, [vector.tolist()])
            expected = {"predicted": classify(vector), "scores": vector.tolist()}
            assert await get(ctx, dut.o, 1, stall, extra=0) == [expected]

    trace = simulate(dut, bench, watch=["done"])
    for scores, result, done in zip(trace["i"], trace["o"], trace.cycles("done"), strict=True):
        assert result.offered == done == scores.cycle + classes + Classifier.LATENCY
