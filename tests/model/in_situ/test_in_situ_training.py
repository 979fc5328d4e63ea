"""In-situ training runs: cut anywhere, saved and resumed, refused."""

from dataclasses import replace

import numpy as np
import pytest

from model import datasets
from model.checkpoint import CheckpointError, CheckpointMismatchError, read_checkpoint
from model.configurations import tiny_in_situ, tiny_mca
from model.in_situ.activity import Activity
from model.in_situ.arrays import image_order
from model.in_situ.training import Training, activity
from model.settings import to_toml

CONFIG = replace(
    tiny_in_situ,
    training=replace(tiny_in_situ.training, images=3_000, curve_images=1_000),
    device=replace(tiny_in_situ.device, read_noise_us=1.0),
)


@pytest.fixture(scope="module")
def sample():
    return datasets.load("mnist-sample")


def finish(training, chunk=100):
    for _ in training.run(chunk):
        pass
    return training


def contents(training):
    """Everything a run has come to, but wall-clock time."""
    arrays = [array.save() for array in training.arrays]
    return (
        training.done,
        training.curve,
        training.unit.registers.tolist(),
        training.unit.counters.tolist(),
        [gates.tobytes() for gates in training.unit.gates],
        [{name: value.tobytes() for name, value in saved.items()} for saved in arrays],
    )


@pytest.fixture(scope="module")
def whole(sample):
    return contents(finish(Training(CONFIG, sample, seed=1)))


def test_learns(whole):
    done, curve, *_ = whole
    assert done == 3000
    assert [point.images for point in curve] == [1000, 2000, 3000]
    assert curve[-1].test_accuracy > 0.5
    assert curve[-1].set_devices_per_image < curve[0].set_devices_per_image


def test_chunks_do_not_matter(sample, whole):
    assert contents(finish(Training(CONFIG, sample, seed=1), chunk=7)) == whole


def test_resume(sample, whole, tmp_path):
    training = Training(CONFIG, sample, seed=1)
    path = tmp_path / "run.npz"
    for step, _ in enumerate(training.run(chunk_batches=130)):
        training.save(path)
        # Another process goes on every other time.
        if step % 2:
            training = Training(CONFIG, sample, seed=1)
            training.restore(path)
            break
    assert 0 < training.done < 3000
    assert contents(finish(training)) == whole


def test_evaluation_changes_nothing(sample, whole):
    training = Training(CONFIG, sample, seed=1)
    for _ in training.run(chunk_batches=50):
        assert training.test() == training.test()
    assert contents(training) == whole


def test_seed_matters(sample, whole):
    assert contents(finish(Training(CONFIG, sample, seed=2))) != whole


def test_order_is_the_epochs(sample):
    training = Training(CONFIG, sample, seed=4)
    n = len(sample.train_labels)
    epochs = np.concatenate([image_order(CONFIG, 4, epoch, n) for epoch in range(3)])
    assert (training.order(0, 10) == epochs[:10]).all()
    assert (training.order(n - 5, n + 5) == epochs[n - 5 : n + 5]).all()
    assert (training.order(n, 3 * n) == epochs[n:]).all()


def test_rate_ends_near_zero(whole):
    _, _, registers, *_ = whole
    updates = 3000 // CONFIG.update.batch
    assert registers[1] == CONFIG.update.rate_start - updates * CONFIG.rate_decay(updates)


def test_activity(whole):
    counters = activity(np.array(whole[3]))
    assert list(counters) == [member.name.lower() for member in Activity]
    # Evaluation has a unit of its own.
    assert counters["images"] == 3000
    assert counters["batches"] == 600


def test_restore_refuses(sample, tmp_path):
    path = tmp_path / "run.npz"
    Training(CONFIG, sample, seed=1).save(path)
    other = replace(CONFIG, device=replace(CONFIG.device, stuck_off_us=11.0))
    with pytest.raises(CheckpointMismatchError, match="its device.stuck_off_us is 10.0, not 11.0"):
        Training(other, sample, seed=1).restore(path)
    with pytest.raises(CheckpointMismatchError, match="its seed is 1, not 2"):
        Training(CONFIG, sample, seed=2).restore(path)
    with pytest.raises(CheckpointMismatchError, match="its images is 3000, not 50"):
        Training(CONFIG, sample, seed=1, images=50).restore(path)
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        Training(CONFIG, sample, seed=1).restore(tmp_path / "none.npz")


def test_restore_refuses_another_system(sample, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    training = Training(CONFIG, sample, seed=1)
    monkeypatch.setattr("model.in_situ.training.to_toml", lambda _: to_toml(tiny_mca))
    training.save(path)
    assert 'system = "mca"' in read_checkpoint(path).header["config"]
    with pytest.raises(CheckpointError, match="holds no valid configuration"):
        training.restore(path)
