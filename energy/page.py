"""The report as one HTML page that needs no other file and no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from energy.activity import PHASES
from energy.estimator import PRESETS
from energy.explorer import GROUPS
from energy.formats import count, percent, ratio, si
from energy.report import DESIGN_TITLES, PRESET_TITLES, STUDY_TITLES, UNIT_TITLES

__all__ = ["to_html"]

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"


def to_html(report: Mapping[str, Any]) -> str:
    """The report as one page that needs no other file and no network."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=jinja2.select_autoescape(("html", "j2")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(si=si, ratio=ratio, percent=percent, count=count)
    # "<" cannot end the script element that the data stands in.
    data = json.dumps(report["explorer"], separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template(TEMPLATE.name).render(
        report=report,
        tables=report["tables"],
        data=data,
        designs=DESIGN_TITLES,
        units=UNIT_TITLES,
        phases=PHASES,
        presets=PRESETS,
        preset_titles=PRESET_TITLES,
        estimate_titles=PRESET_TITLES | STUDY_TITLES,
        blocks=[
            (design, unit, quantity)
            for design, unit in (
                ("mca", "both"),
                ("mca", "analog"),
                ("mca", "digital"),
                ("fixed32", "digital"),
                ("mixed4", "digital"),
            )
            for quantity in ("energy", "time")
        ],
        groups=list(GROUPS),
    )
