"""The page of device statistics: what it says, and that it is the one in docs/."""

import re
from pathlib import Path

import numpy as np
import pytest

from scripts import device_figures

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def statistics():
    return device_figures.measure()


def test_steps_agree_with_the_published(statistics):
    # Standard errors of 10,000 devices, on both sides of the comparison; see test_crossbar.
    for n, (mean, std) in device_figures.PUBLISHED_STEPS.items():
        assert statistics.free_us[n].mean() == pytest.approx(mean, abs=8 * std / 100 + 0.005)
        assert statistics.free_us[n].std() == pytest.approx(std, abs=8 * std / 141 + 0.005)


def test_noise_agrees_with_the_published(statistics):
    # 50,000 reads a point: standard error 0.3 %, and the read's LSB of 0.01 uS adds below 0.1 %.
    published = list(device_figures.PUBLISHED_NOISE.values())
    np.testing.assert_allclose(statistics.noise_us, published, rtol=0.014)


def test_page_in_docs_is_current(statistics):
    assert (DOCS / device_figures.PAGE).read_text(encoding="utf-8") == device_figures.page(
        statistics
    )
    assert (DOCS / device_figures.FIGURE).is_file()


def test_page_has_no_missing_number(statistics):
    text = device_figures.page(statistics)
    assert not re.search(r"\bnan\b|\binf\b", text)
    assert device_figures.FIGURE in text


def test_write_is_byte_identical(tmp_path, statistics, monkeypatch):
    monkeypatch.setattr(device_figures, "measure", lambda seed: statistics)
    first = [path.read_bytes() for path in device_figures.write(tmp_path / "a")]
    second = [path.read_bytes() for path in device_figures.write(tmp_path / "b")]
    assert first == second
