"""Functional coverage counts what the model did; Verilator's file is read point by point."""

from dataclasses import replace

import numpy as np
import pytest

from cocotb_tests.coverage import POINTS, RESET_POINT, UnitCoverage, add, holes, new_counts
from cocotb_tests.verilog_coverage import Point, read_points
from model.activity import Activity
from model.arrays import new_arrays
from model.config import RefreshConfig
from model.configurations import tiny_mca
from model.error_unit import hidden_error, output_error
from model.unit import infer_image, new_unit, settings, train_image
from scripts.coverage import configurations, stimulus


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


def test_why_update_codes_never_round_a_half():
    """The reason given for the cases that are called impossible, for every error there is."""
    outputs = [output_error(y, hit) for y in range(256) for hit in (False, True)]
    hidden = [hidden_error(code, h) for code in range(-128, 128) for h in range(256)]
    errors = np.abs(np.array(outputs + hidden, np.int64))
    errors = errors[errors > 0]
    odd = errors // (errors & -errors)
    assert odd.min() > 7


def record(met, **keys):
    """A line of Verilator's file."""
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in keys.items()) + f"' {met}"


BENCH = record(5, f="bench.sv", l=1, page="v_line/bench", o="block", h="a")
RECORDS = [
    record(0, f="unit.v", l=7, n=3, page="v_branch/top.block", o="else", h="a"),
    record(3, f="unit.v", l=7, n=3, page="v_branch/top.block", o="else", h="b"),
    record(2, f="unit.v", l=9, page="v_toggle/top", o="valid[1]:0->1", h="a"),
    BENCH,
]


def test_points_of_instances_add_up(tmp_path):
    path = tmp_path / "coverage.dat"
    path.write_text("# SystemC::Coverage-3\n" + "\n".join(RECORDS) + "\n")
    assert read_points([path]) == {
        Point("line", "top.block", "line 7, else"): 3,
        Point("toggle", "top", "valid[1]:0->1"): 2,
    }
    assert read_points([path, path])[Point("toggle", "top", "valid[1]:0->1")] == 4


@pytest.mark.parametrize(
    ("text", "why"), [("nothing", "no coverage file"), ("", "no coverage file")]
)
def test_foreign_file(tmp_path, text, why):
    path = tmp_path / "coverage.dat"
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        read_points([path])


def test_empty_coverage(tmp_path):
    path = tmp_path / "coverage.dat"
    path.write_text("# SystemC::Coverage-3\n" + BENCH + "\n")
    with pytest.raises(ValueError, match="No point of unit.v"):
        read_points([path])
