"""The in-situ learning unit in batches, against the plain one."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.configurations import tiny_in_situ
from model.in_situ.arrays import new_arrays
from model.in_situ.unit import COUNT, RATE, infer_images, new_unit, train_images
from tests.model.in_situ.plain_unit import compare


def configured(shifts=(9, 8), **device):
    return replace(
        tiny_in_situ,
        update=replace(tiny_in_situ.update, shifts=shifts),
        device=replace(tiny_in_situ.device, **device),
    )


@pytest.mark.parametrize("calls", [1, 3, None])
def test_against_plain_unit(calls):
    pulses, _ = compare(configured(), 12, calls=calls)
    assert pulses > 100


def test_read_noise_and_wires():
    config = configured(read_noise_us=3.0)
    config = replace(config, array=replace(config.array, segment_ohm=2.0))
    assert compare(config, 6, calls=2)[0] > 50


def test_gates_clamp():
    # Rates so high that every gate is at an end soon.
    assert compare(configured(shifts=(1, 1)), 8)[0] > 100


def test_skipped_images():
    # A steep softmax makes errors vanish.
    config = configured()
    config = replace(config, converter=replace(config.converter, softmax_gain_per_a=5e7))
    assert compare(config, 10, calls=2)[1] > 2


def test_rate_zero_writes_nothing():
    config = configured()
    config = replace(config, update=replace(config.update, rate_start=0))
    assert compare(config, 2)[0] == 0


def test_other_depths():
    done = subprocess.run(
        [sys.executable, "-m", "tests.model.in_situ.plain_unit"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [int(layers) for layers, _ in lines] == [1, 3]
    assert all(int(pulses) > 20 for _, pulses in lines)


def test_more_than_the_batch_lacks():
    unit = new_unit(tiny_in_situ, 1)
    states = tuple(array.state for array in new_arrays(tiny_in_situ, 1))
    images, labels = np.zeros((6, 16), np.uint8), np.zeros(6, np.uint8)
    with pytest.raises(ValueError, match="More images than the batch lacks"):
        train_images(unit, states, images, labels)
    assert unit.registers[COUNT] == 0


def test_inference_in_the_middle_of_a_batch():
    """Leaves gates, gradients, place and rate; classes are those of a fresh unit."""
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (20, 16)).astype(np.uint8), np.zeros(20, np.uint8)
    unit, fresh = new_unit(tiny_in_situ, 9), new_unit(tiny_in_situ, 9)
    states = tuple(array.state for array in new_arrays(tiny_in_situ, 1))
    train_images(unit, states, images[:3], labels[:3])
    gradients = [values.copy() for values in unit.trace.gradients]
    classes, expected = np.empty(20, np.uint8), np.empty(20, np.uint8)
    infer_images(unit, states, images, classes)
    infer_images(fresh, states, images, expected)
    assert (classes == expected).all()
    assert unit.registers[[COUNT, RATE]].tolist() == [3, tiny_in_situ.update.rate_start]
    for before, after in zip(gradients, unit.trace.gradients, strict=True):
        assert (before == after).all()


def test_dead_by_symmetry():
    """No spread and no stuck device: all hidden units are equal and without weight, for ever."""
    config = configured(update_variation=0.0, stuck_off_fraction=0.0)
    assert compare(config, 3)[0] == 0
