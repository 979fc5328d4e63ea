"""The main tables of the report as Markdown."""

from collections.abc import Mapping
from typing import Any

from energy.formats import count, percent, ratio, si
from energy.report import DESIGN_TITLES, UNIT_TITLES

__all__ = ["to_markdown"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def to_markdown(report: Mapping[str, Any]) -> str:
    """The main tables of the report as Markdown."""
    head, tables = report["headline"], report["tables"]
    low, high = si(head["energy_j"]["low"], "J"), si(head["energy_j"]["high"], "J")
    lines = [
        f"# Energy, time and area of {report['config']}",
        "",
        f"Mean of {report['activity']['images']} training images, counted by the "
        f"{report['activity']['source']}; digital figures at {report['node']['tech_nm']:g} nm, "
        f"{report['node']['vdd_v']:g} V.",
        "",
        f"- Bottom-up: **{si(head['energy_j']['value'], 'J')}** a training image ({low} to "
        f"{high}), of which {percent(head['assumed_share'])} rests on assumed rows.",
        f"- By the paper's accounting: **{si(head['paper_accounting_j']['value'], 'J')}**"
        + (f"; the paper: {si(head['published_j'], 'J')}." if head["published_j"] else "."),
        f"- Time: **{head['cycles']:.0f} cycles** an image, {si(head['seconds'], 's')}"
        + (f"; the paper: {si(head['published_s'], 's')}." if head["published_s"] else "."),
        "",
        "## Table 1, cell by cell",
        "",
        "Study: bottom-up at the paper's own activity, which checks the cost tables. "
        "Run: this unit, as it ran.",
        "",
        "| design | part | figure | phase | published | study | ratio | bounds | assumed | run | "
        "run, paper's accounting |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in tables["table1"]:
        unit = "J" if cell["quantity"] == "energy" else "s"
        study, run, paper = (cell["ours"].get(name) for name in ("study", "bottom_up", "paper"))
        lines.append(
            "| "
            + " | ".join(
                [
                    DESIGN_TITLES[cell["design"]],
                    UNIT_TITLES[cell["unit"]],
                    cell["quantity"],
                    cell["phase"],
                    si(cell["published"], unit),
                    si(study["value"], unit) if study else "-",
                    ratio(study["ratio"]) if study else "-",
                    f"{si(study['low'], unit)} - {si(study['high'], unit)}"
                    if study and unit == "J"
                    else "-",
                    percent(study["assumed"]) if study and unit == "J" else "-",
                    si(run["value"], unit) if run else "-",
                    si(paper["value"], unit) if paper else "-",
                ]
            )
            + " |"
        )
    lines += ["", "## Ratios", "", "| ratio | stated | from Table 1 | study | run |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| {row['gain']} | {ratio(row['stated'])} | {ratio(row['from_table1'])} | "
        f"{ratio(row['study'])} | {ratio(row['ours'])} |"
        for row in tables["gains"]
    ]
    lines += ["", "## Where the energy goes (bottom-up)", ""]
    lines += [
        "| block | action | phase | count | each | total | row | kind |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        _line(
            term["block"],
            f"{term['component']}.{term['action']}",
            term["phase"],
            count(term["count"]),
            si(term["unit_energy_j"], "J"),
            si(term["energy_j"], "J"),
            term["row"],
            term["kind"],
        )
        for term in tables["terms"]
        if term["estimate"] == "bottom_up" and term["energy_j"] > 0
    ]
    lines += ["", "## Area", "", "| block | area | how |", "|---|---|---|"]
    lines += [
        f"| {block['name']} | {block['area_um2'] / 1e6:.4f} mm2 | {block['note']} |"
        for block in tables["area"]
    ]
    power = tables["power"]
    lines += ["", "## Gate-level check", "", power["text"]]
    if power["rows"]:
        head = ["blocks", "gates", "tables, same node", "gates / tables", "gates at the target"]
        lines += ["", _line(*head), "|---|---|---|---|---|"]
    lines += [
        _line(
            row["group"],
            si(row["gates_j"], "J"),
            si(row["tables_j"], "J"),
            ratio(row["ratio"]),
            si(row["gates_scaled_j"], "J"),
        )
        for row in power["rows"]
    ]
    lines += ["", "## Systems", "", "| system | method | training image | inference | GOP/s/W |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        _line(
            row["system"],
            row["method"],
            si(row["training_j"], "J"),
            si(row["inference_j"], "J"),
            f"{row['gops_per_w']:,.0f}" if row["gops_per_w"] else "-",
        )
        for row in tables["systems"]
    ]
    lines += ["", *yao_lines(tables["yao"])]
    lines += ["", "## Notes", "", *(f"- {note}" for note in report["notes"])]
    lines += ["", "## Sources", ""]
    lines += [
        f"- `{source['key']}`: {source['author']}, {source['title']}, {source['year']}, "
        f"<{source['url']}>"
        for source in tables["sources"]
    ]
    return "\n".join(lines) + "\n"


def yao_lines(yao: Mapping[str, Any]) -> list[str]:
    """Yao's benchmark, see :func:`energy.report.yao_tables`."""
    return [
        "## Yao 2020, the 128 x 128 core",
        "",
        "| figure | ours | published |",
        "|---|---|---|",
        *(
            f"| {row['figure']} | {row['ours']:.1f} | {row['published']:g} |"
            for row in yao["checks"]
        ),
        "",
        "| the core, after | a product | GOP/s/W | GOP/s/mm2 |",
        "|---|---|---|---|",
        *(
            f"| {step['name']} | {si(step['energy_j'], 'J')} | {step['gops_per_w']:.0f} "
            f"| {step['gops_per_mm2']:.0f} |"
            for step in yao["steps"]
        ),
        "",
        "| the network, after | an image | GOP/s/W |",
        "|---|---|---|",
        *(
            f"| {step['name']} | {si(step['energy_j'], 'J')} | {step['gops_per_w']:.0f} |"
            for step in yao["network_steps"]
        ),
        "",
        f"Counters: {yao['source']}.",
    ]
