"""The crossbar: exact where nothing is random, statistics with their bounds where it is.

Statistical bounds are stated as multiples of the standard error of the sample: four of them (a
chance of 6e-5 for one comparison), unless the published figure's own rounding is wider. Seeds are
fixed, so a test that passes keeps passing.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from numba import njit
from scipy import stats

from model.config import ArrayConfig, Config, ConverterConfig, DeviceConfig, NetworkConfig
from model.configurations import mca_mlp, tiny_mca
from model.crossbar import (
    MINUS,
    PLUS,
    Crossbar,
    advance,
    product_backward,
    product_forward,
    program,
    read_row,
)
from model.devices import RESET, SET, drift_error_bound, find_age_class

QUIET = DeviceConfig(noise_slope=0.0, noise_offset_us=0.0)
IDEAL = replace(QUIET, drift_nu=0.0)


def make(device=IDEAL, *, layers=(20, 9, 4), layer=0, seed=1, **parts):
    config = Config(network=NetworkConfig(layers=layers), device=device, **parts)
    return Crossbar(config, layer, np.random.default_rng(seed))


def population(device, n=10_000, seed=11):
    """An array of n devices (both of n / 2 pairs) that have just been RESET to exactly 0.06 uS."""
    crossbar = make(device, layers=(99, n // 200), seed=seed)
    arrays = crossbar.save()
    arrays["conductance_us"][:] = 0.06
    arrays["history"][:] = 1.0
    arrays["pulse_time_s"][:] = 0.0
    crossbar.load(arrays)
    return crossbar


@njit
def pulse_all(state, kind, time_s):
    for row in range(state.n_rows):
        for col in range(state.n_cols):
            for device in range(2):
                program(state, row, col, device, kind, time_s)


@njit
def repeat_forward(state, drive, time_s, codes):
    for k in range(codes.shape[0]):
        product_forward(state, drive, time_s, codes[k])


@njit
def repeat_backward(state, drive, time_s, codes):
    for k in range(codes.shape[0]):
        product_backward(state, drive, time_s, codes[k])


@njit
def repeat_read(state, row, device, time_s, codes):
    for k in range(codes.shape[0]):
        read_row(state, row, device, time_s, codes[k])


# Pulses


def test_set_statistics_against_published_model():
    # 10,000 devices from 0.06 uS, no clip; the reference's Monte Carlo of the same formulas.
    # Standard errors: std / 100 of a mean, std / 141 of a spread; the table is rounded to 0.01 uS
    # and is itself a sample, so twice four standard errors.
    crossbar = population(replace(IDEAL, g_min_us=0.0, g_max_us=1e6))
    # No lower clip: a limit far below zero. The configuration forbids it, devices know none.
    crossbar.state = crossbar.state._replace(
        physics=crossbar.state.physics._replace(g_min_us=-1e6),
    )
    published = {1: (1.89, 1.73), 5: (5.78, 2.45), 10: (7.75, 2.48), 20: (9.37, 2.69)}
    for n in range(1, 21):
        pulse_all(crossbar.state, SET, 38.6 * n)
        if n in published:
            g = crossbar.state.devices["conductance_us"].astype(float)
            mean, std = published[n]
            assert g.mean() == pytest.approx(mean, abs=8 * std / 100 + 0.005)
            assert g.std() == pytest.approx(std, abs=8 * std / 141 + 0.005)
        if n == 10:
            # Mean step of the first ten pulses 0.769 uS: the paper's epsilon, 0.77 uS.
            assert (g.mean() - 0.06) / 10 == pytest.approx(0.769, abs=8 * 2.48 / 1000)


def test_set_is_the_formula_draw_by_draw():
    crossbar = make()
    twin = np.random.default_rng(1)
    twin.bit_generator.state = crossbar.state.rng.bit_generator.state
    for _ in range(30):
        before = crossbar.state.devices[2 * (3 * 9 + 4) + MINUS].copy()
        crossbar.program(3, 4, MINUS, SET, 1.0)
        history = float(before["history"]) * np.exp(-1 / 2.6)
        g = float(before["conductance_us"])
        g += -0.084 * g + 0.880 + 1.40 * history
        g += (
            0.091 * float(before["conductance_us"]) + 0.260 + 2.15 * history
        ) * twin.standard_normal()
        after = crossbar.state.devices[2 * (3 * 9 + 4) + MINUS]
        assert after["conductance_us"] == pytest.approx(min(max(g, 0.1), 20.0), rel=1e-6)
        assert after["history"] == pytest.approx(history, rel=1e-6)
        assert after["pulse_time_s"] == 1.0


def test_program_touches_one_device():
    crossbar = make(DeviceConfig())
    before = crossbar.conductances(1.0)
    crossbar.program(20, 8, PLUS, SET, 1.0)
    changed = np.argwhere(before != crossbar.conductances(1.0))
    assert changed.tolist() == [[PLUS, 20, 8]]


@pytest.mark.parametrize(("offset", "limit"), [(0.88, 3.0), (-1.5, 1.0)])
def test_set_clips_to_its_limits(offset, limit):
    device = replace(IDEAL, g_min_us=1.0, g_max_us=3.0, mean_offset_us=offset)
    crossbar = make(device)
    for _ in range(20):
        pulse_all(crossbar.state, SET, 0.0)
        g = crossbar.conductances(0.0)
        assert g.min() >= 1.0
        assert g.max() <= 3.0
    assert (g == limit).sum() > 100


def test_reset_statistics():
    # 10,000 devices: N(0.1, 0.01) uS, standard errors 0.0001 and 0.00007.
    crossbar = population(IDEAL)
    pulse_all(crossbar.state, SET, 0.0)
    pulse_all(crossbar.state, RESET, 1.0)
    g = crossbar.conductances(1.0)
    assert g.mean() == pytest.approx(0.1, abs=4e-4)
    assert g.std() == pytest.approx(0.01, abs=4 * 0.01 / 141)
    assert (crossbar.state.devices["history"] == 1.0).all()
    assert (crossbar.state.devices["pulse_time_s"] == 1.0).all()


def test_reset_has_its_own_lower_limit():
    crossbar = make(replace(IDEAL, reset_std_us=1.0))
    pulse_all(crossbar.state, RESET, 0.0)
    assert crossbar.conductances(0.0).min() == pytest.approx(0.01, rel=1e-6)


def test_initial_conductances():
    # 200,000 devices. Clipping N(1.6, 0.83) at 0.1 moves the mean up and lowers the spread.
    crossbar = make(layers=(499, 200))
    g = crossbar.conductances(0.0).ravel()
    clipped = np.clip(stats.norm.ppf((np.arange(10**6) + 0.5) / 10**6, 1.6, 0.83), 0.1, 20.0)
    assert g.mean() == pytest.approx(clipped.mean(), abs=4 * 0.83 / np.sqrt(g.size))
    assert g.std() == pytest.approx(clipped.std(), abs=4 * 0.83 / np.sqrt(2 * g.size))
    assert g.min() == pytest.approx(0.1, rel=1e-6)


def test_stuck_devices_never_change():
    # 4000 devices, a tenth stuck: standard error sqrt(0.1 * 0.9 / 4000) = 0.0047.
    crossbar = make(replace(DeviceConfig(), stuck_fraction=0.1, stuck_us=5.0), layers=(99, 20))
    stuck = crossbar.state.devices["stuck"] != 0
    assert stuck.mean() == pytest.approx(0.1, abs=4 * 0.0047)
    pulse_all(crossbar.state, SET, 1.0)
    pulse_all(crossbar.state, RESET, 2.0)
    for time_s in (3.0, 1e6):
        g = np.moveaxis(crossbar.conductances(time_s), 0, 2).ravel()
        assert (g[stuck] == 5.0).all()
        assert (g[~stuck] != 5.0).all()
        advance(crossbar.state, time_s)
        plus = crossbar.state.devices["conductance_us"][0::2] * 1.0
        assert np.isfinite(plus).all()


def test_all_devices_stuck():
    crossbar = make(replace(DeviceConfig(), stuck_fraction=1.0, stuck_us=2.0))
    pulse_all(crossbar.state, SET, 1.0)
    assert (crossbar.conductances(9.0) == 2.0).all()
    assert (crossbar.weights(9.0) == 0.0).all()


# Drift


@pytest.mark.parametrize(
    ("elapsed_s", "factor"), [(1.0, 1.157), (1e-3, 1.53), (1e-6, 2.01), (86400.0, 0.735)]
)
def test_drift_after_a_pulse(elapsed_s, factor):
    crossbar = make(QUIET)
    pulse_all(crossbar.state, SET, 10.0)
    stored = np.moveaxis(crossbar.state.devices["conductance_us"].reshape(21, 9, 2), 2, 0)
    ratio = crossbar.conductances(10.0 + elapsed_s) / stored
    np.testing.assert_allclose(ratio, factor, rtol=0.004)
    np.testing.assert_allclose(ratio, (elapsed_s / 38.6) ** -0.04, rtol=1e-6)


def test_initial_devices_are_initial_age_old():
    crossbar = make(QUIET)
    stored = np.moveaxis(crossbar.state.devices["conductance_us"].reshape(21, 9, 2), 2, 0)
    np.testing.assert_allclose(crossbar.conductances(0.0), stored, rtol=1e-6)


def pace(crossbar, rng, start_s, seconds_per_image, images, pulses=5):
    """Pulses at random places and advancing, as training does; the last time."""
    time_s = start_s
    for _ in range(images):
        time_s += seconds_per_image
        advance(crossbar.state, time_s)
        for _ in range(int(rng.integers(pulses))):
            row, col = rng.integers(crossbar.state.n_rows), rng.integers(crossbar.state.n_cols)
            kind = int(rng.random() < 0.1)
            crossbar.program(int(row), int(col), int(rng.integers(2)), kind, time_s)
    return time_s


@pytest.mark.parametrize("seconds_per_image", [2e-6, 1e-3, 1.0, 3600.0])
def test_cached_weights_stay_within_the_bound(seconds_per_image):
    # Every pair, after every one of 300 images: the conductance error is at most the bound for each
    # device; float32 storage adds 1e-7 of it.
    crossbar = make(QUIET)
    rng = np.random.default_rng(2)
    bound = drift_error_bound(crossbar.config.device) + 1e-6
    time_s = 0.0
    for _ in range(60):
        time_s = pace(crossbar, rng, time_s, seconds_per_image, 5)
        # A device's first image: its age is zero, so 1 ns, in the first class.
        plus, minus = crossbar.conductances(time_s)
        error = np.abs(crossbar.state.weight - (plus - minus) / 8.0)
        assert (error <= bound * (plus + minus) / 8.0).all()


@pytest.mark.parametrize("seconds_per_image", [0.0, 2e-6, 1.0, 1e5])
def test_event_driven_ages_equal_a_rebuild(seconds_per_image):
    # The lists after thousands of events are those made from scratch: same class of every device,
    # same weights and variances, bit for bit, and every class's devices in the order of pulses.
    crossbar = make(replace(DeviceConfig(), stuck_fraction=0.05))
    rng = np.random.default_rng(4)
    time_s = 0.0
    for _ in range(20):
        time_s = pace(crossbar, rng, time_s, seconds_per_image, 25)
        fresh = Crossbar(crossbar.config, 0, np.random.default_rng(9))
        fresh.load(crossbar.save())
        np.testing.assert_array_equal(
            crossbar.state.devices["age_class"], fresh.state.devices["age_class"]
        )
        np.testing.assert_array_equal(crossbar.state.weight, fresh.state.weight)
        np.testing.assert_array_equal(crossbar.state.variance, fresh.state.variance)
        check_lists(crossbar.state)


@pytest.mark.parametrize("born_s", [0.0, 1.0, 1e6 / 3, 1e9 / 7])
def test_devices_change_class_at_the_exact_time(born_s):
    # Times at, just before and just after the rounded end of a class: the class of every device is
    # the one that the elapsed time asks for, whatever the rounding of the time it was due.
    crossbar = make(QUIET, layers=(3, 2))
    advance(crossbar.state, born_s)
    for row in range(4):
        crossbar.program(row, 1, row % 2, SET, born_s)
    starts = crossbar.state.starts_s
    for end in starts[find_age_class(max(born_s * 1e-9, 1e-9), starts) + 1 : 800 : 7]:
        due = born_s + end
        for time_s in (np.nextafter(due, 0.0), due, np.nextafter(due, np.inf)):
            advance(crossbar.state, time_s)
            for device in crossbar.state.devices:
                age = find_age_class(time_s - device["pulse_time_s"], starts)
                assert device["age_class"] == age


def check_lists(state):
    listed = 0
    for age, (oldest, youngest) in enumerate(state.ends):
        assert (oldest < 0) == (youngest < 0) == np.isinf(state.due_s[age])
        index, previous = oldest, -1
        while index >= 0:
            device = state.devices[index]
            assert device["age_class"] == age
            assert device["older"] == previous
            if previous >= 0:
                assert state.devices[previous]["pulse_time_s"] <= device["pulse_time_s"]
            previous, index = index, device["younger"]
            listed += 1
        assert youngest == previous
    assert listed == (state.devices["stuck"] == 0).sum()
    assert state.clock_s[1] <= state.due_s.min()


def test_no_drift_means_no_events():
    crossbar = make(replace(DeviceConfig(), drift_nu=0.0))
    assert crossbar.state.clock_s[1] == np.inf
    pulse_all(crossbar.state, SET, 1.0)
    advance(crossbar.state, 1e9)
    assert crossbar.state.clock_s[1] == np.inf
    np.testing.assert_array_equal(crossbar.conductances(1e9), crossbar.conductances(0.0))


def test_time_must_not_run_backwards():
    crossbar = make()
    crossbar.forward(np.zeros(21, np.uint8), 2.0)
    with pytest.raises(ValueError, match="must not run backwards"):
        crossbar.forward(np.zeros(21, np.uint8), 1.0)
    assert crossbar.time_s == 2.0


def test_time_beyond_the_last_class():
    crossbar = make(QUIET)
    advance(crossbar.state, 1e12)
    advance(crossbar.state, 1e13)
    crossbar.program(0, 0, PLUS, SET, 1e13)
    assert np.isfinite(crossbar.state.weight).all()
    check_lists(crossbar.state)


# Products


def reference_codes(currents, lsb, code_max=127):
    return np.clip(np.rint(currents / lsb), -code_max - 1, code_max).astype(np.int16)


def agree(codes, currents, lsb):
    """Codes equal their reference, but where a float32 sum lies on the other side of a half."""
    expected = reference_codes(currents, lsb)
    on_edge = np.abs(np.abs(currents / lsb - np.trunc(currents / lsb)) - 0.5) < 1e-3
    assert codes.dtype == np.int16
    assert ((codes == expected) | on_edge).all()
    assert (np.abs(codes - expected) <= 1).all()


@pytest.mark.parametrize("tile", [1024, 21, 20, 8, 2])
def test_forward_is_the_product(tile):
    crossbar = make(array=ArrayConfig(max_rows=tile, max_cols=4))
    rng = np.random.default_rng(3)
    weights = crossbar.weights(0.0)
    for _ in range(20):
        drive = (rng.integers(0, 256, 21) * (rng.random(21) < 0.5)).astype(np.uint8)
        codes = crossbar.forward(drive, 0.0)
        parts = range(0, 21, tile)
        assert codes.shape == (len(parts), 9)
        for code, first in zip(codes, parts, strict=True):
            part = slice(first, first + tile)
            agree(code, drive[part] / 255 @ weights[part], 8 / 128)


@pytest.mark.parametrize("tile", [1024, 9, 8, 4, 2])
def test_backward_is_the_transposed_product(tile):
    crossbar = make(array=ArrayConfig(max_rows=16, max_cols=tile))
    rng = np.random.default_rng(3)
    weights = crossbar.weights(0.0)
    for _ in range(20):
        drive = (rng.integers(-127, 128, 9) * (rng.random(9) < 0.7)).astype(np.int8)
        codes = crossbar.backward(drive, 0.0)
        parts = range(0, 9, tile)
        assert codes.shape == (len(parts), 21)
        for code, first in zip(codes, parts, strict=True):
            part = slice(first, first + tile)
            agree(code, weights[:, part] @ drive[part], 4.0)


def test_nothing_driven_gives_zero():
    crossbar = make(DeviceConfig())
    assert not crossbar.forward(np.zeros(21, np.uint8), 1.0).any()
    assert not crossbar.backward(np.zeros(9, np.int8), 1.0).any()


def set_weights(crossbar, plus, minus):
    arrays = crossbar.save()
    arrays["conductance_us"][..., PLUS] = plus
    arrays["conductance_us"][..., MINUS] = minus
    crossbar.load(arrays)


@pytest.mark.parametrize("bits", [3, 8, 12])
def test_codes_saturate(bits):
    crossbar = make(converter=ConverterConfig(adc_bits=bits))
    code_max = 2 ** (bits - 1) - 1
    drive, error = np.full(21, 255, np.uint8), np.full(9, 127, np.int8)
    set_weights(crossbar, 20.0, 0.1)
    assert (crossbar.forward(drive, 0.0) == code_max).all()
    assert (crossbar.backward(error, 0.0) == code_max).all()
    assert (crossbar.backward(-error, 0.0) == -code_max - 1).all()
    set_weights(crossbar, 0.1, 20.0)
    assert (crossbar.forward(drive, 0.0) == -code_max - 1).all()


def test_forward_rounds_half_to_even():
    # One row at full scale and weights of (k + 1/2) LSB: 8 uS * (k + 1/2) / 16, exact in float32.
    crossbar = make()
    halves = np.arange(9) * 0.5 + 0.25
    set_weights(crossbar, halves, 0.0)
    drive = np.zeros(21, np.uint8)
    drive[5] = 255
    assert crossbar.forward(drive, 0.0)[0].tolist() == [0, 2, 2, 4, 4, 6, 6, 8, 8]
    set_weights(crossbar, 0.0, halves)
    assert crossbar.forward(drive, 0.0)[0].tolist() == [0, -2, -2, -4, -4, -6, -6, -8, -8]


def test_read_is_one_device():
    crossbar = make()
    plus, minus = crossbar.conductances(0.0)
    np.testing.assert_array_equal(crossbar.read(7, PLUS, 0.0), reference_codes(plus[7], 0.2))
    np.testing.assert_array_equal(crossbar.read(20, MINUS, 0.0), reference_codes(minus[20], 0.2))


# Read noise


def naive_forward(crossbar, drive, time_s, rng, n):
    """Currents [n, n_cols], every device on its own: drift, noise and current, then the sum."""
    conductance = crossbar.conductances(time_s)
    sigma = 0.03 * conductance + 0.13
    noisy = conductance + sigma * rng.standard_normal((n, *conductance.shape))
    return (drive / 255) @ (noisy[:, PLUS] - noisy[:, MINUS]) / 8.0


def test_fast_forward_has_the_distribution_of_the_naive_one():
    # 12-bit codes resolve the noise (LSB 0.004 against a spread of about 0.1), 4000 products of 9
    # columns each way. Two-sample Kolmogorov-Smirnov per column, Bonferroni at 1e-3 over nine.
    crossbar = make(DeviceConfig(), converter=ConverterConfig(adc_bits=12))
    rng = np.random.default_rng(5)
    for _ in range(3):
        pulse_all(crossbar.state, SET, 0.0)
    drive = (rng.integers(0, 256, 21) * (rng.random(21) < 0.6)).astype(np.uint8)
    lsb = crossbar.config.converter.forward_lsb
    codes = np.empty((4000, 1, 9), np.int16)
    repeat_forward(crossbar.state, drive, 2.0, codes)
    slow = naive_forward(crossbar, drive, 2.0, rng, 4000)
    slow_codes = reference_codes(slow, lsb, 2047)
    for col in range(9):
        assert stats.ks_2samp(codes[:, 0, col], slow_codes[:, col]).pvalue > 1e-3 / 9
    fast = codes[:, 0] * lsb
    np.testing.assert_allclose(
        fast.mean(0), slow.mean(0), atol=4 * slow.std() * np.sqrt(2 / 4000), rtol=0.001
    )
    np.testing.assert_allclose(fast.std(0), slow.std(0), rtol=4 * np.sqrt(1 / 4000))
    # Columns share no noise: largest of 36 correlations of 4000 samples, standard error 0.016.
    correlation = np.corrcoef(fast.T) - np.eye(9)
    assert np.abs(correlation).max() < 4 / np.sqrt(4000)


def test_backward_noise():
    crossbar = make(DeviceConfig(), converter=ConverterConfig(adc_bits=12))
    drive = np.array([127, -127, 3, 0, 40, -1, 99, -64, 12], np.int8)
    codes = np.empty((4000, 1, 21), np.int16)
    repeat_backward(crossbar.state, drive, 2.0, codes)
    currents = codes[:, 0] * 2.0**crossbar.config.converter.backward_lsb_log2
    plus, minus = crossbar.conductances(2.0)
    sigma2 = (0.03 * plus + 0.13) ** 2 + (0.03 * minus + 0.13) ** 2
    expected = np.sqrt(sigma2 @ drive.astype(float) ** 2) / 8
    np.testing.assert_allclose(currents.std(0), expected, rtol=4 * np.sqrt(0.5 / 4000) + 0.002)
    mean = (plus - minus) @ drive.astype(float) / 8
    np.testing.assert_allclose(
        currents.mean(0), mean, atol=4 * expected.max() / np.sqrt(4000) + 0.05
    )


@pytest.mark.parametrize("conductance", [0.1, 2.0, 8.0, 10.0])
def test_read_noise(conductance):
    # 0.13 + 0.03 G, the reference's table; 9 devices, 4000 reads each, standard error 0.4 %.
    crossbar = make(
        replace(DeviceConfig(), drift_nu=0.0),
        converter=ConverterConfig(adc_bits=12, read_full_scale_us=20.48),
    )
    set_weights(crossbar, conductance, 0.1)
    codes = np.empty((4000, 9), np.int16)
    repeat_read(crossbar.state, 4, PLUS, 1.0, codes)
    values = codes * 0.01
    assert values.mean() == pytest.approx(conductance, abs=4 * 0.43 / np.sqrt(36_000))
    assert values.std() == pytest.approx(0.13 + 0.03 * conductance, rel=0.016)
    assert np.abs(np.corrcoef(values.T) - np.eye(9)).max() < 4 / np.sqrt(4000)
    assert abs(np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]) < 4 / np.sqrt(4000)


# Runs


def run(crossbar, images, start=0):
    """A stretch of something like training, through the object; everything that came out."""
    rng = np.random.default_rng(1000 + start)
    results = []
    for k in range(start, start + images):
        time_s = 2e-6 * (k + 1)
        drive = rng.integers(0, 256, crossbar.state.n_rows).astype(np.uint8)
        error = rng.integers(-127, 128, crossbar.state.n_cols).astype(np.int8)
        results += [crossbar.forward(drive, time_s), crossbar.backward(error, time_s)]
        row, col = k % crossbar.state.n_rows, 5 * k % crossbar.state.n_cols
        crossbar.program(row, col, k % 2, int(k % 7 == 0), time_s)
        results.append(crossbar.read(row, k % 2, time_s))
    return np.concatenate([result.ravel() for result in results])


@njit
def run_compiled(states, layer, drives, errors, forward, backward, read):
    state = states[layer]
    for k in range(drives.shape[0]):
        time_s = 2e-6 * (k + 1)
        product_forward(state, drives[k], time_s, forward[k])
        product_backward(state, errors[k], time_s, backward[k])
        row, col = k % state.n_rows, 5 * k % state.n_cols
        program(state, row, col, k % 2, int(k % 7 == 0), time_s)
        read_row(state, row, k % 2, time_s, read[k])


def test_same_seed_same_run():
    first, second = (Crossbar(tiny_mca, 0, np.random.default_rng(6)) for _ in range(2))
    np.testing.assert_array_equal(run(first, 40), run(second, 40))
    other = Crossbar(tiny_mca, 0, np.random.default_rng(7))
    assert (run(other, 40) != run(Crossbar(tiny_mca, 0, np.random.default_rng(6)), 40)).any()


def test_compiled_caller_gets_the_same():
    # Both layers in one homogeneous tuple, as the trainer holds them.
    crossbars = [Crossbar(tiny_mca, k, np.random.default_rng(6 + k)) for k in range(2)]
    twin = Crossbar(tiny_mca, 0, np.random.default_rng(6))
    expected = run(twin, 40)
    rng = np.random.default_rng(1000)
    drives, errors = np.empty((40, 21), np.uint8), np.empty((40, 9), np.int8)
    for k in range(40):
        drives[k], errors[k] = rng.integers(0, 256, 21), rng.integers(-127, 128, 9)
    forward, backward = np.empty((40, 1, 9), np.int16), np.empty((40, 1, 21), np.int16)
    read = np.empty((40, 9), np.int16)
    states = tuple(crossbar.state for crossbar in crossbars)
    run_compiled(states, 0, drives, errors, forward, backward, read)
    got = np.concatenate([np.r_[forward[k, 0], backward[k, 0], read[k]] for k in range(40)])
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(crossbars[0].state.weight, twin.state.weight)


def test_save_and_load_go_on_bit_for_bit(tmp_path):
    whole = Crossbar(tiny_mca, 0, np.random.default_rng(6))
    run(whole, 25)
    np.savez(tmp_path / "array.npz", allow_pickle=False, **whole.save())
    resumed = Crossbar(tiny_mca, 0, np.random.default_rng(99))
    run(resumed, 3)
    with np.load(tmp_path / "array.npz", allow_pickle=False) as arrays:
        resumed.load(dict(arrays))
    assert resumed.time_s == whole.time_s
    np.testing.assert_array_equal(run(resumed, 25, start=25), run(whole, 25, start=25))
    for name, array in whole.save().items():
        np.testing.assert_array_equal(resumed.save()[name], array)


def wrong(name, value):
    return lambda arrays: arrays | {name: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "history"}, "lacks history"),
        (lambda a: {k: v for k, v in a.items() if k != "rng"}, "lacks rng"),
        (wrong("history", np.zeros((3, 3, 2), np.float32)), r"must be float32 \(21, 9, 2\), not"),
        (wrong("stuck", np.zeros((21, 9, 2))), "must be uint8"),
        (wrong("conductance_us", np.full((21, 9, 2), np.nan, np.float32)), "must be finite"),
        (wrong("time_s", np.array(-1e9)), "pulses later than its own time"),
        (wrong("time_s", np.array(np.nan)), "pulses later than its own time"),
        (wrong("rng", np.array("{}")), "no valid time or random generator"),
        (wrong("rng", np.array("not json")), "no valid time or random generator"),
        (wrong("rng", np.array(json.dumps({"bit_generator": "MT19937"}))), "no valid time"),
    ],
)
def test_wrong_arrays_change_nothing(change, message):
    crossbar = Crossbar(tiny_mca, 0, np.random.default_rng(6))
    run(crossbar, 5)
    before = crossbar.save()
    with pytest.raises(ValueError, match=message):
        crossbar.load(change(crossbar.save()))
    for name, array in crossbar.save().items():
        np.testing.assert_array_equal(array, before[name])


def test_exchanged_generator_leaves_training_alone():
    crossbar = Crossbar(tiny_mca, 0, np.random.default_rng(6))
    before = crossbar.save()["rng"]
    evaluation = crossbar.state._replace(rng=np.random.default_rng(1))
    product_forward(evaluation, np.full(21, 9, np.uint8), 1.0, np.empty((1, 9), np.int16))
    assert crossbar.save()["rng"] == before


def test_init_wrong_generator():
    with pytest.raises(ValueError, match="needs a PCG64 generator.*not MT19937"):
        Crossbar(tiny_mca, 0, np.random.Generator(np.random.MT19937(1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.forward(np.zeros(20, np.uint8), 0.0), r"drive must be uint8 \[21\]"),
        (lambda c: c.forward(np.zeros(21), 0.0), "not float64"),
        (lambda c: c.backward(np.zeros(9, np.uint8), 0.0), r"drive must be int8 \[9\]"),
        (lambda c: c.read(21, PLUS, 0.0), "outside the 21 x 9 x 2 array"),
        (lambda c: c.read(0, 2, 0.0), "outside"),
        (lambda c: c.program(0, 9, PLUS, SET, 0.0), "outside"),
        (lambda c: c.program(-1, 0, PLUS, SET, 0.0), "outside"),
        (lambda c: c.program(0, 0, PLUS, 2, 0.0), "kind must be 0"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call(make())


def test_memory_of_the_real_size():
    crossbar = Crossbar(mca_mlp, 0, np.random.default_rng(1))
    arrays = [value for value in crossbar.state if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) < 20e6
