"""Gate-level energy beside the tables' for the same blocks of the digital unit.

The tables charge what a block must do (an addition, a shift, a register written); the gates show
what its netlist does, with everything that switches on the way. Memories are macros in both: they
are left out. Both are at the library's node; the gates' figure is then scaled to the target by the
same polynomials as every digital row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from energy.activity import ActivityRecord
from energy.estimator import estimate
from energy.scaling import Node, energy_factor
from model.config import Config

__all__ = ["GROUPS", "compare"]

GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "read-out": (("read_out",), ("read-out",)),
    "error unit and quantiser": (
        ("error_unit", "quantiser", "output_operands", "hidden_operands"),
        ("error unit", "quantiser"),
    ),
    "outer product and chi": (
        ("outer_product", "chi_memory"),
        ("outer product", "chi memory"),
    ),
    "everything else": ((), ()),
}
"""Blocks of the gateware, by the start of their names, and those of the estimator, by group. The
last group takes all others: drivers, buffers, host interface, counters, sequencer."""

REGISTERS = "registers and their clock"
"""A group across all blocks: the tables charge registers by their bits, wherever they are."""


def compare(
    config: Config,
    activity: ActivityRecord,
    blocks: Sequence[Mapping[str, Any]],
    *,
    library_node: Node,
    target: Node,
    flip_flops: int,
) -> list[dict[str, Any]]:
    """A row a group: energy of an image by gates and by tables at the library's node, their ratio,
    and the gates' energy at the target.

    Parameters
    ----------
    blocks
        As of ``mixbar power``: name, and joules an image of logic (``logic_j``) and of registers
        (``register_j``).
    flip_flops
        Clocked in every cycle, by synthesis: the gates' clock reaches all of them.
    """
    tables = estimate(
        config, activity, preset="bottom_up", node=library_node, flip_flops=flip_flops
    )
    factor = energy_factor(library_node.tech_nm, library_node.vdd_v, target)
    claimed = {name for names, _ in GROUPS.values() for name in names}
    charged = {name for _, names in GROUPS.values() for name in names}
    logic = [term for term in tables.terms if term.action.component == "logic"]
    rows = []
    for group, (names, table_blocks) in GROUPS.items():
        gates_j = sum(
            float(block["logic_j"])
            for block in blocks
            if (block["block"].startswith(names) if names else not _claimed(block, claimed))
        )
        tables_j = sum(
            term.energy_j
            for term in logic
            if (
                term.action.block in table_blocks
                if table_blocks
                else term.action.block not in charged
            )
        )
        rows.append(_row(group, gates_j, tables_j, factor))
    registers = [term for term in tables.terms if term.action.component == "register"]
    rows.append(
        _row(
            REGISTERS,
            sum(float(block["register_j"]) for block in blocks),
            sum(term.energy_j for term in registers),
            factor,
        )
    )
    rows.append(
        _row(
            "all but memories",
            sum(row["gates_j"] for row in rows),
            sum(row["tables_j"] for row in rows),
            factor,
        )
    )
    return rows


def _claimed(block: Mapping[str, Any], names: set[str]) -> bool:
    return str(block["block"]).startswith(tuple(names))


def _row(group: str, gates_j: float, tables_j: float, factor: float) -> dict[str, Any]:
    return {
        "group": group,
        "gates_j": gates_j,
        "tables_j": tables_j,
        "ratio": gates_j / tables_j if tables_j else None,
        "gates_scaled_j": gates_j * factor,
        "tables_scaled_j": tables_j * factor,
    }
