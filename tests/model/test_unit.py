"""One image through the whole unit: what must hold of the composition, whatever the numbers."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from model.activity import Activity
from model.arrays import new_arrays
from model.config import (
    Config,
    ConverterConfig,
    NetworkConfig,
    RefreshConfig,
    ScalePolicy,
    SkipPolicy,
)
from model.configurations import tiny_mca
from model.crossbar import CrossbarState
from model.cycles import error_cycles, forward_cycles, timing
from model.unit import Settings, UnitState, infer_image, new_unit, settings, train_image

LAYERS = pytest.mark.parametrize(
    "layers", [(7, 3), (20, 9, 4), (11, 9, 6, 3)], ids=["one", "two", "three"]
)

# Pairs count as saturated from their initial values on, so that refresh has work.
busy_refresh = RefreshConfig(saturated_us=1.0, difference_us=6.0)


class Unit:
    """A unit with its arrays, and random images for it."""

    def __init__(self, config: Config, seed: int = 1) -> None:
        self.config = config
        self.run = settings(config)
        self.unit: UnitState = new_unit(config)
        self.arrays: tuple[CrossbarState, ...] = tuple(
            array.state for array in new_arrays(config, seed)
        )
        self.rng = np.random.default_rng(seed)

    def train(
        self, image: npt.NDArray[np.uint8] | None = None, label: int = 0, follows: bool = False
    ) -> bool:
        if image is None:
            image = self.rng.integers(0, 256, self.config.network.layers[0]).astype(np.uint8)
        return bool(train_image(self.unit, self.arrays, self.run, image, label, follows))

    def count(self, activity: Activity) -> int:
        return int(self.unit.counters[activity])

    @property
    def cycles(self) -> list[int]:
        return [int(count) for count in self.unit.trace.cycles]


def with_update(config: Config, **changes: object) -> Config:
    return replace(config, update=replace(config.update, **changes))


@LAYERS
def test_deterministic(layers: tuple[int, ...]) -> None:
    """Same seed, same everything; another seed, other devices."""
    config = replace(tiny_mca, network=NetworkConfig(layers=layers), refresh=busy_refresh)
    first, second, other = Unit(config, 1), Unit(config, 1), Unit(config, 2)
    for _ in range(5):
        for unit in (first, second, other):
            unit.train()
    assert first.unit.counters.tolist() == second.unit.counters.tolist()
    for one, two in zip(first.unit.chi, second.unit.chi, strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(first.unit.trace.tile_codes, second.unit.trace.tile_codes, strict=True):
        np.testing.assert_array_equal(one, two)
    codes = [np.concatenate([c.ravel() for c in u.unit.trace.codes]) for u in (first, other)]
    assert (codes[0] != codes[1]).any()


def test_dark_image() -> None:
    """Only the bias line is driven; only its word is updated."""
    unit = Unit(replace(tiny_mca, refresh=RefreshConfig(interval=0)))
    unit.train(np.zeros(20, np.uint8))
    trace = unit.unit.trace
    assert trace.activations[0].tolist() == [0] * 20 + [255] + [0] * 3
    words = trace.words[: trace.sizes[0]]
    assert set(words[words[:, 0] == 0, 2].tolist()) == {2}
    assert np.flatnonzero(unit.unit.chi[0].reshape(-1, 8).any(axis=0)).tolist() == [4]
    assert unit.count(Activity.FORWARD_PRODUCTS) == 2


def test_last_of_bright_image_leaves_no_trace() -> None:
    """A dark image behind a bright one: nothing of the vectors before is left."""
    unit = Unit(tiny_mca)
    unit.train(np.full(20, 255, np.uint8))
    unit.train(np.zeros(20, np.uint8))
    assert not unit.unit.trace.activations[0][:20].any()
    assert not unit.unit.trace.update_codes[0].reshape(-1)[:20].any()


@LAYERS
def test_phases_without_refresh_and_update(layers: tuple[int, ...]) -> None:
    """Cycles by hand where nothing depends on the data: a rate so low that no update is kept."""
    config = replace(
        tiny_mca, network=NetworkConfig(layers=layers), refresh=RefreshConfig(interval=0)
    )
    unit = Unit(with_update(config, skip_policy=SkipPolicy.NEVER, epsilon_log2=2, chi_bits=8))
    unit.run = unit.run._replace(learning_rate_log2=-32)
    unit.train()
    constants, n_layers = timing(config), config.network.n_layers
    forward = 1 + sum(forward_cycles(constants, layer) for layer in range(n_layers))
    assert unit.cycles[0] == forward
    assert unit.cycles[1] == error_cycles(constants, n_layers - 1)
    words = [config.rows_to_words(width) for width in config.network.layers[1:]]
    mvm = config.array.mvm_cycles
    # Product, read-out, operands; its words; error unit and quantiser; the words again.
    assert unit.cycles[2] == sum(mvm + 2 + 2 * count + 8 for count in words[:-1])
    assert unit.cycles[3] == 1
    assert unit.count(Activity.CHI_WORDS) == 0


@pytest.mark.parametrize("policy", SkipPolicy)
def test_skip_policies(policy: SkipPolicy) -> None:
    """Saturated outputs have no error: skipped unless the policy is never to skip."""
    # Weights so strong that every output is 0 or 255.
    config = replace(
        with_update(tiny_mca, skip_policy=policy),
        converter=ConverterConfig(weight_us=0.01, forward_full_scale=32.0),
        refresh=RefreshConfig(interval=0),
    )
    unit = Unit(config)
    unit.train()
    trace = unit.unit.trace
    assert set(trace.activations[2][:4].tolist()) <= {0, 255}
    assert not trace.errors[1].any()
    assert trace.sizes[2] == (policy is not SkipPolicy.NEVER)
    assert unit.count(Activity.SKIPPED_IMAGES) == (policy is not SkipPolicy.NEVER)
    assert unit.count(Activity.BACKWARD_PRODUCTS) == (policy is SkipPolicy.NEVER)
    assert unit.count(Activity.CHI_WORDS) == 0
    if policy is not SkipPolicy.NEVER:
        assert unit.cycles[2:] == [0, 1]


def test_zero_codes_skip_more_than_zero_errors() -> None:
    """A small error under a large running maximum: codes of zero, errors not."""
    for policy, skipped in ((SkipPolicy.ZERO_ERROR, 0), (SkipPolicy.ZERO_CODES, 1)):
        unit = Unit(with_update(tiny_mca, skip_policy=policy, decay_log2=16))
        unit.unit.maxima[:] = 1 << 30
        unit.train()
        assert unit.unit.trace.errors[1].any()
        assert not unit.unit.trace.error_codes[1].any()
        assert unit.count(Activity.SKIPPED_IMAGES) == skipped


def test_scale_policies() -> None:
    """The own scale uses the range of the codes in every image; the running one only where the
    error is as large as it was."""
    for policy in ScalePolicy:
        unit = Unit(with_update(tiny_mca, scale_policy=policy, decay_log2=16))
        unit.unit.maxima[:] = 1 << 24
        unit.train()
        codes = [int(abs(unit.unit.trace.error_codes[layer]).max()) for layer in (0, 1)]
        if policy is ScalePolicy.OWN:
            assert min(codes) >= 2
        else:
            assert codes[1] <= 2
            assert unit.unit.maxima[1] == (1 << 24) - (1 << 8)


def test_running_maxima_decay_in_skipped_images() -> None:
    """No vector comes for the layers below the output layer, and they decay all the same."""
    config = replace(tiny_mca, network=NetworkConfig(layers=(11, 9, 6, 3)))
    unit = Unit(with_update(config, skip_policy=SkipPolicy.ZERO_CODES, decay_log2=4))
    unit.unit.maxima[:] = 1 << 36
    unit.train()
    assert unit.count(Activity.SKIPPED_IMAGES) == 1
    assert unit.unit.maxima.tolist() == 3 * [(1 << 36) - (1 << 32)]


def test_crowded_vectors_let_the_scale_grow() -> None:
    """The same image again and again, with errors in all units: the scale grows over most of them.
    Without the limit it stays with the largest."""
    codes = []
    for crowded_codes in (0, 2):
        unit = Unit(
            with_update(tiny_mca, crowded_codes=crowded_codes, skip_policy=SkipPolicy.NEVER)
        )
        unit.run = unit.run._replace(learning_rate_log2=-32)  # nothing is learnt
        image = np.full(20, 255, np.uint8)
        for _ in range(200):
            unit.train(image)
        codes.append(int(np.count_nonzero(unit.unit.trace.error_codes[0])))
    assert codes[1] < codes[0]


def test_running_maximum_decays_only_with_trained_images() -> None:
    unit = Unit(tiny_mca)
    unit.train()
    maxima = unit.unit.maxima.copy()
    infer_image(unit.unit, unit.arrays, np.zeros(20, np.uint8))
    np.testing.assert_array_equal(unit.unit.maxima, maxima)


@LAYERS
def test_inference(layers: tuple[int, ...]) -> None:
    """Changes no weight and no accumulator; takes the forward phase and one cycle."""
    config = replace(tiny_mca, network=NetworkConfig(layers=layers), refresh=busy_refresh)
    unit = Unit(config)
    unit.train()
    chi = [memory.copy() for memory in unit.unit.chi]
    pulses = unit.count(Activity.SET_PULSES)
    image = unit.rng.integers(0, 256, layers[0]).astype(np.uint8)
    best = infer_image(unit.unit, unit.arrays, image)
    outputs = unit.unit.trace.activations[-1][: layers[-1]]
    assert best == int(outputs.argmax())
    assert unit.count(Activity.SET_PULSES) == pulses
    for before, after in zip(chi, unit.unit.chi, strict=True):
        np.testing.assert_array_equal(before, after)
    constants = timing(config)
    forward = 1 + sum(forward_cycles(constants, k) for k in range(config.network.n_layers))
    assert unit.cycles == [forward, 0, 0, 1]


@LAYERS
def test_distributed_refresh_visits_every_row_in_turn(layers: tuple[int, ...]) -> None:
    config = replace(tiny_mca, network=NetworkConfig(layers=layers), refresh=busy_refresh)
    unit = Unit(config)
    rows = [
        (layer, row)
        for layer in range(config.network.n_layers)
        for row in range(config.network.n_rows(layer))
    ]
    visited = []
    for _ in range(len(rows) + 1):
        unit.train()
        trace = unit.unit.trace
        visited += [tuple(row) for row in trace.refreshed_rows[: trace.sizes[3]].tolist()]
    assert visited == [*rows, rows[0]]
    assert unit.count(Activity.ROW_READS) == 2 * len(visited)
    assert unit.count(Activity.RESET_PULSES) == 2 * unit.count(Activity.REFRESHED_PAIRS) > 0


@LAYERS
def test_periodic_refresh_visits_all_rows_once(layers: tuple[int, ...]) -> None:
    """Every third image begins a round; it may take two images, for the first array is free only
    behind its product."""
    config = replace(
        tiny_mca,
        network=NetworkConfig(layers=layers),
        refresh=replace(busy_refresh, interval=3, rows=0),
    )
    unit = Unit(config)
    n_rows = [config.network.n_rows(layer) for layer in range(config.network.n_layers)]
    visited: list[list[int]] = []
    for _ in range(5):
        unit.train()
        trace = unit.unit.trace
        visited += trace.refreshed_rows[: trace.sizes[3]].tolist()
    assert sorted(visited) == [[k, row] for k in range(len(n_rows)) for row in range(n_rows[k])]


@pytest.mark.parametrize("interval", [0, 1, 4])
def test_refresh_interval(interval: int) -> None:
    unit = Unit(replace(tiny_mca, refresh=replace(busy_refresh, interval=interval)))
    reads = []
    for _ in range(9):
        before = unit.count(Activity.ROW_READS)
        unit.train()
        reads.append((unit.count(Activity.ROW_READS) - before) // 2)
    assert reads == [int(bool(interval) and k % interval == 0) for k in range(1, 10)]


def test_device_time() -> None:
    """The unit's own cycles, or the configured pace."""
    unit = Unit(tiny_mca)
    unit.train()
    assert unit.unit.device_time_s[0] == pytest.approx(sum(unit.cycles) * 1e-9)
    paced = Unit(replace(tiny_mca, device=replace(tiny_mca.device, seconds_per_image=1.5)))
    paced.train()
    paced.train()
    assert paced.unit.device_time_s[0] == 3.0


@LAYERS
def test_counters_agree_with_the_trace(layers: tuple[int, ...]) -> None:
    """Cycles, words and pulses summed image by image are the counters' totals."""
    config = replace(
        with_update(tiny_mca, learning_rate_log2=3),
        network=NetworkConfig(layers=layers),
        refresh=busy_refresh,
    )
    unit = Unit(config)
    cycles, words, sets = np.zeros(4, np.int64), 0, 0
    for image in range(6):
        unit.train(label=image % layers[-1])
        trace = unit.unit.trace
        cycles += trace.cycles
        words += int(trace.sizes[0])
        sets += int(np.abs(trace.counts[: trace.sizes[0]]).sum())
        sets += int(np.abs(trace.refreshed[: trace.sizes[1], 3]).sum())
    phases = slice(Activity.CYCLES_FORWARD, Activity.CYCLES_UPDATE + 1)
    assert unit.unit.counters[phases].tolist() == cycles.tolist()
    assert unit.count(Activity.CHI_WORDS) == words > 0
    assert unit.count(Activity.SET_PULSES) == sets > 0
    assert unit.count(Activity.IMAGES) == 6


def test_learning_lowers_the_error() -> None:
    """The same image again and again is classified as labelled in the end."""
    config = replace(tiny_mca, refresh=RefreshConfig(interval=0))
    for label in range(4):
        unit = Unit(config, seed=label + 1)
        image = unit.rng.integers(0, 256, 20).astype(np.uint8)
        for _ in range(60):
            unit.train(image, label)
        assert unit.train(image, label)


def test_settings() -> None:
    config = with_update(
        tiny_mca,
        learning_rate_log2=-3,
        epsilon_log2=18,
        scale_policy=ScalePolicy.OWN,
        skip_policy=SkipPolicy.ZERO_CODES,
    )
    assert settings(config) == Settings(-3, 18, running_scale=False, skip=2)
    assert settings(config, learning_rate_log2=1).learning_rate_log2 == 1


def test_overlap_pulses_belong_to_the_next_image() -> None:
    """An image that another follows programs nothing itself and ends with its products; its pulses
    come with the next, as many as without overlap."""
    config = with_update(
        replace(tiny_mca, refresh=RefreshConfig(interval=0)),
        learning_rate_log2=3,
        skip_policy=SkipPolicy.NEVER,
    )
    plain, unit = Unit(config), Unit(with_update(config, overlap=True))
    plain.train()
    assert plain.count(Activity.SET_PULSES) > 0
    before = [array.devices["conductance_us"].copy() for array in unit.arrays]
    unit.train(follows=True)
    assert not unit.unit.is_whole
    assert unit.count(Activity.SET_PULSES) == 0
    assert unit.cycles == [*plain.cycles[:3], 1]
    for array, conductances in zip(unit.arrays, before, strict=True):
        np.testing.assert_array_equal(array.devices["conductance_us"], conductances)
    # A dark image with a rate that changes nothing shows the pulses of the first.
    unit.run = unit.run._replace(learning_rate_log2=-32)
    unit.train(np.zeros(20, np.uint8))
    assert unit.unit.is_whole
    assert unit.count(Activity.SET_PULSES) == plain.count(Activity.SET_PULSES)
