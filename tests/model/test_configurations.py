"""The registry of configurations, and loading one by name or from a file."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.config import Config, ConfigError, to_toml
from model.configurations import CONFIGURATIONS, load, mca_mlp, tiny_mca


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_named(name: str) -> None:
    assert load(name) is CONFIGURATIONS[name]
    assert load(name).name == name


def test_paper_figures() -> None:
    """Nandakumar 2020: 785-250-10 with the bias, 50 ns SET pulses, 32-bit chi, 30 epochs."""
    assert mca_mlp.network.layers == (784, 250, 10)
    assert mca_mlp.network.n_rows(0) == 785
    assert mca_mlp.pulse.set_cycles * mca_mlp.clock_period_s == pytest.approx(50e-9)
    assert mca_mlp.update.chi_bits == 32
    assert mca_mlp.training.epochs == 30


def test_from_file(tmp_path: Path) -> None:
    path = tmp_path / "whole.toml"
    path.write_text(to_toml(tiny_mca))
    assert load(str(path)) == tiny_mca


def test_extends(tmp_path: Path) -> None:
    """The name follows the file unless the file gives one; the rest comes from the base."""
    path = tmp_path / "my-16 lanes.toml"
    path.write_text('extends = "tiny_mca"\n[update]\nlanes = 16\n')
    lanes_16 = replace(tiny_mca.update, lanes=16)
    assert load(str(path)) == replace(tiny_mca, name="my_16_lanes", update=lanes_16)
    path.write_text('extends = "mca_mlp"\nname = "other"\n')
    assert load(str(path)) == replace(mca_mlp, name="other")


def test_without_extends(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text("")
    assert load(str(path)) == Config(name="plain")


@pytest.mark.parametrize("source", ["", "mca", "mca_mlp.json", "MCA_MLP"])
def test_unknown(source: str) -> None:
    with pytest.raises(ConfigError, match=r"Unknown configuration .*; known: mca_mlp, tiny_mca"):
        load(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'extends = "none"', r"extends must be one of mca_mlp, tiny_mca.*, not 'none'\."),
        (b'system = "none"', r"system must be one of mca.*, not 'none'\."),
        (b"system = 3", r"system must be one of mca.*, not 3\."),
        (b'extends = "mca_mlp"\nsystem = "none"', r"system must be 'mca' here, not 'none'\."),
        (b"extends = 3", r"extends must be one of mca_mlp, tiny_mca.*, not 3\."),
        (b"extends = [1]", r"extends must be one of mca_mlp, tiny_mca.*, not \[1\]\."),
        (b"[update]\nlanes = 3", r"update\.lanes must be a power of two"),
        (b"lanes = ", r"The configuration is not valid TOML"),
        (b"\xff", r"Cannot read .*: it is not UTF-8 text\."),
    ],
)
def test_wrong_file(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        load(str(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read .*: No such file or directory\."):
        load(str(tmp_path / "none.toml"))
