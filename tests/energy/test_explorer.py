import math

import pytest

from energy.estimator import estimate
from energy.explorer import GROUPS, by_group, explore, sensitivity
from energy.scaling import Node, nominal_vdd_v
from model.configurations import mca_mlp


@pytest.fixture(scope="module")
def explorer(activity, inputs):
    return explore(mca_mlp, activity, inputs=inputs, words={8: 36, 16: 27, 32: 17, 64: 9, 128: 5})


def index(explorer, **choice):
    position = 0
    for name, values in explorer.axes.items():
        position = position * len(values) + values.index(choice.get(name, explorer.start[name]))
    return position


def total(explorer, **choice):
    at = index(explorer, **choice)
    fixed, slope = explorer.fixed_pj[at], explorer.update_fj[at]
    return sum(f + s * explorer.updates * 1e-3 for f, s in zip(fixed, slope, strict=True)) * 1e-12


def test_every_setting_has_a_figure(explorer):
    assert len(explorer.fixed_pj) == math.prod(len(axis) for axis in explorer.axes.values())
    assert len(explorer.fixed_pj) == len(explorer.update_fj)
    assert None not in explorer.fixed_pj


def test_the_run_itself_is_a_setting(explorer, activity, inputs):
    ours = estimate(mca_mlp, activity, inputs=inputs)
    assert total(explorer) == pytest.approx(ours.energy().value, rel=1e-3)
    groups = by_group(ours)
    assert list(groups) == explorer.groups == list(GROUPS)
    assert sum(groups.values()) == pytest.approx(ours.energy().value)


@pytest.mark.parametrize(
    ("name", "cheap", "dear"), [("node", 7, 45), ("adc", 4, 10), ("chi", 16, 32)]
)
def test_less_costs_less(explorer, name, cheap, dear):
    assert total(explorer, **{name: cheap}) < total(explorer, **{name: dear})


def test_sensitivity(activity, inputs):
    swings = sensitivity(mca_mlp, activity, inputs=inputs)
    base = estimate(mca_mlp, activity, inputs=inputs).energy().value
    widths = [swing["high_j"] - swing["low_j"] for swing in swings]
    assert widths == sorted(widths, reverse=True)
    assert sum(swing["part_j"] for swing in swings) == pytest.approx(base)
    assert all(swing["low_j"] <= base <= swing["high_j"] for swing in swings)


def test_another_node_is_what_the_estimator_says(explorer, activity, inputs):
    node = Node(tech_nm=7, vdd_v=nominal_vdd_v(7))
    there = estimate(mca_mlp, activity, inputs=inputs, node=node)
    assert total(explorer, node=7) == pytest.approx(there.energy().value, rel=1e-3)
