"""model.baselines: the references, each against an independent statement of it."""

from dataclasses import replace

import numpy as np
import pytest

from model.activity import Activity
from model.baselines import DirectUpdate, FloatMlp, SingleDevice
from model.config import ConfigError, NetworkConfig
from model.configurations import tiny_mca
from model.datasets import load
from model.inputs import adapt
from model.training import Training


@pytest.fixture(scope="module")
def data():
    sample = load("mnist-sample")
    small = replace(
        sample, train_images=sample.train_images[:400], train_labels=sample.train_labels[:400]
    )
    return adapt(tiny_mca, small)


def finish(training):
    for _ in training.run():
        pass
    return training


@pytest.mark.parametrize("layers", [(20, 4), (20, 9, 4), (20, 7, 6, 4)])
def test_float_mlp_descends_the_gradient(data, layers):
    """One step equals minus the rate times the numerical gradient of half the squared error."""
    config = replace(tiny_mca, network=NetworkConfig(layers=layers))
    mlp = FloatMlp(config, seed=1, dtype=np.float64)
    x, label = mlp.inputs(data.train_images)[:1], data.train_labels[:1]

    def loss():
        signals = x
        for weight in mlp.weights:
            outputs = 1 / (1 + np.exp(-signals @ weight.T))
            signals = np.hstack([outputs, [[1.0]]])
        return 0.5 * np.sum((outputs[0] - (np.arange(4) == label[0])) ** 2)

    gradients = []
    for weight in mlp.weights:
        gradient = np.empty_like(weight)
        for index in np.ndindex(weight.shape):
            kept = weight[index]
            weight[index] = kept + 1e-5
            above = loss()
            weight[index] = kept - 1e-5
            gradient[index] = (above - loss()) / 2e-5
            weight[index] = kept
        gradients.append(gradient)
    before = [weight.copy() for weight in mlp.weights]
    mlp.train(x, label, np.array([0]), 0.5)
    for weight, start, gradient in zip(mlp.weights, before, gradients, strict=True):
        assert weight == pytest.approx(start - 0.5 * gradient, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_mlp_keeps_its_type_and_learns(data, dtype):
    mlp = FloatMlp(tiny_mca, seed=1, dtype=dtype)
    inputs = mlp.inputs(data.train_images)
    before = mlp.accuracy(inputs, data.train_labels)
    rng = np.random.default_rng(1)
    for _ in range(20):
        mlp.train(inputs, data.train_labels, rng.permutation(400), 0.5)
    assert inputs.dtype == dtype
    assert all(weight.dtype == dtype for weight in mlp.weights)
    assert mlp.accuracy(inputs, data.train_labels) > max(0.6, before + 0.2)


def test_float_mlp_seed(data):
    first, second, other = (FloatMlp(tiny_mca, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weights[0], second.weights[0])
    assert not np.array_equal(first.weights[0], other.weights[0])


@pytest.fixture(scope="module")
def single():
    return replace(
        tiny_mca,
        refresh=replace(tiny_mca.refresh, interval=0),
        device=replace(tiny_mca.device, seconds_per_image=1.0),
    )


@pytest.mark.parametrize("by_chance", [False, True])
def test_direct_update_forgets(single, data, by_chance):
    training = finish(DirectUpdate(single, data, seed=1, epochs=1, by_chance=by_chance))
    assert not any(chi.any() for chi in training.unit.chi)
    assert training.unit.counters[Activity.CHI_LANES] > 0


def test_direct_update_pulses_at_once(single):
    """At a rate so high that every step exceeds epsilon, direct update pulses; at a low one only by
    chance, where accumulation does."""
    sample = load("mnist-sample")
    small = replace(
        sample, train_images=sample.train_images[:50], train_labels=sample.train_labels[:50]
    )

    def pulses(rule, rate, **options):
        update = replace(single.update, learning_rate_log2=rate)
        config = replace(single, update=update)
        training = finish(rule(config, small, seed=1, epochs=8, **options))
        return training.unit.counters[Activity.SET_PULSES]

    assert pulses(DirectUpdate, -5, by_chance=False) == 0
    assert pulses(DirectUpdate, 4, by_chance=False) > 0
    assert pulses(DirectUpdate, -5, by_chance=True) > 0
    assert pulses(Training, -5) > 0


def test_direct_update_by_chance_keeps_the_mean(single, data):
    """One image, many seeds: the pulses by chance are ``|u| / eps`` on average, within 4 standard
    errors, and go to the device of the update's sign."""
    one = replace(data, train_images=data.train_images[:1], train_labels=data.train_labels[:1])
    steady = replace(
        single,
        device=replace(single.device, initial_std_us=0.0, noise_slope=0.0, noise_offset_us=0.0),
    )
    unit = Training(steady, one, seed=0, epochs=1)
    finish(unit)
    chi = [c.reshape(len(c), -1) for c in unit.unit.chi]
    expected = sum(np.abs(c).sum() for c in chi) / 2**single.update.epsilon_log2
    counts = []
    for seed in range(400):
        training = finish(DirectUpdate(steady, one, seed=seed, epochs=1, by_chance=True))
        counts.append(training.unit.counters[Activity.SET_PULSES])
        for crossbar, c in zip(training.crossbars, chi, strict=True):
            pulsed = crossbar.save()["history"] != unit.crossbars[0].save()["history"].flat[0]
            assert not pulsed[..., 0][c.T[: crossbar.shape[0]] <= 0].any()
            assert not pulsed[..., 1][c.T[: crossbar.shape[0]] >= 0].any()
    assert abs(np.mean(counts) - expected) < 4 * np.std(counts) / np.sqrt(len(counts))
    assert expected > 0.5


def test_direct_update_needs_device_time(data):
    with pytest.raises(ConfigError, match="Direct update needs device.seconds_per_image"):
        DirectUpdate(tiny_mca, data, seed=1, by_chance=True)


def test_single_device(single, data):
    """Only plus devices change; chi stays within its two thresholds; RESETs happen."""
    training = SingleDevice(single, data, seed=1, epochs=3, reference_us=4.0, depression=3.5)
    before = [crossbar.save() for crossbar in training.crossbars]
    epsilon = 1 << single.update.epsilon_log2
    for crossbar, chi in zip(training.crossbars, training.unit.chi, strict=True):
        rows = chi.reshape(len(chi), -1)
        assert not rows[:, crossbar.shape[0] :].any()  # no such rows
        used = rows[:, : crossbar.shape[0]]
        assert -3.5 * epsilon < used.min() < -2.5 * epsilon
        assert 0.2 * epsilon < used.max() < epsilon
        reference = crossbar.conductances(0.0)[1]  # as old as t0
        assert reference == pytest.approx(4.0, rel=1e-6)
        assert crossbar.conductances(0.0)[0].mean() == pytest.approx(4.0, abs=0.3)
    finish(training)
    n_reset = 0
    for crossbar, saved, chi in zip(training.crossbars, before, training.unit.chi, strict=True):
        after = crossbar.save()
        assert np.array_equal(after["conductance_us"][..., 1], saved["conductance_us"][..., 1])
        assert (after["conductance_us"][..., 0] != saved["conductance_us"][..., 0]).any()
        n_reset += (after["history"][..., 0] == 1.0).sum()
        assert chi.max() < epsilon
        assert chi.min() > -3.5 * epsilon
    assert n_reset > 0
    counters = training.unit.counters
    assert counters[Activity.RESET_PULSES] >= n_reset
    assert counters[Activity.SET_PULSES] > 0


def test_single_device_learns(single):
    """Always answering the largest class, three of ten digits, would give 0.3."""
    update = replace(single.update, learning_rate_log2=-1)
    config = replace(single, update=update)
    training = SingleDevice(
        config, load("mnist-sample"), seed=1, epochs=4, reference_us=4.0, depression=2.0
    )
    assert finish(training).curve[-1].test_accuracy > 0.38


def test_single_device_wrong_config(single, data):
    options = {"seed": 1, "reference_us": 4.0, "depression": 3.5}
    with pytest.raises(ConfigError, match=r"refresh\.interval = 0"):
        SingleDevice(replace(single, refresh=tiny_mca.refresh), data, **options)
    with pytest.raises(ConfigError, match="seconds_per_image"):
        SingleDevice(replace(single, device=tiny_mca.device), data, **options)
    for wrong in (0.0, 300.0, float("nan")):
        with pytest.raises(ConfigError, match=f"depression = {wrong} is out of range"):
            SingleDevice(single, data, **{**options, "depression": wrong})
