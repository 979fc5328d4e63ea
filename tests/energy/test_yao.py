from dataclasses import replace

import pytest

from energy import cnn
from energy.errors import EnergyError
from energy.estimator import combine
from energy.yao import core_steps, gpu, network_steps, published_core
from model.cnn.config import ReplicaConfig, ReplicaMode
from model.configurations import yao_cnn


def test_headline_figures():
    core = published_core()
    assert sum(core.phase_energy_j.values()) == pytest.approx(371.89e-12, rel=1e-6)
    assert core.gops_per_w == pytest.approx(11_014.0, rel=1e-4)
    assert core.gops_per_mm2 == pytest.approx(1_164.4, rel=1e-4)
    assert core.gops_per_w / 100 == pytest.approx(110, rel=2e-3)
    assert core.gops_per_mm2 / 37 == pytest.approx(31.5, rel=2e-3)


def test_split_of_a_phase():
    split = published_core().phase_energy_j
    assert split["adc"] == pytest.approx(32 * 4 * 2.55e-12)
    assert split["adc"] / split["array"] == pytest.approx(14.4)
    assert split["rest"] == pytest.approx(22.8e-12, rel=2e-3)


def test_every_correction_lowers_the_efficiency():
    activity = cnn.nominal(yao_cnn)
    for steps in (core_steps(activity), network_steps(activity)):
        efficiencies = [step.gops_per_w for step in steps]
        assert efficiencies == sorted(efficiencies, reverse=True)
        assert efficiencies[1] == pytest.approx(efficiencies[0] / 2)
    first, *_, last = core_steps(activity)
    assert (first.gops_per_w, first.gops_per_mm2) == pytest.approx((11_014.0, 1_164.4), rel=1e-4)
    assert last.gops_per_w == pytest.approx(16_384 / last.energy_j / 1e9)


def test_core_carries_the_units_own_logic():
    """The additions of a product are the image's, by conversions: 1,024 of them a product."""
    activity = cnn.nominal(yao_cnn)
    steps = {step.name: step for step in core_steps(activity)}
    added = steps["+ shift-and-add"].energy_j - steps["signed weights once"].energy_j
    group = combine(cnn.image_groups(activity)["shift_add"]).value
    conversions = 5408 * 16 + 3136 * 24 + 96 * 20
    assert added == pytest.approx(group * 1024 / conversions)


def test_image_is_the_sum_of_its_groups():
    activity = cnn.nominal(yao_cnn)
    groups = cnn.image_groups(activity)
    assert list(groups) == list(cnn.GROUPS)
    total = sum(combine(terms).value for terms in groups.values())
    assert network_steps(activity)[-1].energy_j == pytest.approx(total)


def test_driven_lines_by_hand():
    """12 driven lines, 16 output lines, 10 uS each: 0.2 V squared over 50 ns."""
    nominal = cnn.nominal(yao_cnn)
    activity = replace(
        nominal,
        counters={**nominal.counters, "lines_0": 12.0},
        conductance_us=(10.0, *nominal.conductance_us[1:]),
    )
    (term,) = (
        term
        for term in cnn.image_groups(activity)["core"]
        if term.row.id == "cell_yao_driven" and term.action.block == "array 0"
    )
    assert term.energy_j == pytest.approx(12 * 16 * 10e-6 * 0.2**2 * 50e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counters": {"images": 1}}, "lacks the counter"),
        ({"images": 0}, "counted no image"),
        ({"conductance_us": (1.0,)}, "conductances"),
    ],
)
def test_incomplete_activity_is_refused(change, message):
    with pytest.raises(EnergyError, match=message):
        replace(cnn.nominal(yao_cnn), **change)


def test_whole_images_count_as_one():
    """Three images on three replicas: a mean image has the products of one replica's."""
    images = replace(yao_cnn, replicas=ReplicaConfig(n=3, mode=ReplicaMode.IMAGES))
    one, three = cnn.nominal(yao_cnn), cnn.nominal(images)
    for activity in (one, three):
        arrays = range(activity.config.n_arrays)
        codes = sum(activity.mean(f"conversions_{array}") for array in arrays)
        assert codes == 5408 * 16 + 3136 * 24 + 96 * 20


def test_gpu():
    full = gpu(1.0)
    assert full["gops_per_w"] == pytest.approx(125e3 / 300)
    assert gpu(0.01)["gops_per_mm2"] == pytest.approx(full["gops_per_mm2"] / 100)
