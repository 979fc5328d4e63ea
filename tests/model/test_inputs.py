"""model.inputs: images for networks of any width."""

from dataclasses import replace

import numpy as np
import pytest

from model.config import ConfigError, NetworkConfig
from model.configurations import mca_mlp, tiny_mca
from model.datasets import load
from model.inputs import adapt, grid, resample, strip_order


@pytest.mark.parametrize(
    ("n", "expected"), [(1, (1, 1)), (20, (5, 4)), (64, (8, 8)), (484, (22, 22)), (23, (23, 1))]
)
def test_grid(n, expected):
    assert grid(n, 28) == expected


def test_grid_wrong_n_inputs():
    with pytest.raises(ConfigError, match=r"= 29 is no grid of at most 28 x 28"):
        grid(29, 28)


def test_resample_same_size_is_identity():
    images = np.arange(784, dtype=np.uint8)[None]
    assert resample(images, 784) is images


def test_resample_crop_without_averaging():
    picture = np.zeros((28, 28), np.uint8)
    picture[3:25, 3:25] = np.arange(484).reshape(22, 22) % 251
    assert np.array_equal(resample(picture.reshape(1, -1), 484)[0], picture[3:25, 3:25].ravel())


def test_resample_blocks():
    """5 x 4 from the central 20 x 20: blocks of 4 x 5 pixels."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, 784), dtype=np.uint8)
    blocks = images.reshape(3, 28, 28)[:, 4:24, 4:24].reshape(3, 5, 4, 4, 5)
    expected = np.floor(blocks.sum(axis=(2, 4)) / 20 + 0.5).astype(np.uint8)
    assert np.array_equal(resample(images, 20), expected.reshape(3, 20))


def test_resample_fractional_pixels():
    """8 x 8: each output is 2.5 pixels wide; a uniform picture stays uniform, the mean is kept."""
    white = np.full((1, 784), 255, np.uint8)
    assert (resample(white, 64) == 255).all()
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (2, 784), dtype=np.uint8)
    crop = images.reshape(2, 28, 28)[:, 4:24, 4:24]
    assert np.allclose(resample(images, 64).mean(axis=1), crop.mean(axis=(1, 2)), atol=0.5)


def test_strip_order_by_hand():
    """3 x 5 in strips of two columns: two of them, and one of a single column."""
    assert strip_order(3, 5, 2).tolist() == [0, 1, 5, 6, 10, 11, 2, 3, 7, 8, 12, 13, 4, 9, 14]


@pytest.mark.parametrize("strip_columns", [0, 5, 9])
def test_strip_order_of_one_strip_is_identity(strip_columns):
    assert strip_order(3, 5, strip_columns).tolist() == list(range(15))


def test_strips_leave_more_words_dark():
    """The reason for strips: of the words of 32 lanes a third fewer have a non-zero code."""
    sample = load("mnist-sample")

    def bright_words(strip_columns):
        update = replace(mca_mlp.update, strip_columns=strip_columns)
        images = adapt(replace(mca_mlp, update=update), sample).train_images >= 64
        padded = np.pad(images, ((0, 0), (0, 16)))
        return padded.reshape(len(images), 25, 32).any(axis=2).sum() / len(images)

    assert bright_words(6) < 0.67 * bright_words(0)


def test_adapt():
    sample = load("mnist-sample")
    rows = replace(mca_mlp, update=replace(mca_mlp.update, strip_columns=0))
    same = adapt(rows, sample)
    assert same.train_images is sample.train_images
    assert same.train_labels is sample.train_labels
    tiny = adapt(tiny_mca, sample)
    assert tiny.train_images.shape == (2500, 20)
    assert np.array_equal(tiny.test_labels, sample.test_labels % 4)
    assert tiny.name == sample.name
    strips = adapt(replace(rows, update=replace(rows.update, strip_columns=6)), sample)
    order = strip_order(28, 28, 6)
    assert np.array_equal(strips.train_images, sample.train_images[:, order])
    assert np.array_equal(strips.test_images, sample.test_images[:, order])


def test_adapt_more_classes_than_labels():
    config = replace(tiny_mca, network=NetworkConfig(layers=(20, 9, 256)))
    sample = load("mnist-sample")
    assert adapt(config, sample).train_labels is sample.train_labels
