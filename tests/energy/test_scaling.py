import pytest

from energy.errors import EnergyError
from energy.scaling import (
    NODES,
    Node,
    area_factor,
    delay_factor,
    energy_factor,
    nominal_vdd_v,
    row_factors,
)
from energy.tables import load_costs


def test_hand_worked_factor():
    # 45 nm, 0.9 V: 1.018 x 0.81 - 0.3107 x 0.9 + 0.1539 = 0.69885
    # 14 nm, 0.8 V: 0.2363 x 0.64 - 0.09675 x 0.8 + 0.02239 = 0.096222
    assert energy_factor(45, 0.9, Node()) == pytest.approx(0.096222 / 0.69885)


def test_identity_and_composition():
    for nm in NODES:
        home = Node(tech_nm=nm, vdd_v=nominal_vdd_v(nm))
        assert energy_factor(nm, home.vdd_v, home) == pytest.approx(1)
        assert delay_factor(nm, home.vdd_v, home) == pytest.approx(1)
        assert area_factor(nm, home) == pytest.approx(1)
        step = energy_factor(45, 0.9, home) * energy_factor(nm, home.vdd_v, Node())
        assert step == pytest.approx(energy_factor(45, 0.9, Node()))


def test_smaller_nodes_cost_less():
    nodes = sorted(NODES, reverse=True)
    energies = [energy_factor(180, 1.8, Node(tech_nm=n, vdd_v=nominal_vdd_v(n))) for n in nodes]
    areas = [area_factor(180, Node(tech_nm=n, vdd_v=nominal_vdd_v(n))) for n in nodes]
    assert energies == sorted(energies, reverse=True)
    assert areas == sorted(areas, reverse=True)


def test_energy_grows_with_the_supply():
    factors = [energy_factor(14, 0.8, Node(vdd_v=v)) for v in (0.65, 0.7, 0.8, 0.9, 1.0)]
    assert factors == sorted(factors)


def test_between_nodes():
    low, high = (energy_factor(45, 0.9, Node(tech_nm=n, vdd_v=0.9)) for n in (32, 45))
    assert low < energy_factor(45, 0.9, Node(tech_nm=40, vdd_v=0.9)) < high


@pytest.mark.parametrize("tech_nm", [5, 181, float("nan")])
def test_beyond_the_table(tech_nm):
    with pytest.raises(EnergyError, match="between 7 and 180 nm"):
        Node(tech_nm=tech_nm)
    with pytest.raises(EnergyError, match="between 7 and 180 nm"):
        energy_factor(tech_nm, 0.9, Node())


@pytest.mark.parametrize("vdd_v", [0.5, 1.1, 0.0, float("nan")])
def test_wrong_supply(vdd_v):
    with pytest.raises(EnergyError, match=r"within a quarter of 0\.80 V"):
        Node(vdd_v=vdd_v)


def test_only_digital_rows_scale():
    rows = load_costs()
    assert row_factors(rows["adc_kull2013"], Node()) == (1, 1)
    assert row_factors(rows["add_horowitz"], Node())[0] == energy_factor(45, 0.9, Node())
