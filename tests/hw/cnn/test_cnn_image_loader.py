# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest

from hw.cnn.image_loader import ImageLoader
from model.cnn.config import CnnConfig, ReplicaConfig, ReplicaMode
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import random_images
from tests.hw.hw_sim import PATTERNS, put, simulate

three_images = replace(VARIANTS["two_images"], replicas=ReplicaConfig(n=3, mode=ReplicaMode.IMAGES))


@pytest.mark.parametrize("idle", PATTERNS)
@pytest.mark.parametrize(
    ("config", "groups"),
    [(VARIANTS["two_bands"], [1, 1, 1]), (three_images, [3, 2, 3, 1])],
    ids=["bands", "images"],
)
def test_groups(config: CnnConfig, groups: list[int], idle: str) -> None:
    """Image k of a group goes to output k; nothing is taken between a group and `take`."""
    dut = ImageLoader(config)
    images = random_images(config, 1, sum(groups))
    pixels = images.reshape(len(images), -1, images.shape[-1])
    lasts = np.cumsum(groups) - 1
    whole = config.replicas.mode is ReplicaMode.IMAGES
    seen: list[int] = []

    async def feed(ctx) -> None:
        for number, image in enumerate(pixels.tolist()):
            ends = [False] * (len(image) - 1) + [bool(whole and number in lasts)]
            words = [{"pixel": p, "last": end} for p, end in zip(image, ends, strict=True)]
            await put(ctx, dut.i, words, idle)

    async def take(ctx) -> None:
        for wait, _ in enumerate(groups):
            while not ctx.get(dut.ready):
                await ctx.tick()
            for _ in range(wait):
                assert ctx.get(dut.ready)
                assert not ctx.get(dut.i.ready)
                await ctx.tick()
            seen.append(ctx.get(dut.n_images))
            ctx.set(dut.take, 1)
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
            ctx.set(dut.take, 0)

    trace = simulate(dut, feed, take)
    assert seen == groups
    position = np.concatenate([np.arange(n) for n in groups])
    for copy in dut.copies:
        mine = pixels[position == copy].reshape(-1, images.shape[-1])
        words = trace.payloads(f"o_{copy}")
        assert [word["pixel"] for word in words] == mine.tolist()
        size = pixels.shape[1]
        assert [word["address"] for word in words] == [k % size for k in range(len(words))]
