"""The published study's own activity, so that the cost tables can be checked against its figures
like for like.

A run of this unit does less than the study's (its update matrices are sparser, its cycles fewer),
so its bottom-up energy says nothing about whether the cost tables are right. The same tables at
the activity that the paper states or implies do.
"""

from collections.abc import Mapping
from typing import Any

from energy import published, sram
from energy.activity import PHASES, ActivityRecord, InputStatistics
from energy.baselines import BASELINES, counted, estimate_baseline
from energy.estimator import FEMTO, Estimate
from energy.scaling import Node, row_factors
from energy.tables import load_costs
from model.activity import Activity
from model.config import Config

__all__ = ["causes", "published_activity"]

NONZERO_FRACTION = 0.01
"""Non-zero updates. Source: Nandakumar 2020, "<1 % non-zero entries on average": an upper bound."""

CHI_WORDS = 980
"""Words of 32 accumulators that hold those updates, with lanes along the error axis. Measured with
this project's model on MNIST and scales from each vector's own maximum; the paper does not state
it."""

PULSES = 0.5
"""Programmed devices an image. Source: Nandakumar 2020, one device in two training images."""


def published_activity(config: Config, inputs: InputStatistics | None) -> ActivityRecord:
    """The activity of one training image of the published study, for the network of ``config``.

    Products, conversions, errors and activations follow from the network, every image trained;
    times from Table 1 at 1 ns a cycle; hidden activations drive half their range (assumed);
    refresh reads none, as its table holds next to nothing for them.
    """
    network = config.network
    layers = range(network.n_layers)
    weights = sum(network.n_rows(k) * network.n_cols(k) for k in layers)
    units = sum(network.layers[1:])
    hidden = sum(network.layers[1:-1])
    drive = (inputs.drive if inputs else 128 * network.layers[0]) + 255 * network.n_layers
    lines = (inputs.lines if inputs else network.layers[0]) + network.n_layers

    def cycles(phase: str) -> float:
        return published.value("mca", "mca", "both", phase, "time") * 1e9

    counters = dict.fromkeys((member.name.lower() for member in Activity), 0.0)
    counters |= {
        "images": 1,
        "cycles_forward": cycles("forward"),
        "cycles_backward": cycles("backward"),
        "cycles_update": cycles("update"),
        "forward_products": network.n_layers,
        "backward_products": network.n_layers - 1,
        "driven_lines": lines + hidden + network.layers[-1],
        "drive_cycles": drive + 128 * hidden + 64 * network.layers[-1],
        "conversions": units + hidden,
        "activations": units,
        "errors": units,
        "chi_words": CHI_WORDS,
        "chi_lanes": NONZERO_FRACTION * weights,
        "pulse_words": PULSES,
        "set_pulses": PULSES,
    }
    return ActivityRecord(
        config=config.name, images=1, counters=counters, source="the published study"
    )


def causes(config: Config, activity: ActivityRecord, node: Node) -> list[dict[str, Any]]:
    """Why a digital baseline comes out below the paper: energy per multiply-accumulate by
    component.

    Per design and phase: the published energy per weight, ours by block, and what one word would
    cost if the weights lay in one memory instead of a bank per lane (``one memory``, CACTI) or in
    one cache of that size (``one cache``, Horowitz).
    """
    network = config.network
    layers = range(network.n_layers)
    weights = sum(network.n_rows(k) * network.n_cols(k) for k in layers)
    upper = sum(network.layers[k] * network.n_cols(k) for k in layers if k > 0)
    rows = []
    for name in BASELINES:
        record = counted(name, config, activity)
        result = estimate_baseline(record, node=node)
        for phase in PHASES:
            if record.config.is_chi and phase == "update":
                continue  # no access per weight there
            macs = upper if phase == "backward" else weights
            rows.append(
                {
                    "design": name,
                    "phase": phase,
                    "weights": macs,
                    "published_j": published.value("mca", name, "digital", phase, "energy") / macs,
                    "ours_j": result.phase(phase).value / macs,
                    "blocks_j": _blocks(result, phase, macs),
                    **_one_memory(record.config.weight_bits, weights, node),
                }
            )
    return rows


def _blocks(result: Estimate, phase: str, macs: int) -> dict[str, float]:
    blocks: dict[str, float] = {}
    for term in result.terms:
        if term.action.phase == phase:
            blocks[term.action.block] = blocks.get(term.action.block, 0.0) + term.energy_j / macs
    return blocks


def _one_memory(weight_bits: int, weights: int, node: Node) -> Mapping[str, float]:
    n_bytes = weights * weight_bits / 8
    figures = {}
    for name, row_id in (("one_memory_j", "sram_cacti"), ("one_cache_j", "sram_horowitz")):
        row = load_costs()[row_id]
        access = sram.lookup(row.parameters["model"], "read_fj", n_bytes, weight_bits)
        figures[name] = access.value * FEMTO * row_factors(row, node)[0]
    return figures
