"""What the reader of a report can change, estimated beforehand for every setting.

The page holds no formula: it looks up and adds figures that the estimator made. Energy is linear
in the number of non-zero updates, so each setting of node, lanes, converter width and chi width
carries two figures per group of blocks: one without updates and one per update.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from energy.activity import ActivityRecord, InputStatistics
from energy.errors import EnergyError
from energy.estimator import Estimate, estimate
from energy.scaling import Node, nominal_vdd_v, row_factors
from model.activity import Activity
from model.config import Config, ConfigError

__all__ = ["GROUPS", "Explorer", "by_group", "explore"]

GROUPS: dict[str, tuple[str, ...]] = {
    "crossbar": ("crossbar",),
    "line drivers": ("line drivers",),
    "converters": ("converters",),
    "programming": ("programming",),
    "chi memory": ("chi memory",),
    "logic and buffers": (
        "activation unit",
        "buffers",
        "error unit",
        "outer product",
        "quantiser",
        "read-out",
    ),
    "clock": ("clock",),
    "leakage": ("leakage",),
    "digital unit (lump)": ("digital unit (lump)",),
}
"""Groups of blocks in the charts."""

NODE_CHOICES = (45.0, 32.0, 20.0, 16.0, 14.0, 10.0, 7.0)
LANE_CHOICES = (8, 16, 32, 64, 128)
ADC_CHOICES = (4, 5, 6, 7, 8, 9, 10)
CHI_CHOICES = (16, 20, 24, 28, 32)


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """Figures of every setting; axes and order as :func:`explore` says."""

    axes: Mapping[str, Sequence[float]]
    """Choices of ``node``, ``lanes``, ``adc`` and ``chi``, in the order of the figures' nesting."""
    groups: list[str]
    fixed_pj: list[list[float] | None]
    """Per setting and group: energy without updates; None where the system cannot be built."""
    update_fj: list[list[float] | None]
    """Per setting and group: energy of one non-zero update."""
    updates: float
    """Non-zero updates of a mean image of the run."""
    start: dict[str, float]
    """The run's own setting."""


def by_group(result: Estimate, node: Node | None = None) -> dict[str, float]:
    """Energy in joules per group of blocks, at the estimate's node or scaled to another."""
    group_of = {block: group for group, blocks in GROUPS.items() for block in blocks}
    factors: dict[str, float] = {}
    energies = dict.fromkeys(GROUPS, 0.0)
    for term in result.terms:
        row = term.row
        if row.id not in factors:
            factors[row.id] = (
                row_factors(row, node)[0] / row_factors(row, result.node)[0] if node else 1.0
            )
        energies[group_of[term.action.block]] += term.energy_j * factors[row.id]
    return energies


def _settings(
    without: Estimate, full: Estimate, updates: float, node: Node
) -> tuple[list[float], list[float]]:
    """Per group: picojoules without updates, and femtojoules an update, at a node."""
    base, total = by_group(without, node), by_group(full, node)
    return (
        [_significant(base[group] * 1e12) for group in GROUPS],
        [
            _significant((total[group] - base[group]) / updates * 1e15) if updates else 0.0
            for group in GROUPS
        ],
    )


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _variant(config: Config, lanes: int, adc_bits: int, chi_bits: int) -> Config:
    epsilon = min(config.update.epsilon_log2, chi_bits - 4)
    return replace(
        config,
        converter=replace(config.converter, adc_bits=adc_bits),
        update=replace(config.update, lanes=lanes, chi_bits=chi_bits, epsilon_log2=epsilon),
    )


def explore(
    config: Config,
    activity: ActivityRecord,
    *,
    inputs: InputStatistics | None = None,
    words: Mapping[int, float] | None = None,
    preset: str = "bottom_up",
    node: Node | None = None,
) -> Explorer:
    """Estimates every combination of the choices.

    Parameters
    ----------
    config, activity, inputs, preset, node
        As for :func:`energy.estimator.estimate`.
    words
        Mean number of words with a non-zero pixel per number of lanes: how chi words change with
        the lanes. Without it a word of half the lanes is taken to be hit as often, an upper bound.

    Returns
    -------
    Explorer
        Nested as node, lanes, adc, chi, the last running fastest. Nodes other than ``node`` are at
        their nominal supply. Cycles and the accuracy of the network are those of the run.
    """
    updates = activity.mean(Activity.CHI_LANES)
    own_lanes, own_words = config.update.lanes, activity.mean(Activity.CHI_WORDS)
    node = Node() if node is None else node
    node_axis = sorted({*NODE_CHOICES, node.tech_nm}, reverse=True)
    lane_axis = sorted({*LANE_CHOICES, own_lanes})
    adc_axis = sorted({*ADC_CHOICES, config.converter.adc_bits})
    chi_axis = sorted({*CHI_CHOICES, config.update.chi_bits})
    nodes = [
        node if nm == node.tech_nm else Node(tech_nm=nm, vdd_v=nominal_vdd_v(nm))
        for nm in node_axis
    ]
    figures: dict[tuple[int, int, int], list[tuple[list[float], list[float]] | None]] = {}
    for lanes in lane_axis:
        if words and own_lanes in words and lanes in words:
            hit = own_words * words[lanes] / words[own_lanes]
        else:
            hit = own_words * max(1.0, own_lanes / lanes)
        records = [
            _with_updates(activity, 0.0, 0.0),
            _with_updates(activity, hit, updates),
        ]
        for adc_bits in adc_axis:
            for chi_bits in chi_axis:
                try:
                    variant = _variant(config, lanes, adc_bits, chi_bits)
                    without, full = (
                        estimate(variant, record, preset=preset, inputs=inputs)
                        for record in records
                    )
                except (ConfigError, EnergyError):
                    figures[lanes, adc_bits, chi_bits] = [None] * len(nodes)
                    continue
                figures[lanes, adc_bits, chi_bits] = [
                    _settings(without, full, updates, node) for node in nodes
                ]
    fixed: list[list[float] | None] = []
    slope: list[list[float] | None] = []
    for index in range(len(nodes)):
        for figure in figures.values():
            pair = figure[index]
            fixed.append(pair[0] if pair else None)
            slope.append(pair[1] if pair else None)
    return Explorer(
        axes={"node": node_axis, "lanes": lane_axis, "adc": adc_axis, "chi": chi_axis},
        groups=list(GROUPS),
        fixed_pj=fixed,
        update_fj=slope,
        updates=updates,
        start={
            "node": node.tech_nm,
            "lanes": own_lanes,
            "adc": config.converter.adc_bits,
            "chi": config.update.chi_bits,
        },
    )


def _with_updates(activity: ActivityRecord, words: float, lanes: float) -> ActivityRecord:
    counters = dict(activity.counters)
    counters["chi_words"] = words * activity.images
    counters["chi_lanes"] = lanes * activity.images
    return replace(activity, counters=counters)


def sensitivity(
    config: Config,
    activity: ActivityRecord,
    *,
    inputs: InputStatistics | None = None,
    preset: str = "bottom_up",
) -> list[dict[str, float | str]]:
    """How the total moves when one row goes to each end of its uncertainty; the widest swing
    first."""
    base = estimate(config, activity, preset=preset, inputs=inputs)
    total = base.energy().value
    swings: list[dict[str, float | str]] = []
    for row_id in sorted({term.row.id for term in base.terms}):
        terms = [term for term in base.terms if term.row.id == row_id]
        part = math.fsum(term.energy_j for term in terms)
        low, high = terms[0].row.uncertainty
        swings.append(
            {
                "row": row_id,
                "kind": terms[0].row.kind,
                "part_j": part,
                "low_j": total - part * (1 - 1 / low),
                "high_j": total + part * (high - 1),
            }
        )
    return sorted(swings, key=lambda swing: float(swing["low_j"]) - float(swing["high_j"]))
