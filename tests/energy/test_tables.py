import csv

import pytest

from energy import tables
from energy.activity import derive
from energy.errors import EnergyError
from energy.tables import (
    COLUMNS,
    DATA,
    KINDS,
    load_bibliography,
    load_costs,
    load_presets,
    parse_costs,
    read_csv,
)
from model.configurations import mca_mlp

GOOD = dict.fromkeys(COLUMNS, "") | {
    "id": "adc_x",
    "component": "adc",
    "action": "conversion",
    "unit": "conversion",
    "parameters": "bits=8",
    "energy_fj": "2550",
    "kind": "measured",
    "source": "yao2020",
    "where": "Methods",
    "derivation": "energy_fj = 3.06e-3 / 1.2e9 * 1e15",
    "validity": "adc_bits=4..10",
    "uncertainty": "1.5",
    "scaling": "none",
}


def test_every_row_is_sound():
    rows = load_costs()
    assert len(rows) > 25
    for row in rows.values():
        assert row.kind in KINDS
        assert row.source in load_bibliography()
        assert row.energy_fj is not None or row.area_um2 is not None
        assert min(row.uncertainty) >= 1


@pytest.mark.parametrize("name", sorted(load_costs()))
def test_derivation_gives_the_stated_value(name):
    row = load_costs()[name]
    for column, value in row.rederived().items():
        assert value == pytest.approx(getattr(row, column), rel=1e-3), column
    # A figure that is arithmetic on a source shows that arithmetic.
    if row.kind in ("derived", "assumed") and "table" not in row.parameters:
        assert row.derivation


@pytest.mark.parametrize(
    ("component", "actions"),
    [
        ("adc", {"conversion"}),
        ("sram", {"access"}),
        ("logic", {"multiply"}),
        ("logic", {"add"}),
        ("driver", {"line", "compare"}),
        ("pulse", {"set"}),
        ("pulse", {"reset"}),
        ("array", {"tile_product"}),
        ("register", {"clock"}),
    ],
)
def test_two_independent_sources(component, actions):
    sources = {
        row.source if row.source != "murmann_survey" else row.id
        for row in load_costs().values()
        if row.component == component and row.action in actions
    }
    assert len(sources) >= 2


def test_bibliography():
    text = (DATA / "references.bib").read_text(encoding="utf-8")
    entries = load_bibliography()
    assert len(entries) == text.count("\n@") + 1
    for entry in entries.values():
        assert entry["url"].startswith("https://")


def test_presets_name_every_action(activity, inputs):
    keys = {
        (action.component, action.action) for action in derive(mca_mlp, activity, inputs=inputs)
    }
    presets = load_presets()
    assert presets.keys() == {"bottom_up", "measured", "paper"}
    for table in presets.values():
        assert keys <= table.keys()


def test_parse_good_row():
    (row,) = parse_costs([GOOD]).values()
    assert row.energy_fj == 2550
    assert row.tech_nm is None
    assert row.parameters == {"bits": "8"}
    assert row.validity == {"adc_bits": (4, 10)}
    assert row.uncertainty == (1.5, 1.5)
    assert row.outside({"adc_bits": 11}) == ["adc_bits 11 is outside 4 to 10"]
    assert row.outside({"adc_bits": 8, "other": 1}) == []


def test_two_sided_uncertainty():
    (row,) = parse_costs([GOOD | {"uncertainty": "2/30"}]).values()
    assert row.uncertainty == (2, 30)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": "Adc X"}, "malformed or used twice"),
        ({"energy_fj": "-1"}, "energy_fj of row adc_x must not be negative"),
        ({"energy_fj": "inf"}, "energy_fj of row adc_x must not be negative"),
        ({"energy_fj": "much"}, "must be a number or blank"),
        ({"kind": "guessed"}, "must be one of measured"),
        ({"source": ""}, "needs a source"),
        ({"where": ""}, "needs a where"),
        ({"scaling": "some"}, "must scale as digital or none"),
        ({"scaling": "digital"}, "needs tech_nm and vdd_v"),
        ({"parameters": "bits"}, "must read `name=value"),
        ({"validity": "adc_bits=8"}, "must give low..high"),
        ({"validity": "adc_bits=9..8"}, "must give low..high"),
        ({"uncertainty": "0.5"}, "factor of at least 1"),
        ({"uncertainty": ""}, "factor of at least 1"),
        ({"derivation": "energy_fj = 2551 * 2"}, "gives energy_fj 5102, not 2550"),
        ({"derivation": "area_um2 = 1"}, "gives area_um2 1, not None"),
    ],
)
def test_parse_wrong_row(change, sentence):
    with pytest.raises(EnergyError, match=sentence.replace("(", r"\(")):
        parse_costs([GOOD | change])


def test_parse_same_id_twice():
    with pytest.raises(EnergyError, match="used twice"):
        parse_costs([GOOD, GOOD])


def test_read_wrong_table(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(EnergyError, match=r"Cannot read the table table\.csv"):
        read_csv(path, ["a"])
    path.write_text("a,b\n")
    with pytest.raises(EnergyError, match="must have the columns a, c"):
        read_csv(path, ["a", "c"])
    path.write_text("a,b\n1\n")
    with pytest.raises(EnergyError, match="Line 2 of table.csv must have 2 cells, not 1"):
        read_csv(path, ["a", "b"])


def test_unknown_source_is_refused(tmp_path, monkeypatch):
    with (tmp_path / "costs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(GOOD | {"source": "nobody1999"})
    (tmp_path / "references.bib").write_text((DATA / "references.bib").read_text())
    monkeypatch.setattr(tables, "DATA", tmp_path)
    with pytest.raises(EnergyError, match="'nobody1999', not in references.bib"):
        load_costs.__wrapped__()
