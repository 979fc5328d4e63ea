"""model.training: runs, their pieces, and that pieces make no difference."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from model.activity import Activity
from model.arrays import image_order, new_arrays
from model.checkpoint import CheckpointError, CheckpointMismatchError
from model.config import ConfigError, NetworkConfig
from model.configurations import tiny_mca
from model.datasets import load
from model.inputs import adapt
from model.training import Training, activity, evaluate, rate_drop_images
from model.unit import new_unit, settings, train_image


@pytest.fixture(scope="module")
def small():
    """300 training and 100 test images."""
    sample = load("mnist-sample")
    return replace(
        sample,
        train_images=sample.train_images[:300],
        train_labels=sample.train_labels[:300],
        test_images=sample.test_images[:100],
        test_labels=sample.test_labels[:100],
    )


def state(training):
    """Everything a run consists of, as bytes."""
    unit = training.unit
    parts = [*unit.chi, unit.maxima, unit.refresh, unit.counters, unit.device_time_s]
    for crossbar in training.crossbars:
        parts += crossbar.save().values()
    return [part.tobytes() for part in parts], training.curve


def finish(training, **options):
    for _ in training.run(**options):
        pass
    return training


def test_run_is_train_image_in_order(small):
    """The trainer adds nothing: the same images by hand give the same unit and arrays."""
    training = finish(Training(tiny_mca, small, seed=5, epochs=2))
    unit, crossbars = new_unit(tiny_mca), new_arrays(tiny_mca, 5)
    arrays = tuple(crossbar.state for crossbar in crossbars)
    data = adapt(tiny_mca, small)
    drops = rate_drop_images(tiny_mca, 600)
    number = 0
    for epoch in range(2):
        for index in image_order(tiny_mca, 5, epoch, 300):
            exponent = tiny_mca.update.learning_rate_log2 - sum(drop <= number for drop in drops)
            run = settings(tiny_mca, exponent)
            image, label = data.train_images[index], data.train_labels[index]
            train_image(unit, arrays, run, image, label, number % 300 < 299)
            number += 1
    assert np.array_equal(unit.counters, training.unit.counters)
    assert unit.device_time_s[0] == training.device_time_s
    for a, b in zip(crossbars, training.crossbars, strict=True):
        assert np.array_equal(a.state.devices["conductance_us"], b.state.devices["conductance_us"])
        assert a.state.rng.bit_generator.state == b.state.rng.bit_generator.state


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("chunk_images", [1, 7, 300, 10_000])
def test_chunks_change_nothing(small, chunk_images, overlap):
    config = replace(tiny_mca, update=replace(tiny_mca.update, overlap=overlap))
    whole = finish(Training(config, small, seed=1, epochs=2))
    assert state(finish(Training(config, small, seed=1, epochs=2), chunk_images=chunk_images)) == (
        state(whole)
    )


def test_overlap_is_another_run(small):
    """The same images and devices; each update an image late, so other weights in between."""
    overlapped = replace(tiny_mca, update=replace(tiny_mca.update, overlap=True))
    runs = [finish(Training(config, small, seed=1, epochs=1)) for config in (tiny_mca, overlapped)]
    assert state(runs[0])[0] != state(runs[1])[0]
    assert all(run.unit.is_whole for run in runs)


def test_other_seed_is_another_run(small):
    first = finish(Training(tiny_mca, small, seed=1, epochs=1))
    second = finish(Training(tiny_mca, small, seed=2, epochs=1))
    assert state(first)[0] != state(second)[0]


def test_evaluation_changes_nothing(small):
    a, b = (Training(tiny_mca, small, seed=1, epochs=2) for _ in range(2))
    for training in (a, b):
        steps = training.run(chunk_images=100)
        next(steps)
        if training is b:
            assert b.test(b.device_time_s) == b.test(b.device_time_s)
        for _ in steps:
            pass
    assert state(a) == state(b)


@pytest.mark.parametrize(
    ("seconds_per_image", "overlap"), [(0.0, False), (1.0, False), (0.0, True)]
)
def test_resume_is_bit_identical(small, tmp_path, seconds_per_image, overlap):
    """Saved after every chunk, each time taken up by a new object: the same bits at the end."""
    device = replace(tiny_mca.device, seconds_per_image=seconds_per_image)
    refresh = replace(tiny_mca.refresh, saturated_us=3.0)
    update = replace(tiny_mca.update, overlap=overlap)
    config = replace(tiny_mca, device=device, refresh=refresh, update=update)
    whole = finish(Training(config, small, seed=9, epochs=2))
    assert whole.unit.counters[Activity.REFRESHED_PAIRS] > 0
    path = tmp_path / "run.npz"
    Training(config, small, seed=9, epochs=2).save(path)
    pieces = 0
    while True:
        training = Training(config, small, seed=9, epochs=2)
        training.restore(path)
        if training.finished:
            break
        next(training.run(chunk_images=70))
        training.save(path)
        pieces += 1
    assert pieces >= (2 if overlap else 600 // 70)
    assert state(training) == state(whole)


def test_curve(small):
    training = finish(Training(tiny_mca, small, seed=1, epochs=3))
    assert [record.epoch for record in training.curve] == [1, 2, 3]
    for record in training.curve:
        assert 0 < record.train_accuracy <= 1
        assert 0 < record.test_accuracy <= 1
        assert 0 < record.nonzero_update_fraction < 1
        assert record.pulses_per_image > 0
    counters = activity(training.unit.counters)
    assert counters["images"] == 900
    assert counters.keys() == {member.name.lower() for member in Activity}
    pulses = sum(record.pulses_per_image for record in training.curve) * 300
    assert round(pulses) == counters["set_pulses"] + counters["reset_pulses"]
    phases = [counters[name] for name in counters if name.startswith("cycles")]
    assert round(sum(r.cycles_per_image for r in training.curve) * 300) == sum(phases)
    times = [record.device_time_s for record in training.curve]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(sum(phases) * tiny_mca.clock_period_s)


def test_training_learns(small):
    """A quarter is chance; the tiny network on 20 coarse pixels must do clearly better."""
    training = finish(Training(tiny_mca, load("mnist-sample"), seed=1, epochs=3))
    assert training.curve[-1].test_accuracy > 0.45


def test_rate_drops():
    config = replace(tiny_mca, training=replace(tiny_mca.training, rate_drops=(0.95, 0.5)))
    assert rate_drop_images(config, 101) == [51, 96]


def test_learning_rate_drops_at_the_image(small):
    config = replace(tiny_mca, training=replace(tiny_mca.training, rate_drops=(0.25, 0.5)))
    training = Training(config, small, seed=1, epochs=1)
    exponents = []
    for _ in training.run(chunk_images=1):
        exponents.append(training.learning_rate_log2)
    # Exponent of the next image, after 1, 2, ... 299 images; after the epoch that of its end.
    base = config.update.learning_rate_log2
    assert exponents[:74] == [base] * 74
    assert exponents[74:149] == [base - 1] * 75
    assert set(exponents[149:]) == {base - 2}
    assert training.curve[0].learning_rate_log2 == base - 2


def test_evaluate_leaves_generators_alone(small):
    crossbars = new_arrays(tiny_mca, 1)
    before = [crossbar.save() for crossbar in crossbars]
    data = adapt(tiny_mca, small)
    arrays = tuple(crossbar.state for crossbar in crossbars)
    rates = [
        evaluate(
            tiny_mca,
            arrays,
            data.test_images,
            data.test_labels,
            time_s=1.0,
            rng=np.random.default_rng(seed),
        )
        for seed in (1, 1)
    ]
    assert rates[0] == rates[1]
    for crossbar, saved in zip(crossbars, before, strict=True):
        after = crossbar.save()
        assert after.pop("time_s") == 1.0
        assert all(np.array_equal(after[name], saved[name]) for name in after)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 2}, "its seed is 1, not 2"),
        ({"epochs": 3}, "its epochs is 2, not 3"),
        ({"config": replace(tiny_mca, clock_period_s=2e-9)}, "its clock_period_s is 1e-09, not 2e"),
        ({"config": replace(tiny_mca, name="other")}, "its name is 'tiny_mca', not 'other'"),
    ],
)
def test_restore_wrong_run(small, tmp_path, change, sentence):
    path = tmp_path / "run.npz"
    Training(tiny_mca, small, seed=1, epochs=2).save(path)
    before = path.read_bytes()
    arguments = {"config": tiny_mca, "seed": 1, "epochs": 2, **change}
    training = Training(arguments.pop("config"), small, **arguments)
    with pytest.raises(CheckpointMismatchError, match=sentence):
        training.restore(path)
    assert path.read_bytes() == before


def test_restore_wrong_dataset(small, tmp_path):
    path = tmp_path / "run.npz"
    Training(tiny_mca, small, seed=1, epochs=2).save(path)
    other = replace(small, train_labels=small.train_labels[::-1])
    with pytest.raises(CheckpointMismatchError, match="dataset_sha256"):
        Training(tiny_mca, other, seed=1, epochs=2).restore(path)


def test_restore_truncated(small, tmp_path):
    path = tmp_path / "run.npz"
    Training(tiny_mca, small, seed=1, epochs=2).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="truncated"):
        Training(tiny_mca, small, seed=1, epochs=2).restore(path)


def test_init_wrong_n_inputs(small):
    config = replace(tiny_mca, network=NetworkConfig(layers=(31, 9, 4)))
    with pytest.raises(ConfigError, match="no grid"):
        Training(config, small, seed=1)


def test_epoch_is_plain(small):
    """Curves go to JSON as they are."""
    training = finish(Training(tiny_mca, small, seed=1, epochs=1))
    for value in dataclasses.asdict(training.curve[0]).values():
        assert type(value) in (int, float)
