"""Devices behind transistors, and wires, against the published curves and a nodal solution."""

from dataclasses import replace

import numpy as np
import pytest

from model.configurations import li_mlp, tiny_in_situ
from model.in_situ.config import ArrayConfig, Curve
from model.in_situ.device import (
    DATA,
    LINE_OFFSET_US,
    LINE_SLOPE_US_PER_V,
    conductance_table,
    intrinsic_curve,
    set_spread_us,
    stuck_devices,
)
from model.in_situ.wire import column_currents, effective_conductance, series_resistance
from model.settings import ConfigError


def with_device(config, **changes):
    return replace(config, device=replace(config.device, **changes))


def test_in_network_line():
    table = conductance_table(li_mlp)
    assert table[100] == pytest.approx(63.5 + 150.6)
    points = np.genfromtxt(DATA / "in_network_points.csv", delimiter=",", names=True)
    # The figure's line, against a straight line through its points below the outliers at 1.53 V.
    usual = points[points["gate_voltage_V"] < 1.53]
    slope, offset = np.polyfit(usual["gate_voltage_V"], usual["effective_conductance_uS"], 1)
    volts = usual["gate_voltage_V"]
    fitted = offset + slope * volts
    line = LINE_OFFSET_US + LINE_SLOPE_US_PER_V * volts
    assert np.abs(fitted - line).max() < 4.0
    width = points["ci95_high_uS"] - points["ci95_low_uS"]
    assert (np.abs(usual["effective_conductance_uS"] - line) < width[: len(usual)]).mean() > 0.9


def test_intrinsic_curve():
    table = conductance_table(with_device(li_mlp, curve=Curve.INTRINSIC))
    volts, conductances = intrinsic_curve()
    assert len(volts) == 11
    for volt, conductance in zip(volts, conductances, strict=True):
        assert table[round(volt * 100)] == pytest.approx(conductance)
    # About 1.1 mS/V between 0.7 and 1.3 V: Li 2018.
    assert (table[130] - table[70]) / 0.6 == pytest.approx(1100, rel=0.02)
    assert table[255] == table[160] == 1025
    assert table[0] == table[60] == 81


def test_spread_is_of_the_range():
    assert set_spread_us(li_mlp) == pytest.approx(0.02 * 150.6 * 1.1)
    assert set_spread_us(with_device(li_mlp, update_variation=0.0)) == 0.0


def test_stuck_fractions():
    config = with_device(li_mlp, stuck_off_fraction=0.11, stuck_on_fraction=0.05)
    stuck = stuck_devices(config, 0, np.random.default_rng(1))
    assert stuck.shape == (128, 54)
    n = stuck.size
    for value, fraction in ((10.0, 0.11), (1000.0, 0.05)):
        # Five standard deviations of a binomial.
        assert abs((stuck == value).sum() - fraction * n) < 5 * np.sqrt(fraction * n)
    assert np.isnan(stuck).sum() == n - (stuck == 10.0).sum() - (stuck == 1000.0).sum()


def test_stuck_sets_are_nested():
    few, many = (
        stuck_devices(with_device(li_mlp, stuck_off_fraction=fraction), 0, np.random.default_rng(3))
        for fraction in (0.1, 0.3)
    )
    assert (~np.isnan(many[~np.isnan(few)])).all()
    assert np.isnan(
        stuck_devices(with_device(li_mlp, stuck_off_fraction=0.0), 0, np.random.default_rng(3))
    ).all()
    whole = stuck_devices(with_device(li_mlp, stuck_off_fraction=1.0), 0, np.random.default_rng(3))
    assert (whole == 10.0).all()


def test_stuck_map(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("layer,row,col,conductance_us\n0,31,8,12.5\n1,0,3,900\n")
    config = with_device(tiny_in_situ, stuck_off_fraction=0.0, stuck_map=str(path))
    first, second = (stuck_devices(config, k, np.random.default_rng(1)) for k in range(2))
    assert first[31, 8] == 12.5
    assert second[0, 3] == 900
    assert (~np.isnan(first)).sum() == (~np.isnan(second)).sum() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer,row\n0,0\n", "must have the columns layer, row, col, conductance_us"),
        ("layer,row,col,conductance_us\n0,x,0,1\n", "an entry that is no number"),
        ("layer,row,col,conductance_us\n0,1\n", "an entry that is no number"),
        ("layer,row,col,conductance_us\n0,32,0,1\n", "row 32, column 0 at 1 uS, which the array"),
        ("layer,row,col,conductance_us\n2,0,0,1\n", "names layer 2"),
        ("layer,row,col,conductance_us\n0,0,0,-1\n", "at -1 uS"),
    ],
)
def test_wrong_stuck_map(tmp_path, text, message):
    path = tmp_path / "map.csv"
    path.write_text(text)
    config = with_device(tiny_in_situ, stuck_map=str(path))
    with pytest.raises(ConfigError, match=message):
        stuck_devices(config, 0, np.random.default_rng(1))


def test_missing_stuck_map(tmp_path):
    config = with_device(tiny_in_situ, stuck_map=str(tmp_path / "none.csv"))
    with pytest.raises(ConfigError, match="Cannot read the stuck-device map .*No such file"):
        stuck_devices(config, 0, np.random.default_rng(1))


# Wires


def wired(segment_ohm):
    array = ArrayConfig(
        rows=32, cols=16, settle_cycles=3, convert_cycles=1, segment_ohm=segment_ohm
    )
    return replace(tiny_in_situ, array=array)


def test_series_resistance():
    resistance = series_resistance(wired(0.5), 0)
    assert resistance.shape == (32, 9)
    # Eq. 11: 34 segments for the upper left device, 3 for the lower left.
    assert resistance[0, 0] == 0.5 * 34
    assert resistance[31, 0] == 0.5 * 3
    # The second layer's columns lie to the right of the first's.
    assert series_resistance(wired(0.5), 1)[0, 0] == resistance[0, 8] + 0.5


def test_series_model_is_exact_for_one_device():
    config = wired(1.0)
    resistance = series_resistance(config, 0)
    for row, col in ((0, 0), (31, 0), (5, 8)):
        conductance = np.zeros((32, 9))
        conductance[row, col] = 800.0
        drive = np.zeros(32)
        drive[row] = 0.2
        current = column_currents(conductance, 1.0, drive)[col]
        expected = 0.2 * effective_conductance(conductance, resistance)[row, col]
        assert current == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("segment_ohm", "error"), [(0.01, 0.002), (0.1, 0.02), (1.0, 0.15)])
def test_series_model_against_nodal_solution(segment_ohm, error):
    """A full array, all rows driven: shared wires drop more than each device's own.

    The series model is off by what the neighbours' currents drop in the shared segments, first
    order in the wire resistance: held here for an array of 32 x 9 at the paper's conductances.
    """
    rng = np.random.default_rng(2)
    conductance = rng.uniform(150.0, 320.0, (32, 9))
    drive = rng.uniform(0.0, 0.2, 32)
    nodal = column_currents(conductance, segment_ohm, drive)
    ideal = drive @ conductance
    series = drive @ effective_conductance(conductance, series_resistance(wired(segment_ohm), 0))
    assert (nodal < series).all()
    assert (series < ideal).all()
    assert (np.abs(series - nodal) / nodal).max() < error
    # Row by row, as the paper reads its equivalent conductances, the columns' wires are not shared.
    one = np.where(np.arange(32) == 7, 0.2, 0.0)
    alone = column_currents(conductance, segment_ohm, one)
    series = one @ effective_conductance(conductance, series_resistance(wired(segment_ohm), 0))
    assert (np.abs(series - alone) / alone).max() < error


def test_nodal_solution_of_good_wires_is_ohms_law():
    conductance = np.array([[100.0, 200.0], [300.0, 0.0]])
    drive = np.array([0.2, -0.1])
    assert column_currents(conductance, 1e-9, drive) == pytest.approx(drive @ conductance, rel=1e-6)
