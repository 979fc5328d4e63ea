"""Synthesis: counts that can be worked out by hand, and every fault that it must refuse."""

from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw import synthesis, timing
from hw.errors import SynthesisError
from hw.liberty import load
from hw.netlist import read_netlist
from hw.synthesis import GENERIC, TOP_BLOCK, synthesise
from hw.verilog import emit_component
from tests.hw import toy_liberty

BITS = 4


class Delay(wiring.Component):
    """Holds a word; with ``enabled`` only when told."""

    i: In(BITS)
    o: Out(BITS)
    enable: In(1)

    def __init__(self, *, enabled):
        self.enabled = enabled
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable if self.enabled else 1):
            m.d.sync += self.o.eq(self.i)
        return m


class Buffered(wiring.Component):
    """A block with a block and a memory inside."""

    i: In(BITS)
    o: Out(BITS)
    enable: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.delay = delay = Delay(enabled=True)
        m.submodules.store = store = memory.Memory(shape=BITS, depth=8, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            delay.i.eq(self.i),
            delay.enable.eq(self.enable),
            write.data.eq(delay.o),
            write.en.eq(self.enable),
            write.addr.eq(self.i),
            read.addr.eq(self.i),
            read.en.eq(1),
            self.o.eq(read.data),
        ]
        return m


class Unit(wiring.Component):
    """Two blocks, and a NOT a bit between them."""

    i: In(BITS)
    o: Out(BITS)
    enable: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Buffered()
        m.submodules.second = second = Delay(enabled=False)
        m.d.comb += [
            first.i.eq(self.i),
            first.enable.eq(self.enable),
            second.i.eq(~first.o),
            self.o.eq(second.o),
        ]
        return m


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    return emit_component(Unit(), top="unit", path=tmp_path_factory.mktemp("unit") / "unit.v").path


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "toy.lib"
    path.write_text(toy_liberty.liberty())
    return load([path])


def run(verilog, folder, library=None, top="unit", **options):
    return synthesise(
        Path(verilog), top=top, library=library, period_ns=2.0, folder=folder, **options
    )


@pytest.fixture(scope="module")
def found(unit, library, tmp_path_factory):
    return run(unit, tmp_path_factory.mktemp("found"), library)


def test_blocks_are_the_children_of_the_top(found):
    assert [block.name for block in found.blocks] == ["first", "second", TOP_BLOCK]
    assert found.library == "toy"


def test_areas_by_hand(found):
    blocks = {block.name: block for block in found.blocks}
    # The reset is synchronous: a gate a bit, with or without an inverter.
    assert blocks["second"].flip_flops == blocks["second"].flip_flops_free == BITS
    assert blocks["first"].flip_flops == BITS
    assert blocks["first"].flip_flops_free == 0
    assert blocks[TOP_BLOCK].cells == BITS
    assert blocks[TOP_BLOCK].area_um2 == BITS * toy_liberty.AREAS["INV"]
    assert found.area_um2 == pytest.approx(sum(block.area_um2 for block in found.blocks))
    assert found.cells == sum(block.cells for block in found.blocks)
    assert (found.flip_flops, found.flip_flops_free) == (2 * BITS, BITS)


def test_netlists_hold_what_was_counted(unit, library, tmp_path):
    result = run(unit, tmp_path, library)
    for block in result.blocks:
        lines = (tmp_path / f"{block.name}.v").read_text().splitlines()
        cells = [line.split()[0] for line in lines if line.startswith("  ") and line[-2:] == " ("]
        cells = [cell for cell in cells if cell in toy_liberty.AREAS]
        assert len(cells) == block.cells
        assert sum(toy_liberty.AREAS[cell] for cell in cells) == pytest.approx(block.area_um2)


class Pair(wiring.Component):
    """The last two words, in one register."""

    i: In(2)
    o: Out(data.ArrayLayout(2, 2))

    def elaborate(self, platform):
        m = Module()
        pair = Signal(data.ArrayLayout(2, 2))
        m.d.sync += [pair[0].eq(self.i), pair[1].eq(pair[0])]
        m.d.comb += self.o.eq(pair)
        return m


def test_bits_of_arrays_keep_the_registers_name(tmp_path):
    """Element 0 is a wire ``pair[0]`` of the Verilog; in the netlist that is bit 0."""
    unit = emit_component(Pair(), top="unit", path=tmp_path / "unit.v").path
    run(unit, tmp_path)
    netlist = read_netlist((tmp_path / f"{TOP_BLOCK}.v").read_text())
    registers = [cell.pins for cell in netlist.cells if "DFF" in cell.kind]
    assert {pins["Q"]: pins["D"] for pins in registers} == {
        "pair[0]": "i[0]",
        "pair[1]": "i[1]",
        "pair[2]": "pair[0]",
        "pair[3]": "pair[1]",
    }


def test_memories_are_macros(found):
    (macro,) = found.memories
    assert (macro.name, macro.depth, macro.width, macro.count) == ("unit_ram_8x4", 8, BITS, 1)
    assert macro.inputs["w0_data"] == macro.outputs["r0_data"] == BITS


def test_warnings_have_reasons(found):
    assert all(warning.count > 0 and warning.reason for warning in found.warnings)


@pytest.mark.skipif(not timing.available(), reason="OpenSTA is not installed")
def test_paths_by_hand(found):
    # Memory (0) to register through the top's inverters: 0.1 to 0.2 ns an inverter and set-up.
    assert found.timing.startswith("OpenSTA")
    between = {(path.start.split("[")[0], path.end.split("[")[0]): path.ns for path in found.paths}
    assert 0.1 < between["first/store/r0_data", "second/o"] < 1.5
    assert found.path.ns == max(between.values())
    assert {block.name: block.path is None for block in found.blocks} == {
        "first": False,
        "second": False,
        TOP_BLOCK: True,
    }


def test_without_opensta_abc_estimates(unit, library, tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "available", lambda: False)
    result = run(unit, tmp_path, library)
    assert result.timing.startswith("abc")
    assert result.paths == ()
    assert result.path.ns > 0


def test_without_library_gates_are_counted(unit, tmp_path):
    result = run(unit, tmp_path)
    assert result.library == GENERIC
    assert (result.area_um2, result.path, result.timing) == (None, None, None)
    assert result.flip_flops == 2 * BITS
    assert result.cells >= 3 * BITS


def test_unchanged_blocks_are_not_done_again(unit, library, tmp_path, monkeypatch):
    first = run(unit, tmp_path, library)
    scripts = []
    original = synthesis._yosys
    monkeypatch.setattr(
        synthesis,
        "_yosys",
        lambda work, commands: scripts.append(commands[0]) or original(work, commands),
    )
    assert run(unit, tmp_path, library) == first
    assert scripts == ["read_verilog in.v"]
    (tmp_path / "second.v").unlink()
    (tmp_path / "first.json").write_text("{")
    assert run(unit, tmp_path, library) == first
    assert scripts[1:] == ["read_verilog in.v", "read_rtlil block.il", "read_rtlil block.il"]


def test_progress(unit, tmp_path):
    steps = []
    run(unit, tmp_path, progress=lambda *step: steps.append(step))
    assert steps == [(0, 3, "first"), (1, 3, "second"), (2, 3, TOP_BLOCK), (3, 3, "timing")]


FAULTS = {
    "latch": (
        "module unit(input e, input d, output reg q); always @* if (e) q = d; endmodule",
        "Yosys failed: .*selection is not empty",
    ),
    "loop through two blocks": (
        "module \\unit.a (input x, input y, output z); assign z = x & y; endmodule\n"
        "module \\unit.b (input x, output z); assign z = ~x; endmodule\n"
        "module unit(input x, output z); wire w;\n"
        "\\unit.a a(.x(x), .y(w), .z(z)); \\unit.b b(.x(z), .z(w)); endmodule",
        "Found 1 problems.*logic loop",
    ),
    "two drivers": (
        "module unit(input x, input y, output z); assign z = x; assign z = ~y; endmodule",
        "Found 1 problems.*multiple conflicting drivers",
    ),
    "no driver": (
        "module unit(input x, output z); wire w; assign z = x & w; endmodule",
        "Found 1 problems.*used but has no driver",
    ),
    "no such module": (
        "module unit(input x, output z); other o(.x(x), .z(z)); endmodule",
        "Yosys failed: .*other",
    ),
    "no Verilog": ("modul", "Yosys failed: .*syntax error"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault, tmp_path):
    text, sentence = FAULTS[fault]
    (tmp_path / "unit.v").write_text(text)
    with pytest.raises(SynthesisError, match=sentence):
        run(tmp_path / "unit.v", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_warning(tmp_path):
    (tmp_path / "unit.v").write_text(
        "module unit(input x, output z); assign w = ~x; assign z = ~w; endmodule"
    )
    with pytest.raises(SynthesisError, match="nothing explains: .*implicitly declared"):
        run(tmp_path / "unit.v", tmp_path / "out")


def test_wrong_period(unit, tmp_path):
    with pytest.raises(SynthesisError, match="must be above 0 ns, not 0"):
        synthesise(unit, top="unit", library=None, period_ns=0, folder=tmp_path)


def test_waivers_have_reasons():
    assert all(reason.endswith(".") for reason in synthesis.WAIVERS.values())
