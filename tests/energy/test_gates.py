"""Gates beside tables: the groups take every block once, and the scale is the tables' own."""

import pytest

from energy.activity import ActivityRecord
from energy.estimator import estimate
from energy.gates import GROUPS, REGISTERS, compare
from energy.page import to_html
from energy.report import build
from energy.scaling import Node, energy_factor
from model.configurations import mca_mlp
from model.settings import to_toml

BLOCKS = [
    {"block": name, "logic_j": logic, "register_j": 1e-12}
    for name, logic in (
        ("read_out_0", 1e-12),
        ("error_unit", 2e-12),
        ("quantiser", 4e-12),
        ("chi_memory", 8e-12),
        ("host", 16e-12),
        ("digital_unit", 32e-12),
    )
]
OSU018 = Node(tech_nm=180, vdd_v=1.8)


def test_every_block_once(activity: ActivityRecord) -> None:
    target = Node()
    rows = compare(mca_mlp, activity, BLOCKS, library_node=OSU018, target=target, flip_flops=25_000)
    by_group = {row["group"]: row for row in rows}
    assert list(by_group) == [*GROUPS, REGISTERS, "all but memories"]
    gates = {group: row["gates_j"] for group, row in by_group.items()}
    assert gates["read-out"] == pytest.approx(1e-12)
    assert gates["error unit and quantiser"] == pytest.approx(6e-12)
    assert gates["outer product and chi"] == pytest.approx(8e-12)
    assert gates["everything else"] == pytest.approx(48e-12)
    assert gates[REGISTERS] == pytest.approx(6e-12)
    assert gates["all but memories"] == pytest.approx(69e-12)
    factor = energy_factor(180, 1.8, target)
    assert by_group["read-out"]["gates_scaled_j"] == pytest.approx(1e-12 * factor)
    assert 0 < factor < 0.1

    tables = estimate(mca_mlp, activity, node=OSU018, flip_flops=25_000)
    charged = sum(
        term.energy_j for term in tables.terms if term.action.component in ("logic", "register")
    )
    assert by_group["all but memories"]["tables_j"] == pytest.approx(charged)


def power(activity: ActivityRecord, node_nm: float | None) -> dict[str, object]:
    return {
        "config": "mca_mlp",
        "toml": to_toml(mca_mlp),
        "library": "osu018_stdcells",
        "node_nm": node_nm,
        "voltage_v": 1.8,
        "images": activity.images,
        "counters": dict(activity.counters),
        "flip_flops": 25_000,
        "blocks": BLOCKS,
        "method": "pre-layout",
    }


def test_page_shows_the_check(activity: ActivityRecord) -> None:
    html = to_html(build(mca_mlp, activity, power=power(activity, 180.0)))
    assert "gates at 14 nm" in html
    assert all(f'<td class="left">{group}</td>' in html for group in (*GROUPS, REGISTERS))


def test_report_shows_or_says_why_not(activity: ActivityRecord) -> None:
    shown = build(mca_mlp, activity, power=power(activity, 180.0))["tables"]["power"]
    assert len(shown["rows"]) == len(GROUPS) + 2
    assert "osu018_stdcells" in shown["text"]
    unknown = build(mca_mlp, activity, power=power(activity, None))["tables"]["power"]
    assert unknown["rows"] == []
    assert "--node" in unknown["text"]
    missing = build(mca_mlp, activity)["tables"]["power"]
    assert "mixbar power tiny_mca" in missing["text"]
