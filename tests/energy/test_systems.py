import pytest

from energy import systems
from energy.errors import EnergyError
from energy.yao import published_core
from model.configurations import li_mlp
from model.in_situ.activity import Activity


def test_yao_counts():
    system = systems.yao()
    codes = sum(t.action.count for t in system.terms if t.row.id == "adc_kull2013")
    assert codes == 5408 * 16 + 3136 * 24 + 96 * 20
    # 26 x 26 x 8 x 9, 7 x 7 x 12 x 72 and 192 x 10
    assert system.macs == 48_672 + 42_336 + 1_920


def test_yao_as_mapped_is_far_from_the_headline():
    assert systems.yao().gops_per_w < published_core().gops_per_w / 10


def test_li_counts():
    system = systems.li()
    assert system.macs == 64 * 54 + 54 * 10
    counts = {term.row.id: term.action.count for term in system.terms}
    assert counts["cell_li"] == 7_992


@pytest.mark.parametrize("system", [systems.yao(), systems.li()])
def test_energy_is_the_sum_of_its_terms(system):
    figure = system.energy
    assert figure.value == pytest.approx(sum(term.energy_j for term in system.terms))
    assert figure.low < figure.value < figure.high


def counters(**given: float) -> dict[str, float]:
    return dict.fromkeys((member.name.lower() for member in Activity), 0.0) | given


def test_li_training_by_hand():
    """Two images: conversions, and 10 devices in SET pulses of 100 ns at 2.5 V and 400 uS."""
    system = systems.li_training(
        li_mlp, counters(images=2, conversions=128, set_devices=20, forward_products=4)
    )
    energies = {term.row.id: term.energy_j for term in system.terms}
    assert energies["adc_kull2013"] == pytest.approx(64 * 2.55e-12)
    assert energies["set_li"] == pytest.approx(10 * 400e-6 * 2.5**2 * 100e-9)
    assert energies["cell_li"] == pytest.approx(7_992 * 40e-15)
    assert system.macs == systems.li().macs


def test_li_training_memories():
    """An update of 3 words reads gradients; a write phase of 5 reads and writes both memories."""
    system = systems.li_training(
        li_mlp, counters(images=1, gradient_words=3, gradient_lanes=7, gate_words=5)
    )
    lanes = li_mlp.update.lanes
    counts = {
        (term.action.block, term.action.action): (term.action.count, term.action.bits)
        for term in system.terms
        if term.action.component == "sram"
    }
    assert counts == {
        ("gradient memory", "read"): (8 * lanes, 23),
        ("gradient memory", "write"): (7 + 5 * lanes, 23),
        ("gate memory", "read"): (5 * lanes, 32),
        ("gate memory", "write"): (5 * lanes, 32),
    }


def test_li_training_needs_every_counter():
    with pytest.raises(EnergyError, match="lacks the counter images"):
        systems.li_training(li_mlp, counters())
    with pytest.raises(EnergyError, match="lacks the counter activations"):
        systems.li_training(li_mlp, {"images": 1})
