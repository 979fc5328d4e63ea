"""The digital unit as a whole equals the model, cycles included, in Amaranth's simulator.

The emitted Verilog is held against the same checker in ``cocotb_tests``; here shapes and policies
vary, and the host stalls.
"""

from dataclasses import replace

import pytest
from amaranth.hdl import Const, Fragment

from hw.digital_unit import DigitalUnit
from model.activity import Activity
from model.config import Config
from model.configurations import tiny_mca
from model.unit import settings
from tests.hw.frame_sim import BrokenContract, Hang, random_batch
from tests.hw.unit_configs import UNITS, busy, overlapped
from tests.hw.unit_sim import Run, run_unit

N_IMAGES = 10
"""Enough for refresh to reach the second layer of `busy`."""


def count(run: Run, activity: Activity) -> int:
    return int(run.checker.unit.counters[activity])


@pytest.mark.parametrize("config", UNITS.values(), ids=UNITS.keys())
def test_equals_model(config: Config) -> None:
    """Codes, activations, errors, chi, pulses, cycles, results and counters of every image."""
    run = run_unit(config, random_batch(config, N_IMAGES, seed=3))
    assert run.checker.images == run.checker.checked_results == N_IMAGES
    assert count(run, Activity.CHI_WORDS) > 0
    assert bool(run.overlapped_images) == config.update.overlap
    refreshes = config.refresh.interval and "tiny_mca" not in config.name
    assert bool(count(run, Activity.REFRESHED_PAIRS)) == bool(refreshes)


def test_everything_happens() -> None:
    """Without this the test above would prove less than it says."""
    run = run_unit(busy, random_batch(busy, N_IMAGES, seed=3))
    assert {pulse[0] for pulses in run.pulses for pulse in pulses if pulse[4]} == {0, 1}
    for activity in Activity:
        assert count(run, activity) > 0, activity.name
    assert 0 < count(run, Activity.SKIPPED_IMAGES) < N_IMAGES
    assert run.stalled_cycles > 0
    devices = {(pulse[3], pulse[4]) for pulses in run.pulses for pulse in pulses}
    assert devices == {(0, 0), (1, 0), (0, 1), (1, 1)}


@pytest.mark.parametrize(("idle", "stall"), [("110100", "1"), ("1", "0001"), ("0001", "110100")])
def test_host_stalls(idle: str, stall: str) -> None:
    """A slow host changes when images begin, and nothing in them."""
    batch = random_batch(busy, 4, seed=5)
    assert run_unit(busy, batch, idle=idle, stall=stall).cycles == run_unit(busy, batch).cycles


def test_slowest_host_delays_images() -> None:
    """Two results may wait for the host; then the next image has to."""
    batch = random_batch(tiny_mca, 5, seed=5)
    quick = run_unit(tiny_mca, batch)
    slow = run_unit(tiny_mca, batch, stall="1" + 299 * "0")
    assert slow.cycles == quick.cycles
    assert slow.simulated_cycles > quick.simulated_cycles + 600


def test_inference_changes_nothing() -> None:
    """Between two batches that train: no error, no update, no pulse, no refresh."""
    train, infer = random_batch(busy, 3, seed=6), random_batch(busy, 2, seed=7, train=False)
    run = run_unit(busy, train, infer, train)
    assert run.pulses[3] == run.pulses[4] == []
    assert all(cycles[1:3] == [0, 0] for cycles in run.cycles[3:5])
    assert count(run, Activity.IMAGES) == 8


def test_settings_of_the_host() -> None:
    """Rate, threshold and policies from the registers, changed while the unit stands still."""
    plain = settings(busy)
    batches = [
        random_batch(busy, 2, seed=8),
        random_batch(busy, 2, seed=9, run=plain._replace(running_scale=False, skip=0)),
        random_batch(busy, 2, seed=10, run=plain._replace(learning_rate_log2=-2, skip=1)),
        random_batch(
            busy, 2, seed=11, run=plain._replace(epsilon_log2=busy.update.epsilon_log2 + 2)
        ),
    ]
    assert run_unit(busy, *batches).checker.images == 8


def test_overlap_hides_the_update() -> None:
    """Every image but the last of a batch goes on beside the next, in fewer cycles."""
    batch = random_batch(busy, N_IMAGES, seed=3)
    plain, run = run_unit(busy, batch), run_unit(overlapped, batch)
    assert run.overlapped_images == N_IMAGES - 1
    assert sum(map(sum, run.cycles)) < sum(map(sum, plain.cycles))
    assert run.stalled_cycles > 0
    # Pulses on every layer came after the image that made them.
    assert {pulse[0] for pulses in run.pulses[1:] for pulse in pulses if pulse[4]} == {0, 1}


@pytest.mark.parametrize(("idle", "stall"), [("0001", "1"), ("1", "1" + 299 * "0"), ("010", "001")])
def test_overlap_with_slow_host(idle: str, stall: str) -> None:
    """An image whose successor is late, or whose result is not taken, ends its update alone."""
    batch = random_batch(overlapped, 6, seed=5)
    run = run_unit(overlapped, batch, idle=idle, stall=stall)
    assert run.checker.images == 6
    assert run.overlapped_images < 6


def test_overlap_ends_before_inference() -> None:
    """Between two batches that train, and with settings that change."""
    train, infer = (random_batch(overlapped, 3, seed=6, train=train) for train in (True, False))
    plain = settings(overlapped)
    other = random_batch(
        overlapped, 3, seed=7, run=plain._replace(epsilon_log2=plain.epsilon_log2 + 2, skip=0)
    )
    run = run_unit(overlapped, train, infer, other, chi_by_bus=True)
    assert run.pulses[3] == run.pulses[4] == run.pulses[5] == []
    assert run.overlapped_images == 2 + 2


@pytest.mark.parametrize("config", [busy, overlapped], ids=["busy", "overlapped"])
def test_host_stops_and_reads_chi(config: Config) -> None:
    """Whatever is under way when the host clears ``run`` ends before the unit is idle; chi is then
    that of the images done, and the images still loaded go on later."""
    batch = replace(random_batch(config, 4, seed=5), stop=True)
    run = run_unit(config, batch, batch, chi_by_bus=True)
    assert run.checker.images == 8
    assert bool(run.overlapped_images) == config.update.overlap


@pytest.mark.parametrize("config", [busy, overlapped], ids=["busy", "overlapped"])
def test_malformed_frame_changes_nothing(config: Config) -> None:
    """A frame without its label before every image, also while an update reads its codes."""
    batch = random_batch(config, 6, seed=5)
    plain, run = run_unit(config, batch), run_unit(config, replace(batch, short_frames=True))
    assert run.cycles == plain.cycles
    assert bool(run.overlapped_images) == config.update.overlap


def test_arrays_that_never_answer() -> None:
    """They are waited for once and the host is told; pulses go on as if they had answered. Without
    an end to the wait the unit would hang."""

    def deaf(config: Config) -> DigitalUnit:
        unit = DigitalUnit(config)
        unit.program.busy = Const(1)
        return unit

    def config(timeout_cycles: int) -> Config:
        return replace(busy, pulse=replace(busy.pulse, timeout_cycles=timeout_cycles))

    batch = random_batch(busy, 3, seed=5)
    # All else is equal to the model when the error register is read.
    with pytest.raises(BrokenContract, match=r"The error register reads 0x8\."):
        run_unit(config(16), batch, unit=deaf)
    with pytest.raises(Hang):
        run_unit(config(100_000), batch, unit=deaf)


def test_host_reads_chi() -> None:
    config = replace(tiny_mca, update=replace(tiny_mca.update, learning_rate_log2=-3))
    run = run_unit(config, random_batch(config, 3, seed=12), chi_by_bus=True)
    assert any(chi.any() for chi in run.checker.unit.chi)


def test_ports() -> None:
    """Host, arrays, program: nothing else crosses the unit's edge."""
    unit = DigitalUnit(tiny_mca)
    Fragment.get(unit, None)
    assert list(unit.signature.members) == [
        "s_axis_image",
        "m_axis_result",
        "s_axi",
        "array_0",
        "array_1",
        "program",
    ]
