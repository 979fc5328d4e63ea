"""The whole inference unit against the model: every phase, class, score, pulse and cycle."""

# amaranth: UnusedElaboratable=no
import pytest

from hw.cnn.inference_unit import InferenceUnit
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import random_images
from tests.hw.cnn.inference_sim import image_words, run_inference
from tests.hw.hw_sim import get, put, simulate


@pytest.mark.parametrize(
    ("name", "idle", "stall"),
    [
        ("adc_a_line", "1", "1"),
        ("adc_a_line", "110100", "w"),
        ("two_bands", "1", "1"),
        ("two_images", "10", "0001"),
    ],
)
def test_writes_and_images(name: str, idle: str, stall: str) -> None:
    """Small ones; larger units meet the model in Verilator."""
    run_inference(VARIANTS[name], n_images=3, n_writes=3, idle=idle, stall=stall)


def test_write_waits_for_the_group() -> None:
    """Results that are not taken hold up the group; a write must not come in between its images."""
    config = VARIANTS["two_images"]
    dut = InferenceUnit(config)
    early: list[int] = []

    async def host(ctx) -> None:
        await put(ctx, dut.i_image, image_words(random_images(config, 1, 2)))
        while ctx.get(dut.layer) == config.n_layers:
            await ctx.tick()
        await ctx.tick()  # the group has begun
        await put(ctx, dut.i_write, [{"enables": [0] * 6}])
        early.append(0)

    async def results(ctx) -> None:
        for _ in range(150):
            await ctx.tick()
        assert ctx.get(dut.o_result.valid)
        assert not early  # the second image has not been classified
        await get(ctx, dut.o_result, 2)
        while not early:
            await ctx.tick()
        await get(ctx, dut.o_write, 1)

    simulate(dut, host, results, max_cycles=1_000)
