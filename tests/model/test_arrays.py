"""model.arrays: what a seed gives."""

import numpy as np

from model.arrays import image_order, new_arrays
from model.configurations import tiny_mca


def test_same_seed_same_arrays():
    first, second = new_arrays(tiny_mca, 3), new_arrays(tiny_mca, 3)
    other = new_arrays(tiny_mca, 4)
    for a, b, c in zip(first, second, other, strict=True):
        assert np.array_equal(a.conductances(0.0), b.conductances(0.0))
        assert a.state.rng.bit_generator.state == b.state.rng.bit_generator.state
        assert not np.array_equal(a.conductances(0.0), c.conductances(0.0))


def test_layers_are_independent():
    first, second = new_arrays(tiny_mca, 3)
    assert first.state.rng.bit_generator.state != second.state.rng.bit_generator.state


def test_image_order():
    orders = [image_order(tiny_mca, 3, epoch, 50) for epoch in range(3)]
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(50))
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[2], image_order(tiny_mca, 3, 2, 50))
    assert not np.array_equal(orders[0], image_order(tiny_mca, 4, 0, 50))
