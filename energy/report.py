"""The report: every published cell beside ours, as data, Markdown and one self-contained page.

:func:`build` makes plain data; :mod:`energy.page` and :mod:`energy.markdown` only lay it out, so
that the three forms cannot disagree.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from energy import area, explorer, gates, plots, published, reproduction, systems, yao
from energy.activity import PHASES, ActivityRecord, InputStatistics
from energy.baselines import BASELINES, EngineRecord, counted, estimate_baseline
from energy.cnn import CnnActivity, nominal
from energy.errors import EnergyError
from energy.estimator import PRESETS, Estimate, Figure, Term, estimate
from energy.formats import si
from energy.scaling import SOURCE as SCALING_SOURCE
from energy.scaling import Node
from energy.tables import load_bibliography, load_costs
from model import configurations
from model.activity import Activity
from model.config import Config

__all__ = [
    "DESIGN_TITLES",
    "PRESET_TITLES",
    "STUDY_TITLES",
    "UNIT_TITLES",
    "build",
    "term_record",
    "yao_tables",
]

PRESET_TITLES = {
    "bottom_up": "Bottom-up: component tables only",
    "measured": "Measured: silicon for the arrays, tables for the digital unit",
    "paper": "Paper's accounting: costs inferred from Table 1",
}

DESIGN_TITLES = {
    "mca": "Computational memory (this unit)",
    "fixed32": "32-bit fixed point",
    "mixed4": "Digital, 4-bit weights",
}

STUDY_TITLES = {
    "study": "Study: bottom-up at the paper's activity",
    "study_fixed32": "Study: 32-bit fixed point",
    "study_mixed4": "Study: digital, 4-bit weights",
    "yao_cnn": "Yao's network, an inference",
    "li_mlp": "Li's network, an inference",
}

UNIT_TITLES = {"analog": "computational memory", "digital": "digital unit", "both": "total"}

#: The published comparison is of one network; other configurations are not compared with it.
PUBLISHED_LAYERS = (784, 250, 10)


def build(
    config: Config,
    activity: ActivityRecord,
    *,
    inputs: InputStatistics | None = None,
    words: Mapping[int, float] | None = None,
    trade_off: Sequence[Mapping[str, Any]] = (),
    node: Node | None = None,
    synthesis: Mapping[str, Any] | None = None,
    engines: Mapping[str, EngineRecord] | None = None,
    power: Mapping[str, Any] | None = None,
    li: systems.System | None = None,
    cnn: CnnActivity | None = None,
) -> dict[str, Any]:
    """All figures of the report as plain data.

    Parameters
    ----------
    config, activity
        The system, and what a run of it counted.
    inputs, words
        What the images drive and how their pixels cluster, see :mod:`energy.inputs`.
    trade_off
        Runs as ``{"label", "accuracy", "activity": ActivityRecord, "config": Config}``, for the
        curve of energy against accuracy.
    node
        Node of the digital rows; 14 nm by default.
    synthesis
        What synthesis found: ``area_um2``, ``cells``, ``critical_path_ns``, ``library``, and
        ``flip_flops_free`` (those without an enable) where known, else ``flip_flops``, which then
        replaces the estimate of clocked flip-flops.
    engines
        What runs of the digital baselines counted, by name; their cycle model unless given.
    power
        What ``mixbar power`` found, for this or another configuration.
    li
        A training image of Li's system, if a run of it was counted.
    cnn
        What an image of Yao's network counts, if its report was made; else
        :func:`energy.cnn.nominal`.

    Returns
    -------
    dict
        ``tables`` and ``plots`` by name, with ``config``, ``activity``, ``node``, ``headline``,
        ``notes`` and ``explorer``.
    """
    node = Node() if node is None else node
    cnn = nominal(configurations.yao_cnn) if cnn is None else cnn
    # Registers with an enable are charged when written: their clocks are gated.
    flip_flops = (
        synthesis.get("flip_flops_free", synthesis.get("flip_flops")) if synthesis else None
    )
    results = {
        preset: estimate(
            config, activity, preset=preset, node=node, inputs=inputs, flip_flops=flip_flops
        )
        for preset in PRESETS
    }
    ours = results["bottom_up"]
    records = {
        name: (engines or {}).get(name) or counted(name, config, activity) for name in BASELINES
    }
    baselines = {name: estimate_baseline(record, node=node) for name, record in records.items()}
    compared = config.network.layers == PUBLISHED_LAYERS
    study_activity = reproduction.published_activity(config, inputs)
    study = {
        "study": estimate(config, study_activity, node=node, inputs=inputs),
        **{
            f"study_{name}": estimate_baseline(counted(name, config, study_activity), node=node)
            for name in BASELINES
        },
    }
    tables: dict[str, Any] = {
        "table1": _table1(results | study, compared),
        "presets": [_preset(results[preset]) for preset in PRESETS],
        "phases": _phases(ours),
        "gains": _gains(ours, baselines, study, compared),
        "causes": reproduction.causes(config, study_activity, node) if compared else [],
        "study": [
            {"counter": member.name.lower(), "per_image": study_activity.mean(member)}
            for member in Activity
            if study_activity.mean(member)
        ],
        "time": _time(config, ours, compared),
        "area": [asdict(block) for block in area.blocks(config, node)],
        "gates": _gates(config, synthesis, node),
        "power": _power(power, node),
        "sensitivity": explorer.sensitivity(config, activity, inputs=inputs)[:10],
        "alternatives": _alternatives(config, activity, inputs, node),
        "systems": _systems(config, results, li, cnn),
        "yao": yao_tables(cnn),
        "gpu": _gpu(),
        "trade_off": _trade_off(trade_off, inputs, node),
        "terms": [
            term_record(term, estimate_of)
            for estimate_of, result in (*results.items(), *study.items())
            for term in _by_size(result.terms)
        ]
        + [
            term_record(term, system.name)
            for system in (systems.yao(cnn), systems.li())
            for term in _by_size(system.terms)
        ],
        "published": [asdict(entry) for entry in published.cells().values()],
        "rows": [_row(name) for name in load_costs()],
        "sources": [{"key": key, **fields} for key, fields in load_bibliography().items()],
    }
    return {
        "config": config.name,
        "layers": list(config.network.layers),
        "activity": {
            "images": activity.images,
            "source": activity.source,
            "config": activity.config,
            **activity.extra,
            "per_image": {
                member.name.lower(): activity.mean(member) for member in Activity if member
            },
        },
        "node": asdict(node),
        "clock_period_s": config.clock_period_s,
        "headline": _headline(config, activity, results, compared),
        "tables": tables,
        "plots": _plots(results, tables, compared),
        "explorer": asdict(
            explorer.explore(config, activity, inputs=inputs, words=words, node=node)
        ),
        "notes": _notes(results, inputs, words),
        "scaling_source": SCALING_SOURCE,
    }


def _figure(figure: Figure) -> dict[str, float]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


def _table1(results: Mapping[str, Estimate], compared: bool) -> list[dict[str, Any]]:
    """Every cell of Table 1: what is printed, what each estimate gives, ratio, bounds, share
    assumed.

    ``results`` holds, by name: ``study`` (bottom-up at the study's own activity),
    ``study_fixed32`` and ``study_mixed4``, and the presets at the run's activity.
    """
    mca = {name: results[name] for name in ("study", *PRESETS)}
    designs: list[tuple[str, str, str | None, Mapping[str, Estimate]]] = [
        ("fixed32", "digital", None, {"study": results["study_fixed32"]}),
        ("mixed4", "digital", None, {"study": results["study_mixed4"]}),
        ("mca", "analog", "analog", mca),
        ("mca", "digital", "digital", mca),
        ("mca", "both", None, mca),
    ]
    cells = []
    for design, unit, own_unit, estimates in designs:
        for quantity in ("energy", "time"):
            for phase in (*PHASES, "total"):
                printed = published.cell("mca", design, unit, phase, quantity)
                known = printed.value if printed is not None and compared else None
                own_phase = None if phase == "total" else phase
                ours: dict[str, dict[str, float | None]] = {}
                for name, result in estimates.items():
                    if quantity == "energy":
                        figure = _cell_energy(result, own_phase, own_unit)
                    elif (unit == "both" and name == "bottom_up") or design != "mca":
                        figure = _cell_time(result, own_phase)
                    else:
                        # The study's cycles are an input; both units work at once in ours.
                        continue
                    figure["ratio"] = figure["value"] / known if known and figure["value"] else None
                    ours[name] = figure
                if known is not None or ours:
                    cells.append(
                        {
                            "design": design,
                            "unit": unit,
                            "quantity": quantity,
                            "phase": phase,
                            "published": known,
                            "where": printed.where if printed else "",
                            "ours": ours,
                        }
                    )
    return cells


def _cell_energy(result: Estimate, phase: str | None, unit: str | None) -> dict[str, Any]:
    def belongs(term: Term) -> bool:
        return phase in (None, term.action.phase) and unit in (None, term.action.unit)

    terms = [term for term in result.terms if belongs(term)]
    total = math.fsum(term.energy_j for term in terms)
    assumed = math.fsum(term.energy_j for term in terms if term.row.kind == "assumed")
    return _figure(result.energy(belongs)) | {"assumed": assumed / total if total else 0.0}


def _cell_time(result: Estimate, phase: str | None) -> dict[str, Any]:
    seconds = result.total_seconds if phase is None else result.seconds[phase]
    return {"value": seconds, "low": seconds, "high": seconds, "assumed": 0.0}


def _preset(result: Estimate) -> dict[str, Any]:
    return {
        "preset": result.preset,
        "title": PRESET_TITLES[result.preset],
        "energy_j": _figure(result.energy()),
        "phases_j": {phase: _figure(result.phase(phase)) for phase in PHASES},
        "groups_j": explorer.by_group(result),
        "kinds": {
            kind: result.share(kind) for kind in ("measured", "simulated", "derived", "assumed")
        },
        "marks": result.marks,
    }


def _phases(result: Estimate) -> list[dict[str, Any]]:
    rows = []
    for phase in PHASES:
        parts: dict[str, float] = {}
        for term in result.terms:
            if term.action.phase == phase:
                parts[term.action.block] = parts.get(term.action.block, 0.0) + term.energy_j
        rows.append({"phase": phase, "blocks_j": dict(sorted(parts.items()))})
    return rows


def _gates(config: Config, synthesis: Mapping[str, Any] | None, node: Node) -> list[dict[str, Any]]:
    """Synthesis beside the tables' area of the same digital blocks, memories apart."""
    if not synthesis:
        return []
    tables = math.fsum(
        block.area_um2
        for block in area.blocks(config, node)
        if block.unit == "digital" and block.name != "chi memory"
    )
    found = {key: value for key, value in synthesis.items() if isinstance(value, int | float | str)}
    return [{"figure": key, "value": value} for key, value in found.items()] + [
        {
            "figure": f"logic and registers by the tables at {node.tech_nm:g} nm, um2",
            "value": tables,
        }
    ]


def _power(power: Mapping[str, Any] | None, node: Node) -> dict[str, Any]:
    """The gate-level check beside the tables; without it, what to install and run."""
    if power is None:
        return {
            "rows": [],
            "text": "No gate-level check was run: `mixbar power tiny_mca` makes one, with Debian's "
            "qflow-tech-osu018 or any library by --liberty.",
        }
    config = configurations.parse(str(power["toml"]))
    assert isinstance(config, Config)
    where = f"{power['config']}, {power['library']}, {power['images']} training images"
    if power["node_nm"] is None:
        return {
            "rows": [],
            "text": f"{where}: the library's node is not known, `mixbar power --node` names it.",
        }
    record = ActivityRecord(
        config=config.name,
        images=int(power["images"]),
        counters=power["counters"],
        source="verilog",
    )
    rows = gates.compare(
        config,
        record,
        power["blocks"],
        library_node=Node(tech_nm=power["node_nm"], vdd_v=power["voltage_v"]),
        target=node,
        flip_flops=int(power["flip_flops"]),
    )
    return {"rows": rows, "text": f"{where}: {power['method']}."}


def _gains(
    ours: Estimate,
    baselines: Mapping[str, Estimate],
    study: Mapping[str, Estimate],
    compared: bool,
) -> list[dict[str, Any]]:
    def of(designs: Mapping[str, Estimate]) -> dict[str, float]:
        return published.gains(
            {
                name: {phase: result.phase(phase).value for phase in PHASES}
                for name, result in designs.items()
            },
            {name: result.total_seconds for name, result in designs.items()},
        )

    run = of({"mca": ours, **baselines})
    reproduced = of(
        {
            "mca": study["study"],
            "fixed32": study["study_fixed32"],
            "mixed4": study["study_mixed4"],
        }
    )
    unit = {"mca": "both", "fixed32": "digital", "mixed4": "digital"}
    printed = published.gains(
        {
            name: {phase: published.value("mca", name, part, phase, "energy") for phase in PHASES}
            for name, part in unit.items()
        },
        {name: published.value("mca", name, part, "total", "time") for name, part in unit.items()},
    )
    stated = {
        "propagation": ("fixed32", "propagation", "energy"),
        "update": ("fixed32", "update", "energy"),
        "total": ("fixed32", "total", "energy"),
        "throughput": ("fixed32", "total", "time"),
        "total_mixed4": ("mixed4", "total", "energy"),
    }
    titles = {
        "propagation": "energy, forward and backward, 32-bit / this",
        "update": "energy, weight update, 32-bit / this",
        "total": "energy, 32-bit / this",
        "throughput": "throughput, this / 32-bit",
        "total_mixed4": "energy, 4-bit digital / this",
    }
    return [
        {
            "gain": titles[name],
            "stated": published.value("mca", "gain", *stated[name]) if compared else None,
            "from_table1": printed[name] if compared else None,
            "study": reproduced[name] if compared else None,
            "ours": run[name],
        }
        for name in titles
    ]


def _time(config: Config, ours: Estimate, compared: bool) -> list[dict[str, Any]]:
    rows = [
        {
            "phase": phase,
            "cycles": ours.seconds[phase] / config.clock_period_s,
            "seconds": ours.seconds[phase],
            "published_s": published.value("mca", "mca", "both", phase, "time")
            if compared
            else None,
        }
        for phase in PHASES
    ]
    rows.append(
        {
            "phase": "total",
            "cycles": ours.total_seconds / config.clock_period_s,
            "seconds": ours.total_seconds,
            "published_s": published.value("mca", "mca", "both", "total", "time")
            if compared
            else None,
        }
    )
    return rows


def _alternatives(
    config: Config, activity: ActivityRecord, inputs: InputStatistics | None, node: Node
) -> list[dict[str, Any]]:
    """The bottom-up total with another source for one thing at a time."""
    base = estimate(config, activity, node=node, inputs=inputs).energy().value
    swaps: dict[str, tuple[str, ...]] = {
        "adc.conversion": ("adc_oh2020", "adc_lien2012", "adc_kull2017", "adc_mca_inferred"),
        "driver.compare": ("driver_compare_aladdin",),
        "sram.read sram.write": ("sram_horowitz",),
        "logic.multiply": ("mult_aladdin",),
        "logic.add": ("add_aladdin",),
        "register.clock": ("flop_clock_ihp130", "register_aladdin"),
        "pulse.set": ("set_lee2009",),
        "pulse.reset": ("reset_lee2009",),
    }
    rows = []
    for actions, names in swaps.items():
        for name in names:
            chosen = {}
            for action in actions.split():
                component, _, verb = action.partition(".")
                chosen[component, verb] = name
            result = estimate(config, activity, node=node, inputs=inputs, replace=chosen)
            total = result.energy().value
            rows.append(
                {"action": actions, "row": name, "energy_j": total, "change": total / base - 1}
            )
    return rows


def _systems(
    config: Config, results: Mapping[str, Estimate], li: systems.System | None, cnn: CnnActivity
) -> list[dict[str, Any]]:
    """Energy per image and operations per joule of the three published systems."""
    network = config.network
    layers = range(network.n_layers)
    macs = sum(network.n_rows(k) * network.n_cols(k) for k in layers)
    backward = sum(network.layers[k] * network.n_cols(k) for k in layers if k > 0)
    rows = []
    for preset, result in results.items():
        total = result.energy().value
        forward = result.phase("forward").value
        rows.append(
            {
                "system": config.name,
                "method": PRESET_TITLES[preset],
                "training_j": total,
                "inference_j": forward,
                "gops_per_w": 2 * macs / forward / 1e9 if forward else None,
                "note": f"{macs} multiply-accumulates forward, {backward} backward; inference is "
                "the forward phase; every weight counted once",
            }
        )
    core, mapped = yao.published_core(), systems.yao(cnn)
    rows.append(
        {
            "system": mapped.name,
            "method": "published core at full use",
            "training_j": None,
            "inference_j": 2 * mapped.macs / (core.gops_per_w * 1e9),
            "gops_per_w": core.gops_per_w,
            "note": f"{mapped.macs} multiply-accumulates an image; every device counted as one",
        }
    )
    rows += [
        {
            "system": system.name,
            "method": PRESET_TITLES["bottom_up"],
            "training_j": None,
            "inference_j": system.energy.value,
            "gops_per_w": system.gops_per_w,
            "note": f"{si(system.energy.low, 'J')} to {si(system.energy.high, 'J')}; {system.note}",
        }
        for system in (mapped, systems.li())
    ]
    if li is not None:
        rows.append(
            {
                "system": li.name,
                "method": PRESET_TITLES["bottom_up"],
                "training_j": li.energy.value,
                "inference_j": None,
                "gops_per_w": None,
                "note": f"{si(li.energy.low, 'J')} to {si(li.energy.high, 'J')}; {li.note}",
            }
        )
    return rows


def yao_tables(activity: CnnActivity) -> dict[str, Any]:
    """Yao's benchmark: the split of a phase, the headline figures beside ours, the corrections of
    the core and of the network."""
    core = yao.published_core()
    checks = {
        "phase_pj": (
            sum(core.phase_energy_j.values()) * 1e12,
            published.value("yao", "core", "phase", "total", "energy") * 1e12,
        ),
        "gops_per_w": (
            core.gops_per_w,
            published.value("yao", "core", "headline", "efficiency", "rate"),
        ),
        "gops_per_mm2": (
            core.gops_per_mm2,
            published.value("yao", "core", "headline", "density", "rate"),
        ),
        "efficiency_gain": (
            core.gops_per_w / published.value("yao", "v100", "headline", "efficiency", "rate"),
            published.value("yao", "core", "headline", "efficiency_gain", "number"),
        ),
        "density_gain": (
            core.gops_per_mm2 / published.value("yao", "v100", "headline", "density", "rate"),
            published.value("yao", "core", "headline", "density_gain", "number"),
        ),
    }
    return {
        "split_pj": {name: energy * 1e12 for name, energy in core.phase_energy_j.items()},
        "checks": [
            {"figure": name, "ours": mine, "published": stated, "ratio": mine / stated}
            for name, (mine, stated) in checks.items()
        ],
        "source": activity.source,
        "steps": [asdict(step) for step in yao.core_steps(activity)],
        "network_steps": [asdict(step) for step in yao.network_steps(activity)],
    }


def _gpu() -> list[dict[str, Any]]:
    quoted = {
        "gops_per_w": published.value("yao", "v100", "headline", "efficiency", "rate"),
        "gops_per_mm2": published.value("yao", "v100", "headline", "density", "rate"),
    }
    rows: list[dict[str, Any]] = [
        {"name": "V100 as Yao 2020 quotes it", "utilisation": None, **quoted}
    ]
    for rate, title in (
        ("fp16", "V100 data sheet, tensor cores"),
        ("fp32", "V100 data sheet, FP32"),
    ):
        rows.append({"name": title, "utilisation": 1.0, **yao.gpu(1.0, rate=rate)})
    rows.append(
        {
            "name": "V100, batch of one, 1 % of the tensor cores (assumed)",
            "utilisation": 0.01,
            **yao.gpu(0.01),
        }
    )
    return rows


def _trade_off(
    runs: Sequence[Mapping[str, Any]], inputs: InputStatistics | None, node: Node
) -> list[dict[str, Any]]:
    rows = []
    for run in runs:
        record, config = run["activity"], run["config"]
        energies = {}
        for preset in ("bottom_up", "paper"):
            try:
                result = estimate(config, record, preset=preset, node=node, inputs=inputs)
            except EnergyError:
                continue
            energies[preset] = result.energy().value
        rows.append(
            {
                "label": str(run["label"]),
                "accuracy": float(run["accuracy"]),
                "energy_j": energies,
                "nonzero_updates": record.mean(Activity.CHI_LANES),
            }
        )
    return rows


def _by_size(terms: Iterable[Term]) -> list[Term]:
    return sorted(terms, key=lambda term: -term.energy_j)


def term_record(term: Term, estimate_of: str) -> dict[str, Any]:
    """One term of an estimate as plain data."""
    return {
        "estimate": estimate_of,
        "component": term.action.component,
        "action": term.action.action,
        "phase": term.action.phase,
        "unit": term.action.unit,
        "block": term.action.block,
        "count": term.action.count,
        "basis": term.action.basis,
        "note": term.action.note,
        "row": term.row.id,
        "kind": term.row.kind,
        "unit_energy_j": term.unit_energy_j,
        "energy_j": term.energy_j,
        "marks": list(term.marks),
    }


def _row(name: str) -> dict[str, Any]:
    row = asdict(load_costs()[name])
    row["validity"] = {key: list(value) for key, value in row["validity"].items()}
    row["uncertainty"] = list(row["uncertainty"])
    return row


def _headline(
    config: Config, activity: ActivityRecord, results: Mapping[str, Estimate], compared: bool
) -> dict[str, Any]:
    network = config.network
    weights = sum(network.n_rows(k) * network.n_cols(k) for k in range(network.n_layers))
    ours = results["bottom_up"]
    return {
        "energy_j": _figure(ours.energy()),
        "paper_accounting_j": _figure(results["paper"].energy()),
        "measured_j": _figure(results["measured"].energy()),
        "published_j": published.value("mca", "mca", "both", "total", "energy")
        if compared
        else None,
        "seconds": ours.total_seconds,
        "cycles": ours.total_seconds / config.clock_period_s,
        "published_s": published.value("mca", "mca", "both", "total", "time") if compared else None,
        "images_per_second": 1 / ours.total_seconds if ours.total_seconds else None,
        "nonzero_updates": activity.mean(Activity.CHI_LANES),
        "nonzero_fraction": activity.mean(Activity.CHI_LANES) / weights,
        "assumed_share": ours.share("assumed"),
        "accuracy": activity.extra.get("test_accuracy"),
    }


def _notes(
    results: Mapping[str, Estimate],
    inputs: InputStatistics | None,
    words: Mapping[int, float] | None,
) -> list[str]:
    notes = [
        "The costs of the paper's accounting (31 pJ an update, 8.4 pJ a conversion, 4.9 pJ a line) "
        "are inferred from Table 1, not printed in it; 31 pJ is a lower bound, since fewer than "
        "1 % of non-zero updates may mean any fraction below.",
        "The paper's accounting here also charges the conversions and lines of the refresh reads, "
        "for which the paper's table holds next to nothing.",
        "The paper's accounting charges every line of an array per product; bottom-up charges "
        "lines and cells by what is driven.",
        "Not in any figure: clock tree, wiring between blocks, voltage generators, calibration, "
        "the interface pads, the memory that holds the training set.",
        "No constant was chosen to meet a published total.",
    ]
    if inputs is None:
        notes.append(
            "Drive of the first layer not measured: crossbar and line energy are upper bounds."
        )
    if not words:
        notes.append("How pixels cluster was not measured: fewer lanes are charged an upper bound.")
    for preset, result in results.items():
        notes += [f"Outside a validity range ({preset}): {mark}." for mark in result.marks]
    return notes


def _plots(
    results: Mapping[str, Estimate], tables: Mapping[str, Any], compared: bool
) -> dict[str, str]:
    groups = list(explorer.GROUPS)
    rows = [
        plots.Bar(
            label=f"{preset.replace('_', '-')}",
            parts=[
                (group, energy * 1e9, groups.index(group))
                for group, energy in explorer.by_group(result).items()
            ],
        )
        for preset, result in results.items()
    ]
    if compared:
        phases = [published.value("mca", "mca", "both", phase, "energy") for phase in PHASES]
        rows.append(
            plots.Bar(
                label="published",
                parts=[
                    (phase, energy * 1e9, 8) for phase, energy in zip(PHASES, phases, strict=True)
                ],
            )
        )
    group_of = {block: group for group, names in explorer.GROUPS.items() for block in names}
    by_phase = []
    for row in tables["phases"]:
        sums = dict.fromkeys(groups, 0.0)
        for block, energy in row["blocks_j"].items():
            sums[group_of[block]] += energy
        by_phase.append(
            plots.Bar(
                label=row["phase"],
                parts=[(group, sums[group] * 1e9, groups.index(group)) for group in groups],
            )
        )
    time_rows = [
        plots.Bar(
            label="this unit",
            parts=[
                (row["phase"], row["seconds"] * 1e9, index)
                for index, row in enumerate(tables["time"][:-1])
            ],
        )
    ]
    if compared:
        time_rows.append(
            plots.Bar(
                label="published",
                parts=[
                    (row["phase"], row["published_s"] * 1e9, index)
                    for index, row in enumerate(tables["time"][:-1])
                ],
            )
        )
    area_rows = [
        plots.Bar(
            label=block["name"],
            parts=[(block["unit"], block["area_um2"] / 1e6, 0 if block["unit"] == "analog" else 4)],
        )
        for block in tables["area"]
    ]
    total = results["bottom_up"].energy().value
    drawn = {
        "energy_by_component": plots.bars(rows, "nJ", "Energy per training image by component"),
        "energy_by_phase": plots.bars(by_phase, "nJ", "Bottom-up energy by phase and component"),
        "time_by_phase": plots.bars(time_rows, "ns", "Time per training image by phase"),
        "area_by_block": plots.bars(area_rows, "mm2", "Area by block"),
        "sensitivity": plots.ladder(
            [
                (str(row["row"]), float(row["low_j"]) * 1e9, float(row["high_j"]) * 1e9)
                for row in tables["sensitivity"]
            ],
            total * 1e9,
            "nJ",
            "Bottom-up total when one constant moves to each end of its uncertainty",
        ),
    }
    if tables["trade_off"]:
        drawn["trade_off"] = plots.scatter(
            [
                plots.Point(
                    x=row["energy_j"][preset] * 1e9,
                    y=row["accuracy"] * 100,
                    label=row["label"],
                    series=series,
                )
                for row in tables["trade_off"]
                for series, preset in ((4, "paper"),)
                if preset in row["energy_j"]
            ],
            "energy per training image, paper's accounting (nJ)",
            "test accuracy (%)",
            "Energy against accuracy",
            y_mark=97.7,
        )
    return drawn
