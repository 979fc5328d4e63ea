"""``mixbar emit`` for a training engine."""

from pathlib import Path
from typing import TYPE_CHECKING

from model.engine.config import EngineConfig
from scripts import cli
from scripts.emit import write_verilog

if TYPE_CHECKING:
    from hw.verilog import EmittedVerilog

__all__ = ["emit"]


def emit(settings: EngineConfig, *, out: Path, result: cli.Result) -> None:
    """Writes the engine's Verilog."""

    def convert(stage: Path) -> "tuple[EmittedVerilog, None]":
        from hw.engine import verilog

        return verilog.emit(settings, stage), None

    write_verilog(settings, convert, out, result)
