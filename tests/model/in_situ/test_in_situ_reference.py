"""Floating-point references and ex-situ transfer, run as plain Python: nothing need be compiled."""

from dataclasses import replace

import numpy as np
import pytest

from model import datasets
from model.configurations import tiny_in_situ
from model.in_situ import reference
from model.in_situ.array import OneTransistorArray
from model.in_situ.device import conductance_table
from model.in_situ.inputs import adapt

CONFIG = replace(
    tiny_in_situ, training=replace(tiny_in_situ.training, images=3_000, curve_images=3_000)
)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("_softmax", "_software_batches", "_float_forward", "_float_batches"):
        monkeypatch.setattr(reference, name, getattr(reference, name).py_func)
    monkeypatch.setattr(reference, "_float_classes", reference._float_classes.py_func)


@pytest.fixture(scope="module")
def sample():
    return adapt(CONFIG, datasets.load("mnist-sample"))


def test_software_learns(sample):
    weights = reference.train_software(CONFIG, sample, seed=1, rate=1.0)
    assert [weight.shape for weight in weights] == [(16, 9), (9, 4)]
    assert all(weight.dtype == np.float32 for weight in weights)
    assert reference.software_accuracy(weights, sample) > 0.5
    again = reference.train_software(CONFIG, sample, seed=1, rate=1.0)
    assert all((one == other).all() for one, other in zip(weights, again, strict=True))


def test_software_gradient(sample):
    """One batch moves the weights against the numerical gradient of the cross-entropy."""
    batch = CONFIG.update.batch
    one = replace(CONFIG, training=replace(CONFIG.training, images=batch, curve_images=batch))
    before = reference.train_software(one, sample, seed=1, rate=0.0)
    after = reference.train_software(one, sample, seed=1, rate=1.0)
    chosen = reference._places(one, sample, 1, batch)
    x = sample.train_images[chosen] / 255
    labels = sample.train_labels[chosen]

    def loss(weights):
        logits = np.maximum(x @ weights[0], 0) @ weights[1]
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -np.log(chances[np.arange(batch), labels]).mean()

    for layer, place in ((0, (8, 3)), (0, (5, 0)), (1, (2, 1)), (1, (8, 3))):
        shifted = [weight.astype(float) for weight in before]
        shifted[layer][place] += 1e-5
        higher = loss(shifted)
        shifted[layer][place] -= 2e-5
        slope = (higher - loss(shifted)) / 2e-5
        step = float(before[layer][place]) - float(after[layer][place])
        assert step == pytest.approx(slope, abs=1e-4)


def test_float_learns(sample):
    healthy = replace(CONFIG, device=replace(CONFIG.device, stuck_off_fraction=0.0))
    assert reference.train_float(healthy, sample, seed=1) > 0.5


def test_float_at_rate_zero_is_a_guess(sample):
    still = replace(CONFIG, update=replace(CONFIG.update, rate_start=0))
    assert reference.train_float(still, sample, seed=1) < 0.6


def test_transfer_codes(sample):
    rng = np.random.default_rng(1)
    weights = tuple(rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((16, 9), (9, 4)))
    codes = reference.transfer_codes(CONFIG, weights, sample.train_images)
    table = conductance_table(CONFIG)
    for weight, code in zip(weights, codes, strict=True):
        assert code.dtype == np.uint8
        assert (code >= 60).all()
        assert (code <= 170).all()
        n_inputs = len(weight)
        difference = table[code[:n_inputs]] - table[code[n_inputs:]]
        factor = difference.ravel() @ weight.ravel() / (weight.ravel() @ weight.ravel())
        # Two roundings to 10 mV, half of 1.5 uS each, and what they do to the factor's estimate.
        assert np.abs(difference - factor * weight).max() < 1.6
        # Symmetric: the pair's mean is the middle of the range.
        mean = (table[code[:n_inputs]] + table[code[n_inputs:]]) / 2
        assert np.abs(mean - (table[60] + table[170]) / 2).max() < 1.51
    # The last layer uses the whole range, the first what the ADC takes.
    assert {codes[1].min(), codes[1].max()} == {60, 170}


def test_transfer_keeps_hidden_codes_in_range(sample):
    weights = (np.full((16, 9), 1.0, np.float32), np.ones((9, 4), np.float32))
    codes = reference.transfer_codes(CONFIG, weights, sample.train_images)
    ideal = replace(
        CONFIG, device=replace(CONFIG.device, update_variation=0.0, stuck_off_fraction=0.0)
    )
    array = OneTransistorArray(ideal, 0, np.random.default_rng(1))
    array.transfer(codes[0])
    read = np.array([array.forward(image) for image in sample.train_images[:300]])
    assert np.mean(read[read > 0] < 127) > 0.99
