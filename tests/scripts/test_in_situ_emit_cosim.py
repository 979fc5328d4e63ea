"""``mixbar emit`` and ``mixbar cosim`` of in-situ learning systems."""

import json
from pathlib import Path

import numpy as np
import pytest

from cocotb_tests.cosim import CosimResult
from hw.in_situ.registers import register_table
from model import datasets
from model.configurations import tiny_in_situ
from model.in_situ.activity import PHASES
from model.in_situ.training import Training
from scripts import cli
from scripts.in_situ import cosim as cosim_module
from scripts.mixbar import app
from tests.scripts.cosim_result import NOTHING_TRAINED


def mixbar(*arguments):
    return cli.run(app, list(map(str, arguments)))


def test_emit(tmp_path, capsys):
    assert mixbar("emit", "tiny_in_situ", "--out", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {"config", "top", "files", "bytes", "seconds"} <= found.keys()
    verilog, header = (Path(file) for file in found["files"])
    assert f"module {found['top']}(" in verilog.read_text()
    assert verilog.stat().st_size == found["bytes"]
    text = header.read_text()
    for register in register_table(tiny_in_situ):
        assert f"#define MIXBAR_{register.name}_OFFSET 0x{register.offset:03X}u\n" in text


@pytest.fixture
def asked(monkeypatch):
    """Keyword arguments, images and labels that the verb co-simulates; nothing is simulated."""
    calls = []

    def cosimulate(config, images, labels, **options):
        calls.append((images, labels, options))
        mismatch = {"image": 3, "text": "Image 3: wrong."} if options["seed"] == 9 else None
        changes = {
            "config": config.name,
            "images": len(images),
            "mismatches": int(mismatch is not None),
            "mismatch": mismatch,
            "compared": {"pulses": 1},
            "cycles_per_image": {"mean": 1.0, "max": 1, "by_phase": dict.fromkeys(PHASES, 0.2)},
        }
        return CosimResult(**{**NOTHING_TRAINED, **changes})

    monkeypatch.setattr(cosim_module, "cosimulate", cosimulate)
    return calls


def test_cosim_begins_the_training_run(asked, tmp_path, capsys):
    options = ["--images", 40, "--seed", 2, "--data", "mnist-sample", "--out", tmp_path, "--json"]
    assert mixbar("cosim", "tiny_in_situ", *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["mismatches"], found["seed"]) == (40, 0, 2)
    assert Path(found["files"][0]) == tmp_path / "tiny_in_situ" / "cosim.json"
    training = Training(tiny_in_situ, datasets.load("mnist-sample"), seed=2)
    order = training.order(0, 40)
    images, labels, given = asked[0]
    assert np.array_equal(images, training.dataset.train_images[order])
    assert np.array_equal(labels, training.dataset.train_labels[order])
    assert given["train"]
    assert given["resume"]


def test_cosim_infers_test_images(asked, tmp_path):
    options = ["--images", 5, "--infer", "--fresh", "--data", "mnist-sample", "--out", tmp_path]
    assert mixbar("cosim", "tiny_in_situ", *options) == 0
    images, _, given = asked[0]
    training = Training(tiny_in_situ, datasets.load("mnist-sample"), seed=1)
    assert np.array_equal(images, training.dataset.test_images[:5])
    assert not given["train"]
    assert not given["resume"]


def test_mismatch_is_a_failure(asked, tmp_path, capsys):
    options = ["--images", 5, "--seed", 9, "--data", "mnist-sample", "--out", tmp_path]
    assert mixbar("cosim", "tiny_in_situ", *options, "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["mismatch"]["image"] == 3
    replay = "mixbar cosim tiny_in_situ --images 4 --seed 9 --waves --data mnist-sample"
    assert f"Image 3: wrong. Replay: {replay}\n" in err
