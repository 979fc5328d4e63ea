"""``mixbar emit``: writes the Verilog of a configuration."""

import time

from scripts import cli
from scripts.train import ReplicasOption

__all__ = ["emit"]


def emit(
    config: cli.ConfigArgument,
    replicas: ReplicasOption = None,
    out: cli.OutOption = cli.OUT,
    json: cli.JsonOption = False,
) -> None:
    """Write the Verilog of a configuration's digital unit.

    DIR/<configuration>/<top module>.v, the same to the byte in every run, needs no other file:
    memories, tables and the configuration itself (as a comment) are in it. Beside it lies
    <top module>_registers.h, the host's registers as a C header.

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
        start = time.perf_counter()
        with cli.staged(out) as stage:
            # The gateware's import takes as long as a small unit's conversion: it counts.
            from hw import verilog
            from hw.registers import to_c_header

            emitted = verilog.emit(settings, stage)
            header = emitted.path.with_name(f"{emitted.top}_registers.h")
            header.write_text(to_c_header(settings), encoding="utf-8")
            files = [out / file.relative_to(stage) for file in (emitted.path, header)]
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
