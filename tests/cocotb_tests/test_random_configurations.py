"""Property: the unit of any valid configuration equals the model, in Verilator, on every image."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cocotb_tests.cosim import cosimulate
from model.activity import Activity
from model.arrays import new_arrays
from model.config import Config, ScalePolicy, SkipPolicy, to_toml
from model.unit import new_unit, settings, train_image
from tests.cocotb_tests.random_configurations import DECKS, draw_configurations, draw_images

SEED = 1
N_CONFIGURATIONS = 26
N_IMAGES = 14

CONFIGURATIONS = draw_configurations(SEED, N_CONFIGURATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGURATIONS, ids=lambda config: config.name)
def test_no_mismatch(config, build_dir):
    images, labels = draw_images(config, SEED, N_IMAGES)
    result = cosimulate(
        config,
        images,
        labels,
        out_dir=build_dir / "random",
        seed=SEED,
        quick=True,
        cache_dir=build_dir,
    )
    assert result.mismatch is None, f"{result.mismatch['text']}\n{to_toml(config)}"
    assert result.images == N_IMAGES


def test_draw_is_reproducible():
    assert draw_configurations(SEED, N_CONFIGURATIONS) == CONFIGURATIONS
    assert draw_configurations(SEED + 1, N_CONFIGURATIONS) != CONFIGURATIONS


def test_draw_has_every_size():
    lanes = [config.update.lanes for config in CONFIGURATIONS]
    assert set(lanes) == set(DECKS["lanes"])
    assert {config.network.n_layers for config in CONFIGURATIONS} == {1, 2, 3}
    assert {config.converter.adc_bits for config in CONFIGURATIONS} == set(DECKS["adc_bits"])
    assert {config.update.scale_policy for config in CONFIGURATIONS} == set(ScalePolicy)
    assert {config.update.skip_policy for config in CONFIGURATIONS} == set(SkipPolicy)
    # Widths that fill their words, that leave lanes over, and a bias with a word of its own.
    remainders = {
        (width % config.update.lanes == 0, (width + 1) % config.update.lanes == 0)
        for config in CONFIGURATIONS
        for width in config.network.layers
    }
    assert remainders == {(True, False), (False, True), (False, False)}
    # Layers split over arrays, the last of them smaller, along rows and along columns.
    assert any(_is_uneven(c.network.n_rows(0), c.array.max_rows) for c in CONFIGURATIONS)
    assert any(_is_uneven(c.network.n_cols(0), c.array.max_cols) for c in CONFIGURATIONS)


def _is_uneven(lines: int, per_array: int) -> bool:
    return lines > per_array and lines % per_array != 0


def test_images_make_the_units_do_everything():
    total: Counter[str] = Counter()
    for config in CONFIGURATIONS:
        total.update(_deeds(config))
    assert all(total.values()), total


def _has_stalled(stalls: NDArray[np.int64]) -> bool:
    offered, transferred = stalls.T
    return bool((transferred > offered).any())


def _deeds(config: Config) -> dict[str, int]:
    """What the model does with the images: in how many images something happens."""
    unit, arrays = new_unit(config), new_arrays(config, SEED)
    states, run = tuple(array.state for array in arrays), settings(config)
    deeds: Counter[str] = Counter()
    for index, (image, label) in enumerate(zip(*draw_images(config, SEED, N_IMAGES), strict=True)):
        before = unit.counters.copy()
        train_image(unit, states, run, image, int(label), index + 1 < N_IMAGES)
        done: dict[str, Any] = dict(zip(Activity, unit.counters - before, strict=True))
        trace = unit.trace
        layers = range(config.network.n_layers)
        deeds["updated words"] += bool(done[Activity.CHI_WORDS])
        deeds["words with several pulses"] += bool(
            done[Activity.SET_PULSES] > done[Activity.PULSE_WORDS] > 0
        )
        deeds["refreshed pairs"] += bool(done[Activity.REFRESHED_PAIRS])
        deeds["pairs written again"] += bool(trace.refreshed[: trace.sizes[1], 3].any())
        deeds["periodic refresh"] += bool(trace.sizes[3] > 1)
        deeds["overlapped update"] += not unit.is_whole
        deeds["skipped"] += bool(trace.sizes[2])
        deeds["not skipped"] += not trace.sizes[2]
        deeds["update of every layer"] += bool((trace.exponents[:, 2] >= 0).all())
        deeds["update below one LSB"] += any(
            trace.error_codes[k].any() and trace.exponents[k, 2] < 0 and not trace.sizes[2]
            for k in layers
        )
        codes = [trace.codes[k] for k in layers]
        deeds["saturated sum of tiles"] += any(
            config.row_tiles(k) > 1 and bool((codes[k] != trace.tile_codes[k].sum(axis=0)).any())
            for k in layers
        )
        deeds["saturated backward sum of tiles"] += any(
            bool((trace.codes_back[k] != trace.tile_codes_back[k].sum(axis=0)).any())
            for k in layers[1:]
            if not trace.sizes[2]
        )
        deeds["stalled update"] += _has_stalled(unit.update_timing.stalls)
    return dict(deeds)
