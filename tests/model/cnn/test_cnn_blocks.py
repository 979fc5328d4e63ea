"""Integer functions of the blocks against the mathematics, corners first."""

import numpy as np
import pytest

from model.cnn.bit_serial import bit_plane
from model.cnn.fully_connected import classify, flatten
from model.cnn.line_buffer import patches, pixels_needed
from model.cnn.pooling import max_pool
from model.cnn.read_out import accumulate, shift_add
from model.cnn.requantiser import requantise


def test_bit_planes_add_up() -> None:
    values = np.arange(256, dtype=np.uint8)
    planes = [bit_plane(values, bit) for bit in range(8)]
    assert all(set(np.unique(plane)) <= {0, 1} for plane in planes)
    total = sum(plane.astype(int) << bit for bit, plane in enumerate(planes))
    assert np.array_equal(total, values)


def test_shift_add_is_the_product() -> None:
    """With codes that are exact sums the result is the integer product of the pairs."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, 9).astype(np.uint8)
    cells = rng.integers(0, 20, (9, 6))
    codes = np.array([bit_plane(values, bit) @ cells for bit in range(8)])
    expected = values.astype(int) @ (cells[:, 0::2] - cells[:, 1::2])
    assert shift_add(codes).tolist() == expected.tolist()


def test_shift_add_extremes() -> None:
    codes = np.zeros((8, 4), np.uint16)
    codes[:, 0] = codes[:, 3] = 255
    assert shift_add(codes).tolist() == [255 * 255, -255 * 255]


def test_accumulate() -> None:
    psums = np.array([[[1, -2], [3, 4]], [[-5, 6], [7, 8]]], np.int32)
    assert accumulate(psums).tolist() == [6, 16]


def _requantise(sums: list[int], offset: int, multiplier: int, shift: int) -> list[int]:
    n = len(sums)
    out = np.full(n, 99, np.uint8)
    requantise(
        np.array(sums, np.int32),
        np.full(n, offset, np.int32),
        np.full(n, multiplier, np.int32),
        shift,
        out,
    )
    return out.tolist()


def test_requantise_corners() -> None:
    """ReLU, saturation, half away from zero, offset, and no overflow of 32 bits."""
    assert _requantise([-5, 0, 1, 255, 256], 0, 1, 0) == [0, 0, 1, 255, 255]
    assert _requantise([1, 2, 3, 5], 0, 1, 1) == [1, 1, 2, 3]
    assert _requantise([-10, 10], 10, 3, 2) == [0, 15]
    assert _requantise([2**30], 2**30, 255, 31) == [255]
    assert _requantise([-(2**30)], 0, 65535, 0) == [0]


@pytest.mark.parametrize("seed", range(3))
def test_requantise_equals_real(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums, shift = rng.integers(-(2**20), 2**20, 200), int(rng.integers(0, 20))
    multiplier = int(rng.integers(0, 256))
    exact = [(int(s) + 7) * multiplier / 2**shift for s in sums]
    expected = [min(255, max(0, int(np.floor(x + 0.5)))) for x in exact]
    assert _requantise(sums.tolist(), 7, multiplier, shift) == expected


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((3, 3, 1), 3, 1), ((5, 7, 2), 3, 1), ((6, 5, 3), 2, 2), ((7, 4, 1), 1, 3), ((4, 4, 1), 4, 1)],
)
def test_patches(shape: tuple[int, int, int], kernel: int, stride: int) -> None:
    features = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    found = patches(features, kernel, stride)
    rows, cols = ((size - kernel) // stride + 1 for size in shape[:2])
    assert found.shape == (rows, cols, shape[2], kernel**2)
    for y in range(rows):
        for x in range(cols):
            window = features[y * stride :, x * stride :][:kernel, :kernel]
            for channel in range(shape[2]):
                assert found[y, x, channel].tolist() == window[..., channel].reshape(-1).tolist()


def test_pixels_needed() -> None:
    """A 3 x 3 kernel on rows of five: the first patch needs two rows and three pixels."""
    assert pixels_needed(2, 5, 3, 1).tolist() == [13, 1, 1, 3, 1, 1]
    assert pixels_needed(2, 5, 2, 2).tolist() == [7, 2, 8, 2]
    assert pixels_needed(1, 3, 3, 1).tolist() == [9]


def test_max_pool_partial_edge() -> None:
    features = np.arange(26, dtype=np.uint8).reshape(1, 26, 1).repeat(7, axis=0)
    assert max_pool(features, 3)[0, :, 0].tolist() == [2, 5, 8, 11, 14, 17, 20, 23, 25]
    assert max_pool(features, 3).shape == (3, 9, 1)
    assert np.array_equal(max_pool(features, 1), features)


def test_flatten_pads() -> None:
    features = np.arange(1, 13, dtype=np.uint8).reshape(2, 3, 2)
    assert flatten(features, 5).tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 0, 0, 0]]


def test_classify_takes_the_first() -> None:
    assert classify(np.array([-3, 7, 7, 1])) == 1
    assert classify(np.array([-1, -1])) == 0
