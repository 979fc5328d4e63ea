"""The bench's text: what it rejects; what it does is tested by running it."""

import pytest

from cocotb_tests.bench import Field, Latch, Probe, write_bench
from hw.verilog import Port

PORTS = (Port(name="go", width=1, is_input=True), Port(name="drive", width=16, is_input=False))


def probe(name):
    return Probe(name=name, strobe="go", fields=(Field(expression="drive", width=16),))


def test_public_are_the_ports_alone(tmp_path):
    write_bench(tmp_path, top="unit", ports=PORTS)
    lines = (tmp_path / "bench.vlt").read_text().splitlines()
    assert lines[0] == "`verilator_config"
    assert {line.rsplit('"', 2)[1] for line in lines[1:]} == {"clk", "cycle", "rst", "go", "drive"}
    assert [line for line in lines if "public_flat_rw" in line and '"go"' in line]
    assert [line for line in lines if "public_flat_rd" in line and '"drive"' in line]


def test_fields_take_whole_words(tmp_path):
    write_bench(tmp_path, top="unit", ports=PORTS, probes=[probe("drives")])
    assert "probe_push_0(input bit [31:0] record)" in (tmp_path / "bench.sv").read_text()
    assert '{"drives", 1, {}, 0}' in (tmp_path / "probes.cpp").read_text()


@pytest.mark.parametrize("name", ["two words", "", "1st", "naïve", 'quo"te'])
def test_probe_name_wrong(name, tmp_path):
    with pytest.raises(ValueError, match=r"A probe's name must be an identifier, not"):
        write_bench(tmp_path, top="unit", ports=PORTS, probes=[probe(name)])


def test_probe_name_twice(tmp_path):
    with pytest.raises(ValueError, match=r"needs a name of its own; 'x' comes twice"):
        write_bench(tmp_path, top="unit", ports=PORTS, probes=[probe("x"), probe("x")])


def test_latch_drives_a_port(tmp_path):
    write_bench(tmp_path, top="unit", ports=PORTS, probes=[Latch(name="held", port="go")])
    text = (tmp_path / "bench.sv").read_text()
    assert "input wire \\go" not in text
    assert "assign \\go = held_0;" in text
    assert '"go"' not in (tmp_path / "bench.vlt").read_text()


@pytest.mark.parametrize("port", ["drive", "no_such"])
def test_latch_port_wrong(port, tmp_path):
    with pytest.raises(ValueError, match=rf"unit has no input '{port}' to drive"):
        write_bench(tmp_path, top="unit", ports=PORTS, probes=[Latch(name="held", port=port)])
