"""``mixbar emit`` for a convolutional network."""

from pathlib import Path
from typing import TYPE_CHECKING

from model.cnn.config import CnnConfig
from model.cnn.modes import with_replicas
from scripts import cli
from scripts.emit import write_verilog

if TYPE_CHECKING:
    from hw.verilog import EmittedVerilog

__all__ = ["emit"]


def emit(settings: CnnConfig, *, out: Path, result: cli.Result, replicas: int | None) -> None:
    """Writes the inference unit's Verilog, with another number of replicas if told."""
    config = settings if replicas is None else with_replicas(settings, replicas)

    def convert(stage: Path) -> "tuple[EmittedVerilog, None]":
        from hw.cnn import verilog

        return verilog.emit(config, stage), None

    write_verilog(config, convert, out, result)
