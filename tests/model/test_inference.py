"""model.inference: trained arrays some time later."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from model.arrays import new_arrays
from model.checkpoint import CheckpointError, CheckpointMismatchError
from model.configurations import tiny_mca
from model.datasets import load
from model.inference import accuracy_over_time, break_devices, load_run, total_codes
from model.training import Training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run on 500 images, saved; returns it and its file."""
    sample = load("mnist-sample")
    small = replace(
        sample, train_images=sample.train_images[:500], train_labels=sample.train_labels[:500]
    )
    training = Training(tiny_mca, small, seed=1, epochs=2)
    for _ in training.run():
        pass
    path = tmp_path_factory.mktemp("run") / "run.npz"
    training.save(path)
    return training, path


def test_load_run(trained):
    training, path = trained
    run = load_run(tiny_mca, path)
    assert (run.seed, run.dataset, run.epochs) == (1, "mnist-sample", 2)
    assert run.device_time_s == training.device_time_s
    for a, b in zip(run.crossbars, training.crossbars, strict=True):
        assert np.array_equal(a.conductances(1.0), b.conductances(1.0))


def test_load_run_of_another_configuration(trained):
    with pytest.raises(CheckpointMismatchError, match="its name is"):
        load_run(replace(tiny_mca, name="other"), trained[1])


def test_load_run_missing(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        load_run(tiny_mca, tmp_path / "run.npz")


def test_points(trained):
    training, path = trained
    run = load_run(tiny_mca, path)
    points = accuracy_over_time(tiny_mca, run, training.dataset, [86400.0, 0.0, 1.0], seed=1)
    assert [point.seconds_after_training for point in points] == [0.0, 1.0, 86400.0]
    assert points[0].gains == (1.0, 1.0)
    assert points[0].compensated_accuracy == points[0].test_accuracy
    # Drift only lowers conductances: the gains that undo it rise.
    for earlier, later in itertools.pairwise(points):
        assert all(a < b for a, b in zip(earlier.gains, later.gains, strict=True))
    # The same noise at the same time: evaluated again, the same.
    run = load_run(tiny_mca, path)
    assert accuracy_over_time(tiny_mca, run, training.dataset, [0.0], seed=1)[0] == points[0]


def test_gain_is_the_drift_factor():
    """Devices of one age drift as one: the gain restores exactly their factor, noise apart."""
    device = replace(tiny_mca.device, noise_slope=0.0, noise_offset_us=0.0, initial_mean_us=8.0)
    fine = replace(tiny_mca.converter, adc_bits=12)
    config = replace(tiny_mca, device=device, converter=fine)
    state = new_arrays(config, 1)[0].state
    codes = np.empty(state.n_cols, np.int16)
    now, later = total_codes(state, 0.0, codes), total_codes(state, 1e5, codes)
    factor = ((1e5 + device.initial_age_s) / device.initial_age_s) ** -device.drift_nu
    assert later / now == pytest.approx(factor, rel=2e-3)


def test_total_codes_is_the_sum_of_reads():
    config = replace(tiny_mca, device=replace(tiny_mca.device, noise_slope=0, noise_offset_us=0))
    crossbar = new_arrays(config, 1)[1]
    rows, cols = crossbar.shape
    expected = sum(
        int(crossbar.read(row, device, 0.0).sum()) for row in range(rows) for device in (0, 1)
    )
    assert total_codes(crossbar.state, 0.0, np.empty(cols, np.int16)) == expected


def test_break_devices():
    crossbar = new_arrays(tiny_mca, 1)[0]
    before = crossbar.conductances(100.0)
    n = break_devices(crossbar, 0.25, np.random.default_rng(1))
    after = crossbar.conductances(100.0)
    changed = before != after
    assert 0.2 < n / before.size < 0.3
    assert changed.sum() == n
    assert after[changed] == pytest.approx(tiny_mca.device.stuck_us)
    assert np.array_equal(crossbar.conductances(1e6)[changed], after[changed])


def test_broken_arrays_classify_by_chance(trained):
    training, path = trained
    run = load_run(tiny_mca, path)
    for crossbar in run.crossbars:
        break_devices(crossbar, 1.0, np.random.default_rng(1))
    point = accuracy_over_time(tiny_mca, run, training.dataset, [0.0], seed=1)[0]
    assert point.test_accuracy < 0.4
