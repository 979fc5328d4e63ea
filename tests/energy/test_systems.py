import pytest

from energy import systems
from energy.yao import published_core


def test_yao_counts():
    system = systems.yao()
    counts = {term.row.id: term.action.count for term in system.terms}
    assert counts["adc_kull2013"] == 5408 * 16 + 3136 * 24 + 96 * 20
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
