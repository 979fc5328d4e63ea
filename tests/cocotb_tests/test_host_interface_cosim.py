"""The host interface as emitted Verilog in Verilator, driven by an independent AXI host."""

from dataclasses import replace
from pathlib import Path

import pytest

from cocotb_tests import simulator
from cocotb_tests.host_loopback import HostLoopback
from hw.verilog import emit_component
from model.config import Config, NetworkConfig, to_toml
from model.configurations import tiny_mca

CONFIGS = {
    # Several words in and out, none of them full.
    "words": replace(tiny_mca, network=NetworkConfig(layers=(21, 12))),
    # Whole words: the bias has a word of its own; one word out.
    "whole": replace(
        tiny_mca,
        network=NetworkConfig(layers=(32, 5, 4)),
        update=replace(tiny_mca.update, lanes=4),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_host_interface(config: Config, tmp_path: Path) -> None:
    unit = emit_component(
        HostLoopback(config), top="host_loopback", path=tmp_path / "host_loopback.v"
    )
    assert simulator.lint(unit) == []
    simulator.run(
        simulator.build(unit),
        "cocotb_tests.bench_host_interface",
        {"config": to_toml(config)},
        seed=1,
        timeout_s=300,
    )
