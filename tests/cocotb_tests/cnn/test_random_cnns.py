"""Property: the inference unit of any valid configuration equals the model, in Verilator: it
classifies, learns, is written, and classifies again."""

import numpy as np
import pytest

from cocotb_tests.cnn.cosim import Batch, Images, cosimulate
from model.cnn.config import CnnConfig, ReplicaMode
from model.cnn.hybrid import plan_batch
from model.cnn.inference_unit import InferenceUnit
from model.settings import to_toml
from tests.cocotb_tests.cnn.random_cnns import draw_cnns, draw_writes
from tests.hw.cnn.cnn_sim import random_images, random_unit

SEED = 4
N_CONFIGURATIONS = 6
N_IMAGES = 4
N_WRITES = 8
LOGIT_SCALE = 1e-4

CONFIGURATIONS = draw_cnns(SEED, N_CONFIGURATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGURATIONS, ids=lambda config: config.name)
def test_no_mismatch(config, build_dir):
    unit, images = random_unit(config, SEED), random_images(config, SEED, N_IMAGES)
    labels = np.zeros(N_IMAGES, np.uint8)
    shown = Images(images, labels)
    result = cosimulate(
        unit,
        [
            shown,
            Batch(images, labels, LOGIT_SCALE),
            draw_writes(unit, SEED, N_WRITES),
            shown,
        ],
        out_dir=build_dir / "random_cnn",
        quick=True,
        cache_dir=build_dir,
    )
    assert result.mismatch is None, f"{result.mismatch['text']}\n{to_toml(config)}"
    assert result.images == 3 * N_IMAGES
    targets, enables = _update(config)
    assert result.compared["update_targets"] == targets.size
    assert result.compared["written_rows"] == N_WRITES + enables.any(axis=2).sum()
    assert result.compared["pulses"] > 0


def _update(config: CnnConfig) -> tuple[np.ndarray, np.ndarray]:
    """Targets and enables of the batch, on the model."""
    unit = random_unit(config, SEED)
    features = unit.features(random_images(config, SEED, N_IMAGES))
    labels = np.zeros(N_IMAGES, np.uint8)
    return plan_batch(unit, features, unit.accumulators(features), labels, LOGIT_SCALE)


def test_batches_change_weights():
    """Of several replicas in bands and with an image each, and of one."""
    kinds = {
        (config.replicas.n > 1, config.replicas.mode)
        for config in CONFIGURATIONS
        if _update(config)[1].any()
    }
    assert {(True, ReplicaMode.BANDS), (True, ReplicaMode.IMAGES)} <= kinds


def test_draw_is_reproducible():
    assert draw_cnns(SEED, N_CONFIGURATIONS) == CONFIGURATIONS
    assert draw_cnns(SEED + 1, N_CONFIGURATIONS) != CONFIGURATIONS


def test_draw_has_every_kind():
    def some(condition):
        return any(condition(config) for config in CONFIGURATIONS)

    modes = {config.replicas.mode for config in CONFIGURATIONS if config.replicas.n > 1}
    assert modes == set(ReplicaMode)
    assert {config.n_conv for config in CONFIGURATIONS} >= {1, 2}
    assert some(lambda config: len({band.conv_rows for band in config.bands(0)}) > 1)
    assert some(lambda config: max(config.network.strides) > 1)
    assert some(lambda config: _pools_at_the_edge(config))
    assert some(lambda config: max(map(config.tiles, range(config.n_layers))) > 1)
    assert some(lambda config: max(map(config.steps, range(config.n_layers))) > 1)


def _pools_at_the_edge(config: CnnConfig) -> bool:
    return any(
        config.conv_shape(layer)[axis] % pool != 0
        for layer, pool in enumerate(config.network.pools)
        for axis in (0, 1)
    )


def test_writes_fail_and_succeed():
    """Rows that reach their targets, and devices that are given up."""
    results = []
    for config in CONFIGURATIONS:
        unit: InferenceUnit = random_unit(config, SEED)
        for command in draw_writes(unit, SEED, N_WRITES):
            arrays = unit.arrays[command.array]
            results.append(
                arrays.write_row(command.chunk, command.input, command.targets, command.enables)
            )
    assert any(result.failed.any() for result in results)
    assert any(result.iterations > 1 and not result.failed.any() for result in results)
    assert any(result.iterations == 0 for result in results)
