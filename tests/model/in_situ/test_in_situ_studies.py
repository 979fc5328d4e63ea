"""Studies: what a run is, and what its number depends on."""

from dataclasses import replace

import pytest

from model import datasets
from model.configurations import li_mlp, tiny_in_situ
from model.in_situ.studies import (
    Kind,
    Run,
    dataset_digest,
    parse_percents,
    published,
    run_digest,
    single_layer,
    with_stuck,
)
from model.settings import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:50:5", [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]),
        ("0:1:0.25", [0, 0.25, 0.5, 0.75, 1]),
        ("0:10:4", [0, 4, 8]),
        ("11", [11]),
        ("20,0,11,0", [0, 11, 20]),
        ("100:100:1", [100]),
    ],
)
def test_percents(text, expected):
    assert parse_percents(text) == expected


@pytest.mark.parametrize("text", ["", "a", "0:50", "0:50:0", "50:0:5", "0:101:1", "-1", "0:1:2:3"])
def test_wrong_percents(text):
    with pytest.raises(ConfigError, match="Percentages are first:last:step or a list"):
        parse_percents(text)


def test_single_layer():
    config = single_layer(li_mlp)
    assert config.network.layers == (64, 10)
    assert config.device == li_mlp.device


def test_digest_is_of_what_matters():
    run = Run(kind=Kind.IN_SITU, stuck_percent=11, seed=1)
    usual = run_digest(li_mlp, "data", run)
    assert usual == run_digest(replace(with_stuck(li_mlp, 30), name="other"), "data", run)
    others = [
        run_digest(li_mlp, "other data", run),
        run_digest(tiny_in_situ, "data", run),
        *(run_digest(li_mlp, "data", replace(run, kind=k)) for k in Kind if k is not run.kind),
        run_digest(li_mlp, "data", replace(run, stuck_percent=12)),
        run_digest(li_mlp, "data", replace(run, seed=2)),
    ]
    assert len({usual, *others}) == 1 + len(others)


def test_dataset_digest():
    sample = datasets.load("mnist-sample")
    changed = replace(sample, test_labels=sample.test_labels[::-1].copy())
    assert dataset_digest(sample) == dataset_digest(datasets.load("mnist-sample"))
    assert dataset_digest(sample) != dataset_digest(changed)


def test_published():
    points = published()
    assert points[Kind.IN_SITU][2] == (11.0, 89.8)
    assert points[Kind.EX_SITU][1] == (10.0, 32.9)
    assert {len(values) for values in points.values()} == {5}
