"""The front door: its help, its verbs for configurations, its answers to wrong requests."""

import json
import tomllib

import pytest

from model.configurations import CONFIGURATIONS
from scripts import cli
from scripts.mixbar import app


def mixbar(*arguments):
    return cli.run(app, list(arguments))


def test_help(capsys):
    assert mixbar("--help") == 0
    out, err = capsys.readouterr()
    assert "  mixbar configs  " in out
    assert err == ""


def test_every_verb_teaches_by_example(capsys):
    for command in app.registered_commands:
        assert mixbar(command.name, "--help") == 0
        out = capsys.readouterr().out
        assert f"Examples:\n    mixbar {command.name}" in out, command.name


def test_nothing_asked(capsys):
    assert mixbar() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: mixbar" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["frobnicate"], "No such command 'frobnicate', known: "),
        (["config"], "Missing argument 'CONFIG'; see 'mixbar config --help'."),
        (["config", "nope"], "Unknown configuration 'nope'"),
        (["config", "nope.toml"], "nope.toml"),
        (["configs", "--frob"], "No such option: --frob"),
        (["config", "tiny_mca", "more"], "unexpected extra argument"),
    ],
)
def test_wrong_request(arguments, sentence, capsys):
    assert mixbar(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.startswith("mixbar: ")
    assert err.endswith(".\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", ["bench", "power", "synth"])
@pytest.mark.parametrize("config", ["tiny_cnn", "tiny_in_situ", "tiny_mixed4"])
def test_verbs_of_one_kind(verb, config, tmp_path, capsys):
    out = () if verb == "bench" else ("--out", str(tmp_path))
    assert mixbar(verb, config, *out) == 2
    kind = CONFIGURATIONS[config].system
    assert capsys.readouterr() == (
        "",
        f"mixbar: 'mixbar {verb}' does not take {config}, a system of the kind {kind}: it is for "
        "those of the kind mca alone.\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("sweep", "tiny_mca"),
        ("infer", "tiny_mixed4"),
        ("report", "tiny_in_situ"),
        ("report", "tiny_mixed4"),
    ],
)
def test_verbs_of_some_kinds(arguments, tmp_path, capsys):
    assert mixbar(*arguments, "--out", str(tmp_path)) == 2
    err = capsys.readouterr().err
    assert f"'mixbar {arguments[0]}' does not take {arguments[1]}, a system of the kind" in err
    assert err.count("\n") == 1


def test_configs(capsys):
    assert mixbar("configs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()[:2]) for line in lines] == [
        (name, config.system) for name, config in CONFIGURATIONS.items()
    ]


def test_configs_json(capsys):
    assert mixbar("configs", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["configs"]
    assert [row["config"] for row in rows] == list(CONFIGURATIONS)


@pytest.mark.parametrize("name", list(CONFIGURATIONS))
def test_config_can_be_used_again(name, tmp_path, capsys):
    assert mixbar("config", name) == 0
    text = capsys.readouterr().out
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert cli.load_config(str(path)) == CONFIGURATIONS[name]
    assert mixbar("config", str(path), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["config"] == name
    assert data["settings"] == tomllib.loads(text)


def test_config_wrong_value(tmp_path, capsys):
    path = tmp_path / "wrong.toml"
    path.write_text('extends = "tiny_mca"\n[update]\nlanes = 0\n')
    assert mixbar("config", str(path)) == 2
    err = capsys.readouterr().err
    assert "lanes" in err
    assert err.count("\n") == 1
