"""Builds of simulators, made once and shared by tests, workers and later runs."""

from pathlib import Path

import pytest

from cocotb_tests import netlist_unit, simulator
from hw import verilog
from hw.gate_tables import read_netlists
from tests.cocotb_tests.boundary_toy import BoundaryToy, toy_probes

BUILD_DIR = Path(__file__).parents[2] / "build" / "test"


@pytest.fixture(scope="session")
def build_dir():
    """Where builds lie; equal Verilog is found again in the next run of the tests."""
    return BUILD_DIR


@pytest.fixture(scope="session")
def simulate():
    """A function from a component and its top's name to the build that simulates it."""

    def build(component, top, **options):
        path = BUILD_DIR / top / f"{top}.v"
        unit = verilog.emit_component(component, top=top, path=path)
        return simulator.build(unit, cache_dir=BUILD_DIR, **options)

    return build


@pytest.fixture(scope="session")
def toy():
    return BoundaryToy()


@pytest.fixture(scope="session")
def toy_simulation(simulate, toy):
    return simulate(toy, "boundary_toy", probes=toy_probes(toy))


@pytest.fixture
def turn_gate(monkeypatch, tmp_path):
    """A function that turns an exclusive or of a block around, behind its synthesis."""

    def turn(block):
        def read(found, folder):
            for path in folder.glob("*.v"):
                text = path.read_text()
                if path.stem == block:
                    assert "$_XOR_ " in text
                    text = text.replace("$_XOR_ ", "$_XNOR_ ", 1)
                (tmp_path / path.name).write_text(text)
            return read_netlists(found, tmp_path)

        monkeypatch.setattr(netlist_unit, "read_netlists", read)

    return turn
