"""Emitted Verilog: the same to the byte, whole or not at all, with the ports of the signature."""

import gc
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw import verilog
from hw.verilog import WAIVERS, Port, emit, emit_component, top_name
from model.config import from_toml
from model.configurations import mca_mlp, tiny_mca

ROOT = Path(__file__).parents[2]


class Adder(wiring.Component):
    """A vector plus one, with a stream that never stalls and a field that is always zero."""

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(signed(5), 3), always_ready=True)),
                "o": Out(data.StructLayout({"sums": data.ArrayLayout(signed(5), 3), "none": 4})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for k in range(3):
            m.d.sync += self.o.sums[k].eq(self.i.payload[k] + 1)
        empty = Signal(0)
        m.d.comb += empty.eq(self.i.valid)
        return m


def test_ports_are_the_signature(tmp_path):
    unit = emit_component(Adder(), top="adder", path=tmp_path / "adder.v")
    assert unit.ports == (
        Port(name="i__payload", width=15, is_input=True),
        Port(name="i__valid", width=1, is_input=True),
        Port(name="o", width=19, is_input=False),
    )
    text = unit.path.read_text()
    assert unit.bytes == unit.path.stat().st_size
    declared = set(re.findall(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);", text, re.MULTILINE))
    assert declared == {port.name for port in unit.ports} | {"clk", "rst"}


def test_no_vector_of_no_bits(tmp_path):
    unit = emit_component(Adder(), top="adder", path=tmp_path / "adder.v")
    assert "[-1:0]" not in unit.path.read_text()


def test_constant_blocks_start():
    text = (
        "module m(o);\n  reg [3:0] o;\n"
        "  always @*\n    o[1:0] = 2'h0;\n  always @*\n    o[3:2] = a;\nendmodule\n"
    )
    repaired = verilog._repair(text)
    assert repaired.count("if (\\$start ) begin end\n    o[1:0] = 2'h0;") == 1
    assert "  always @*\n    o[3:2] = a;" in repaired
    assert repaired.startswith("module m(o);\n  reg \\$start  = 0;\n")


def test_repair_leaves_the_rest():
    text = "module m(o);\n  always @*\n    o = a;\nendmodule\n"
    assert verilog._repair(text) == text


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return emit(tiny_mca, tmp_path_factory.mktemp("build"))


def test_registers_are_one_block(tiny):
    """No register takes a next value that another block computes."""
    text = tiny.path.read_text()
    assert "always @(posedge clk) begin" in text
    assert not re.search(r"always @\(posedge clk\)\n    \S+ ?<= ", text)


HELD = r"""module held(clk, rst);
  reg [3:0] \$1 ;
  reg [1:0] \$2 ;
  always @(posedge clk)
    \count$5  <= \$1 ;
  always @(posedge clk)
    other <= \$2 ;
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    \$1  = \count$5 ;
    casez (word)
      2'h0:
          /* empty */;
      2'h1:
          \$1 [1:0] = step;
    endcase
    if (rst) begin
      \$1  = 4'h0;
    end
  end
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    \$2  = other;
    if (go) begin
      next = \$2 ;
    end
  end
endmodule
"""


def test_register_is_joined_unless_its_next_value_is_read():
    assert (
        verilog._join_registers(HELD)
        == r"""module held(clk, rst);
  reg [1:0] \$2 ;
  always @(posedge clk)
    other <= \$2 ;
  always @(posedge clk) begin
    casez (word)
      2'h1:
          \count$5 [1:0] <= step;
    endcase
    if (rst) begin
      \count$5  <= 4'h0;
    end
  end
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    \$2  = other;
    if (go) begin
      next = \$2 ;
    end
  end
endmodule
"""
    )


def test_case_that_does_nothing_stays_before_others():
    """With don't-care bits or a default it keeps what comes behind from matching."""
    text = HELD.replace("2'h1:", "2'h?:")
    assert "/* empty */" in verilog._join_registers(text)
    assert "/* empty */" in verilog._join_registers(HELD.replace("2'h1:", "default:"))


def test_path_and_top(tiny):
    assert tiny.top == top_name(tiny_mca) == "digital_unit_tiny_mca"
    assert tiny.path.parts[-2:] == ("tiny_mca", "digital_unit_tiny_mca.v")
    assert f"\nmodule {tiny.top}(" in tiny.path.read_text()
    assert [path.name for path in tiny.path.parent.iterdir()] == [tiny.path.name]


def test_header_is_the_configuration(tiny):
    lines = tiny.path.read_text().splitlines()
    end = next(k for k, line in enumerate(lines) if not line.startswith("//"))
    assert lines[0].startswith("// mixbar digital_unit_tiny_mca")
    assert from_toml("\n".join(line[3:] for line in lines[2:end])) == tiny_mca


def test_no_path_and_no_date(tiny):
    text = tiny.path.read_text()
    assert str(ROOT) not in text
    assert "src =" not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_same_bytes_in_another_process(tiny, tmp_path):
    # Another seed of Python's hashes: no set's order may reach the text.
    code = (
        "import sys; from pathlib import Path; from hw import verilog; "
        "from model.configurations import tiny_mca; verilog.emit(tiny_mca, Path(sys.argv[1]))"
    )
    environment = dict(os.environ, PYTHONHASHSEED="4711", PYTHONPATH=str(ROOT))
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, env=environment, check=True
    )
    again = tmp_path / "tiny_mca" / tiny.path.name
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tiny.path, again)}
    assert len(digests) == 1


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        verilog._write(tmp_path / "unit.v", b"module")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(was_enabled, tmp_path, monkeypatch):
    during = []

    def refuse(*_arguments, **_options):
        during.append(gc.isenabled())
        raise verilog.verilog.YosysError("no room")

    monkeypatch.setattr(verilog.verilog, "_convert_rtlil_text", refuse)
    try:
        if not was_enabled:
            gc.disable()
        with pytest.raises(verilog.VerilogError, match=r"of adder: no room\.$"):
            emit_component(Adder(), top="adder", path=tmp_path / "adder.v")
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
    assert during == [False]


def test_replaces_what_was_there(tmp_path):
    path = tmp_path / "unit.v"
    path.write_text("old")
    verilog._write(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o444


def test_waivers_are_named_once_with_reasons():
    names = [waiver.name for waiver in WAIVERS]
    assert len(names) == len(set(names))
    assert all(waiver.reason.endswith(".") for waiver in WAIVERS)


def test_tops_differ():
    assert top_name(tiny_mca) != top_name(mca_mlp)
