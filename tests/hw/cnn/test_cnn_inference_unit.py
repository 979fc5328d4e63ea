"""The whole inference unit against the model: every phase, class, score, pulse and cycle."""

import pytest

from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.inference_sim import run_inference


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
