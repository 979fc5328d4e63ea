"""Functional coverage counts what the model did; Verilator's file is read point by point."""

from dataclasses import replace

import numpy as np
import pytest

from cocotb_tests.coverage import (
    POINTS,
    RESET_POINT,
    UnitCoverage,
    add,
    holes,
    largest_maxima,
    new_counts,
)
from cocotb_tests.verilog_coverage import Point, constant_bits, read_points
from model.activity import Activity
from model.arrays import new_arrays
from model.config import RefreshConfig
from model.configurations import tiny_mca
from model.error_unit import hidden_error, output_error
from model.quantiser import DRIVE_CODE_MAX, scale_exponent
from model.unit import infer_image, new_unit, settings, train_image
from scripts.coverage import CORNERS, Explanation, configurations, explained, stimulus


def cover(config, n_images, *, train=True):
    """Counts of the first images of the stimulus, on the model alone."""
    images, labels = stimulus(config.network.layers[0], config.network.layers[-1])
    unit, coverage, run = new_unit(config), UnitCoverage(config), settings(config)
    arrays = tuple(array.state for array in new_arrays(config, 1))
    for image, label in zip(images[:n_images], labels[:n_images], strict=True):
        if train:
            train_image(unit, arrays, run, image, label, False)
        else:
            infer_image(unit, arrays, image)
        coverage.sample(unit, run if train else None)
    return coverage.counts, unit


def test_names_are_unique():
    assert len({point.name for point in POINTS}) == len(POINTS)
    assert all(set(point.impossible) < set(point.bins) for point in POINTS)


def test_counts_agree_with_the_units_counters():
    counts, unit = cover(tiny_mca, 60)
    activity = {member.name.lower(): int(unit.counters[member]) for member in Activity}
    assert sum(counts["image"].values()) == 60
    assert counts["image"]["all zero"] == 1
    assert counts["image"]["all full"] == 1
    pulses = counts["pulse"]
    refresh = counts["pair read by refresh"]
    assert pulses["RESET"] == activity["reset_pulses"]
    assert (
        sum(refresh[k] for k in ("written plus", "written minus", "only RESET"))
        == (activity["refreshed_pairs"])
    )
    assert sum(counts["pulses of a word"].values()) == activity["pulse_words"]
    assert sum(counts["next chi word"].values()) <= activity["chi_words"]
    assert sum(refresh.values()) * 2 == activity["conversions"] - sum(
        sum(counts[point].values()) for point in ("forward code", "backward code")
    )


def test_inference_meets_forward_cases_only():
    counts, _ = cover(tiny_mca, 10, train=False)
    met = {name for name, bins in counts.items() if any(bins.values())}
    assert met == {
        "image",
        "activation code, rounding",
        "activation code",
        "forward code",
        "sum over tiles",
    }


def test_periodic_refresh_keeps_no_codes():
    config = replace(tiny_mca, refresh=RefreshConfig(interval=2, rows=0, saturated_us=2.0))
    counts, unit = cover(config, 6)
    assert counts["pair read by refresh"]["low"] == 0
    assert counts["pulse"]["RESET"] == unit.counters[Activity.RESET_PULSES] > 0


def test_stimulus_meets_everything():
    """All configurations together leave no hole but the resets, which have a bench of their own."""
    total = new_counts()
    for config in configurations():
        add(total, cover(config, 306)[0])
    assert [hole for hole in holes(total) if hole[0] != RESET_POINT] == []
    for point in POINTS:
        assert not any(total[point.name][case] for case in point.impossible), point.name


def exact_errors():
    """Magnitudes of all exact errors of outputs, and of all of hidden units, that are not zero."""
    outputs = [output_error(y, hit) for y in range(256) for hit in (False, True)]
    hidden = [hidden_error(code, h) for code in range(-128, 128) for h in range(256)]
    found = [np.abs(np.array(errors, np.int64)) for errors in (outputs, hidden)]
    return [errors[errors > 0] for errors in found]


def test_why_update_codes_never_round_a_half():
    """The reason given for the cases that are called impossible, for every error there is."""
    errors = np.concatenate(exact_errors())
    odd = errors // (errors & -errors)
    assert odd.min() > 7


def test_why_bits_of_errors_never_change():
    """The reasons given for bits of the quantiser, for every error there is."""
    outputs, hidden = exact_errors()
    assert not (np.concatenate((outputs, hidden)) & 1).any()
    exponent = max(scale_exponent(int(error), DRIVE_CODE_MAX) for error in outputs)
    assert largest_maxima(tiny_mca) == [int(hidden.max()) << exponent, int(outputs.max())]


def test_corners_reach_both_ends_of_every_setting():
    rates, thresholds = zip(*(settings[:2] for settings, _, _ in CORNERS), strict=True)
    assert (min(rates), max(rates)) == (-32, 31)
    assert (min(thresholds), max(thresholds)) == (2, tiny_mca.update.chi_bits - 4)
    assert {settings[2:] for settings, _, _ in CORNERS} >= {(True, 1), (False, 0), (False, 2)}


def record(met, **keys):
    """A line of Verilator's file."""
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in keys.items()) + f"' {met}"


BENCH = record(5, f="bench.sv", l=1, page="v_line/bench", o="block", h="a")
RECORDS = [
    record(0, f="unit.v", l=3, n=3, page="v_branch/top.block", o="else", h="a"),
    record(3, f="unit.v", l=3, n=3, page="v_branch/top.block", o="else", h="b"),
    record(2, f="unit.v", l=1, page="v_toggle/top", o="valid__0247[1]:0->1", h="a"),
    record(1, f="unit.v", l=1, page="v_toggle/top_ram_2x16", o="mem[1][9]:1->0", h="a"),
    # What emission adds: an expression, a register of Yosys and its branch.
    record(1, f="unit.v", l=1, page="v_toggle/top", o="__02417:1->0", h="a"),
    record(1, f="unit.v", l=1, page="v_toggle/top", o="__024auto__024verilog__0241:1->0", h="a"),
    record(0, f="unit.v", l=2, page="v_branch/top", o="if", h="a"),
    BENCH,
]
VERILOG = r"""module top
    if (\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
      end else if (\ready$3 ) begin
"""


@pytest.fixture
def verilog(tmp_path):
    path = tmp_path / "top.v"
    path.write_text(VERILOG)
    return path


def test_points_of_declared_signals_add_up(tmp_path, verilog):
    path = tmp_path / "coverage.dat"
    path.write_text("# SystemC::Coverage-3\n" + "\n".join(RECORDS) + "\n")
    branch = Point("line", "block", "line 3, else", "ready$3")
    toggle = Point("toggle", "", "valid$7[1] 0->1", "valid$7", 1)
    row = Point("toggle", "ram_2x16", "mem[1][9] 1->0", "mem", 9)
    assert read_points([path], verilog, "top") == {branch: 3, toggle: 2, row: 1}
    assert read_points([path, path], verilog, "top")[toggle] == 4


def test_vectors_that_verilator_counts_wrongly_are_left_out(tmp_path, verilog):
    path = tmp_path / "coverage.dat"
    bits = [("wide", 0), ("wide", 64), ("narrow", 63)]
    records = [
        record(1, f="unit.v", l=1, page="v_toggle/top", o=f"{name}[{bit}]:0->1")
        for name, bit in bits
    ]
    path.write_text("# SystemC::Coverage-3\n" + "\n".join(records) + "\n")
    assert [point.signal for point in read_points([path], verilog, "top")] == ["narrow"]


@pytest.mark.parametrize(
    ("text", "why"), [("nothing", "no coverage file"), ("", "no coverage file")]
)
def test_foreign_file(tmp_path, verilog, text, why):
    path = tmp_path / "coverage.dat"
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        read_points([path], verilog, "top")


def test_empty_coverage(tmp_path, verilog):
    path = tmp_path / "coverage.dat"
    path.write_text("# SystemC::Coverage-3\n" + BENCH + "\n")
    with pytest.raises(ValueError, match="No point of the unit"):
        read_points([path], verilog, "top")


def test_constants_decide_on_toggles_and_branches():
    constants = {("block.ready", 0): "1", ("two", 1): "0"}
    unmet = {
        Point("toggle", "block", "ready 1->0", "ready"): True,
        Point("toggle", "", "two[1] 0->1", "two", 1): True,
        Point("toggle", "", "two[0] 0->1", "two", 0): False,
        Point("line", "block", "line 1, else", "ready"): True,
        Point("line", "block", "line 1, if", "ready"): False,
        Point("line", "", "line 2, elsif", "two", 1): True,
        Point("line", "", "line 2, cond_else", "two", 1): False,
        Point("line", "", "line 3, block"): False,
    }
    assert {point: point.is_constant(constants) for point in unmet} == unmet


def test_yosys_finds_constants_through_the_hierarchy(tmp_path):
    path = tmp_path / "a folder" / "top.v"
    path.parent.mkdir()
    path.write_text(
        """
        module part(input [1:0] i, output [1:0] o);
          wire [1:0] kept;
          assign kept = i & 2'b01;
          assign o = kept;
        endmodule
        module top(input a, output [1:0] y);
          part block(.i({1'b1, a}), .o(y));
        endmodule
        """
    )
    constants = constant_bits(path, "top", tmp_path / "work")
    assert constants == {
        ("block.i", 1): "1",
        ("block.kept", 1): "0",
        ("block.o", 1): "0",
        ("y", 1): "0",
    }


def test_explanations_are_of_bits_in_a_range():
    explanation = Explanation("block|", r"two\w*", "why", range(1, 3))
    fits = [
        explanation.fits(Point("toggle", "block", "two[0] 0->1", "two", bit)) for bit in range(4)
    ]
    assert fits == [False, True, True, False]
    assert not explanation.fits(Point("toggle", "blocks", "two[1] 0->1", "two", 1))
    assert all(explanation.why for explanation in explained(tiny_mca))
