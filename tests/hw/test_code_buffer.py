# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest

from hw.code_buffer import CodeBuffer
from model.activation_unit import BIAS
from model.config import Config
from model.configurations import tiny_mca
from model.outer_product import nonzero_words
from model.quantiser import activation_code
from tests.hw.hw_configs import VARIANTS, words
from tests.hw.hw_sim import PATTERNS, plain, put, simulate

LAYERS = [(name, k) for name, c in VARIANTS.items() for k in range(c.network.n_layers)]


def golden(config: Config, layer: int, activations: np.ndarray) -> tuple[np.ndarray, int]:
    """Codes `[n_words, lanes]` of a vector and its bias, and the flags of non-zero words."""
    codes = np.zeros(config.n_words(layer) * config.update.lanes, np.int8)
    values = [*activations, BIAS]
    codes[: len(values)] = [activation_code(int(value)) for value in values]
    codes = codes.reshape(-1, config.update.lanes)
    found = np.zeros(len(codes), np.int32)
    count = nonzero_words(codes, found)
    return codes, sum(1 << int(word) for word in found[:count])


def vectors_of(config: Config, layer: int) -> list[np.ndarray]:
    """Corners of the rounding, an empty vector, sparse and dense random ones."""
    length = config.network.n_rows(layer) - 1
    rng = np.random.default_rng(layer)
    corners = np.resize([0, 63, 64, 191, 192, 255], length)
    sparse = rng.integers(0, 256, length) * (rng.random(length) < 0.1)
    return [corners, np.zeros(length, int), sparse, rng.integers(0, 256, length)]


async def check(ctx, dut: CodeBuffer, codes: np.ndarray, flags: int) -> None:
    """Reads every word, falling addresses, one a cycle; the flags at the same time."""
    addresses = [*reversed(range(len(codes))), 0]
    for previous, address in zip([None, *addresses], addresses, strict=False):
        ctx.set(dut.address, address)
        if previous is not None:  # the codes are of the address before, not of this one
            assert plain(ctx.get(dut.codes)) == codes[previous].tolist()
        assert ctx.get(dut.nonzero) == flags
        await ctx.tick()


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_codes_and_flags(name: str, layer: int) -> None:
    config = VARIANTS[name]
    dut = CodeBuffer(config, layer)

    async def bench(ctx) -> None:
        for activations in vectors_of(config, layer):
            await put(ctx, dut.i, words(activations, config.update.lanes, "activations"), "101")
            if layer == 0:
                ctx.set(dut.swap, 1)
                await ctx.tick()
                ctx.set(dut.swap, 0)
            await check(ctx, dut, *golden(config, layer, activations))

    simulate(dut, bench)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", ["tiny_mca", "full_words"])
def test_loads_beside_reading(name: str, pattern: str) -> None:
    """The current bank does not change while the next image loads."""
    config = VARIANTS[name]
    dut = CodeBuffer(config, 0)
    vectors = vectors_of(config, 0)
    swapped = []

    async def load(ctx) -> None:
        for activations in vectors:
            await put(ctx, dut.i, words(activations, config.update.lanes, "activations"), pattern)
            await ctx.tick().repeat(20)
            ctx.set(dut.swap, 1)
            await ctx.tick()
            ctx.set(dut.swap, 0)
            swapped.append(activations)

    async def read(ctx) -> None:
        while len(swapped) < len(vectors):
            await ctx.tick()
            if not swapped:
                continue
            expected, flags = golden(config, 0, swapped[-1])
            for address in range(dut.n_words):
                ctx.set(dut.address, address)
                banks = len(swapped)
                assert ctx.get(dut.nonzero) == flags
                await ctx.tick()
                if len(swapped) != banks:
                    break
                assert plain(ctx.get(dut.codes)) == expected[address].tolist()

    simulate(dut, load, read)


def test_overlap_keeps_the_bank_of_the_update() -> None:
    """Codes stay those selected, while the next vector is current and the one behind it loads."""
    config = replace(tiny_mca, update=replace(tiny_mca.update, overlap=True))
    dut = CodeBuffer(config, 0)
    vectors = vectors_of(config, 0)

    async def strobe(ctx, signal) -> None:
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def bench(ctx) -> None:
        # Every other vector is updated.
        for index in range(2 * len(vectors)):
            current, selected = (
                golden(config, 0, vectors[k % len(vectors)]) for k in (index, index & ~1)
            )
            activations = vectors[index % len(vectors)]
            await put(ctx, dut.i, words(activations, config.update.lanes, "activations"))
            await strobe(ctx, dut.swap)
            if index % 2 == 0:
                await strobe(ctx, dut.select)
            await check(ctx, dut, selected[0], current[1])

    simulate(dut, bench)


@pytest.mark.parametrize("n_sent", [1, 2, 3])
def test_rewind(n_sent: int) -> None:
    dut = CodeBuffer(tiny_mca, 0)
    activations = np.arange(20) * 13

    async def bench(ctx) -> None:
        ctx.set(dut.rewind, n_sent == 2)  # also together with a word
        await put(ctx, dut.i, words([255] * 20, 8, "activations")[:n_sent])
        ctx.set(dut.rewind, 1)
        await ctx.tick()
        ctx.set(dut.rewind, 0)
        await put(ctx, dut.i, words(activations, 8, "activations"))
        ctx.set(dut.swap, 1)
        await ctx.tick()
        ctx.set(dut.swap, 0)
        await check(ctx, dut, *golden(tiny_mca, 0, activations))

    simulate(dut, bench)


def test_init() -> None:
    assert CodeBuffer(tiny_mca, 0).n_banks == 2
    assert not hasattr(CodeBuffer(tiny_mca, 1), "swap")
    with pytest.raises(ValueError, match="between 0 and 1, not -1"):
        CodeBuffer(tiny_mca, -1)
