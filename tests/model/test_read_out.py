"""The sum over tiles against NumPy, saturation last."""

import numpy as np
import pytest

from model.read_out import partial_sum


def run(tile_codes: list[list[int]], code_max: int = 127) -> list[int]:
    codes = np.full(len(tile_codes[0]), 99, np.int16)
    partial_sum(np.array(tile_codes, np.int16), code_max, codes)
    return codes.tolist()


def test_one_tile_is_the_identity() -> None:
    every = list(range(-128, 128))
    assert run([every]) == every


def test_saturates_only_the_result() -> None:
    """100 + 100 - 100 is 100: an intermediate sum may leave the range."""
    assert run([[100, -100, 127, -128], [100, -100, 127, -128]]) == [127, -128, 127, -128]
    assert run([[100, -128], [100, -128], [-100, 127]]) == [100, -128]


@pytest.mark.parametrize(("n_tiles", "adc_bits"), [(1, 3), (2, 8), (4, 12)])
def test_equals_numpy(n_tiles: int, adc_bits: int) -> None:
    code_max = 2 ** (adc_bits - 1) - 1
    rng = np.random.default_rng(adc_bits)
    tiles = rng.integers(-code_max - 1, code_max + 1, (n_tiles, 300))
    expected = np.clip(tiles.sum(0), -code_max - 1, code_max)
    assert run(tiles.tolist(), code_max) == expected.tolist()
