import json
from dataclasses import replace

import pytest

from energy import activity as activities
from energy.activity import PHASES, ActivityRecord, derive, seconds
from energy.errors import EnergyError
from model.activity import Activity
from model.config import ChiProtection
from model.configurations import mca_mlp, tiny_mca


def counts(actions, component, action, phase=None):
    return sum(
        each.count
        for each in actions
        if (each.component, each.action) == (component, action) and phase in (None, each.phase)
    )


def test_counts_of_the_sample(activity, inputs):
    actions = derive(mca_mlp, activity, inputs=inputs)
    assert counts(actions, "adc", "conversion", "forward") == 260
    assert counts(actions, "adc", "conversion", "backward") == pytest.approx(200)
    assert counts(actions, "adc", "conversion") == pytest.approx(960)
    assert counts(actions, "driver", "line", "forward") == 785 + 251
    assert counts(actions, "array", "tile_product", "forward") == 4 + 1
    assert counts(actions, "sram", "read", "update") == 300 * 32
    assert counts(actions, "sram", "write", "update") == 500
    assert counts(actions, "paper", "chi_update") == 500
    assert counts(actions, "pulse", "set") == 0.5


def test_check_bits_are_charged(activity, inputs):
    """300 words of 32 lanes are decoded, 500 lanes encoded; a word has 39 bits then."""
    update = replace(mca_mlp.update, chi_protection=ChiProtection.SECDED)
    secded = derive(replace(mca_mlp, update=update), activity, inputs=inputs)
    plain = derive(mca_mlp, activity, inputs=inputs)
    more = counts(secded, "logic", "add") - counts(plain, "logic", "add")
    assert more == pytest.approx((300 * 32 * 439 + 500 * 89) / 5)
    assert 39 in {each.bits for each in secded if each.component == "sram"}
    assert 32 in {each.bits for each in plain if each.component == "sram"}
    assert counts(secded, "sram", "read") == counts(plain, "sram", "read")


def test_conduction_by_hand(activity, inputs):
    # On-time 41,910 codes x 128/255 cycles; of these 26,000 + 255 cross 500 devices, the rest 20;
    # two row reads of 250 devices take the read's own cycles.
    scale = 128 / 255
    first, rest = 26_255 * scale, (41_910 - 26_255) * scale
    reads = 2 * mca_mlp.array.read_integration_cycles * 250
    actions = derive(mca_mlp, activity, inputs=inputs)
    assert counts(actions, "array", "conduction") == pytest.approx(first * 500 + rest * 20 + reads)


def test_without_images_is_an_upper_bound(activity, inputs):
    known, unknown = (
        counts(derive(mca_mlp, activity, inputs=given), "array", "conduction")
        for given in (inputs, None)
    )
    assert known < unknown


def test_seconds(activity):
    times = seconds(mca_mlp, activity)
    assert times == pytest.approx({"forward": 290e-9, "backward": 135e-9, "update": 60e-9})
    assert tuple(times) == PHASES


def test_flip_flops_from_synthesis(activity):
    cycles = 485
    assert counts(derive(mca_mlp, activity, flip_flops=7), "register", "clock") == pytest.approx(
        7 * cycles
    )


def test_another_system(activity):
    record = replace(activity, config="tiny_mca")
    assert all(action.count >= 0 for action in derive(tiny_mca, record))


def test_load_wrong_file(tmp_path):
    path = tmp_path / "activity.json"
    with pytest.raises(EnergyError, match="Cannot read the activity"):
        activities.load(path)
    path.write_text("{")
    with pytest.raises(EnergyError, match="is not JSON"):
        activities.load(path)
    path.write_text("[]")
    with pytest.raises(EnergyError, match="must hold config, images, counters and source"):
        activities.load(path)
    record = {"config": "x", "images": 1, "source": "y", "counters": {}}
    path.write_text(json.dumps(record))
    with pytest.raises(EnergyError, match="lacks the counter activations"):
        activities.load(path)


@pytest.mark.parametrize(
    ("images", "value", "sentence"),
    [(0, 1, "at least one image"), (1, -1, "must not be negative"), (1, float("nan"), "negative")],
)
def test_wrong_record(images, value, sentence):
    counters = {member.name.lower(): value for member in Activity}
    with pytest.raises(EnergyError, match=sentence):
        ActivityRecord(config="x", images=images, counters=counters, source="y")
