"""Runs: their stages, that they go on bit for bit, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import datasets
from model.checkpoint import CheckpointError, CheckpointMismatchError
from model.cnn.config import ClipPolicy
from model.cnn.inputs import adapt
from model.cnn.modes import Mode, in_mode, with_replicas
from model.cnn.training import Stage, Training, load_unit, randomise
from model.configurations import tiny_cnn, yao_cnn
from model.datasets import Dataset

CONFIG = replace(
    tiny_cnn,
    training=replace(tiny_cnn.training, epochs=2, hybrid_iterations=60, hybrid_rate_us=2.0),
    quantisation=replace(tiny_cnn.quantisation, calibration_images=100),
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    whole = datasets.load("mnist-sample")
    return replace(
        whole, train_images=whole.train_images[::5], train_labels=whole.train_labels[::5]
    )


def _finish(training: Training) -> Training:
    for _ in training.run():
        pass
    return training


def test_stages(dataset: Dataset) -> None:
    training = _finish(Training(CONFIG, dataset, seed=1))
    assert training.stage is Stage.DONE
    assert list(training.results) == ["software", "quantised", "transferred", "hybrid"]
    assert [point.iteration for point in training.curve] == [50, 60]
    assert sum(point.devices for point in training.curve) > 0
    assert training.images == 2 * 500 + 60 * 20
    assert all(0 < record["test_accuracy"] < 1 for record in training.results.values())


def test_goes_on_bit_for_bit(dataset: Dataset, tmp_path: Path) -> None:
    """Saved at every point and restored into a new object each time: the same devices."""
    whole = _finish(Training(CONFIG, dataset, seed=1))
    path = tmp_path / "run.npz"
    for _ in range(20):
        training = Training(CONFIG, dataset, seed=1)
        if path.exists():
            training.restore(path)
        if training.finished:
            break
        for worth_saving in training.run():
            if worth_saving:
                training.save(path)
                break
    assert training.results == whole.results
    assert training.curve == whole.curve
    for expected, found in zip(whole.unit.arrays, training.unit.arrays, strict=True):
        assert np.array_equal(expected.conductance_us, found.conductance_us)


def test_write_seed(dataset: Dataset) -> None:
    """The same network on other devices; another network for another seed."""
    config = replace(CONFIG, training=replace(CONFIG.training, hybrid_iterations=0))
    first = _finish(Training(config, dataset, seed=1))
    second = _finish(Training(config, dataset, seed=1, write_seed=9))
    third = Training(config, dataset, seed=2)
    assert np.array_equal(first.software.weights[0], second.software.weights[0])
    assert not np.array_equal(first.unit.arrays[0].units, second.unit.arrays[0].units)
    assert not np.array_equal(first.software.weights[0], third.software.weights[0])


def test_saved_unit(dataset: Dataset, tmp_path: Path) -> None:
    training = Training(CONFIG, dataset, seed=1)
    path = tmp_path / "run.npz"
    training.save(path)
    with pytest.raises(CheckpointError, match="has not been written to arrays yet"):
        load_unit(path)
    _finish(training).save(path)
    config, unit, header = load_unit(path)
    assert config == CONFIG
    assert header["write_seed"] == 1
    images, labels = training.dataset.test_images, training.dataset.test_labels
    assert unit.accuracy(images, labels) == training.results["hybrid"]["test_accuracy"]


def test_refuses_other_runs(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    Training(CONFIG, dataset, seed=1).save(path)
    with pytest.raises(CheckpointMismatchError, match="its seed is 1, not 2"):
        Training(CONFIG, dataset, seed=2).restore(path)
    other = replace(CONFIG, training=replace(CONFIG.training, epochs=3))
    with pytest.raises(CheckpointMismatchError, match=r"training\.epochs is 2, not 3"):
        Training(other, dataset, seed=1).restore(path)
    with pytest.raises(CheckpointMismatchError, match="of another network"):
        Training(other, dataset, seed=1).restore_software(path)


def test_software_is_lent_to_other_devices(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    donor = _finish(Training(CONFIG, dataset, seed=1))
    donor.save(path)
    borrower = Training(with_replicas(CONFIG, 2), dataset, seed=1)
    borrower.restore_software(path)
    assert borrower.epoch == 2
    _finish(borrower)
    assert borrower.results["software"] == donor.results["software"]
    assert len(borrower.results["hybrid"]["replica_test_accuracy"]) == 2


def test_randomise(dataset: Dataset) -> None:
    """Only the chosen pairs change, both devices of each."""
    training = Training(CONFIG, dataset, seed=1)
    training.transfer()
    arrays = training.unit.fully_connected
    before = arrays.units.copy()
    n = randomise(training.unit, 0.3, np.random.default_rng(1))
    changed = arrays.units != before
    assert changed.sum() == 2 * n
    assert np.array_equal(changed[..., 0::2], changed[..., 1::2])


def test_modes() -> None:
    paper = in_mode(yao_cnn, Mode.PAPER)
    assert paper.name == "yao_cnn_paper"
    assert paper.quantisation.clip is ClipPolicy.MAXIMUM
    assert paper.training.weight_noise == 0
    assert paper.training.hybrid_iterations == 550
    three = in_mode(with_replicas(yao_cnn, 3), Mode.PAPER)
    assert (three.name, three.training.hybrid_iterations) == ("yao_cnn_x3_paper", 300)
    assert in_mode(yao_cnn, Mode.BEST) is yao_cnn
    assert with_replicas(yao_cnn, 1) is yao_cnn


def test_adapt(dataset: Dataset) -> None:
    assert np.array_equal(adapt(yao_cnn, dataset).test_images, dataset.test_images)
    small = adapt(tiny_cnn, dataset)
    assert small.test_images.shape == (500, 126)
    maps = small.test_images.reshape(-1, 9, 7, 2)
    assert np.array_equal(maps[..., 0], maps[..., 1])
    assert maps.any()
    assert set(np.unique(small.train_labels)) == {0, 1, 2, 3}
    means = dataset.test_images.mean(), maps.mean()
    assert means[0] == pytest.approx(means[1], rel=0.1)
