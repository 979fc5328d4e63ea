"""``mixbar emit`` for an in-situ learning system."""

from pathlib import Path
from typing import TYPE_CHECKING

from model.in_situ.config import InSituConfig
from scripts import cli
from scripts.emit import write_verilog

if TYPE_CHECKING:
    from hw.verilog import EmittedVerilog

__all__ = ["emit"]


def emit(settings: InSituConfig, *, out: Path, result: cli.Result) -> None:
    """Writes the Verilog and the C header of its registers, and sets the result."""

    def convert(stage: Path) -> "tuple[EmittedVerilog, str]":
        from hw.in_situ import verilog
        from hw.in_situ.registers import register_table
        from hw.registers import table_to_c_header

        header = table_to_c_header(settings.name, register_table(settings))
        return verilog.emit(settings, stage), header

    write_verilog(settings, convert, out, result)
