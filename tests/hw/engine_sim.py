"""Runs an engine in Amaranth's simulator beside its model, and compares all that leaves it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.engine.engine import Engine
from model.engine.config import EngineConfig
from model.engine.training_engine import EngineState, infer_image, new_engine, train_image
from tests.hw.hw_sim import simulate

__all__ = ["image_words", "run_engine"]


def image_words(config: EngineConfig, image: NDArray[np.uint8], label: int) -> list[dict[str, Any]]:
    """An image as words for ``Engine.image``."""
    lanes = config.lanes
    n_words = -(-len(image) // lanes)
    padded = np.zeros(n_words * lanes, np.uint8)
    padded[: len(image)] = image
    return [
        {"pixels": word.tolist(), "label": label, "last": index == n_words - 1}
        for index, word in enumerate(padded.reshape(-1, lanes))
    ]


def flat_words(config: EngineConfig, weights: tuple[NDArray[np.int32], ...]) -> NDArray[np.int32]:
    """The weight memory's rows, int32 ``[weight_depth, lanes]``."""
    return np.concatenate([layer.reshape(-1, config.lanes) for layer in weights])


def run_engine(
    config: EngineConfig,
    weights: tuple[NDArray[np.int32], ...],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    training: bool = True,
    engine: type | None = None,
    max_cycles: int = 200_000,
) -> EngineState:
    """Shows images to gateware and model; outputs, counters and weights must be equal.

    ``engine``: the component's class, if not :class:`~hw.engine.engine.Engine`.
    """
    dut = (engine or Engine)(config)
    model = new_engine(config, weights)
    rate = config.learning_rate_log2

    async def bench(ctx: Any) -> None:
        for address, word in enumerate(flat_words(config, weights).tolist()):
            ctx.set(dut.weight_address, address)
            ctx.set(dut.weight_data, word)
            ctx.set(dut.weight_write, 1)
            ctx.set(dut.weight_enable, 1)
            await ctx.tick()
        ctx.set(dut.weight_enable, 0)
        ctx.set(dut.training, training)
        ctx.set(dut.learning_rate_log2, rate)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            for word in image_words(config, image, int(label)):
                ctx.set(dut.image.payload, word)
                ctx.set(dut.image.valid, 1)
                while not (await ctx.tick().sample(dut.image.ready))[-1]:
                    pass
            ctx.set(dut.image.valid, 0)
            outputs: list[int] = []
            done = False
            while not done:
                _, _, done, valid, payload = await ctx.tick().sample(
                    dut.done, dut.outputs.valid, dut.outputs.p.activations
                )
                if valid:
                    outputs += list(payload)
            if training:
                train_image(model, rate, image, int(label))
            else:
                infer_image(model, image)
            assert outputs == model.trace.activations[-1].tolist(), f"image {number}"
            counters = list(ctx.get(dut.counters))
            assert counters == model.counters.tolist(), f"image {number}"
        for address, expected in enumerate(flat_words(config, model.weights).tolist()):
            ctx.set(dut.weight_address, address)
            await ctx.tick()
            assert list(ctx.get(dut.weight_read)) == expected, f"weight word {address}"

    simulate(dut, bench, max_cycles=max_cycles)
    return model
