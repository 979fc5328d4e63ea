"""The fast path equals the path transaction by transaction, bit for bit."""

import numpy as np
import pytest

from model.cnn.inference_unit import InferenceUnit, trace_image
from model.cnn.read_out import accumulate, shift_add
from tests.model.cnn.cnn_cases import NETWORKS, random_images, random_unit, with_replicas


@pytest.mark.parametrize("mode", ["bands", "images"])
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_fast_path_equals_transactions(name: str, n: int, mode: str) -> None:
    config = with_replicas(NETWORKS[name], n, mode)
    unit = random_unit(config, 5)
    images = random_images(config, 3, 7)
    images[1] = 0
    images[2] = 255
    features = unit.features(images)
    sums = unit.accumulators(features)
    classes = unit.classify(images)
    seen = set()
    for index, image in enumerate(images):
        trace = trace_image(unit, image, index % n if mode == "images" else None)
        flat = trace.layers[-2].pooled.reshape(-1)
        assert features[index].reshape(-1)[: flat.size].tolist() == flat.tolist()
        assert not features[index].reshape(-1)[flat.size :].any()
        assert sums[index].tolist() == trace.layers[-1].accumulators[0].tolist()
        assert classes[index] == trace.label
        seen |= set(flat.tolist())
    assert len(seen) > 4  # not all saturated or blank


def test_maps_of_one_layer() -> None:
    """Layer by layer, a replica at a time: also the maps in between."""
    config = with_replicas(NETWORKS["tiny"], 2)
    unit = random_unit(config, 9)
    image = random_images(config, 1, 3)
    maps = unit.as_maps(image)
    for replica in (0, 1, None):
        trace = trace_image(unit, image[0], replica)
        found = unit.convolve(0, maps, replica)
        assert np.array_equal(found[0], trace.layers[0].pooled)


def test_replicas_own_their_bands() -> None:
    """Bands take each row from its replica's arrays, and nothing else from them."""
    config = with_replicas(NETWORKS["tiny"], 2)
    unit = random_unit(config, 11)
    maps = unit.as_maps(random_images(config, 2, 4))
    together = unit.convolve(0, maps)
    for replica, band in enumerate(config.bands(0)):
        alone = unit.convolve(0, maps, replica)
        rows = slice(band.pool_first, band.pool_end)
        assert np.array_equal(together[:, rows], alone[:, rows])


def test_trace_is_consistent() -> None:
    """Codes make the partial sums, those the accumulators; unused tiles answer with zeros."""
    config = NETWORKS["tiny"]
    trace = trace_image(random_unit(config, 2), random_images(config, 1, 2)[0])
    for layer, record in enumerate(trace.layers):
        assert np.array_equal(shift_add(record.codes.swapaxes(2, 3)), record.psums)
        assert [accumulate(psum).tolist() for psum in record.psums] == record.accumulators.tolist()
        steps, tiles = config.steps(layer), config.tiles(layer)
        for chunk in range(config.chunks(layer), steps * tiles):
            assert not record.codes[:, chunk % steps, :, chunk // steps].any()
    assert trace.layers[1].codes.shape[1:] == (2, 8, 2, 10)  # 3 chunks on 2 tiles in 2 steps


def test_shared_layer_does_not_depend_on_replicas() -> None:
    one = InferenceUnit(NETWORKS["tiny"], np.random.default_rng(3))
    two = InferenceUnit(with_replicas(NETWORKS["tiny"], 2), np.random.default_rng(3))
    assert np.array_equal(one.fully_connected.speeds, two.fully_connected.speeds)


def test_save_and_load() -> None:
    config = with_replicas(NETWORKS["tiny"], 2)
    unit, other = random_unit(config, 1), InferenceUnit(config, np.random.default_rng(99))
    other.load(unit.save())
    images = random_images(config, 5, 6)
    assert np.array_equal(
        unit.accumulators(unit.features(images)), other.accumulators(other.features(images))
    )
    unit.age(1e6)
    other.age(1e6)
    assert np.array_equal(unit.arrays[0].units, other.arrays[0].units)


def test_load_refuses_what_is_missing() -> None:
    unit = InferenceUnit(NETWORKS["tiny"], np.random.default_rng(0))
    saved = unit.save()
    del saved["requantiser0.1.shift"]
    with pytest.raises(ValueError, match=r"lack requantiser0\.1\.shift"):
        unit.load(saved)
    saved = unit.save()
    saved["array0.stuck"] = np.zeros(3, bool)
    with pytest.raises(ValueError, match=r"layer 0 lacks a fitting stuck"):
        unit.load(saved)
