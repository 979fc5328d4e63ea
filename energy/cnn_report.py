"""The report of a convolutional network: an image's energy by group and term, Yao's benchmark."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from energy.cnn import GROUPS, CnnActivity, image_groups, macs
from energy.estimator import combine
from energy.formats import count, si
from energy.html import render
from energy.markdown import yao_lines
from energy.report import term_record, yao_tables
from energy.tables import load_bibliography
from model.cnn.activity import activity_names
from model.cnn.cycles import images_per_second

__all__ = ["build", "to_html", "to_markdown"]

TEMPLATE = Path(__file__).parent / "templates" / "cnn_report.html.j2"


def build(activity: CnnActivity) -> dict[str, Any]:
    """All figures of the report as plain data."""
    config, groups = activity.config, image_groups(activity)
    terms = [term for group in groups.values() for term in group]
    used = {term.row.id: term.row for term in terms}
    sources = {row.source for row in used.values()} | {"yao2020"}
    total = combine(terms)
    return {
        "config": config.name,
        "images": activity.images,
        "source": activity.source,
        "headline": {
            "energy_j": total.value,
            "low_j": total.low,
            "high_j": total.high,
            "gops_per_w": 2 * macs(config) / total.value / 1e9,
            "images_per_second": images_per_second(config),
        },
        "tables": {
            "counters": [
                {"counter": name, "per_image": activity.mean(name)}
                for name in activity_names(config)
            ],
            "groups": [
                {"group": name, "why": why, "energy_j": combine(groups[name]).value}
                for name, why in GROUPS.items()
            ],
            "yao": yao_tables(activity),
            "terms": [
                term_record(term, config.name)
                for term in sorted(terms, key=lambda term: -term.energy_j)
            ],
            "rows": [asdict(row) for row in used.values()],
            "sources": [
                {"key": key, **fields}
                for key, fields in load_bibliography().items()
                if key in sources
            ],
        },
    }


def to_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    head, tables = report["headline"], report["tables"]
    lines = [
        f"# {report['config']}: energy of an image",
        "",
        f"{si(head['energy_j'], 'J')} ({si(head['low_j'], 'J')} to {si(head['high_j'], 'J')}), "
        f"{head['gops_per_w']:.0f} GOP/s/W, {head['images_per_second']:.0f} images/s. "
        f"Counters: {report['source']}.",
        "",
        "| group | energy | what |",
        "|---|---|---|",
        *(
            f"| {row['group']} | {si(row['energy_j'], 'J')} | {row['why']} |"
            for row in tables["groups"]
        ),
        "",
        *yao_lines(tables["yao"]),
        "",
        "## Terms",
        "",
        "| group | block | row | count | unit | energy | note |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {term['phase']} | {term['block']} | {term['row']} | {count(term['count'])} "
            f"| {si(term['unit_energy_j'], 'J')} | {si(term['energy_j'], 'J')} | {term['note']} |"
            for term in tables["terms"]
        ),
        "",
        "## Counters of an image",
        "",
        *(f"- `{row['counter']}`: {count(row['per_image'])}" for row in tables["counters"]),
        "",
        "## Sources",
        "",
        *(
            f"- `{source['key']}`: {source['author']}, {source['title']}, {source['year']}, "
            f"<{source['url']}>"
            for source in tables["sources"]
        ),
    ]
    return "\n".join(lines) + "\n"


def to_html(report: Mapping[str, Any]) -> str:
    """The report as one page that needs no other file and no network."""
    return render(
        TEMPLATE,
        {"si": si, "count": count},
        report=report,
        head=report["headline"],
        tables=report["tables"],
    )
