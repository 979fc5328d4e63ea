import pytest

from energy import published
from energy.activity import PHASES
from energy.errors import EnergyError
from energy.published import cells, value


def test_every_cell_of_table_1_is_there():
    for design, unit in (("fixed32", "digital"), ("mixed4", "digital"), ("mca", "both")):
        for quantity in ("energy", "time"):
            for phase in (*PHASES, "total"):
                assert value("mca", design, unit, phase, quantity) > 0
    table = [cell for cell in cells().values() if cell.where == "Table 1"]
    # 4 + 4 a digital design, 3 + 2 of the computational memory, 3 + 3 of the digital unit, 4 + 4
    assert len(table) == 8 + 8 + 5 + 6 + 8


@pytest.mark.parametrize("design", ["fixed32", "mixed4"])
@pytest.mark.parametrize("quantity", ["energy", "time"])
def test_totals_are_the_sums_of_phases(design, quantity):
    parts = [value("mca", design, "digital", phase, quantity) for phase in PHASES]
    assert sum(parts) == pytest.approx(value("mca", design, "digital", "total", quantity), rel=2e-3)


def test_units_add_up():
    for phase in PHASES:
        parts = [value("mca", "mca", unit, phase, "energy") for unit in ("analog", "digital")]
        assert sum(parts) == pytest.approx(value("mca", "mca", "both", phase, "energy"), rel=5e-3)


def test_stated_ratios_follow_from_the_table():
    units = {"fixed32": "digital", "mixed4": "digital", "mca": "both"}
    ratios = published.gains(
        {d: {p: value("mca", d, u, p, "energy") for p in PHASES} for d, u in units.items()},
        {d: value("mca", d, u, "total", "time") for d, u in units.items()},
    )
    assert ratios["propagation"] == pytest.approx(269, abs=0.5)
    assert ratios["update"] == pytest.approx(139, abs=0.5)
    assert ratios["total"] == pytest.approx(172, abs=0.5)
    assert ratios["throughput"] == pytest.approx(11.5, abs=0.05)
    assert ratios["total_mixed4"] == pytest.approx(22, abs=0.5)


def test_what_is_not_printed():
    assert published.cell("mca", "mca", "analog", "update", "time") is None
    with pytest.raises(EnergyError, match="No published figure for mca mca analog update time"):
        value("mca", "mca", "analog", "update", "time")
