"""Emits the in-situ learning unit of a configuration as Verilog."""

from pathlib import Path

from hw.in_situ.learning_unit import LearningUnit
from hw.verilog import EmittedVerilog, emit_configuration
from model.in_situ.config import InSituConfig

__all__ = ["emit", "top_name"]


def top_name(config: InSituConfig) -> str:
    """Name of the top module of a configuration; unique, so that several units fit in one chip."""
    return f"learning_unit_{config.name}"


def emit(config: InSituConfig, out_dir: Path) -> EmittedVerilog:
    """Writes the learning unit of a configuration; see :func:`hw.verilog.emit_configuration`."""
    return emit_configuration(config, LearningUnit(config), top=top_name(config), out_dir=out_dir)
