"""Input buffer: every frame is taken whole or leaves no trace but its error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.input_buffer import InputBuffer
from model.config import Config, NetworkConfig
from model.configurations import tiny_mca
from model.frames import FrameError, frame_error, image_frame
from tests.hw.axi_faces import AXIFaces, beats
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate

WATCHED = ("rewind", "image_ready", "take", "short_frame", "long_frame", "bad_label")


def sized(*layers: int) -> Config:
    return replace(tiny_mca, network=NetworkConfig(layers=layers))


CONFIGS = {
    "tiny": tiny_mca,
    "multiple": sized(16, 4),
    "one_word": sized(5, 3),
    "full_word": sized(8, 2),
    "all_labels": sized(9, 256),
}


def random_frame(rng: np.random.Generator, config: Config, kind: str) -> np.ndarray:
    """A frame with noise where the unit must not look."""
    n_inputs, lanes = config.network.layers[0], config.update.lanes
    n_beats = config.rows_to_words(n_inputs) + 1
    frame = rng.integers(0, 256, (n_beats, lanes), np.uint8)
    frame[-1, 0] = rng.integers(config.network.layers[-1])
    if kind == "short":
        return frame[: rng.integers(1, n_beats)]
    if kind == "long":
        extra = rng.integers(0, 256, (rng.integers(1, 2 * n_beats), lanes), np.uint8)
        return np.concatenate([frame, extra])
    if kind == "bad_label":
        frame[-1, 0] = rng.integers(config.network.layers[-1], 256)
    return frame


def golden(frames: list[np.ndarray], config: Config) -> tuple[list[Any], list[FrameError]]:
    images, errors = [], []
    for frame in frames:
        error = frame_error(frame, config)
        if error is not None:
            errors.append(error)
        else:
            pixels = frame[:-1].reshape(-1)[: config.network.layers[0]]
            images.append((pixels.tolist(), int(frame[-1, 0])))
    return images, errors


def run(
    config: Config, frames: list[np.ndarray], idle: str = "1", stall: str = "1", wait: int = 0
) -> tuple[Trace, list[Any], list[FrameError]]:
    """Sends the frames and takes every image ``wait`` cycles after it is ready.

    Returns the images as the line drivers and the code buffer would have them, and the errors.
    """
    dut = AXIFaces(InputBuffer(config))
    n_words = config.rows_to_words(config.network.layers[0])
    expected_images = golden(frames, config)[0]
    labels: list[int] = []

    async def send(ctx: Any) -> None:
        for frame in frames:
            await put(ctx, dut.i, beats(frame), idle)

    async def sink(ctx: Any) -> None:
        # A short frame's last beat is not passed on, the label's never.
        n_sent = sum(min(len(frame) - 1, n_words) for frame in frames)
        await get(ctx, dut.o_drives, n_sent, stall)

    async def take(ctx: Any) -> None:
        while len(labels) < len(expected_images):
            if not (await ctx.tick().sample(dut.dut.image_ready))[-1]:
                continue
            for _ in range(wait):
                await ctx.tick()
            labels.append(ctx.get(dut.dut.label))
            ctx.set(dut.dut.take, 1)
            await ctx.tick()
            ctx.set(dut.dut.take, 0)
            assert not ctx.get(dut.dut.image_ready)

    trace = simulate(dut, send, sink, take, watch=[f"dut.{name}" for name in WATCHED])
    images, errors = replay(trace, labels)
    assert [len(pixels) for pixels, _ in images] == [n_words * config.update.lanes] * len(images)
    n_inputs = config.network.layers[0]
    assert not any(any(pixels[n_inputs:]) for pixels, _ in images), "lanes beyond the pixels"
    return trace, [(pixels[:n_inputs], label) for pixels, label in images], errors


def replay(trace: Trace, labels: list[int]) -> tuple[list[Any], list[FrameError]]:
    """What a double-buffered sink holds at every take."""
    assert [t.cycle for t in trace["o_drives"]] == [t.cycle for t in trace["o_codes"]]
    assert trace.payloads("o_drives") == trace.payloads("o_codes")
    events: list[tuple[int, str, Any]] = [(t.cycle, "word", t.payload) for t in trace["o_drives"]]
    for name in ("rewind", "take", *(error.name.lower() for error in FrameError)):
        events += [(cycle, name, None) for cycle in trace.cycles(f"dut.{name}")]
    ready = set(trace.cycles("dut.image_ready"))
    images, errors = [], []
    pixels: list[int] = []
    is_whole = False
    rewound = -1
    for cycle, name, word in sorted(events, key=lambda event: (event[0], event[1] != "rewind")):
        if name == "word":
            assert not is_whole
            assert cycle not in ready
            assert cycle != rewound
            pixels += word["activations"]
            is_whole = bool(word["last"])
        elif name == "rewind":
            assert cycle not in ready
            pixels, is_whole, rewound = [], False, cycle
        elif name == "take":
            assert is_whole
            images.append((pixels, labels[len(images)]))
            pixels, is_whole = [], False
        else:
            assert cycle == rewound, "an error rewinds"
            errors.append(FrameError[name.upper()])
    return images, errors


@pytest.mark.parametrize("name", CONFIGS)
def test_takes_good_frames(name: str) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng(1)
    n_inputs, n_classes = config.network.layers[0], config.network.layers[-1]
    corners = [
        image_frame(np.full(n_inputs, value, np.uint8), label, config)
        for value, label in ((0, 0), (255, n_classes - 1))
    ]
    frames = corners + [random_frame(rng, config, "good") for _ in range(4)]
    _, images, errors = run(config, frames)
    assert (images, errors) == golden(frames, config)
    assert len(images) == 6


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_malformed_frames_leave_no_trace(idle: str, stall: str) -> None:
    rng = np.random.default_rng(2)
    kinds = ["short", "good", "long", "good", "bad_label", "good", "short", "long", "bad_label"]
    frames = [random_frame(rng, tiny_mca, kind) for kind in kinds + kinds[::-1]]
    _, images, errors = run(tiny_mca, frames, idle, stall, wait=3)
    assert (images, errors) == golden(frames, tiny_mca)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["short", "long", "bad_label"])
def test_each_error_alone(name: str, kind: str) -> None:
    config = CONFIGS[name]
    if config.network.layers[-1] == 256 and kind == "bad_label":
        return  # every byte is a label
    rng = np.random.default_rng(3)
    frames = [random_frame(rng, config, k) for k in (kind, "good", kind, kind, "good")]
    _, images, errors = run(config, frames)
    assert (images, errors) == golden(frames, config)
    assert len(errors) == 3


@pytest.mark.parametrize("name", CONFIGS)
def test_labels_at_the_bound(name: str) -> None:
    config = CONFIGS[name]
    n_classes = config.network.layers[-1]
    frames = []
    for label in (0, n_classes - 1, n_classes, 255, 0):
        frame = image_frame(np.zeros(config.network.layers[0], np.uint8), 0, config)
        frame[-1, 0] = min(label, 255)
        frames.append(frame)
    _, images, errors = run(config, frames)
    assert (images, errors) == golden(frames, config)
    assert len(errors) == (0 if n_classes == 256 else 2)


def test_long_frame_that_looks_like_two() -> None:
    # Without TLAST between them the second frame belongs to the first and goes with it.
    rng = np.random.default_rng(4)
    good = random_frame(rng, tiny_mca, "good")
    frames = [np.concatenate([good, good]), good]
    _, images, errors = run(tiny_mca, frames)
    assert errors == [FrameError.LONG_FRAME]
    assert len(images) == 1


def test_latency_and_throughput() -> None:
    rng = np.random.default_rng(5)
    frames = [random_frame(rng, tiny_mca, "good") for _ in range(3)]
    trace, _, _ = run(tiny_mca, frames)
    n_words = len(frames[0]) - 1
    start = trace["i"][0].cycle
    words = [t.cycle for t in trace["o_drives"][:n_words]]
    assert words == [start + InputBuffer.LATENCY + w for w in range(n_words)]
    # Ready two cycles after the label; the next frame's first word right after the take.
    assert trace.cycles("dut.image_ready")[0] == start + n_words + 2
    assert trace["o_drives"][n_words].cycle == trace.cycles("dut.take")[0] + 1


@pytest.mark.parametrize(("idle", "accepted"), [("1", 0), ("000001", 1)])
def test_at_most_one_beat_while_an_image_waits(idle: str, accepted: int) -> None:
    rng = np.random.default_rng(6)
    frames = [random_frame(rng, tiny_mca, kind) for kind in ("good", "short", "good")]
    trace, images, errors = run(tiny_mca, frames, idle, wait=25)
    assert (images, errors) == golden(frames, tiny_mca)
    first_wait = range(trace.cycles("dut.image_ready")[0], trace.cycles("dut.take")[0])
    assert len(first_wait) >= 25
    assert sum(t.cycle in first_wait for t in trace["i"]) == accepted
