"""Images for the in-situ learning systems."""

from dataclasses import replace

import numpy as np
import pytest

from model import datasets
from model.configurations import li_mlp, li_mlp_large, tiny_in_situ
from model.in_situ.inputs import adapt, bicubic_weights, resample
from model.settings import ConfigError


@pytest.fixture(scope="module")
def sample():
    return datasets.load("mnist-sample")


def test_weights():
    weights = bicubic_weights(8, 20)
    assert (weights.sum(axis=1) == 4096).all()
    assert (weights == weights[::-1, ::-1]).all()
    # The kernel is 2.5 times as wide: output 3 is centred at pixel 8.25 and reaches 5 either way.
    assert np.flatnonzero(weights[3]).tolist() == list(range(4, 14))
    assert (bicubic_weights(5, 5) == 4096 * np.eye(5)).all()


def test_weights_interpolate_a_line():
    # Cubic convolution reproduces lines, away from the edges; the rest is the stretched kernel's.
    line = bicubic_weights(8, 20) @ np.arange(20) / 4096
    assert line[2:-2] == pytest.approx((np.arange(2, 6) + 0.5) * 2.5 - 0.5, abs=0.02)


def test_resample_uniform():
    for value in (0, 7, 255):
        images = np.full((2, 784), value, np.uint8)
        assert (resample(images, 64, 20) == value).all()


def test_crop_only():
    images = np.arange(784, dtype=np.uint16).astype(np.uint8)[None]
    cropped = resample(images, 484, 22).reshape(22, 22)
    assert (cropped == images.reshape(28, 28)[3:25, 3:25]).all()


def test_resample_clips():
    # A bright block beside black: the kernel's negative lobes reach below zero.
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 4:14] = 255
    values = resample(image.reshape(1, -1), 64, 20).reshape(8, 8)
    assert (values[:, 0] == 255).all()
    assert (values[:, -1] == 0).all()


@pytest.mark.parametrize("config", [li_mlp, li_mlp_large, tiny_in_situ], ids=lambda c: c.name)
def test_adapt(config, sample):
    adapted = adapt(config, sample)
    assert adapted.train_images.shape == (len(sample.train_labels), config.network.layers[0])
    assert adapted.test_images.dtype == np.uint8
    assert adapted.test_labels.max() == config.network.layers[-1] - 1


def test_held_out(sample):
    config = replace(li_mlp, training=replace(li_mlp.training, held_out=100))
    adapted, whole = adapt(config, sample), adapt(li_mlp, sample)
    assert (adapted.test_images == whole.train_images[-100:]).all()
    assert (adapted.train_images == whole.train_images[:-100]).all()
    assert (adapted.test_labels == sample.train_labels[-100:]).all()
    with pytest.raises(ConfigError, match="held_out = 9999 leaves none"):
        adapt(replace(li_mlp, training=replace(li_mlp.training, held_out=9999)), sample)


def test_wrong():
    images = np.zeros((1, 784), np.uint8)
    with pytest.raises(ConfigError, match="= 63 must be the pixels of a square image"):
        resample(images, 63, 20)
    with pytest.raises(ConfigError, match="crop = 9 is more than the images' side of 8"):
        resample(images[:, :64], 16, 9)
