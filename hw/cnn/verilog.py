"""Emits the inference unit of a configuration as Verilog."""

from pathlib import Path

from hw.cnn.inference_unit import InferenceUnit
from hw.verilog import EmittedVerilog, emit_component
from model.cnn.config import CnnConfig
from model.settings import to_toml

__all__ = ["emit", "top_name"]


def top_name(config: CnnConfig) -> str:
    """Name of the top module of a configuration; unique, so that several units fit in one chip."""
    return f"inference_unit_{config.name}"


def emit(config: CnnConfig, out_dir: Path) -> EmittedVerilog:
    """Writes the inference unit of a configuration to ``out_dir/<configuration>/<top>.v``.

    As :func:`hw.verilog.emit`: equal bytes for equal configurations, which the file opens with.
    """
    top = top_name(config)
    header = [
        f"mixbar {top}: Verilog made from this configuration; change that, not this file.",
        "",
        *to_toml(config).splitlines(),
    ]
    path = out_dir / config.name / f"{top}.v"
    return emit_component(InferenceUnit(config), top=top, path=path, header=header)
