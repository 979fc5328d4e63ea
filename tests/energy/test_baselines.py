from dataclasses import replace

import numpy as np
import pytest

from energy.activity import PHASES
from energy.baselines import (
    BASELINES,
    EngineRecord,
    counted,
    engine_like,
    estimate_baseline,
    expected,
)
from energy.errors import EnergyError
from energy.published import value
from model.activity import Activity
from model.configurations import fixed32, mca_mlp, tiny_fixed32, tiny_mca
from model.engine.activity import EngineActivity
from model.engine.training_engine import new_engine, new_weights, train_image
from model.settings import ConfigError


def test_cycles_by_hand(activity):
    """250 x 25 + 10 x 8 words; two cycles a word in the update."""
    seconds = estimate_baseline(counted("fixed32", mca_mlp, activity)).seconds
    words = 250 * 25 + 10 * 8
    assert seconds["forward"] == pytest.approx((25 + words + 2 * 6) * 1e-9)
    assert seconds["backward"] == pytest.approx((2 + 10 * 8 + 6 + 1) * 1e-9)
    assert seconds["update"] == pytest.approx((2 * words + 2 * 5) * 1e-9)


def test_expected_is_what_the_model_counts():
    """So what the Verilog counts, which the model equals."""
    engine = new_engine(tiny_fixed32, new_weights(tiny_fixed32, 1))
    train_image(engine, tiny_fixed32.learning_rate_log2, np.full(20, 9, np.uint8), 1)
    record = expected(tiny_fixed32)
    assert [record.mean(member) for member in EngineActivity] == engine.counters.tolist()


@pytest.mark.parametrize("name", BASELINES)
def test_published_times_within_a_factor_two(name, activity):
    result = estimate_baseline(counted(name, mca_mlp, activity))
    for phase in PHASES:
        ratio = result.seconds[phase] / value("mca", name, "digital", phase, "time")
        # 4-bit: Table 1's update is 0.79 us at an activity that it does not state; backward, the
        # published 32-bit engine takes six times as long as its 4-bit one, ours the same.
        if (name, phase) not in (("mixed4", "update"), ("fixed32", "backward")):
            assert 0.5 < ratio < 2


def test_multiplies(activity):
    result = estimate_baseline(counted("fixed32", mca_mlp, activity))
    products = {
        term.action.phase: term.action.count
        for term in result.terms
        if term.action.action == "multiply" and term.action.block != "error unit"
    }
    words = 250 * 25 + 10 * 8
    assert products == {
        "forward": 32 * words * 32 * 8,
        "backward": 32 * 80 * 32 * 32,
        "update": 32 * words * 32 * 8,
    }


def test_shared_update(activity):
    record = counted("mixed4", mca_mlp, activity)
    assert record.mean(EngineActivity.STEP_WORDS) == activity.mean(Activity.PULSE_WORDS)
    result = estimate_baseline(record)
    chi = [term for term in result.terms if term.action.block == "chi memory"]
    assert {term.action.phase for term in chi} == {"update"}
    reads = [term.action.count for term in chi if term.action.action == "read"]
    assert reads == [activity.mean(Activity.CHI_WORDS) * 32]


def test_order_of_the_designs(activity):
    fixed, mixed = (
        estimate_baseline(counted(name, mca_mlp, activity)).energy().value for name in BASELINES
    )
    assert fixed > 5 * mixed


def test_engine_like():
    engine = engine_like("fixed32", tiny_mca)
    assert (engine.network, engine.lanes) == (tiny_mca.network, tiny_mca.update.lanes)
    with pytest.raises(EnergyError, match="Unknown baseline 'gpu'; known: fixed32, mixed4"):
        engine_like("gpu", mca_mlp)
    deep = replace(mca_mlp, network=replace(mca_mlp.network, layers=(784, 250, 250, 10)))
    with pytest.raises(ConfigError, match="do not fit"):
        engine_like("fixed32", deep)


def test_wrong_record():
    with pytest.raises(EnergyError, match="the counter activations"):
        EngineRecord(config=fixed32, images=1, counters={}, source="nobody")
    counters = dict.fromkeys((member.name.lower() for member in EngineActivity), -1.0)
    with pytest.raises(EnergyError, match="must not be negative"):
        EngineRecord(config=fixed32, images=1, counters=counters, source="nobody")
