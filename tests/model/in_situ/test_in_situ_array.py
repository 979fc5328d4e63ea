"""One-transistor-one-resistor arrays: products, row-parallel pulses, saving."""

from dataclasses import replace

import numpy as np
import pytest

from model.configurations import tiny_in_situ
from model.in_situ.array import (
    GRID_US,
    OneTransistorArray,
    product_backward,
    product_forward,
)
from model.in_situ.arrays import new_arrays
from model.in_situ.pulse_scheduler import RESET, SET


def configured(**changes):
    return replace(tiny_in_situ, device=replace(tiny_in_situ.device, **changes))


IDEAL = configured(update_variation=0.0, stuck_off_fraction=0.0)


def new_array(config, layer=0, seed=1):
    return OneTransistorArray(config, layer, np.random.default_rng(seed))


def randomised(config, layer=0, seed=1):
    """An array with every gate code somewhere in its range."""
    array = new_array(config, layer, seed)
    shape = array.state.conductance.shape
    array.transfer(np.random.default_rng(seed).integers(60, 171, shape).astype(np.uint8))
    return array


def test_initial():
    array = new_array(configured())
    state = array.state
    assert state.conductance.shape == (32, 9)
    responsive = ~state.stuck
    # One SET at 1.0 V: 214.1 uS with 2 % of the range as spread.
    values = state.conductance[responsive]
    assert values.mean() == pytest.approx(214.1, abs=1.0)
    assert values.std() == pytest.approx(0.02 * 165.66, rel=0.2)
    assert (state.conductance[state.stuck] == 10.0).all()
    assert (state.set_code[responsive] == 100).all()


def test_weights_are_differences():
    state = randomised(configured()).state
    assert (state.weight == state.conductance[:16] - state.conductance[16:]).all()
    assert (state.conductance % GRID_US == 0).all()


@pytest.mark.parametrize("layer", [0, 1])
def test_products_against_mathematics(layer):
    array = randomised(configured(), layer)
    config, weight = array.config, array.state.weight
    converter = config.converter
    rng = np.random.default_rng(5)
    full_scale = converter.output_full_scale_a if layer else converter.hidden_full_scale_a
    for _ in range(20):
        rows = rng.integers(0, 256, weight.shape[0]).astype(np.uint8)
        current_a = 0.2 * (rows / 255) @ weight * 1e-6
        expected = np.clip(np.rint(current_a / full_scale * 128), -128, 127)
        assert (array.forward(rows) == expected).all()
        cols = rng.integers(0, 256, weight.shape[1]).astype(np.uint8)
        current_a = 0.2 * (cols / 255) @ weight.T * 1e-6
        expected = np.clip(np.rint(current_a / converter.backward_full_scale_a * 128), -128, 127)
        assert (array.backward(cols) == expected).all()


def test_codes_saturate():
    array = new_array(IDEAL, layer=1)
    high = np.zeros((18, 4), np.uint8)
    high[:9], high[9:] = 170, 60
    array.transfer(high)
    full = np.full(9, 255, np.uint8)
    assert (array.forward(full) == 127).all()
    array.transfer(high[::-1])
    assert (array.forward(full) == -128).all()


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_batches_do_not_matter(noise):
    """One product at a time or many: the same bits, read noise included."""
    config = configured(read_noise_us=noise)
    one, many = randomised(config), randomised(config)
    rng = np.random.default_rng(7)
    rows = rng.integers(0, 256, (12, 16)).astype(np.uint8)
    cols = rng.integers(0, 256, (12, 9)).astype(np.uint8)
    rows[3], cols[5] = 0, 0
    forward, backward = np.empty((12, 9), np.int16), np.empty((12, 16), np.int16)
    product_forward(many.state, rows.astype(float), forward)
    product_backward(many.state, cols.astype(float), backward)
    for k in range(12):
        assert (one.backward(cols[k]) == backward[k]).all()
        assert (one.forward(rows[k]) == forward[k]).all()
    assert (forward[3] == 0).all()
    if noise:
        silent = randomised(configured())
        assert any((silent.forward(rows[k]) != forward[k]).any() for k in range(12))


def test_read_noise_statistics():
    config = configured(read_noise_us=5.0, stuck_off_fraction=0.0)
    array = new_array(config, layer=1)
    rows = np.full(9, 255, np.uint8)
    codes = np.array([array.forward(rows) for _ in range(2000)])
    # Two devices a pair, nine pairs driven at 0.2 V, 64 uA over 128 codes.
    expected = 5e-6 * np.sqrt(2 * 9) * 0.2 / 64e-6 * 128
    assert codes.std(axis=0) == pytest.approx(np.full(4, expected), rel=0.1)


def test_set_follows_the_table():
    array = new_array(IDEAL)
    gates = np.zeros(9, np.uint8)
    gates[2] = 130
    array.program(20, SET, gates)
    assert array.state.conductance[20, 2] == pytest.approx(63.5 + 150.6 * 1.3, abs=GRID_US)
    assert (np.delete(array.state.conductance[20], 2) == array.state.conductance[19, 0]).all()


def test_set_alone_never_lowers():
    array = new_array(IDEAL)
    before = array.state.conductance.copy()
    array.program(0, SET, np.full(9, 99, np.uint8))
    array.program(0, SET, np.full(9, 100, np.uint8))
    assert (array.state.conductance == before).all()


def test_two_pulses_lower():
    array = new_array(IDEAL)
    array.program(0, RESET, np.full(9, 255, np.uint8))
    assert (array.state.conductance[0] == 10.0).all()
    array.program(0, SET, np.full(9, 70, np.uint8))
    assert array.state.conductance[0] == pytest.approx(np.full(9, 63.5 + 105.42), abs=GRID_US)


def test_stuck_devices_stay():
    array = new_array(configured(stuck_off_fraction=0.5, stuck_on_fraction=0.2))
    stuck = array.state.stuck.copy()
    before = array.state.conductance[stuck]
    assert set(before) == {10.0, 1000.0}
    array.transfer(np.full((32, 9), 150, np.uint8))
    assert (array.state.conductance[stuck] == before).all()
    assert (array.state.conductance[~stuck] > 250).all()


def test_write_spread():
    config = configured(stuck_off_fraction=0.0, update_variation=0.05)
    array = new_array(config)
    values = []
    for _ in range(40):
        array.transfer(np.full((32, 9), 120, np.uint8))
        values.append(array.state.conductance.copy())
    values = np.array(values)
    assert values.mean() == pytest.approx(63.5 + 150.6 * 1.2, abs=0.5)
    assert values.std(axis=0).mean() == pytest.approx(0.05 * 165.66, rel=0.05)


def test_wires_lower_conductances():
    wires = replace(IDEAL, array=replace(IDEAL.array, segment_ohm=20.0))
    with_wires, without = randomised(wires), randomised(IDEAL)
    assert (with_wires.state.conductance == without.state.conductance).all()
    plus, minus = without.state.conductance[:16], without.state.conductance[16:]
    resistance = with_wires.state.resistance
    expected = plus / (1 + 1e-6 * plus * resistance[:16]) - minus / (
        1 + 1e-6 * minus * resistance[16:]
    )
    assert with_wires.state.weight == pytest.approx(expected, abs=2 * GRID_US)


def test_break_devices():
    array = randomised(configured(stuck_off_fraction=0.0))
    assert array.break_devices(0.0, np.random.default_rng(1)) == 0
    n = array.break_devices(0.5, np.random.default_rng(1))
    assert n == array.state.stuck.sum() == (array.state.conductance == 10.0).sum()
    assert (array.state.weight == array.state.conductance[:16] - array.state.conductance[16:]).all()
    assert array.break_devices(1.0, np.random.default_rng(1)) == array.state.stuck.size - n


def test_save_and_load():
    config = configured(read_noise_us=1.0)
    first, second = randomised(config, seed=1), new_array(config, seed=2)
    second.load(first.save())
    rows, gates = np.full(16, 200, np.uint8), np.full(9, 160, np.uint8)
    for array in (first, second):
        array.program(3, RESET, gates)
        array.program(3, SET, gates)
    assert (first.state.weight == second.state.weight).all()
    assert (first.state.set_code == second.state.set_code).all()
    assert (first.forward(rows) == second.forward(rows)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stuck": None}, "has no stuck of bool"),
        ({"set_code": np.zeros(3, np.uint8)}, "has no set_code of uint8"),
        ({"conductance": np.full((32, 9), np.nan)}, "a conductance that no device can have"),
        ({"conductance": np.full((32, 9), GRID_US / 3)}, "a conductance that no device can have"),
        ({"conductance": np.full((32, 9), 2001.0)}, "a conductance that no device can have"),
        ({"rng_write": np.array("{}")}, "has no valid rng_write"),
        ({"rng_forward": None}, "has no valid rng_forward"),
    ],
)
def test_load_refuses(change, message):
    array = new_array(configured())
    before = array.save()
    saved = {name: value for name, value in (before | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        array.load(saved)
    assert all((array.save()[name] == before[name]).all() for name in before)


def test_wrong_calls():
    array = new_array(configured())
    with pytest.raises(ValueError, match="must be uint8"):
        array.forward(np.zeros(9, np.uint8))
    with pytest.raises(ValueError, match="Row 32 is outside"):
        array.program(32, SET, np.zeros(9, np.uint8))
    with pytest.raises(ValueError, match="kind must be 0"):
        array.program(0, 2, np.zeros(9, np.uint8))


def test_seed_decides():
    first, second, other = (new_arrays(tiny_in_situ, seed)[0].state.weight for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()
