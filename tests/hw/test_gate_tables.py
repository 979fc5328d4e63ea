"""Gates as tables: truth tables, blocks joined, order, and what is refused."""

import pytest

from hw.errors import LibertyError, SynthesisError
from hw.gate_tables import gate_tables, truth_table
from hw.liberty_power import read_power
from hw.netlist import Netlist, read_netlist
from hw.saif import Instance, NetActivity
from hw.timing import Macro
from hw.verilog import Port
from tests.hw.test_power import LIBRARY, NETLIST

CELLS = read_power([LIBRARY]).cells

MEMORY = Macro(
    name="top_ram_2x2",
    depth=2,
    width=2,
    count=1,
    inputs={"clk": 1, "w0_data": 2},
    outputs={"r0_data": 2},
)

TOP = """module top (clk, a, y);
  input clk;
  input a;
  output [1:0] y;
  wire n;
  INV inverter (
    .A(a),
    .Y(n)
  );
  \\top.block  block (
    .clk(clk),
    .d(n),
    .q(y),
    .out()
  );
endmodule
"""


def loop(second: str) -> Netlist:
    pins = (
        f"  INV one (\n    .A(a),\n    .Y(b)\n  );\n  {second} two (\n    .A(b),\n    .Y(a)\n  );\n"
    )
    return read_netlist(f"module top (clk);\n  input clk;\n{pins}endmodule")


def test_truth_tables() -> None:
    assert truth_table("!A", ["A"]) == "10"
    assert truth_table("(A B')+C", ["A", "B", "C"]) == "01011101"
    assert truth_table("1", []) == "1"
    with pytest.raises(LibertyError, match="reads C, which is no pin"):
        truth_table("A C", ["A"])


def test_blocks_are_joined_and_gates_ordered() -> None:
    netlists = {"block": read_netlist(NETLIST), "top": read_netlist(TOP)}
    tables = gate_tables(netlists, "top", CELLS, [MEMORY])
    top, block = tables.nets["top"], tables.nets["block"]
    assert top["n"] == block["d"]
    assert top["y[0]"] == block["q[0]"]
    assert top["clk"] == block["clk"] == tables.clock
    assert top["y[1]"] == 1  # a constant
    outputs = [out for out, _, _ in tables.gates]
    first = outputs.index(top["n"])
    second = outputs.index(block["middle[0]"])
    assert first < second < outputs.index(block["_1_"])
    assert tables.gates[second] == (block["middle[0]"], "10", (top["n"],))
    ((following, state),) = tables.registers
    assert (following in outputs, state in outputs) == (True, False)
    (memory,) = tables.memories
    assert memory.inputs == {"w0_data": (block["q[0]"], block["_1_"])}
    assert memory.outputs == {}
    assert tables.port("top", Port(name="a", width=1, is_input=True)) == [top["a"]]
    assert tables.port("top", Port(name="b", width=2, is_input=True)) == [None, None]


def test_activity_is_found_by_number() -> None:
    tables = gate_tables({"block": read_netlist(NETLIST)}, "block", CELLS, [MEMORY])
    number = tables.nets["block"]["_1_"]
    moved, clock = NetActivity(3, 0.5), NetActivity(8, 0.5)
    seen = tables.activity(Instance(nets={f"word[0][{number}]": moved, "clk": clock}))
    assert seen["block"].nets == {"_1_": moved, "clk": clock}


@pytest.mark.parametrize(
    ("netlist", "message"),
    [
        (loop("INV"), "form a loop"),
        (loop("LATCH"), "holds LATCH, which is unknown"),
    ],
)
def test_refused(netlist: Netlist, message: str) -> None:
    with pytest.raises(SynthesisError, match=message):
        gate_tables({"top": netlist}, "top", CELLS, [])


def test_other_clock_is_refused() -> None:
    netlist = read_netlist(NETLIST.replace(".CK(clk)", ".CK(d)"))
    with pytest.raises(SynthesisError, match="not clocked by the clock"):
        gate_tables({"block": netlist}, "block", CELLS, [MEMORY])


def test_watched_nets_are_scopes_of_their_blocks() -> None:
    netlists = {"block": read_netlist(NETLIST), "top": read_netlist(TOP)}
    tables = gate_tables(netlists, "top", CELLS, [MEMORY])
    assert tables.watched("top", "block.q", 2) == [
        tables.nets["block"]["q[0]"],
        tables.nets["block"]["q[1]"],
    ]
    assert tables.watched("top", "n", 1) == [tables.nets["top"]["n"]]
    watched = {"block.q": 2}
    text = tables.verilog("unit", [], "top", watched=watched)
    scope = text[text.index("if (1) begin : block") :].split("  end", 1)[0]
    assert "reg [1:0] q;" in scope
    assert f"{MEMORY.name} {tables.memories[0].path.removeprefix('block.')} (" in scope
    assert "word" not in text
    numbers = tables.numbers([], "top", watched=watched).split()
    assert [int(number, 16) for number in numbers[-2:]] == tables.watched("top", "block.q", 2)
    with pytest.raises(SynthesisError, match=r"left bit 2 of block\.q out"):
        tables.watched("top", "block.q", 3)
