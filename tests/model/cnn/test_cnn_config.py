"""Configuration of the convolutional network: derived numbers, bands, and what is refused."""

import itertools
from dataclasses import replace

import pytest

from model.cnn.config import (
    CnnArrayConfig,
    CnnConfig,
    CnnNetworkConfig,
    QuantisationConfig,
    ReplicaConfig,
    ReplicaMode,
    RramConfig,
    WriteConfig,
    split_rows,
)
from model.configurations import parse, tiny_cnn, yao_cnn
from model.settings import ConfigError, to_toml


def test_shapes() -> None:
    """Yao 2020, Fig. 2: 28x28, 26x26x8, 9x9x8, 7x7x12, 4x4x12, 192-10."""
    assert yao_cnn.conv_shape(0) == (26, 26, 8)
    assert yao_cnn.in_shape(1) == yao_cnn.out_shape(0) == (9, 9, 8)
    assert yao_cnn.conv_shape(1) == (7, 7, 12)
    assert yao_cnn.out_shape(1) == (4, 4, 12)
    assert yao_cnn.flat_inputs == 192
    assert [yao_cnn.outs(layer) for layer in range(3)] == [8, 12, 10]


def test_mapping() -> None:
    """Yao 2020: 16 lines for C1, 192 for C3, 240 for FC on two arrays; eight arrays in all."""
    assert [yao_cnn.chunks(layer) for layer in range(3)] == [1, 8, 12]
    assert [yao_cnn.tiles(layer) for layer in range(3)] == [1, 2, 2]
    assert [yao_cnn.steps(layer) for layer in range(3)] == [1, 4, 6]
    lines = [yao_cnn.steps(layer) * yao_cnn.lines(layer) for layer in range(3)]
    assert lines == [16, 96, 120]  # a tile; C1 and a tile of C3 share an array
    assert [yao_cnn.adcs(layer) for layer in range(3)] == [4, 6, 5]
    assert [yao_cnn.psum_bits(layer) for layer in range(3)] == [17, 20, 21]


def test_timing() -> None:
    """400 ns for an 8-bit product at 50 ns phases."""
    assert yao_cnn.array.phase_cycles * yao_cnn.clock_period_s == pytest.approx(50e-9)
    assert yao_cnn.product_cycles(0) * yao_cnn.clock_period_s == pytest.approx(400e-9)


def test_converters() -> None:
    assert yao_cnn.read_lsb_units == 102
    assert yao_cnn.margin_codes == 4
    assert replace(yao_cnn, write=WriteConfig(margin_us=0.25)).margin_codes == 1
    for margin in (0.25, 0.5, 1.0):
        config = replace(yao_cnn, write=WriteConfig(margin_us=margin))
        assert (config.margin_codes + 1) * config.read_lsb_us <= margin


@pytest.mark.parametrize(
    ("rows", "pool", "n", "expected"),
    [
        (26, 3, 1, [(0, 9)]),
        (26, 3, 2, [(0, 4), (4, 9)]),
        (26, 3, 3, [(0, 3), (3, 6), (6, 9)]),
        (26, 3, 4, [(0, 2), (2, 4), (4, 6), (6, 9)]),
        (7, 2, 3, [(0, 1), (1, 2), (2, 4)]),
        (7, 2, 4, [(0, 1), (1, 2), (2, 3), (3, 4)]),
        (5, 1, 3, [(0, 2), (2, 4), (4, 5)]),
        (1, 4, 1, [(0, 1)]),
    ],
)
def test_split_rows(rows: int, pool: int, n: int, expected: list[tuple[int, int]]) -> None:
    assert list(split_rows(rows, pool, n)) == expected


def test_split_rows_is_best() -> None:
    """Every split covers all rows, and no other has a smaller largest band."""

    def best(costs: list[int], n: int) -> int:
        if n == 1:
            return sum(costs)
        return min(
            max(sum(costs[:k]), best(costs[k:], n - 1)) for k in range(1, len(costs) - n + 2)
        )

    for rows in range(1, 14):
        for pool in (1, 2, 3):
            costs = [min(pool, rows - first) for first in range(0, rows, pool)]
            for n in range(1, len(costs) + 1):
                bands = split_rows(rows, pool, n)
                assert bands[0][0] == 0
                assert bands[-1][1] == len(costs)
                assert all(a[1] == b[0] for a, b in itertools.pairwise(bands))
                assert max(sum(costs[a:b]) for a, b in bands) == best(costs, n)


def test_bands() -> None:
    """Three replicas: halo rows at the borders, unequal bands of the second convolution."""
    config = replace(yao_cnn, replicas=ReplicaConfig(n=3))
    assert [(b.in_first, b.in_end) for b in config.bands(0)] == [(0, 11), (9, 20), (18, 28)]
    assert [b.conv_rows for b in config.bands(0)] == [9, 9, 8]
    assert [b.conv_rows for b in config.bands(1)] == [2, 2, 3]
    images = replace(config, replicas=ReplicaConfig(n=3, mode=ReplicaMode.IMAGES))
    assert images.bands(0) == yao_cnn.bands(0)


def test_toml() -> None:
    for config in (yao_cnn, tiny_cnn):
        assert parse(to_toml(config)) == config
    assert "FC 192-10" in yao_cnn.description


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": ReplicaConfig(n=5)}, r"replicas\.n = 5 leaves a band without rows: .* 4 "),
        (
            {"network": CnnNetworkConfig(kernels=(5, 3))},
            r"kernel of convolution 0 \(5 x 5\) does not fit the 16 input lines",
        ),
        (
            {"network": CnnNetworkConfig(height=2)},
            r"kernel of convolution 0 \(3 x 3\) does not fit its input of 2 x 28",
        ),
        (
            {"network": CnnNetworkConfig(outputs=(8, 62)), "array": CnnArrayConfig(n_lines=100)},
            r"The 62 outputs of layer 1 need 124 output lines; an array has 100",
        ),
        (
            {"network": CnnNetworkConfig(outputs=(40, 12))},
            r"The 40 outputs of layer 0 are too many",
        ),
        ({"write": WriteConfig(read_full_scale_us=20.0)}, r"does not reach the highest level"),
        ({"write": WriteConfig(margin_us=0.01)}, r"finer than a verify read can tell"),
        ({"name": "a b"}, r"name must be letters"),
    ],
)
def test_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CnnConfig(**{"name": "x", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (RramConfig, {"level_us": 4.0}, r"7 levels of 4\.0 uS are outside the window"),
        (RramConfig, {"g_min_us": 3.0}, r"outside the window"),
        (RramConfig, {"g_min_us": 30.0}, r"below device\.g_max_us"),
        (RramConfig, {"stuck_fraction": 1.5}, r"device\.stuck_fraction must be between"),
        (RramConfig, {"set_step_us": 0.0}, r"device\.set_step_us must be positive"),
        (CnnNetworkConfig, {"pools": (2,)}, r"network\.pools must have an entry for each of the 2"),
        (CnnNetworkConfig, {"kernels": ()}, r"network\.kernels must have 1 to 4 entries"),
        (CnnNetworkConfig, {"strides": (0, 1)}, r"network\.strides must be between 1"),
        (CnnArrayConfig, {"phase_s": 0.0}, r"array\.phase_s must be positive"),
        (QuantisationConfig, {"adc_quantile": 0.1}, r"quantisation\.adc_quantile must be between"),
    ],
)
def test_section_refused(kind: type, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**changes)
