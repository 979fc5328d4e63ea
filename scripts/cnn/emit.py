"""``mixbar emit`` for a convolutional network."""

import time
from pathlib import Path

from model.cnn.config import CnnConfig
from model.cnn.modes import with_replicas
from scripts import cli

__all__ = ["emit"]


def emit(settings: CnnConfig, *, out: Path, result: cli.Result, replicas: int | None) -> None:
    """Writes the inference unit's Verilog, with another number of replicas if told."""
    if replicas is not None:
        settings = with_replicas(settings, replicas)
    start = time.perf_counter()
    with cli.staged(out) as stage:
        from hw.cnn import verilog

        emitted = verilog.emit(settings, stage)
        path = out / emitted.path.relative_to(stage)
    seconds = time.perf_counter() - start
    result.set(
        {
            "config": settings.name,
            "top": emitted.top,
            "files": [path],
            "bytes": emitted.bytes,
            "seconds": round(seconds, 3),
        },
        f"{settings.name}: module {emitted.top}, {emitted.bytes} bytes, {seconds:.1f} s\n{path}",
    )
