"""The cycle model against a simulation of feeding and taking, cycle by cycle, and the paper."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.cnn.config import Band, CnnArrayConfig, CnnConfig
from model.cnn.cycles import (
    FEED_LATENCY,
    convolution_cycles,
    fully_connected_cycles,
    image_cycles,
    images_per_second,
    patch_cycles,
    product_seconds,
)
from model.configurations import yao_cnn
from tests.model.cnn.cnn_cases import NETWORKS, with_replicas


def _simulate(config: CnnConfig, layer: int, band: Band) -> list[int]:
    """Cycles in which patches are taken: one pixel a cycle, none while a patch waits."""
    width, kernel = config.in_shape(layer)[1], config.network.kernels[layer]
    stride, every = config.network.strides[layer], config.product_cycles(layer)
    ends = [
        ((y * stride + kernel - 1) * width + x * stride + kernel - 1)
        for y in range(band.conv_rows)
        for x in range((width - kernel) // stride + 1)
    ]
    taken: list[int] = []
    pixel = 0
    waiting = False
    free = cycle = 0
    while len(taken) < len(ends):
        if waiting and cycle >= free:
            taken.append(cycle)
            free, waiting = cycle + every, False
        if not waiting and cycle >= FEED_LATENCY:
            waiting = len(taken) < len(ends) and pixel == ends[len(taken)]
            pixel += 1
        cycle += 1
    return taken


@pytest.mark.parametrize("name", NETWORKS)
def test_patches(name: str) -> None:
    config = NETWORKS[name]
    for layer in range(config.n_conv):
        for band in config.bands(layer):
            assert patch_cycles(config, layer, band).tolist() == _simulate(config, layer, band)


def test_narrow_products_wait_for_pixels() -> None:
    """Where a phase is short and rows are skipped the line buffer is the slower one."""
    network = replace(yao_cnn.network, kernels=(1, 3), strides=(4, 1), pools=(1, 1), outputs=(2, 4))
    config = replace(yao_cnn, network=network, array=CnnArrayConfig(lines_per_adc=1))
    band = config.bands(0)[0]
    taken = patch_cycles(config, 0, band)
    assert max(taken[1:] - taken[:-1]) > config.product_cycles(0)
    assert taken.tolist() == _simulate(config, 0, band)


def test_paper_phases() -> None:
    """Yao 2020: 676 and 49 patches of 8 phases a chunk, C3's eight chunks two at a time here; the
    cycles above the phases are the filling of buffers and pipelines, below 1 %."""
    phases = [676 * 8, 49 * 4 * 8, 6 * 8]
    cycles = image_cycles(yao_cnn)
    floor = [4 * phase for phase in phases]
    assert all(0 < c - f < 90 for c, f in zip(cycles.convolutions, floor, strict=False))
    assert cycles.total == pytest.approx(sum(floor), rel=0.01)
    assert product_seconds(yao_cnn) == pytest.approx(400e-9)


@pytest.mark.parametrize(
    ("n", "mode", "speed_up"), [(3, "bands", 2.5), (3, "images", 2.9), (4, "bands", 3.0)]
)
def test_replicas(n: int, mode: str, speed_up: float) -> None:
    one, several = image_cycles(yao_cnn), image_cycles(with_replicas(yao_cnn, n, mode))
    ratio = sum(one.convolutions) * several.images / sum(several.convolutions)
    assert ratio >= speed_up
    assert ratio <= n + 1e-9


def test_short_group() -> None:
    """The last group of a set may be short: only the fully connected layer runs less."""
    config = with_replicas(yao_cnn, 3, "images")
    full, short = image_cycles(config), image_cycles(config, 1)
    assert short.convolutions == full.convolutions
    assert full.fully_connected == 3 * short.fully_connected == 3 * fully_connected_cycles(config)
    assert images_per_second(config) > 2.5 * images_per_second(yao_cnn)


def test_equal_bands_queue_up() -> None:
    """Two bands of equal length end in the same cycle; the second word waits one."""
    network = replace(
        yao_cnn.network, height=14, kernels=(3,), outputs=(4,), strides=(1,), pools=(3,)
    )
    config = replace(yao_cnn, network=network)
    two = with_replicas(config, 2)
    assert [band.conv_rows for band in two.bands(0)] == [6, 6]
    alone = replace(config, network=replace(config.network, height=8))
    assert convolution_cycles(two, 0) == convolution_cycles(alone, 0) + 1
    images = with_replicas(alone, 2, "images")
    assert convolution_cycles(images, 0) == convolution_cycles(alone, 0)


@pytest.mark.parametrize(
    ("n", "mode"), [(1, "bands"), (2, "bands"), (3, "bands"), (4, "bands"), (3, "images")]
)
def test_documented(n: int, mode: str) -> None:
    """The table of docs/cnn/system.md follows from the cycle model."""
    page = Path(__file__).parents[3] / "docs" / "cnn" / "system.md"
    config = with_replicas(yao_cnn, n, mode)
    cycles = image_cycles(config)
    ratio = sum(image_cycles(yao_cnn).convolutions) * cycles.images / sum(cycles.convolutions)
    cells = [*cycles.convolutions, cycles.fully_connected, cycles.total]
    total = " for 3" if mode == "images" else ""
    row = " | ".join(f"{cell:,}" for cell in cells) + f"{total} | {images_per_second(config):,.0f}"
    text = page.read_text(encoding="utf-8")
    assert f"| {row} | {ratio:.{2 if n > 1 else 0}f} |" in text
