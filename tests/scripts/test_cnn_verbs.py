"""train, infer and the accuracy table for a convolutional network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import datasets
from model.cnn.training import Training
from model.configurations import yao_cnn
from scripts import cli, mixbar
from scripts.cnn import accuracy, choices


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(mixbar.app, [*arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    status, out, err = _run(capsys, *arguments, "--json")
    assert status == 0, err
    record: dict[str, Any] = json.loads(out)
    return record


def test_train_and_infer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    common = ("tiny_cnn", "--out", str(tmp_path))
    record = _json(capsys, "train", *common, "--data", "mnist-sample")
    assert list(record["stages"]) == ["software", "quantised", "transferred", "hybrid"]
    assert record["test_accuracy"] == record["stages"]["hybrid"]["test_accuracy"]
    for key in ("epochs", "images", "seed", "train_accuracy", "images_per_second", "curve"):
        assert record[key] is not None
    for key in ("nonzero_update_fraction", "pulses_per_image"):
        assert record[key] >= 0

    now = _json(capsys, "infer", *common)
    assert now["test_accuracy"] == record["test_accuracy"]
    assert now["seconds_after_training"] == 0
    later = _json(capsys, "infer", *common, "--after", "1h,30d")
    assert [point["seconds_after_training"] for point in later["points"]] == [0, 3600, 2592000]
    assert later["points"][0]["test_accuracy"] == record["test_accuracy"]
    broken = _json(capsys, "infer", *common, "--stuck", "0.5")
    assert broken["failed_devices"] > 100

    # The replicas borrow the FP32 network of the run above.
    status, out, err = _run(
        capsys, "train", *common, "--data", "mnist-sample", "--replicas", "2", "--write-seed", "3"
    )
    assert status == 0
    assert "FP32 weights from" in err
    assert "each replica alone" in out
    both = _json(capsys, "infer", *common, "--replicas", "2")
    assert both["cycles_per_image"] < now["cycles_per_image"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "tiny_cnn", "--mode", "worst"), "--mode must be one of paper, best"),
        (("train", "tiny_cnn", "--replicas", "3"), "leaves a band without rows"),
        (("train", "mca_mlp", "--mode", "paper"), "--mode is no option of mca_mlp"),
        (("infer", "mca_mlp", "--replicas", "3"), "--replicas is no option of mca_mlp"),
        (("infer", "tiny_cnn", "--compensate"), "--compensate is for devices that drift together"),
        (("infer", "tiny_cnn"), "run 'mixbar train tiny_cnn' with the same options first"),
    ],
)
def test_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    data = ("--data", "mnist-sample") if arguments[0] == "train" else ()
    status, _, err = _run(capsys, *arguments, *data, "--out", str(tmp_path))
    assert status == 2
    assert message in err


def test_spread() -> None:
    assert accuracy.spread([0.5]) == "50.00 (n = 1)"
    assert accuracy.spread([0.5, 0.51, 0.52]) == "51.00 ± 1.00 (n = 3, lowest 50.00)"


def test_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Records as files, each made once; a row a stage."""
    folder = tmp_path / "tiny_cnn_accuracy"
    stages = {name: {"test_accuracy": 0.9} for name in ("software", "quantised", "transferred")}
    for mode in ("best", "paper"):
        for n in (1, 2):
            chain = {
                "stages": {**stages, "hybrid": {"test_accuracy": 0.95 if mode == "best" else 0.92}},
                "float_read_out": 0.949,
            }
            folder.mkdir(exist_ok=True)
            (folder / f"{mode}_x{n}_network1_write1.json").write_text(json.dumps(chain))
    (folder / "repair_network1_write1.json").write_text('{"before": 0.8, "after": 0.94}')
    arguments = ["tiny_cnn", "--data", "mnist-sample", "--out", str(tmp_path), "--replicas", "2"]
    accuracy.main([*arguments, "--networks", "1", "--writes", "1"])
    text = capsys.readouterr().out
    assert (folder / "table.md").read_text() == text
    assert "| after hybrid training | 92.00 (n = 1) | 95.00 (n = 1) |" in text
    assert "| the same, tuned on 5,500 images | - | 94.00 (n = 1) |" in text
    accuracy.main([*arguments, "--networks", "1", "--writes", "1", "--only", "paper_x2"])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| 2 replicas in bands, after transfer | 90.00 (n = 1) | - |",
        "| 2 replicas in bands, after hybrid training | 92.00 (n = 1) | - |",
    ]
    with pytest.raises(cli.RequestError, match="No run's name begins with 'papers'"):
        accuracy.main([*arguments, "--only", "papers"])


def test_choices_see_no_test_image() -> None:
    """Held-out images take the test images' place, and training leaves them out."""
    dataset = datasets.load("mnist-sample")
    config = replace(yao_cnn, training=replace(yao_cnn.training, held_out=100))
    chosen = choices.held_out(config, dataset)
    assert np.array_equal(chosen.test_images, dataset.train_images[-100:])
    assert np.array_equal(chosen.test_labels, dataset.train_labels[-100:])
    assert Training(config, chosen, seed=1).n_train == len(dataset.train_labels) - 100


def test_choices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A row a setting, from runs that are made once."""
    with pytest.raises(cli.RequestError, match="holds no training images out"):
        choices.main(["tiny_cnn", "--data", "mnist-sample", "--out", str(tmp_path)])
    source = tmp_path / "small.toml"
    source.write_text('extends = "tiny_cnn"\ntraining.held_out = 50\n')
    arguments = [str(source), "--data", "mnist-sample", "--out", str(tmp_path)]
    arguments += ["--networks", "1", "--writes", "1"]
    choices.main(arguments)
    text = capsys.readouterr().out
    record = {
        name: json.loads((tmp_path / f"small_choices/{name}_network1_write1.json").read_text())
        for name in choices.TABLES
    }
    assert list(record["noise"]) == ["0", "0.03", "0.06"]
    assert list(record["rate_paper"]) == ["before", *(f"{rate:g}" for rate in choices.RATES)]
    assert f"| mse | {100 * record['clip']['mse']:.2f} (n = 1) |" in text
    choices.main(arguments)
    assert capsys.readouterr().out == text
