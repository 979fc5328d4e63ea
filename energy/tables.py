"""The cost tables: one row per component, action and place in a source, read once and checked to
the last cell.

``data/costs.csv`` has the columns

========== =======================================================================================
id         name of the row; every figure of a report names it
component  what acts: adc, driver, array, pulse, sram, logic, register, paper
action     what it does; ``unit`` says what is counted
parameters ``name=value; ...``: the point at which the figures hold
tech_nm    node of the source, blank where it does not matter; ``vdd_v`` its supply
energy_fj  energy of one unit; ``area_um2`` and ``latency_ns`` of one instance; blank means unknown
kind       measured (silicon), simulated, derived (arithmetic on published figures), assumed
source     key in ``references.bib``; ``where`` is the place in it
derivation arithmetic from the source's figures to the row's, evaluated again by a test
validity   ``name=low..high; ...``: outside, an estimate is marked
uncertainty factor f: the true value lies between value/f and value*f; or ``low/high``
scaling    ``digital`` (Stillmaker and Baas) or ``none``
note       what else a reader should know
========== =======================================================================================

Blank means unknown; zero means zero.
"""

import csv
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from energy.errors import EnergyError
from energy.expressions import assignments, evaluate

__all__ = [
    "DATA",
    "KINDS",
    "Row",
    "load_bibliography",
    "load_costs",
    "load_presets",
    "parse_costs",
    "read_csv",
]

DATA = Path(__file__).parent / "data"
"""Directory of the tables."""

KINDS = ("measured", "simulated", "derived", "assumed")
"""Where a figure comes from, best first."""

COLUMNS = [
    "id",
    "component",
    "action",
    "unit",
    "parameters",
    "tech_nm",
    "vdd_v",
    "energy_fj",
    "area_um2",
    "latency_ns",
    "kind",
    "source",
    "where",
    "derivation",
    "validity",
    "uncertainty",
    "scaling",
    "note",
]

#: How close a derivation must come to the value that a row states: its printed digits.
DERIVATION_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of ``costs.csv``; see the module's text for the columns."""

    id: str
    component: str
    action: str
    unit: str
    parameters: Mapping[str, str]
    tech_nm: float | None
    vdd_v: float | None
    energy_fj: float | None
    area_um2: float | None
    latency_ns: float | None
    kind: str
    source: str
    where: str
    derivation: str
    validity: Mapping[str, tuple[float, float]]
    uncertainty: tuple[float, float]
    scaling: str
    note: str

    def outside(self, context: Mapping[str, float]) -> list[str]:
        """What in ``context`` lies outside the row's validity, one phrase each; empty if nothing
        does."""
        return [
            f"{name} {context[name]:g} is outside {low:g} to {high:g}"
            for name, (low, high) in self.validity.items()
            if name in context and not low <= context[name] <= high
        ]

    def rederived(self) -> dict[str, float]:
        """The figures that the row's derivation gives, evaluated now."""
        return {name: evaluate(text) for name, text in assignments(self.derivation).items()}


def read_csv(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a table with exactly these columns, cells stripped.

    Raises
    ------
    EnergyError
        If the file cannot be read, or a row has other columns.
    """
    wanted = list(columns)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnergyError(f"Cannot read the table {path.name}: {error}.") from None
    if not rows or rows[0] != wanted:
        raise EnergyError(f"The table {path.name} must have the columns {', '.join(wanted)}.")
    for number, cells in enumerate(rows[1:], start=2):
        if len(cells) != len(wanted):
            raise EnergyError(
                f"Line {number} of {path.name} must have {len(wanted)} cells, not {len(cells)}."
            )
    return [dict(zip(wanted, map(str.strip, cells), strict=True)) for cells in rows[1:]]


def _number(text: str, what: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise EnergyError(f"{what} must be a number or blank, not {text!r}.") from None
    if not 0 <= value < float("inf"):
        raise EnergyError(f"{what} must not be negative, not {text}.")
    return value


def _pairs(text: str, what: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, separator, value = part.partition("=")
        if not separator or not name.strip() or not value.strip():
            raise EnergyError(f"{what} must read `name=value; ...`, not {text!r}.")
        pairs[name.strip()] = value.strip()
    return pairs


def _ranges(text: str, what: str) -> dict[str, tuple[float, float]]:
    ranges = {}
    for name, value in _pairs(text, what).items():
        match = re.fullmatch(r"([\d.e+-]+?)\.\.([\d.e+-]+)", value)
        try:
            low, high = (float(part) for part in match.groups()) if match else (1.0, 0.0)
        except ValueError:
            low, high = 1.0, 0.0
        if low > high:
            raise EnergyError(f"{what} must give low..high for {name}, not {value!r}.")
        ranges[name] = (low, high)
    return ranges


def _uncertainty(text: str, what: str) -> tuple[float, float]:
    try:
        low, _, high = text.partition("/")
        factors = (float(low), float(high or low))
    except ValueError:
        factors = (0.0, 0.0)
    if not all(1 <= factor < float("inf") for factor in factors):
        raise EnergyError(
            f"{what} must be a factor of at least 1, or two as low/high, not {text!r}."
        )
    return factors


def parse_costs(cells: Iterable[Mapping[str, str]]) -> dict[str, Row]:
    """Checked rows by id.

    Raises
    ------
    EnergyError
        On the first cell that breaks the schema: an id used twice, an unknown kind, a negative
        cost, no source, a derivation that does not give the stated value.
    """
    rows: dict[str, Row] = {}
    for cell in cells:
        name = cell["id"]
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in rows:
            raise EnergyError(f"The id {name!r} in costs.csv is malformed or used twice.")
        for column in ("component", "action", "unit", "source", "where"):
            if not cell[column]:
                raise EnergyError(f"Row {name} needs a {column}.")
        if cell["kind"] not in KINDS:
            raise EnergyError(
                f"Row {name} must be one of {', '.join(KINDS)}, not {cell['kind']!r}."
            )
        if cell["scaling"] not in ("digital", "none"):
            raise EnergyError(f"Row {name} must scale as digital or none, not {cell['scaling']!r}.")
        row = Row(
            id=name,
            component=cell["component"],
            action=cell["action"],
            unit=cell["unit"],
            parameters=_pairs(cell["parameters"], f"Parameters of row {name}"),
            tech_nm=_number(cell["tech_nm"], f"tech_nm of row {name}"),
            vdd_v=_number(cell["vdd_v"], f"vdd_v of row {name}"),
            energy_fj=_number(cell["energy_fj"], f"energy_fj of row {name}"),
            area_um2=_number(cell["area_um2"], f"area_um2 of row {name}"),
            latency_ns=_number(cell["latency_ns"], f"latency_ns of row {name}"),
            kind=cell["kind"],
            source=cell["source"],
            where=cell["where"],
            derivation=cell["derivation"],
            validity=_ranges(cell["validity"], f"Validity of row {name}"),
            uncertainty=_uncertainty(cell["uncertainty"], f"Uncertainty of row {name}"),
            scaling=cell["scaling"],
            note=cell["note"],
        )
        if row.scaling == "digital" and (row.tech_nm is None or row.vdd_v is None):
            raise EnergyError(f"Row {name} scales, so it needs tech_nm and vdd_v.")
        _check_derivation(row)
        rows[name] = row
    return rows


def _check_derivation(row: Row) -> None:
    for column, value in row.rederived().items():
        stated = getattr(row, column, None)
        if not isinstance(stated, float) or abs(value - stated) > DERIVATION_TOLERANCE * abs(value):
            raise EnergyError(
                f"The derivation of row {row.id} gives {column} {value:g}, not {stated}."
            )


@functools.cache
def load_costs() -> dict[str, Row]:
    """The rows of ``data/costs.csv`` by id, checked; see :func:`parse_costs`."""
    rows = parse_costs(read_csv(DATA / "costs.csv", COLUMNS))
    bibliography = load_bibliography()
    for row in rows.values():
        if row.source not in bibliography:
            raise EnergyError(
                f"Row {row.id} names the source {row.source!r}, not in references.bib."
            )
    return rows


@functools.cache
def load_presets() -> dict[str, dict[tuple[str, str], tuple[str | None, str]]]:
    """Per preset and (component, action): the row charged, or None and the reason why none is."""
    rows = load_costs()
    presets: dict[str, dict[tuple[str, str], tuple[str | None, str]]] = {}
    for cell in read_csv(DATA / "presets.csv", ["preset", "component", "action", "row", "reason"]):
        key = (cell["component"], cell["action"])
        table = presets.setdefault(cell["preset"], {})
        if key in table:
            raise EnergyError(f"Preset {cell['preset']} names {'.'.join(key)} twice.")
        if cell["row"] and cell["row"] not in rows:
            raise EnergyError(f"Preset {cell['preset']} names the unknown row {cell['row']!r}.")
        if bool(cell["row"]) == bool(cell["reason"]):
            raise EnergyError(
                f"Preset {cell['preset']}, {'.'.join(key)}: a row or a reason, not both."
            )
        table[key] = (cell["row"] or None, cell["reason"])
    return presets


@functools.cache
def load_bibliography() -> dict[str, dict[str, str]]:
    """Fields of every entry of ``data/references.bib`` by key; each has at least author, title,
    year, url."""
    text = (DATA / "references.bib").read_text(encoding="utf-8")
    entries: dict[str, dict[str, str]] = {}
    for match in re.finditer(r"@(\w+)\{(\w+),\n(.*?)\n\}", text, flags=re.DOTALL):
        key, body = match[2], match[3]
        fields = {
            name: value.replace("\\_", "_").strip("{}")
            for name, value in re.findall(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}", body)
        }
        missing = {"author", "title", "year", "url"} - fields.keys()
        if missing or key in entries:
            raise EnergyError(f"Entry {key} of references.bib is incomplete or given twice.")
        entries[key] = fields
    return entries
