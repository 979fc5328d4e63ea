"""The README's table of results: from files alone, dashes where there are none."""

import json
import sys

import pytest

from scripts import cli, results_table

AREA = [{"area_um2": 1.5e6}, {"area_um2": 0.6e6}]


def figure(value):
    return {"value": value, "low": value / 2, "high": value * 2}


@pytest.fixture
def build(tmp_path):
    folder = tmp_path / "mca_mlp"
    folder.mkdir()
    contents = {
        "training.json": {
            "test_accuracy": 0.9791,
            "cycles_per_image": 411.6,
            "epochs": 30,
            "data": "mnist",
            "seed": 3,
        },
        "report.json": {
            "headline": {"energy_j": figure(10e-9), "paper_accounting_j": figure(25e-9)},
            "tables": {"area": AREA},
        },
        "synth.json": {"cells": 12345, "critical_path_ns": 3.217, "library": "osu018"},
        "cosim.json": {"images": 4000, "mismatches": 0},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return tmp_path


def test_row(build):
    row = next(line for line in results_table.table(build).splitlines() if "`mca_mlp`" in line)
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        "97.91 % (30 epochs of mnist, seed 3)",
        "412",
        "10 nJ (5 nJ to 20 nJ)",
        "25 nJ",
        "2.1 mm2",
        "12,345 cells, 3.22 ns (osu018)",
        "4,000 images, 0 mismatches",
    ]


def test_nothing_measured(tmp_path):
    lines = results_table.table(tmp_path).splitlines()
    row = next(line for line in lines if "`tiny_mca`" in line)
    assert row == "| `tiny_mca` | - | - | - | - | - | - | - |"
    assert any(
        line.startswith("| published (Nandakumar 2020) | 97.73 % (experiment) | 2,020 ")
        for line in lines
    )


def test_replace(tmp_path):
    text = f"a\n{results_table.BEGIN}\nold\n{results_table.END}\nb\n"
    new = results_table.replace_table(text, tmp_path)
    assert "old" not in new
    assert new.startswith(f"a\n{results_table.BEGIN}\n| configuration ")
    assert new.endswith(f"{results_table.END}\nb\n")
    assert results_table.replace_table(new, tmp_path) == new


def test_marks_missing(tmp_path):
    with pytest.raises(cli.FailureError, match="must hold the marks"):
        results_table.replace_table("no marks", tmp_path)


def test_print(build, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["results_table", "--build", str(build), "--print"])
    results_table.main()
    assert capsys.readouterr().out == results_table.table(build) + "\n"
