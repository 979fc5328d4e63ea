import numpy as np
import pytest

from energy.inputs import measure, words_hit


def test_measure():
    images = np.array([[0, 255, 1, 0], [0, 0, 0, 0]], dtype=np.uint8)
    assert measure(images).drive == 128
    assert measure(images).lines == 1


def test_words_hit():
    # Codes are zero below 64; the last word of three lanes is short.
    images = np.array([[63, 0, 0, 64, 0, 255, 0]], dtype=np.uint8)
    assert words_hit(images, (1, 2, 3, 7)) == {1: 2, 2: 2, 3: 1, 7: 1}


def test_words_hit_on_noise():
    images = np.random.default_rng(1).integers(0, 256, (50, 100), dtype=np.uint8)
    hits = words_hit(images, (1, 4, 16))
    assert hits[1] > hits[4] > hits[16]
    assert hits[1] == pytest.approx(np.count_nonzero(images >= 64) / 50)
