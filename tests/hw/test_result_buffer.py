"""Result buffer: every committed image leaves as one frame, in order, whatever the host does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.result_buffer import ResultBuffer
from model.config import Config, NetworkConfig
from model.configurations import tiny_mca
from model.frames import result_frame
from tests.hw.axi_faces import AXIFaces, beats
from tests.hw.hw_sim import STALLS, Trace, get, simulate


def sized(n_classes: int, lanes: int = 8) -> Config:
    return replace(
        tiny_mca,
        network=NetworkConfig(layers=(20, n_classes)),
        update=replace(tiny_mca.update, lanes=lanes),
    )


CONFIGS = {
    "tiny": tiny_mca,
    "two_classes": sized(2),
    "multiple": sized(16),
    "several_words": sized(21),
    "all_labels": sized(256, lanes=32),
    "narrow": sized(10, lanes=4),
}


def random_images(rng: np.random.Generator, config: Config, n: int) -> list[dict[str, Any]]:
    n_classes = config.network.layers[-1]
    images = []
    for k in range(n):
        # Few levels, so that equals are common.
        levels = rng.choice(256, 3).astype(np.uint8)
        images.append(
            {
                "outputs": rng.choice(levels, n_classes),
                "label": int(rng.integers(n_classes)),
                "trained": bool(k % 2),
                "skipped": bool(k % 3 == 0),
            }
        )
    return images


def run(
    config: Config,
    images: list[dict[str, Any]],
    stall: str = "1",
    *,
    gap: int = 0,
    commit_delay: int = 0,
) -> tuple[Trace, list[int]]:
    """Delivers the images as a sequencer does and checks the frames; also returns when it commits.

    ``commit_delay`` 0 commits in the cycle of the last word.
    """
    dut = AXIFaces(ResultBuffer(config))
    core = dut.dut
    lanes = config.update.lanes
    commits: list[int] = []
    expected = [
        beat
        for image in images
        for beat in beats(
            result_frame(
                image["outputs"],
                image["label"],
                config,
                trained=image["trained"],
                skipped=image["skipped"],
            )
        )
    ]

    async def produce(ctx: Any) -> None:
        cycle = 0

        async def tick() -> None:
            nonlocal cycle
            await ctx.tick()
            ctx.set(dut.i_outputs.valid, 0)
            ctx.set(core.commit, 0)
            cycle += 1

        for image in images:
            while not ctx.get(core.ready_for_image):
                await tick()
            words = np.zeros(config.rows_to_words(len(image["outputs"])) * lanes, np.uint8)
            words[: len(image["outputs"])] = image["outputs"]
            rows = words.reshape(-1, lanes).tolist()
            for k, row in enumerate(rows):
                for _ in range(gap):
                    await tick()
                is_last = k == len(rows) - 1
                ctx.set(dut.i_outputs.payload, {"activations": row, "last": is_last})
                ctx.set(dut.i_outputs.valid, 1)
                if not is_last:
                    await tick()
            for _ in range(commit_delay):
                await tick()
            ctx.set(core.label, image["label"])
            ctx.set(core.trained, image["trained"])
            ctx.set(core.skipped, image["skipped"])
            ctx.set(core.commit, 1)
            commits.append(cycle)
            await tick()
            ctx.set(core.label, 0)
            ctx.set(core.trained, 0)
            ctx.set(core.skipped, 0)

    async def host(ctx: Any) -> None:
        assert await get(ctx, dut.o, len(expected), stall) == expected

    return simulate(dut, produce, host, watch=["dut.ready_for_image"]), commits


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("commit_delay", [0, 1, 2, 5])
def test_frames(name: str, commit_delay: int) -> None:
    config = CONFIGS[name]
    images = random_images(np.random.default_rng(1), config, 6)
    run(config, images, gap=commit_delay // 2, commit_delay=commit_delay)


@pytest.mark.parametrize("stall", sorted({stall for _, stall in STALLS}))
@pytest.mark.parametrize("name", ["tiny", "several_words"])
def test_host_stalls(name: str, stall: str) -> None:
    config = CONFIGS[name]
    run(config, random_images(np.random.default_rng(2), config, 8), stall)


@pytest.mark.parametrize("name", CONFIGS)
def test_lowest_of_equals_wins(name: str) -> None:
    config = CONFIGS[name]
    n_classes = config.network.layers[-1]
    images = []
    for low, high, value in [(0, n_classes - 1, 255), (n_classes // 2, n_classes - 1, 1)]:
        outputs = np.zeros(n_classes, np.uint8)
        outputs[[low, high]] = value
        images.append({"outputs": outputs, "label": 0, "trained": False, "skipped": False})
    # All zero: class 0, not a lane beyond the vector.
    images.append(dict(images[0], outputs=np.zeros(n_classes, np.uint8)))
    # A larger value in the last word beats the word before.
    images.append(dict(images[0], outputs=np.arange(n_classes).astype(np.uint8)))
    run(config, images)


def test_latency_and_throughput() -> None:
    config = CONFIGS["several_words"]
    images = random_images(np.random.default_rng(3), config, 1)
    trace, commits = run(config, images, commit_delay=3)
    first = commits[0] + ResultBuffer.FIRST_BEAT
    assert [t.cycle for t in trace["o"]] == [first, first + 1, first + 2, first + 3]
    assert all(t.offered == t.cycle for t in trace["o"])


def test_ready_for_image_while_one_result_waits_but_not_two() -> None:
    # The host takes nothing: two images are done, a third may not begin.
    dut = AXIFaces(ResultBuffer(tiny_mca))
    core = dut.dut
    seen = []
    two = []

    async def sequencer(ctx: Any) -> None:
        for value in (1, 2):
            seen.append(ctx.get(core.ready_for_image))
            two.append(ctx.get(core.ready_for_next))
            ctx.set(dut.i_outputs.payload, {"activations": [value] * 4 + [0] * 4, "last": 1})
            ctx.set(dut.i_outputs.valid, 1)
            ctx.set(core.commit, 1)
            await ctx.tick()
            ctx.set(dut.i_outputs.valid, 0)
            ctx.set(core.commit, 0)
        for _ in range(20):
            seen.append(ctx.get(core.ready_for_image))
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(2)
        seen.append(ctx.get(core.ready_for_image))

    simulate(dut, sequencer)
    assert seen == [1, 1] + [0] * 20 + [1]
    assert two == [1, 0]
