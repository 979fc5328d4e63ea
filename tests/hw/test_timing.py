"""Timing: macros without delay, and what is read from a report."""

import pytest

from hw import timing
from hw.liberty import load
from hw.timing import Macro, TimingPath, macro_liberty
from tests.hw import toy_liberty

MACRO = Macro(
    name="top_ram_8x4",
    depth=8,
    width=4,
    count=3,
    inputs={"clk": 1, "w0_addr": 3, "w0_en": 1, "w0_data": 4, "r0_addr": 3, "r0_en": 1},
    outputs={"r0_data": 4},
)

REPORT = """
Startpoint                           Endpoint                                   Slack
------------------------------------------------------------------------------------

a/level[3]$_SDFF_PP0_/Q (DFF) b/sum[7]$_SDFFE_PP0P_/D (DFF)    2.500000
a/level[0]$_SDFF_PP0_/Q (DFF) b/sum[6]$_SDFFE_PP0P_/D (DFF)    2.600000
i__valid (input) a/rows/w0_en (top_ram_8x4)    -1.5e+1
a/rows/r0_data[2] (top_ram_8x4) o (output)    8.000000

"""


def test_paths_between_registers_longest_first():
    assert timing._parse(REPORT, 10.0, 0.1) == [
        TimingPath(start="i__valid", end="a/rows/w0_en", ns=pytest.approx(2.5)),
        TimingPath(start="a/level[3]", end="b/sum[7]", ns=pytest.approx(0.75)),
        TimingPath(start="a/rows/r0_data[2]", end="o", ns=pytest.approx(0.2)),
    ]


def test_no_path_is_no_path():
    assert timing._parse("No paths found.\n", 10.0, 1.0) == []


def test_bits():
    assert MACRO.bits == 96


def test_macros_are_a_library(tmp_path):
    path = tmp_path / "toy.lib"
    path.write_text(toy_liberty.liberty())
    text = macro_liberty([MACRO], load([path]))
    assert text.count("{") == text.count("}")
    assert 'time_unit : "1ns"' in text
    assert "capacitive_load_unit (1, pf)" in text
    assert "bus (w0_data) { bus_type : bus4; direction : input;" in text
    assert "pin (w0_en) { direction : input;" in text
    assert text.count("clock : true") == 1
