"""Emits the Verilog of a training engine."""

from pathlib import Path

from hw.engine.engine import Engine
from hw.verilog import EmittedVerilog, emit_configuration
from model.engine.config import EngineConfig

__all__ = ["emit", "top_name"]


def top_name(config: EngineConfig) -> str:
    """Name of the top module of a configuration."""
    return f"engine_{config.name}"


def emit(config: EngineConfig, out_dir: Path) -> EmittedVerilog:
    """Writes an engine; see :func:`hw.verilog.emit_configuration`."""
    return emit_configuration(config, Engine(config), top=top_name(config), out_dir=out_dir)
