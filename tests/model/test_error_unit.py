"""Exact errors against the calculus they stand for."""

import numpy as np
import pytest

from model.configurations import mca_mlp
from model.error_unit import derivative, hidden_error, output_error


def test_derivative() -> None:
    values = [derivative(a) for a in range(256)]
    assert values[0] == values[255] == 0
    assert max(values) == values[127] == values[128] == 127 * 128
    assert values == values[::-1]


@pytest.mark.parametrize("is_target", [False, True])
def test_output_error_is_the_gradient(is_target: bool) -> None:
    """255**3 times d/dz of (sigmoid(z) - t)**2 / 2, by central differences at every activation."""
    target = 1.0 if is_target else 0.0
    for activation in range(1, 255):
        y = activation / 255
        z, step = np.log(y / (1 - y)), 1e-5
        loss = [(1 / (1 + np.exp(-x)) - target) ** 2 / 2 for x in (z - step, z + step)]
        gradient = (loss[1] - loss[0]) / (2 * step)
        assert output_error(activation, is_target) == pytest.approx(255**3 * gradient, rel=1e-5)


def test_output_error_corners() -> None:
    assert output_error(0, True) == output_error(255, True) == 0
    assert output_error(0, False) == output_error(255, False) == 0
    bound = max(abs(output_error(a, t)) for a in range(256) for t in (False, True))
    assert bound == mca_mlp.output_error_max == 2_456_500
    assert output_error(85, True) == -170 * 85 * 170


def test_output_error_mirrors() -> None:
    """Exchanging the two classes of a unit exchanges the error's sign."""
    for activation in range(256):
        assert output_error(activation, True) == -output_error(255 - activation, False)


def test_hidden_error() -> None:
    codes, activations = np.arange(-128, 128), np.arange(256)
    expected = np.multiply.outer(codes, activations * (255 - activations))
    result = [[hidden_error(int(c), int(a)) for a in activations] for c in codes]
    np.testing.assert_array_equal(result, expected)
    assert np.abs(expected).max() == mca_mlp.hidden_error_max
    assert np.abs(expected).max() < 2 ** (mca_mlp.error_bits - 1)
