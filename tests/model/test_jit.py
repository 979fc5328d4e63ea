"""How functions of model/ are compiled."""

import numba
import numpy as np

from model.configurations import tiny_mca
from model.datasets import load
from model.jit import njit, njit_inner
from model.training import Training, train_images
from model.unit import settings, train_image


@njit
def _scaled(value: int, factor: int, is_negative: bool) -> int:
    return -value * factor if is_negative else value * factor


@njit
def _sum_of_constants(value: int) -> int:
    return _scaled(value, 2, False) + _scaled(value, 3, True) + _scaled(value, value, value > 0)


def test_constants_do_not_multiply_compilations():
    assert _sum_of_constants(5) == 10 - 15 - 25
    _sum_of_constants.recompile()  # from the cache it would come without asking for the other
    assert len(_scaled.signatures) == 1


def test_trainer_and_bench_share_one_compilation():
    """They hand over the same types, whatever was compiled before."""
    training = Training(tiny_mca, load("mnist-sample"), seed=1, epochs=1)
    image, run = training.dataset.train_images[0].copy(), settings(tiny_mca)
    bench = [numba.typeof(part) for part in (training.unit, training.arrays, run)]
    training.warm_up()
    train_image(training.unit, training.arrays, run, image, 3, False)
    for function in (train_images, train_image):
        of_these = [types for types in function.signatures if types[0] == bench[0]]
        assert [list(types[:3]) for types in of_these] == [bench]
    assert np.sum(training.unit.counters) > 0


@njit_inner
def _doubled(value: int) -> int:
    return 2 * value


@njit
def _quadrupled(value: int) -> int:
    return _doubled(_doubled(value))


def test_inner_functions_are_called_by_compiled_ones():
    assert _quadrupled(3) == 12
