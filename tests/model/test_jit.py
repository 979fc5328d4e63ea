"""How functions of model/ are compiled."""

import numpy as np

from model.configurations import tiny_mca
from model.datasets import load
from model.jit import njit
from model.training import Training
from model.unit import settings, train_image


@njit
def _scaled(value: int, factor: int, is_negative: bool) -> int:
    return -value * factor if is_negative else value * factor


@njit
def _sum_of_constants(value: int) -> int:
    return _scaled(value, 2, False) + _scaled(value, 3, True) + _scaled(value, value, value > 0)


def test_constants_do_not_multiply_compilations():
    assert _sum_of_constants(5) == 10 - 15 - 25
    assert len(_scaled.signatures) == 1


def test_trainer_and_bench_share_one_compilation():
    training = Training(tiny_mca, load("mnist-sample"), seed=1, epochs=1)
    training.warm_up()
    compiled = len(train_image.signatures)
    image, run = training.dataset.train_images[0].copy(), settings(tiny_mca)
    train_image(training.unit, training.arrays, run, image, 3, False)
    assert len(train_image.signatures) == compiled == 1
    assert np.sum(training.unit.counters) > 0
