"""``mixbar emit`` for an in-situ learning system."""

import time
from pathlib import Path

from model.in_situ.config import InSituConfig
from scripts import cli

__all__ = ["emit"]


def emit(settings: InSituConfig, *, out: Path, result: cli.Result) -> None:
    """Writes the Verilog and the C header of its registers, and sets the result."""
    start = time.perf_counter()
    with cli.staged(out) as stage:
        # The gateware's import takes as long as a small unit's conversion: it counts.
        from hw.in_situ import verilog
        from hw.in_situ.registers import register_table
        from hw.registers import table_to_c_header

        emitted = verilog.emit(settings, stage)
        header = emitted.path.with_name(f"{emitted.top}_registers.h")
        text = table_to_c_header(settings.name, register_table(settings))
        header.write_text(text, encoding="utf-8")
        files = [out / file.relative_to(stage) for file in (emitted.path, header)]
    seconds = time.perf_counter() - start
    result.set(
        {
            "config": settings.name,
            "top": emitted.top,
            "files": files,
            "bytes": emitted.bytes,
            "seconds": round(seconds, 3),
        },
        f"{settings.name}: module {emitted.top}, {emitted.bytes} bytes, {seconds:.1f} s\n"
        + "\n".join(map(str, files)),
    )
