import math
from dataclasses import replace

import pytest

from energy.activity import PHASES
from energy.errors import EnergyError
from energy.estimator import PRESETS, adc_relative, estimate, presets
from energy.scaling import Node
from model.configurations import mca_mlp


@pytest.fixture(params=PRESETS)
def result(request, activity, inputs):
    return estimate(mca_mlp, activity, preset=request.param, inputs=inputs)


def test_presets():
    assert set(presets()) == set(PRESETS)


def test_total_is_the_sum_of_its_parts(result):
    total = result.energy().value
    assert total == pytest.approx(math.fsum(term.energy_j for term in result.terms))
    assert total == pytest.approx(sum(result.phase(phase).value for phase in PHASES))
    by_unit = [
        result.phase(phase, unit).value for phase in PHASES for unit in ("analog", "digital")
    ]
    assert total == pytest.approx(sum(by_unit))
    kinds = ("measured", "simulated", "derived", "assumed")
    assert sum(result.share(kind) for kind in kinds) == pytest.approx(1)
    assert result.total_seconds == pytest.approx(485e-9)


def test_bounds(result):
    figure = result.energy()
    assert 0 < figure.low < figure.value < figure.high
    assert figure.spread > 1


def test_hand_worked_total_of_the_papers_accounting(activity):
    # 1,036 lines forward, 0.8 x 10 backward, 2 of refresh, 4.928 pJ each; 960 conversions of 8.403
    # pJ; 260 activations of 34.5 pJ; 208 errors of 10.615 pJ; 500 updates of 31.183 pJ; 0.55
    # pulses of 100 pJ.
    by_hand = (
        (1036 + 8 + 2) * 4.928e-12
        + 960 * 8.403e-12
        + 260 * 34.5e-12
        + 208 * 10.615e-12
        + 500 * 31.183e-12
        + 0.55 * 100e-12
    )
    assert estimate(mca_mlp, activity, preset="paper").energy().value == pytest.approx(by_hand)


def test_the_papers_accounting_gives_the_paper_back(activity):
    counters = dict.fromkeys(activity.counters, 0.0) | {
        "forward_products": 2,
        "backward_products": 1,
        "conversions": 260 + 250,
        "activations": 260,
        "errors": 260,
        "chi_lanes": 0.01 * 198_760,
        "set_pulses": 0.5,
    }
    record = replace(activity, images=1, counters=counters)
    paper = estimate(mca_mlp, record, preset="paper")
    # 7.29 + 8.97, 2.15 + 2.76, 0.05 + 61.98 nJ
    assert paper.phase("forward").value == pytest.approx(16.26e-9, rel=1e-3)
    assert paper.phase("backward").value == pytest.approx(4.91e-9, rel=1e-3)
    assert paper.phase("update").value == pytest.approx(62.03e-9, rel=1e-3)


def test_uncertainty_of_one_row(activity):
    paper = estimate(mca_mlp, activity, preset="paper")
    figure = paper.energy(lambda term: term.row.id == "adc_mca_inferred")
    assert figure.high == pytest.approx(1.2 * figure.value)
    assert figure.low == pytest.approx(figure.value / 1.2)


def test_independent_rows_add_in_quadrature(activity):
    paper = estimate(mca_mlp, activity, preset="paper")
    names = ("adc_mca_inferred", "driver_mca_inferred")
    one, two = (paper.energy(lambda term, n=name: term.row.id == n) for name in names)
    both = paper.energy(lambda term: term.row.id in names)
    assert both.high - both.value == pytest.approx(
        math.hypot(one.high - one.value, two.high - two.value)
    )


def test_outside_its_validity_an_estimate_is_marked(activity):
    narrow = replace(mca_mlp, update=replace(mca_mlp.update, chi_bits=24, epsilon_log2=16))
    assert "mca_chi_update: chi_bits 24 is outside 32 to 32" in (
        estimate(narrow, activity, preset="paper").marks
    )
    fast = replace(mca_mlp, clock_period_s=0.5e-9)
    assert any("clock_ghz 2" in mark for mark in estimate(fast, activity).marks)
    assert estimate(mca_mlp, activity, preset="paper").marks == []


def test_node(activity):
    at_7 = estimate(mca_mlp, activity, node=Node(tech_nm=7, vdd_v=0.7))
    at_14 = estimate(mca_mlp, activity)

    def energy(result, component):
        return result.energy(lambda term: term.action.component == component).value

    assert energy(at_7, "logic") < energy(at_14, "logic")
    assert energy(at_7, "adc") == energy(at_14, "adc")


def test_converter_width(activity):
    assert adc_relative(8) == 1
    relative = [adc_relative(bits) for bits in range(4, 11)]
    assert relative == sorted(relative)
    wide = replace(mca_mlp, converter=replace(mca_mlp.converter, adc_bits=12))
    with pytest.raises(EnergyError, match="4 to 10 bits, not 12"):
        estimate(wide, activity)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"preset": "best"}, "Unknown preset 'best'"),
        ({"replace": {("adc", "conversion"): "adc_none"}}, "Unknown row 'adc_none'"),
        ({"replace": {("adc", "conversion"): "add_horowitz"}}, "cost of logic, not of adc"),
    ],
)
def test_wrong_request(arguments, sentence, activity):
    with pytest.raises(EnergyError, match=sentence):
        estimate(mca_mlp, activity, **arguments)
