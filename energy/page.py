"""The report as one HTML page that needs no other file and no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energy.activity import PHASES
from energy.estimator import PRESETS
from energy.explorer import GROUPS
from energy.formats import count, percent, ratio, si
from energy.html import render
from energy.report import DESIGN_TITLES, PRESET_TITLES, STUDY_TITLES, UNIT_TITLES

__all__ = ["to_html"]

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"


def to_html(report: Mapping[str, Any]) -> str:
    """The report as one page that needs no other file and no network."""
    # "<" cannot end the script element that the data stands in.
    data = json.dumps(report["explorer"], separators=(",", ":")).replace("<", "\\u003c")
    return render(
        TEMPLATE,
        {"si": si, "ratio": ratio, "percent": percent, "count": count},
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
