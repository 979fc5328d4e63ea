"""``mixbar synth``: area, cells and critical path of a configuration by synthesis."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli
from scripts.report import SYNTHESIS_FILE

if TYPE_CHECKING:
    from hw.liberty import Library
    from hw.synthesis import Synthesis

__all__ = ["DontUseOption", "LibertyOption", "read_library", "synth"]

LibertyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--liberty",
        metavar="FILE",
        help="A Liberty file of the cell library, also gzipped; once per file. Unless told: "
        "Debian's qflow-tech-osu018, 180 nm.",
    ),
]
DontUseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dont-use",
        metavar="PATTERN",
        help="Cells not to use, with * and ?; once per pattern.",
    ),
]
PeriodOption = Annotated[
    float | None,
    typer.Option(
        "--period",
        metavar="NS",
        help="Clock period to work for, in ns; the configuration's unless told.",
    ),
]


def synth(
    config: cli.ConfigArgument,
    liberty: LibertyOption = None,
    dont_use: DontUseOption = None,
    period: PeriodOption = None,
    out: cli.OutOption = cli.OUT,
    json: cli.JsonOption = False,
) -> None:
    """Synthesise a configuration: area, cells, flip-flops and critical path of every block.

    Of the kind mca. Memories are macros: listed, without area or delay. Delays are before layout.
    Writes DIR/<configuration>/synth.json (for 'mixbar report') and each block's netlist to
    DIR/<configuration>/synth/<library>/; blocks that have not changed are not done again.

    \b
    Examples:
      mixbar synth tiny_mca
      mixbar synth mca_mlp --period 10
      mixbar synth mca_mlp --liberty cells.lib.gz --liberty registers.lib.gz --dont-use '*x1p*'
    """
    with cli.result(json) as result:
        settings = cli.load_mca_config(config, "mixbar synth")
        period_ns = settings.clock_period_s * 1e9 if period is None else period
        if not (math.isfinite(period_ns) and period_ns > 0):
            raise cli.RequestError(f"--period must be above 0 ns, not {period_ns:g}.")
        from hw import synthesis, timing, verilog

        library = read_library(liberty, dont_use)
        if library is not None and not timing.available():
            cli.say(
                "OpenSTA is not installed (Debian: apt install opensta): delays are abc's "
                "estimates of each block's logic alone, without registers."
            )
        start = time.perf_counter()
        with cli.staged(out) as stage:
            emitted = verilog.emit(settings, stage)
            path = out / emitted.path.relative_to(stage)
        folder = path.parent / "synth" / (library.name if library else "generic")
        with cli.progress(100, "checking the whole") as advance:
            shown = 0.0

            def show(done: int, total: int, block: str) -> None:
                nonlocal shown
                now = 100 * done / total
                advance(now - shown, block)
                shown = now

            found = synthesis.synthesise(
                path,
                top=emitted.top,
                library=library,
                period_ns=period_ns,
                folder=folder,
                progress=show,
            )
        data = _data(settings.name, period_ns, found)
        record = cli.write(path.parent / SYNTHESIS_FILE, cli.json_text(data))
        seconds = time.perf_counter() - start
        result.set(
            data | {"files": [record, folder], "seconds": round(seconds, 1)},
            f"{_text(settings.name, period_ns, found)}\nwrote {record}, netlists in {folder}",
        )


def read_library(liberty: list[Path] | None, dont_use: list[str] | None) -> "Library | None":
    """The library of the options, Debian's if none is named; None, and a message, if there is none.

    Raises
    ------
    RequestError
        If a file is no library, or cells are not to be used of none.
    """
    from hw.errors import LibertyError
    from hw.liberty import DEFAULT, load

    if not liberty and not DEFAULT.is_file():
        if dont_use:
            raise cli.RequestError("--dont-use needs a library: give its files by --liberty.")
        cli.say(
            "No cell library: counting generic gates, without area and delay. Debian's "
            "qflow-tech-osu018 (apt install) is used if there, any other by --liberty FILE."
        )
        return None
    try:
        return load(liberty or [DEFAULT], dont_use=dont_use or [])
    except LibertyError as error:
        raise cli.RequestError(str(error)) from None


def _data(config: str, period_ns: float, found: "Synthesis") -> dict[str, Any]:
    longest = found.path
    return {
        "config": config,
        "library": found.library,
        "area_um2": _rounded(found.area_um2, 3),
        "cells": found.cells,
        "critical_path_ns": _rounded(longest.ns, 4) if longest else None,
        "critical_path_from": longest.start if longest else None,
        "critical_path_to": longest.end if longest else None,
        "flip_flops": found.flip_flops,
        "flip_flops_free": found.flip_flops_free,
        "memory_bits": sum(memory.bits for memory in found.memories),
        "period_ns": period_ns,
        "timing": found.timing,
        "blocks": [
            {
                "block": block.name,
                "cells": block.cells,
                "area_um2": _rounded(block.area_um2, 3),
                "critical_path_ns": _rounded(block.path.ns, 4) if block.path else None,
                "critical_path_from": block.path.start if block.path else None,
                "critical_path_to": block.path.end if block.path else None,
                "flip_flops": block.flip_flops,
                "flip_flops_free": block.flip_flops_free,
            }
            for block in found.blocks
        ],
        "memories": [
            {
                "name": memory.name,
                "depth": memory.depth,
                "width": memory.width,
                "count": memory.count,
                "bits": memory.bits,
            }
            for memory in found.memories
        ],
        "paths": [asdict(path) | {"ns": _rounded(path.ns, 4)} for path in found.paths],
        "warnings": [asdict(warning) for warning in found.warnings],
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _text(config: str, period_ns: float, found: "Synthesis") -> str:
    rows = [("block", "cells", "area um2", "flip-flops", "longest path ns")]
    rows += [
        (
            block.name,
            f"{block.cells:,}",
            _shown(block.area_um2),
            f"{block.flip_flops:,}",
            f"{block.path.ns:.3f}" if block.path else "-",
        )
        for block in found.blocks
    ]
    longest = found.path
    rows.append(
        (
            "all",
            f"{found.cells:,}",
            _shown(found.area_um2),
            f"{found.flip_flops:,}",
            f"{longest.ns:.3f}" if longest else "-",
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{config}, {found.library}, for {period_ns:g} ns"]
    lines += [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines += [
        f"memory {memory.depth} x {memory.width} bits: {memory.count}" for memory in found.memories
    ]
    if longest and longest.start:
        lines.append(f"longest path: {longest.start} to {longest.end} ({found.timing})")
    lines += [f"{warning.count} x {warning.text}: {warning.reason}" for warning in found.warnings]
    return "\n".join(lines)


def _shown(area: float | None) -> str:
    if area is None:
        return "-"
    return f"{area:,.0f}" if area >= 1000 else f"{area:.1f}"
