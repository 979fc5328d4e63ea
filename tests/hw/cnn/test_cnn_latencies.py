"""The cycle model's constants are the components', and the page's tables are the cycle model's."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hw.cnn.convolver import Convolver
from hw.cnn.fully_connected import Classifier
from hw.cnn.gather import Gather
from hw.cnn.max_pool import MaxPool
from hw.cnn.product import Product
from hw.cnn.requantiser import Requantiser
from hw.cnn.write_verify import WriteVerify
from model.cnn import cycles
from model.cnn.config import CnnConfig, ReplicaConfig, ReplicaMode
from model.configurations import yao_cnn

PAGE = Path(__file__).parents[3] / "docs" / "cnn" / "inference_unit.md"


@pytest.mark.parametrize(
    ("component", "model"),
    [
        (Convolver.FEED_LATENCY, cycles.FEED_LATENCY),
        (Product.LATENCY, cycles.PRODUCT_LATENCY),
        (Requantiser.LATENCY, cycles.REQUANTISE_LATENCY),
        (MaxPool.LATENCY, cycles.POOL_LATENCY),
        (Gather.LATENCY, cycles.GATHER_LATENCY),
        (Classifier.LATENCY, cycles.ARGMAX_LATENCY),
        (WriteVerify.DECIDE_CYCLES, cycles.WRITE_ITERATION),
    ],
)
def test_latencies(component: int, model: int) -> None:
    assert component == model


def phases(config: CnnConfig) -> float:
    """One-bit phases of the convolutions, one after the other, of an image."""
    images = cycles.image_cycles(config).images
    return (
        sum(
            max(band.conv_rows for band in config.bands(layer))
            * config.conv_shape(layer)[1]
            * 8
            * config.steps(layer)
            for layer in range(config.n_conv)
        )
        / images
    )


@pytest.mark.parametrize(
    ("row", "n", "mode"),
    [
        ("1", 1, ReplicaMode.BANDS),
        ("2, bands", 2, ReplicaMode.BANDS),
        ("3, bands", 3, ReplicaMode.BANDS),
        ("4, bands", 4, ReplicaMode.BANDS),
        ("3, images", 3, ReplicaMode.IMAGES),
    ],
)
def test_page(row: str, n: int, mode: ReplicaMode) -> None:
    config = replace(yao_cnn, replicas=ReplicaConfig(n=n, mode=mode))
    expected = cycles.image_cycles(config)
    text = PAGE.read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| {row} \| (.*) \|$", text, re.MULTILINE)
    cells = [cell.strip(" *").replace(",", "") for cell in line.split("|")]
    assert [int(cell) for cell in cells[:2]] == list(expected.convolutions)
    assert int(cells[2].removeprefix("3 x ")) * expected.images == expected.fully_connected
    assert float(cells[3]) == pytest.approx(expected.total / expected.images, abs=0.05)
    assert float(cells[4]) == pytest.approx(phases(config), abs=0.05)
    assert float(cells[5]) == pytest.approx(phases(yao_cnn) / phases(config), abs=0.005)
