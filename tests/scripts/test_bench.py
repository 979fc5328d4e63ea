"""``mixbar bench``: keys and honesty of the sums; speeds themselves are not asserted."""

import json
import os
import statistics

import pytest

from cocotb_tests import cosim
from cocotb_tests.errors import SimulatorError
from model.configurations import tiny_mca
from model.datasets import load
from model.inputs import adapt
from scripts import bench, cli
from scripts.mixbar import app


def mixbar(*arguments):
    return cli.run(app, [str(word) for word in arguments])


def test_json(capsys, monkeypatch):
    monkeypatch.setattr(bench, "measure_cold_start", len_of_nothing)
    options = ("--data", "mnist-sample", "--rounds", 1, "--cosim-images", 0, "--json")
    assert mixbar("bench", "tiny_mca", *options) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["config"] == "tiny_mca"
    assert data["train_ratio_vs_numpy"] > 0
    assert data["cosim_images_per_second"] is None
    assert data["verilator_cycles_per_second"] is None
    assert data["cold_start_seconds"] == 0
    assert data["peak_memory_bytes"] > 10e6


def len_of_nothing(*_arguments):
    """Stands in for the cold start, which takes half a minute; the child process imports it."""
    return 0


def test_measure_speed():
    dataset = adapt(tiny_mca, load("mnist-sample"))
    found = bench.measure_speed(tiny_mca, dataset, 1, 3)
    assert len(found["train_ratios"]) == 3
    assert found["train_ratio_vs_numpy"] == statistics.median(found["train_ratios"])
    assert found["train_images_per_second"] > 0
    assert found["numpy_images_per_second"] > 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such call")
def test_one_core():
    before = os.sched_getaffinity(0)
    with bench._one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_cosim_keys(monkeypatch):
    dataset = adapt(tiny_mca, load("mnist-sample"))

    def fail(*_arguments, **_options):
        raise SimulatorError("No compiler.")

    monkeypatch.setattr(cosim, "cosimulate", fail)
    assert bench._measure_cosim(tiny_mca, dataset, 1, 5) == {
        "cosim_images_per_second": None,
        "cosim_images_per_cpu_second": None,
        "verilator_cycles_per_second": None,
    }
