"""The page of the training experiment, from results made up here."""

import json
import sys

import pytest

from model.configurations import mca_mlp
from scripts import validate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results of two seeds at one pace, of inference and of direct update; nothing else."""
    monkeypatch.setattr(validate, "RUNS", tmp_path)
    for seed, accuracy in ((1, 0.976), (2, 0.978)):
        epoch = {
            "epoch": 1,
            "test_accuracy": accuracy,
            "nonzero_update_fraction": 0.001,
            "pulses_per_image": 0.5,
            "refreshed_pairs_per_image": 0.01,
            "cycles_per_image": 430.0 + seed,
            "skipped_fraction": 0.25,
        }
        result = {"test_accuracy": accuracy, "curve": [epoch]}
        (tmp_path / f"mca_mlp-seed{seed}.json").write_text(json.dumps(result))
    point = {"test_accuracy": 0.9, "compensated_accuracy": 0.95}
    fresh = {"test_accuracy": 0.975, "compensated_accuracy": 0.975}
    points = [
        {**fresh, "seconds_after_training": 0.0},
        {**point, "seconds_after_training": 2592000.0},
    ]
    (tmp_path / "mca_mlp-later.json").write_text(json.dumps({"points": points}))
    short = {"test_accuracy": 0.951, "curve": [{**epoch, "pulses_per_image": 0.25}]}
    (tmp_path / "sensitivity-1.json").write_text(json.dumps(short))
    direct = {"test_accuracy": 0.8, "by_rate_log2": {"2": 0.8}}
    (tmp_path / "direct-chance.json").write_text(json.dumps(direct))
    return tmp_path


def write_page(monkeypatch, out):
    monkeypatch.setattr(sys, "argv", ["validate", "--page", "--out", str(out)])
    validate.main()
    return (out / validate.PAGE).read_text(), (out / validate.FIGURE).read_bytes()


def test_page(folder, monkeypatch):
    page, figure = write_page(monkeypatch, folder / "docs")
    assert "| 97.70 %, standard deviation 0.14 points (2 seeds) | 97.73 %" in page
    assert "the paper's pace | not run |" in page
    assert "| software, float32 | not run (one seed) |" not in page
    assert "| microseconds | 0.100 % | 0.500 | 0.0100 | 431.5 | 25.0 % |" in page
    assert "| 30 d | microseconds | 90.00 % | 95.00 % |" in page
    assert "| microseconds | 0 s | 7.50 | 2.50 |" in page
    assert "| one second | 0 s" not in page
    assert "| half the learning rate | 95.10 % | 0.25 |" in page
    assert "| no refresh |" not in page
    assert "best rate of a sweep | 80.00 % (one seed) | at most 83 %" in page
    assert "rate 2^2: 80.00 %" in page
    assert "rounded toward zero | not run |" in page
    assert figure.startswith(b"<?xml")
    assert write_page(monkeypatch, folder / "again") == (page, figure)


def test_unknown_run(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["validate", "--only", "nope"])
    with pytest.raises(SystemExit, match="2"):
        validate.main()
    assert "unknown run 'nope'; known: mca_mlp-seed1" in capsys.readouterr().err


def test_variants():
    """Each differs from the configuration, itself left out, and from every other."""
    variants = validate._variants(mca_mlp)
    assert variants.pop("as configured") == mca_mlp
    configs = list(variants.values())
    assert mca_mlp not in configs
    assert all(configs.index(config) == place for place, config in enumerate(configs))
