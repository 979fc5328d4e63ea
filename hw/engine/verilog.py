"""Emits the Verilog of a training engine."""

from pathlib import Path

from hw.engine.engine import Engine
from hw.verilog import EmittedVerilog, emit_component
from model.engine.config import EngineConfig
from model.settings import to_toml

__all__ = ["emit", "top_name"]


def top_name(config: EngineConfig) -> str:
    """Name of the top module of a configuration."""
    return f"engine_{config.name}"


def emit(config: EngineConfig, out_dir: Path) -> EmittedVerilog:
    """Writes an engine to ``out_dir/<configuration>/<top>.v``, the configuration in comments at its
    top; equal bytes for equal configurations."""
    top = top_name(config)
    header = [f"mixbar {top}: Verilog made from this configuration; change that, not this file."]
    header += ["", *to_toml(config).splitlines()]
    return emit_component(
        Engine(config), top=top, path=out_dir / config.name / f"{top}.v", header=header
    )
