import pytest

from energy.activity import PHASES
from energy.estimator import estimate
from energy.published import value
from energy.reproduction import causes, published_activity
from energy.scaling import Node
from model.activity import Activity
from model.configurations import mca_mlp


def test_activity_of_the_study(inputs):
    record = published_activity(mca_mlp, inputs)
    assert record.mean(Activity.CHI_LANES) == pytest.approx(1987.6)
    assert record.mean(Activity.CONVERSIONS) == 260 + 250
    cycles = [record.mean(member) for member in Activity if member.name.startswith("CYCLES")]
    assert sum(cycles) == pytest.approx(2020)


def test_paper_accounting_at_the_papers_activity_is_the_paper(inputs):
    paper = estimate(mca_mlp, published_activity(mca_mlp, inputs), preset="paper")
    assert paper.energy().value == pytest.approx(83.2e-9, rel=2e-3)


def test_bottom_up_total_within_a_factor_two_of_the_paper(inputs):
    result = estimate(mca_mlp, published_activity(mca_mlp, inputs), inputs=inputs)
    assert 0.5 < result.energy().value / value("mca", "mca", "both", "total", "energy") < 2
    for phase in PHASES:
        printed = value("mca", "mca", "digital", phase, "energy")
        assert 0.5 < result.phase(phase, "digital").value / printed < 2


def test_causes_add_up(inputs):
    record = published_activity(mca_mlp, inputs)
    rows = causes(mca_mlp, record, Node())
    assert [(row["design"], row["phase"]) for row in rows] == [
        ("fixed32", "forward"),
        ("fixed32", "backward"),
        ("fixed32", "update"),
        ("mixed4", "forward"),
        ("mixed4", "backward"),
    ]
    for row in rows:
        assert sum(row["blocks_j"].values()) == pytest.approx(row["ours_j"])
        assert row["one_cache_j"] > row["blocks_j"]["weight memory"] / 3
