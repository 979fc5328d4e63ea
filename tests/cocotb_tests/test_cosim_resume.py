"""A co-simulation that was stopped goes on to the same end."""

from dataclasses import replace
from pathlib import Path

import pytest

from cocotb_tests.cosim import STATE_FILE, CosimResult, cosimulate
from model import datasets
from model.configurations import tiny_mca
from model.inputs import adapt

CONFIG = replace(
    tiny_mca,
    # Pulses, refresh and a pointer that wraps, so that all that is saved matters.
    update=replace(tiny_mca.update, learning_rate_log2=0),
    refresh=replace(tiny_mca.refresh, interval=2, saturated_us=3.0, difference_us=6.0),
)
N_IMAGES = 500


def run(out_dir: Path, stop_after: int | None, *, resume: bool) -> tuple[CosimResult, list[str]]:
    dataset = adapt(CONFIG, datasets.load("mnist-sample"))
    messages: list[str] = []

    def progress(images: int, _accuracy: float) -> None:
        if stop_after is not None and images >= stop_after:
            raise KeyboardInterrupt

    result = cosimulate(
        CONFIG,
        dataset.train_images[:N_IMAGES],
        dataset.train_labels[:N_IMAGES],
        out_dir=out_dir,
        quick=True,
        resume=resume,
        save_s=0.02,
        on_progress=progress,
        on_message=messages.append,
    )
    return result, messages


@pytest.mark.slow
def test_resume(tmp_path: Path) -> None:
    state = tmp_path / CONFIG.name / STATE_FILE
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 1, resume=False)
    assert state.exists()
    resumed, messages = run(tmp_path, None, resume=True)
    assert any(message.startswith("Going on after ") for message in messages)
    assert not state.exists()
    whole, _ = run(tmp_path, None, resume=True)
    for name in ("images", "mismatches", "cycles_per_image", "accuracy", "counters"):
        assert getattr(resumed, name) == getattr(whole, name), name
    # At the end all of chi, the counters included, was compared with the gateware once in each.
    assert resumed.mismatches == 0
    assert resumed.compared == whole.compared
    assert resumed.counters["refreshed_pairs"] > 0
