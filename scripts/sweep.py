"""``mixbar sweep``: many independent runs, on all cores or on a cluster."""

from typing import Annotated

import typer

from scripts import cli
from scripts.train import DataOption, load_dataset

__all__ = ["sweep"]

StuckOption = Annotated[
    str,
    typer.Option(
        "--stuck",
        metavar="PERCENTAGES",
        help="Devices stuck OFF, as first:last:step or a list with commas, in per cent.",
    ),
]
SeedsOption = Annotated[
    int,
    typer.Option(
        "--seeds", min=1, max=10_000, help="Runs at each point, with seeds from --seed on."
    ),
]
KindsOption = Annotated[
    str,
    typer.Option(
        "--kinds",
        metavar="LIST",
        help="What to compare: in_situ, ex_situ, one_layer, float (in situ, nothing rounded), "
        "software (no devices).",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="A running Dask scheduler, as tcp://host:8786; workers on this machine unless told.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Workers on this machine; one a core unless told."),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Make every run again, finished ones too.")
]


def sweep(
    config: cli.ConfigArgument,
    stuck: StuckOption = "0:50:5",
    seeds: SeedsOption = 5,
    kinds: KindsOption = "in_situ,ex_situ,one_layer",
    seed: cli.SeedOption = 1,
    scheduler: SchedulerOption = None,
    workers: WorkersOption = None,
    fresh: FreshOption = False,
    data: DataOption = None,
    out: cli.OutOption = cli.OUT,
    json: cli.JsonOption = False,
) -> None:
    """Accuracy over the fraction of stuck devices: a table and a figure of many runs.

    Of the kind in_situ. Writes to DIR/<configuration>/: sweep.jsonl (a line a finished run, at
    once), sweep.json and sweep.png. The same command after an interruption makes only the runs that
    are missing. A worker that dies costs the run it was at, which is made again.

    \b
    Examples:
      mixbar sweep li_mlp --stuck 0:50:5 --seeds 10
      mixbar sweep li_mlp --stuck 0,11 --kinds in_situ,float,software
      mixbar sweep li_mlp_large --stuck 11 --kinds in_situ --scheduler tcp://host:8786
    """
    with cli.result(json) as result:
        settings = cli.load_config(config)
        verb = cli.of_system(settings, "sweep")
        verb.sweep(
            settings,
            stuck=stuck,
            seeds=range(seed, seed + seeds),
            kinds=kinds,
            scheduler=scheduler,
            workers=workers,
            fresh=fresh,
            dataset=load_dataset(data),
            out=out,
            result=result,
        )
