"""The ``mixbar`` command: ``mixbar VERB CONFIG``, one module per verb."""

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from scripts import (
    bench,
    cli,
    config,
    configs,
    cosim,
    data,
    emit,
    infer,
    power,
    report,
    sweep,
    synth,
    train,
)

__all__ = ["app", "main"]

HELP = """The digital unit of an in-memory training system: gateware, model, co-simulation, energy.

\b
Try, in this order:
  mixbar configs                        what can be built, in one line each, and its kind
  mixbar config tiny_mca > mine.toml    a configuration to change and to use as CONFIG
  mixbar emit tiny_mca                  the Verilog of its digital unit
  mixbar cosim mca_mlp --images 200     train it in Verilator beside the model, compare all
  mixbar train mca_mlp                  train on the model, with all device physics
  mixbar infer mca_mlp --after 30d      accuracy of the trained arrays a month later
  mixbar sweep li_mlp --seeds 10        accuracy over stuck devices, many runs on all cores
  mixbar synth mca_mlp                  area and critical path of every block, by synthesis
  mixbar power tiny_mca                 energy of its gates over a training trace
  mixbar report mca_mlp                 energy, time and area, as a page with every source
  mixbar bench mca_mlp                  speed of this machine, against a plain NumPy loop
  mixbar data mnist                     the full MNIST set (a sample ships with the project)

Systems are of four kinds, as 'mixbar configs' says: mca, cnn, in_situ, engine. bench, power
and synth are for mca alone, report for mca and cnn, sweep for in_situ.

Every verb takes --help. With --json a verb prints one JSON object to standard output;
progress and messages go to standard error. Exit status: 0 done, 1 failed, 2 wrong request.
"""

# No rich markup: plain help reads the same in a terminal, a pipe and a log, and starts faster.
app = typer.Typer(
    help=HELP,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("bench")(bench.bench)
app.command("configs")(configs.configs)
app.command("config")(config.config)
app.command("cosim")(cosim.cosim)
app.command("data")(data.data)
app.command("emit")(emit.emit)
app.command("power")(power.power)
app.command("report")(report.report)
app.command("synth")(synth.synth)
app.command("sweep")(sweep.sweep)
app.command("train")(train.train)
app.command("infer")(infer.infer)


@app.callback()
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        cli.say(context.get_help())
        raise typer.Exit(2)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that half-written files are removed on the way out.
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Entry point of the console script; ends the process."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(cli.run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
