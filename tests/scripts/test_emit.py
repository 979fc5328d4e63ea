"""``mixbar emit``."""

import json
from pathlib import Path

import pytest

from model.config import to_toml
from model.configurations import tiny_mca
from scripts import cli
from scripts.mixbar import app


def mixbar(*arguments):
    return cli.run(app, list(map(str, arguments)))


def test_emit_twice(tmp_path, capsys):
    outputs = []
    for folder in ("one", "two with a space"):
        assert mixbar("emit", "tiny_mca", "--out", tmp_path / folder, "--json") == 0
        outputs.append(json.loads(capsys.readouterr().out))
        assert {"config", "top", "files", "bytes", "seconds"} <= outputs[-1].keys()
    path = outputs[0]["files"][0]
    assert path == str(tmp_path / "one" / "tiny_mca" / "digital_unit_tiny_mca.v")
    contents = [Path(output["files"][0]).read_bytes() for output in outputs]
    assert contents[0] == contents[1]
    assert len(contents[0]) == outputs[0]["bytes"]
    assert f"module {outputs[0]['top']}(".encode() in contents[0]


def test_configuration_of_ones_own(tmp_path, capsys):
    mine = tmp_path / "mine.toml"
    mine.write_text(to_toml(tiny_mca).replace('name = "tiny_mca"', 'name = "mine"', 1))
    assert mixbar("emit", mine, "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine: module digital_unit_mine, ")
    assert (tmp_path / "mine" / "digital_unit_mine.v").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no_such"], "Unknown configuration 'no_such'"),
        (["missing.toml"], "Cannot read configuration missing.toml"),
        (["tiny_mca", "--out", "{file}"], "must be a directory"),
    ],
)
def test_wrong_request(arguments, sentence, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert mixbar("emit", *[word.format(file=file) for word in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
