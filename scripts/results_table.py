"""Writes the README's table of results from what the verbs left in build/.

    .venv/bin/python -m scripts.results_table

It measures nothing: for every named configuration it reads ``training.json``, ``report.json``,
``synth.json`` and ``cosim.json`` of ``--build FOLDER`` and rewrites the lines between the two marks
in the README, or prints them (``--print``). What no verb has measured is a dash.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from energy import published
from energy.formats import si
from model.config import Config
from model.configurations import of_system
from scripts import cli

__all__ = ["main", "replace_table", "table"]

BEGIN = "<!-- results: made by python -m scripts.results_table -->"
END = "<!-- end of results -->"

#: Largest test accuracy of the published experiment on PCM hardware, not of the study of the unit.
#: Source: Nandakumar 2020.
PUBLISHED_ACCURACY = "97.73 % (experiment)"

_HEAD = """\
| configuration | test accuracy | cycles an image | energy an image | by the paper's accounting \
| area, 14 nm | logic by synthesis | Verilog beside the model |
|---|---|---|---|---|---|---|---|"""

_FOOT = """\
Accuracy, cycles: `mixbar train CONFIG`, all device physics, means over the whole run. Energy
bottom-up with its bounds, by the paper's accounting; area of arrays, converters, memories, logic:
`mixbar report CONFIG` on the counters of that run. Logic: `mixbar synth CONFIG`, memories not
counted. Last column: `mixbar cosim CONFIG`, every code, word, pulse and cycle compared."""


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _row(name: str, folder: Path) -> str:
    training, report = _read(folder, "training.json"), _read(folder, "report.json")
    synthesis, cosim = _read(folder, "synth.json"), _read(folder, "cosim.json")
    cells = ["-"] * 7
    if training is not None:
        passes = f"{training['epochs']} epochs of {training['data']}, seed {training['seed']}"
        cells[0] = f"{100 * training['test_accuracy']:.2f} % ({passes})"
        cells[1] = f"{training['cycles_per_image']:.0f}"
    if report is not None:
        head = report["headline"]
        energy, accounting = head["energy_j"], head["paper_accounting_j"]
        low, high = (si(energy[bound], "J") for bound in ("low", "high"))
        cells[2] = f"{si(energy['value'], 'J')} ({low} to {high})"
        cells[3] = si(accounting["value"], "J")
        area_um2 = sum(part["area_um2"] for part in report["tables"]["area"])
        cells[4] = f"{area_um2 / 1e6:.2g} mm2"
    if synthesis is not None:
        cells[5] = f"{synthesis['cells']:,} cells"
        if synthesis.get("critical_path_ns") is not None:
            cells[5] += (
                f", {synthesis['critical_path_ns']:.2f} ns ({synthesis['library'] or 'generic'})"
            )
    if cosim is not None:
        cells[6] = f"{cosim['images']:,} images, {cosim['mismatches']} mismatches"
    return f"| `{name}` | {' | '.join(cells)} |"


def table(build: Path) -> str:
    """The table as Markdown, its legend below; the published unit is its last row."""
    rows = [_row(name, build / name) for name in of_system(Config)]
    energy_j = published.value("mca", "mca", "both", "total", "energy")
    time_s = published.value("mca", "mca", "both", "total", "time")
    rows.append(
        f"| published (Nandakumar 2020) | {PUBLISHED_ACCURACY} | {time_s * 1e9:,.0f} at 1 GHz | | "
        f"{si(energy_j, 'J')} | | | |"
    )
    return "\n".join([_HEAD, *rows, "", _FOOT])


def replace_table(text: str, build: Path) -> str:
    """The README's text with the table between the marks made anew.

    Raises
    ------
    FailureError
        If a mark is missing.
    """
    return cli.between_marks(text, BEGIN, END, table(build))


def main() -> None:
    """Entry point of the module; rewrites the README, or prints the table."""
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--build", type=Path, default=root / "build")
    parser.add_argument("--print", action="store_true", dest="prints", help="leave the README")
    options = parser.parse_args()
    if options.prints:
        print(table(options.build))
        return
    readme = root / "README.md"
    text = replace_table(readme.read_text(encoding="utf-8"), options.build)
    cli.write(readme, text)
    print(f"wrote {readme}", file=sys.stderr)


if __name__ == "__main__":
    main()
