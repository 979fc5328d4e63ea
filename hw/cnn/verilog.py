"""Emits the inference unit of a configuration as Verilog."""

from pathlib import Path

from hw.cnn.inference_unit import InferenceUnit
from hw.verilog import EmittedVerilog, emit_configuration
from model.cnn.config import CnnConfig

__all__ = ["emit", "top_name"]


def top_name(config: CnnConfig) -> str:
    """Name of the top module of a configuration; unique, so that several units fit in one chip."""
    return f"inference_unit_{config.name}"


def emit(config: CnnConfig, out_dir: Path) -> EmittedVerilog:
    """Writes the inference unit of a configuration; see :func:`hw.verilog.emit_configuration`."""
    return emit_configuration(config, InferenceUnit(config), top=top_name(config), out_dir=out_dir)
