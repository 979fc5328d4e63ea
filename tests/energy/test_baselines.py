import pytest

from energy.activity import PHASES
from energy.baselines import FIXED32, MIXED4, estimate_baseline
from energy.published import value
from model.configurations import mca_mlp


def test_cycles_of_the_schedule_by_hand(activity):
    # Forward 785 x ceil(250/32) + 251 x 1 and 260 activations; update two cycles a word.
    seconds = estimate_baseline(FIXED32, mca_mlp, activity).seconds
    assert seconds["forward"] == pytest.approx((785 * 8 + 251 + 260) * 1e-9)
    assert seconds["backward"] == pytest.approx((10 * 8 + 250) * 1e-9)
    assert seconds["update"] == pytest.approx(2 * (785 * 8 + 251) * 1e-9)


def test_published_times_within_a_factor_two(activity):
    result = estimate_baseline(FIXED32, mca_mlp, activity)
    for phase in PHASES:
        ratio = result.seconds[phase] / value("mca", "fixed32", "digital", phase, "time")
        assert 0.5 < ratio < 2


def test_multiplies(activity):
    result = estimate_baseline(FIXED32, mca_mlp, activity)
    products = {
        term.action.phase: term.action.count
        for term in result.terms
        if term.action.action == "multiply"
    }
    assert products == {
        "forward": 198_760 * 1024,
        "backward": 2_500 * 1024,
        "update": 198_760 * 1024,
    }


def test_shared_update(activity):
    result = estimate_baseline(MIXED4, mca_mlp, activity)
    chi = [term for term in result.terms if term.action.block == "chi memory"]
    assert {term.action.phase for term in chi} == {"update"}
    assert result.seconds["update"] == pytest.approx(60e-9)
    writes = [term for term in result.terms if term.action.note == "a weight write per pulse"]
    assert [term.action.count for term in writes] == [0.5]


def test_order_of_the_designs(activity):
    fixed, mixed = (
        estimate_baseline(baseline, mca_mlp, activity).energy().value
        for baseline in (FIXED32, MIXED4)
    )
    assert fixed > 5 * mixed
