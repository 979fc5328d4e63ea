"""The whole inference unit against the model: every phase, class, score, pulse and cycle."""

# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.counters import counter_names
from hw.cnn.inference_unit import InferenceUnit
from hw.cnn.layouts import array_index
from model.cnn.config import CnnConfig, ReplicaMode
from model.cnn.cycles import image_cycles
from model.cnn.inference_unit import trace_image
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import parameter_words, random_images, random_unit, serve_array
from tests.hw.hw_sim import get, plain, put, simulate


def image_words(images: np.ndarray) -> list[dict]:
    """Pixels of images, the last image being the last of its group."""
    pixels = images.reshape(-1, images.shape[-1]).tolist()
    return [{"pixel": pixel, "last": k == len(pixels) - 1} for k, pixel in enumerate(pixels)]


def expected_phases(config: CnnConfig, traces: list) -> dict[int, list]:
    """Step and drive of every phase of every array, in order."""
    phases: dict[int, list] = {}
    for number, trace in enumerate(traces):
        whole = config.replicas.mode is ReplicaMode.IMAGES
        for layer, one in enumerate(trace.layers):
            for patch, replica in enumerate(one.replicas):
                index = array_index(config, int(replica), layer)
                if whole and layer < config.n_conv:
                    index = array_index(config, number % config.replicas.n, layer)
                for step in range(config.steps(layer)):
                    for bit in range(8):
                        drive = one.drives[patch, step, bit].tolist()
                        phases.setdefault(index, []).append([step, drive])
    return phases


@pytest.mark.parametrize(
    ("name", "idle", "stall"),
    [
        ("adc_a_line", "1", "1"),
        ("adc_a_line", "110100", "w"),
        ("two_bands", "1", "1"),
        ("two_images", "10", "0001"),
    ],
)
def test_images(name: str, idle: str, stall: str) -> None:
    """Small ones; larger units meet the model in Verilator."""
    config = VARIANTS[name]
    unit, images = random_unit(config, 5), random_images(config, 5, 3)
    dut = InferenceUnit(config)
    whole = config.replicas.mode is ReplicaMode.IMAGES
    traces = [
        trace_image(unit, image, k % config.replicas.n if whole else None)
        for k, image in enumerate(images)
    ]
    seen: dict[int, list] = {index: [] for index in range(len(unit.arrays))}
    counters: dict[str, int] = {}

    async def host(ctx) -> None:
        await put(ctx, dut.i_parameters, parameter_words(config, unit))
        await put(ctx, dut.i_image, image_words(images), idle)

    async def results(ctx) -> None:
        taken = await get(ctx, dut.o_result, len(images), stall)
        expected = [
            {"predicted": trace.label, "scores": trace.layers[-1].accumulators[0].tolist()}
            for trace in traces
        ]
        assert taken == expected
        values = plain(ctx.get(dut.counters))
        counters.update(zip(counter_names(config), values, strict=True))

    simulate(
        dut,
        host,
        results,
        background=[
            serve_array(getattr(dut, f"array_{index}"), arrays, seen[index])
            for index, arrays in enumerate(unit.arrays)
        ],
    )
    expected = expected_phases(config, traces)
    for index, phases in seen.items():
        assert [[step, drive] for _, step, drive in phases] == expected[index]
        assert counters[f"phases_{index}"] == len(phases)
    assert counters["images"] == len(images)
    cycles = image_cycles(config)
    groups = -(-len(images) // cycles.images)
    for layer, expected_cycles in enumerate(cycles.convolutions):
        assert counters[f"cycles_{layer}"] == groups * expected_cycles
    last = len(images) * cycles.fully_connected // cycles.images
    assert counters[f"cycles_{config.n_conv}"] == last
