"""Faults at the boundary of the arrays: what they do to codes, drives, chi and tables."""

from dataclasses import replace

import numpy as np
import pytest

from model.arrays import new_arrays
from model.cnn import fault_study as cnn_study
from model.cnn.crossbar import LayerArrays
from model.cnn.product_tables import add_chunk, product_tables, spread
from model.cnn.read_out import shift_add
from model.config import ChiProtection, Config
from model.configurations import load, tiny_mca
from model.fault_study import ChiFlips
from model.faults import Fault, flip_bits, force, no_faults, reference, stuck_bits
from model.in_situ import fault_study as in_situ_study
from model.in_situ.arrays import new_arrays as new_in_situ_arrays
from model.unit import new_unit

QUIET = replace(
    tiny_mca,
    device=replace(tiny_mca.device, noise_slope=0.0, noise_offset_us=0.0, drift_nu=0.0),
)


@pytest.mark.parametrize("bits", [3, 8, 12])
def test_stuck_bits_hold_one_bit_of_every_broken_converter(bits: int) -> None:
    rng = np.random.default_rng(bits)
    codes = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1), dtype=np.int16)
    masks = stuck_bits((1, 300), bits, 1.0, rng)
    seen = set()
    for line in range(300):
        forced = codes.copy()
        force(np.repeat(masks[:, 0, line : line + 1], len(codes), axis=1), forced)
        assert forced.min() >= codes.min()
        assert forced.max() <= codes.max()
        changed = np.bitwise_or.reduce((forced ^ codes) & (2**bits - 1))
        assert int(changed).bit_count() == 1, "one bit and no other"
        level = {int(code >> int(changed).bit_length() - 1) & 1 for code in forced}
        assert len(level) == 1
        seen.add((int(changed), *level))
    assert len(seen) == 2 * bits, "any bit, at either level"


def test_stuck_bits_by_rate_and_converter() -> None:
    def masks(rate: float, **options: int) -> np.ndarray:
        return stuck_bits((2, 999), 8, rate, np.random.default_rng(1), **options)

    assert (masks(0.0) == no_faults(1, 999, row_tiles=2).forward).all()
    few, many = (((masks(rate) != masks(0.0)).any(axis=0)) for rate in (0.05, 0.2))
    assert 0.03 < few.mean() < 0.07
    assert (many | ~few).all(), "the faults of a lower rate are among those of a higher"
    shared = masks(0.5, shared=4)
    assert (shared[..., 0:996:4] == shared[..., 3:999:4]).all()
    assert masks(1.0, signed=False)[1].max() == 128


def test_flip_bits() -> None:
    values = np.arange(256, dtype=np.uint8)
    rng = np.random.default_rng(1)
    assert (flip_bits(values, 8, 0.0, rng) == values).all()
    assert (flip_bits(values, 8, 1.0, rng) == 255 - values).all()
    assert (flip_bits(values, 4, 1.0, rng) == values ^ 15).all()
    assert 0.05 < np.unpackbits(flip_bits(values, 8, 0.1, rng) ^ values).mean() < 0.15


def test_exact_reference_draws_nothing() -> None:
    rng, other, faults = np.random.default_rng(1), np.random.default_rng(1), no_faults(1, 1)
    assert reference(faults, rng) == 1.0
    assert rng.random() == other.random()
    faults.spread[0] = 0.1
    values = [reference(faults, rng) for _ in range(2000)]
    assert np.mean(values) == pytest.approx(1.0, abs=0.01)
    assert np.std(values) == pytest.approx(0.1, rel=0.1)


def test_dead_column_gives_and_takes_nothing() -> None:
    array = new_arrays(QUIET, 1)[0]
    n_rows, n_cols = array.shape
    rng = np.random.default_rng(1)
    drive = rng.integers(0, 256, n_rows).astype(np.uint8)
    back = rng.integers(-127, 128, n_cols).astype(np.int8)
    before = array.forward(drive, 0.0), array.read(1, 0, 0.0)
    cut = back.copy()
    cut[2] = 0
    expected = array.backward(cut, 0.0)
    faults = array.state.faults
    faults.columns[2] = False
    faults.forward[:, :, 2] = 0
    others = np.arange(n_cols) != 2
    for was, now in zip(before, (array.forward(drive, 0.0), array.read(1, 0, 0.0)), strict=True):
        assert (now[..., 2] == 0).all()
        assert (now[..., others] == was[..., others]).all()
    assert (array.backward(back, 0.0) == expected).all()
    assert (expected != 0).any()


def test_reference_scales_codes() -> None:
    array = new_arrays(QUIET, 1)[0]
    drive = np.full(array.shape[0], 255, np.uint8)
    exact = array.forward(drive, 0.0)
    array.state.faults.spread[0] = 0.2
    factor = reference(array.state.faults, np.random.default_rng(5))
    array.state.rng.bit_generator.state = np.random.default_rng(5).bit_generator.state
    found = array.forward(drive, 0.0)
    assert np.abs(found - exact / factor).max() <= 0.5 + 0.5 / factor
    assert (found != exact).any()


def test_in_situ_faults() -> None:
    """Codes forced both ways, a cut column, and products of one image as of many."""
    config = load("tiny_in_situ")
    array = new_in_situ_arrays(config, 1)[0]
    n_inputs, n_cols = array.state.weight.shape
    drive, back = np.full(n_inputs, 200, np.uint8), np.full(n_cols, 99, np.uint8)
    codes, codes_back = array.forward(drive), array.backward(back)
    faults = array.state.faults
    faults.forward[1, 0, 0] = 64
    faults.backward[0, 0, 0] = ~1
    assert array.forward(drive)[0] == codes[0] | 64
    assert array.backward(back)[0] == codes_back[0] & ~1
    cut = back.copy()
    cut[1] = 0
    expected = array.backward(cut)
    faults.columns[1] = False
    assert (array.backward(back) == expected).all()
    assert Fault.CHI_BITS not in in_situ_study.FAULTS
    assert Fault.CHI_BITS not in cnn_study.FAULTS


@pytest.mark.parametrize("layer", [0, -1])
def test_cnn_tables_have_the_faults_of_the_arrays(layer: int) -> None:
    """The fast product equals the phases one by one, narrow and wide chunks."""
    config = load("yao_cnn")
    layer %= config.n_conv + 1
    rng = np.random.default_rng(1)
    arrays = LayerArrays(config, layer, np.random.default_rng(2))
    arrays.conductance_us = rng.uniform(2, 20, arrays.conductance_us.shape)
    arrays.refresh()
    plain = product_tables(arrays)
    arrays.faults = stuck_bits(
        arrays.faults.shape[1:], config.array.adc_bits, 0.5, rng, signed=False
    )
    tables, steps = product_tables(arrays), config.steps(layer)
    sums, without, expected = (np.zeros(config.outs(layer), np.int32) for _ in range(3))
    if tables.narrow:
        sums += tables.dark  # a bit that is stuck at 1 shows in phases without a drive too
    for chunk in range(config.chunks(layer)):
        tile, step = divmod(chunk, steps)
        values = rng.integers(0, 64, config.chunk_inputs(layer)).astype(np.uint8)
        codes = []
        for bit in range(8):
            drive = np.zeros((config.tiles(layer), len(values)), np.uint8)
            drive[tile] = values >> bit & 1
            codes.append(arrays.phase(step, drive)[tile])
        expected += shift_add(np.array(codes))
        planes = np.empty(-(-len(values) // 8), np.uint64)
        spread(values, planes)
        add_chunk(tables, chunk, planes, sums)
        add_chunk(plain, chunk, planes, without)
    assert sums.tolist() == expected.tolist()
    assert (sums != without).any()


# Bits of chi


def chi_config(protection: ChiProtection, chi_bits: int = 32) -> Config:
    update = replace(tiny_mca.update, chi_bits=chi_bits, epsilon_log2=4, chi_protection=protection)
    return replace(tiny_mca, update=update)


def flips_of(config: Config, rate: float = 0.0) -> tuple[ChiFlips, list[np.ndarray]]:
    unit = new_unit(config)
    rng = np.random.default_rng(1)
    for chi in unit.chi:
        chi[...] = rng.integers(-15, 16, chi.shape)
    return ChiFlips(unit, config, rate, np.random.default_rng(2)), [*unit.chi]


@pytest.mark.parametrize("chi_bits", [8, 32])
def test_flip_without_check_bits_changes_one_bit(chi_bits: int) -> None:
    flips, chi = flips_of(chi_config(ChiProtection.NONE, chi_bits))
    before = np.concatenate([layer.reshape(-1) for layer in chi]).astype(np.int64)
    flips.flip(1)
    after = np.concatenate([layer.reshape(-1) for layer in chi]).astype(np.int64)
    changed = (before ^ after)[before != after] & (1 << chi_bits) - 1
    assert [int(mask).bit_count() for mask in changed] == [1]
    assert after.min() >= -(2 ** (chi_bits - 1))
    assert after.max() < 2 ** (chi_bits - 1)


def test_secded_single_flips_change_nothing_and_are_counted_when_met() -> None:
    flips, chi = flips_of(chi_config(ChiProtection.SECDED))
    before = [layer.copy() for layer in chi]
    flips.flip(3)
    assert all((now == was).all() for now, was in zip(chi, before, strict=True))
    assert (flips.flipped, flips.corrected, flips.lost) == (3, 0, 0)
    for touched in flips.touched:
        touched[:] = True
    flips.settle()
    flips.settle()
    assert (flips.corrected, flips.lost) == (3, 0)


def test_flips_that_add_up_lose_the_word() -> None:
    """So many flips that words have two and more; parity loses what has an odd number."""
    for protection in (ChiProtection.PARITY, ChiProtection.SECDED):
        flips, chi = flips_of(chi_config(protection))
        before = np.concatenate([layer.reshape(-1) for layer in chi])
        flips.flip(2000)
        after = np.concatenate([layer.reshape(-1) for layer in chi])
        pattern = np.concatenate(flips.pattern)
        weight = np.array([int(mask).bit_count() for mask in pattern])
        lost = weight == 2 if protection is ChiProtection.SECDED else weight % 2 == 1
        assert lost.any()
        assert (after[lost] == 0).all()
        assert (after[weight == 0] == before[weight == 0]).all()
        for touched in flips.touched:
            touched[:] = True
        flips.settle()
        assert flips.lost >= lost.sum()


def test_flips_follow_the_rate() -> None:
    flips, chi = flips_of(chi_config(ChiProtection.SECDED), rate=1e-3)
    bits = 39 * sum(layer.size for layer in chi)
    assert flips.counts(2000).mean() == pytest.approx(1e-3 * bits, rel=0.05)
