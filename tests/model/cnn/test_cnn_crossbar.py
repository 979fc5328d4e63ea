"""RRAM arrays: conversion, products, reads, pulses, writing, retention."""

from dataclasses import replace

import numpy as np
import pytest

from model.cnn import rram
from model.cnn.config import UNITS_PER_US, RramConfig, WriteModel
from model.cnn.crossbar import LayerArrays, convert, to_units
from model.cnn.write_verify import Decision
from model.configurations import tiny_cnn, yao_cnn

IDEAL = RramConfig(stuck_fraction=0.0, write_sigma_us=0.0)


def test_convert_corners() -> None:
    """Rounds half up to the code, saturates at the last."""
    sums = np.array([0, 49, 50, 149, 150, 25449, 25450, 10**6])
    assert convert(sums, 100, 255).tolist() == [0, 0, 1, 1, 2, 254, 255, 255]
    assert convert(np.array([0, 1, 2]), 1, 255).tolist() == [0, 1, 2]


def test_units() -> None:
    assert to_units(np.array([0.0, 2.5, 20.0, 1 / 2048])).tolist() == [0, 2560, 20480, 0]


def test_phase() -> None:
    """The sum of the driven devices of each tile's chunk; a chunk that is not there gives zero."""
    arrays = LayerArrays(tiny_cnn, 1, np.random.default_rng(1))
    arrays.conductance_us[:] = np.random.default_rng(2).uniform(1, 20, arrays.units.shape)
    arrays.refresh()
    drive = np.zeros((2, 9), np.uint8)
    drive[:, [0, 4, 8]] = 1
    codes = arrays.phase(1, drive)
    sums = arrays.units[1, [0, 4, 8]].sum(axis=0)
    assert codes[0].tolist() == convert(sums, arrays.lsb, 255).tolist()
    assert codes[1].tolist() == [0] * 10


def test_verify_reads_one_row() -> None:
    arrays = LayerArrays(replace(yao_cnn, device=IDEAL), 0, np.random.default_rng(0))
    arrays.conductance_us[0, 3] = np.linspace(2.5, 20, 16)
    arrays.refresh()
    read_us = arrays.verify(0, 3) * yao_cnn.read_lsb_us
    assert np.abs(read_us - np.linspace(2.5, 20, 16)).max() <= yao_cnn.read_lsb_us / 2 + 1e-3


def test_pulse_spares_the_others() -> None:
    arrays = LayerArrays(replace(yao_cnn, device=IDEAL), 0, np.random.default_rng(0))
    arrays.stuck[0, 2, 1] = True
    before = arrays.conductance_us.copy()
    mask = np.zeros(16, bool)
    mask[[0, 1]] = True
    arrays.pulse(0, 2, Decision.SET, mask)
    assert np.argwhere(arrays.conductance_us != before).tolist() == [[0, 2, 0]]
    assert arrays.units[0, 2, 0] == round(arrays.conductance_us[0, 2, 0] * UNITS_PER_US)


@pytest.mark.parametrize("decision", [Decision.SET, Decision.RESET])
def test_step_statistics(decision: Decision) -> None:
    """Mean and spread of a step as documented, away from the ends of the window."""
    config, start = RramConfig(), 12.0
    after = rram.pulse(
        config, np.full(40_000, start), np.ones(40_000), decision, np.random.default_rng(1)
    )
    mean = {
        Decision.SET: 0.9 * (25.0 - start) / 24.5,
        Decision.RESET: -0.9 * start / 25.0,
    }[decision]
    assert np.mean(after - start) == pytest.approx(mean, rel=0.02)
    assert np.std(after - start) == pytest.approx(0.6 * abs(mean), rel=0.02)


def test_pulses_stay_in_the_window() -> None:
    config, rng = RramConfig(), np.random.default_rng(1)
    for decision in (Decision.SET, Decision.RESET):
        conductance = np.full(500, 10.0)
        for _ in range(300):
            conductance = rram.pulse(config, conductance, np.full(500, 2.0), decision, rng)
        assert conductance.min() >= config.g_min_us
        assert conductance.max() <= config.g_max_us


def test_write_sigma() -> None:
    """Yao 2020: errors of 0.54 uS; stuck devices stay and are reported."""
    config = replace(yao_cnn, device=RramConfig(stuck_fraction=0.01))
    arrays = LayerArrays(config, 2, np.random.default_rng(4))
    stuck_us = arrays.conductance_us[arrays.stuck].copy()
    report = arrays.program(np.full(arrays.stuck.shape, 10.0))
    error = arrays.conductance_us[~arrays.stuck] - 10.0
    assert np.std(error) == pytest.approx(0.54, rel=0.05)
    assert np.array_equal(arrays.conductance_us[arrays.stuck], stuck_us)
    assert report.failed == arrays.stuck.sum() > 0
    assert report.devices == arrays.stuck.size


def test_write_verify_model() -> None:
    """Pulse by pulse: every device within the margin, only masked ones touched."""
    device = replace(IDEAL, write_model=WriteModel.VERIFY)
    arrays = LayerArrays(replace(tiny_cnn, device=device), 0, np.random.default_rng(4))
    targets = np.random.default_rng(1).uniform(2.5, 20, arrays.stuck.shape)
    mask = np.zeros(arrays.stuck.shape, bool)
    mask[1] = True
    report = arrays.program(targets, mask)
    assert np.abs(arrays.conductance_us - targets)[1].max() <= 0.5
    assert (arrays.conductance_us[0] == device.level_us).all()
    assert report.failed == 0
    assert report.pulses > report.devices == mask.sum()


def test_yield() -> None:
    """99.99 %: about one device in 10,000 is stuck, at either end."""
    config = RramConfig()
    conductance = np.full(1_000_000, 5.0)
    stuck = rram.stuck_devices(config, conductance, np.random.default_rng(2))
    assert 60 < stuck.sum() < 140
    assert set(np.unique(conductance)) == {0.5, 5.0, 25.0}


def test_retention() -> None:
    """Nothing moves at once; over 30 days levels spread but keep their order, tails aside."""
    config, rng = RramConfig(), np.random.default_rng(3)
    levels = np.repeat(np.arange(2.5, 20.1, 2.5), 20_000).reshape(8, -1)
    assert np.array_equal(rram.retain(config, levels, 0.0, rng), levels)
    month = rram.retain(config, levels, 30 * 86400.0, rng)
    means = month.mean(axis=1)
    assert (np.diff(means) > 2.0).all()
    assert (means < levels[:, 0]).all()
    decades = np.log10(1 + 30 * 86400 / 60)
    core = np.abs(month[4] - np.median(month[4])) < 2.0
    assert month[4][core].std() == pytest.approx(0.25 * decades**0.5, rel=0.1)
    assert 0.002 < np.mean(np.abs(month[4] - means[4]) > 3 * 0.25 * decades**0.5) < 0.02


def test_break_devices() -> None:
    arrays = LayerArrays(replace(yao_cnn, device=IDEAL), 2, np.random.default_rng(1))
    assert arrays.break_devices(0.0, np.random.default_rng(0)) == 0
    failed = arrays.break_devices(0.1, np.random.default_rng(0))
    assert failed == arrays.stuck.sum()
    assert failed == pytest.approx(0.1 * arrays.stuck.size, rel=0.2)


def test_save_and_load_go_on_bit_for_bit() -> None:
    first = LayerArrays(tiny_cnn, 1, np.random.default_rng(1))
    second = LayerArrays(tiny_cnn, 1, np.random.default_rng(2))
    second.load(first.save())
    for arrays in (first, second):
        arrays.pulse(0, 0, Decision.SET, np.ones(10, bool))
        arrays.age(100.0)
    assert np.array_equal(first.conductance_us, second.conductance_us)
