"""``mixbar emit``: writes the Verilog of a configuration."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import cli
from scripts.train import ReplicasOption

if TYPE_CHECKING:
    from hw.verilog import EmittedVerilog
    from model.settings import System

__all__ = ["emit", "write_verilog"]


def emit(
    config: cli.ConfigArgument,
    replicas: ReplicasOption = None,
    out: cli.OutOption = cli.OUT,
    json: cli.JsonOption = False,
) -> None:
    """Write the Verilog of a configuration's digital unit.

    DIR/<configuration>/<top module>.v, the same to the byte in every run, needs no other file:
    memories, tables and the configuration itself (as a comment) are in it. Of the kinds mca and
    in_situ, <top module>_registers.h lies beside it, the host's registers as a C header.

    \b
    Examples:
      mixbar emit mca_mlp
      mixbar emit mine.toml --out netlists --json
      mixbar emit yao_cnn --replicas 3
    """
    with cli.result(json) as result:
        settings = cli.load_config(config)
        from model.config import Config

        own = cli.own_options(settings, "cnn", replicas=replicas)
        if not isinstance(settings, Config):
            cli.of_system(settings, "emit").emit(settings, out=out, result=result, **own)
            return

        def convert(stage: Path) -> "tuple[EmittedVerilog, str | None]":
            from hw import verilog
            from hw.registers import to_c_header

            return verilog.emit(settings, stage), to_c_header(settings)

        write_verilog(settings, convert, out, result)


def write_verilog(
    settings: "System",
    convert: "Callable[[Path], tuple[EmittedVerilog, str | None]]",
    out: Path,
    result: cli.Result,
) -> None:
    """Writes what ``convert`` emits into the folder that it gets, and sets the result.

    ``convert`` returns the module and the text of its registers' C header, if it has registers. It
    imports the gateware itself: that takes as long as a small unit's conversion, so it counts.
    """
    start = time.perf_counter()
    with cli.staged(out) as stage:
        emitted, header = convert(stage)
        files = [emitted.path]
        if header is not None:
            files.append(emitted.path.with_name(f"{emitted.top}_registers.h"))
            files[-1].write_text(header, encoding="utf-8")
        files = [out / file.relative_to(stage) for file in files]
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
