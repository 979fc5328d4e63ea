"""``mixbar infer``: test accuracy of a saved run, some time after training."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts import cli, runs
from scripts.train import DataOption, ModeOption, ReplicasOption

if TYPE_CHECKING:
    from model.config import Config
    from model.inference import Point

__all__ = ["infer", "parse_duration"]

#: Seconds in each unit of ``--after``; a year is a Julian year.
UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "y": 365.25 * 86400.0,
}

#: Longest time after training, in years; devices have an end of time far behind it.
LONGEST_Y = 1e9

AfterOption = Annotated[
    str,
    typer.Option(
        "--after",
        metavar="TIMES",
        help="Times since the last training image, as 30d or 1s,1h,1d: us, ms, s, min, h, d, y. "
        "Of the kinds mca and cnn: in_situ models no retention.",
    ),
]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="FILE", help="The saved run; OUT/CONFIG/run.npz unless told."),
]
CompensateOption = Annotated[
    bool,
    typer.Option(
        "--compensate",
        help="Of the kind mca: scale each array's codes by one gain, from its total conductance.",
    ),
]
StuckOption = Annotated[
    float,
    typer.Option("--stuck", min=0.0, max=1.0, help="Fraction of devices that fail after training."),
]


def parse_duration(text: str) -> float:
    """Seconds of a duration as ``30d`` or ``1.5h``.

    Raises
    ------
    RequestError
        If it is none, or too long.
    """
    from model.settings import shown

    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|min|h|d|y)?", text.strip())
    if match is None or (match[2] is None and float(match[1]) != 0):
        raise cli.RequestError(
            f"--after takes durations as 30d or 1.5h (units {', '.join(UNITS)}), not {shown(text)}."
        )
    seconds = float(match[1]) * UNITS[match[2] or "s"]
    if seconds > LONGEST_Y * UNITS["y"]:
        raise cli.RequestError(f"--after takes at most {LONGEST_Y:g} years.")
    return seconds


def infer(
    config: cli.ConfigArgument,
    after: AfterOption = "0s",
    compensate: CompensateOption = False,
    stuck: StuckOption = 0.0,
    mode: ModeOption = None,
    replicas: ReplicasOption = None,
    run: RunOption = None,
    data: DataOption = None,
    seed: cli.SeedOption = 1,
    out: cli.OutOption = cli.OUT,
    allow_code: cli.AllowCodeOption = False,
    json: cli.JsonOption = False,
) -> None:
    """Test accuracy of a saved run, at once or after a time of drift.

    Of the kinds mca, cnn and in_situ. Prints a table and writes infer.json, of the kind mca
    infer.png too, to DIR/<configuration>/. The test images are those of the data set that the run
    was trained on. All of them are read at the same device time; nothing is written to the run.

    \b
    Examples:
      mixbar infer mca_mlp
      mixbar infer mca_mlp --after 1s,1h,1d,30d,1y --compensate
      mixbar infer mca_mlp --stuck 0.01 --json
      mixbar infer yao_cnn --replicas 3 --after 30d
    """
    with cli.result(json) as result:
        settings = cli.load_config(config, allow_code)
        from model.config import Config

        own = cli.own_options(settings, "cnn", mode=mode, replicas=replicas)
        if not isinstance(settings, Config):
            cli.of_system(settings, "infer").infer(
                settings,
                given=config,
                after=after,
                compensate=compensate,
                stuck=stuck,
                run=run,
                data=data,
                seed=seed,
                out=out,
                result=result,
                **own,
            )
            return
        seconds = sorted({0.0, *(parse_duration(text) for text in after.split(","))})
        import numpy as np

        from model import datasets, inference
        from model.inputs import adapt

        path = out / settings.name / runs.CHECKPOINT_FILE if run is None else run
        with runs.reading(path, f"'mixbar train {config}'"):
            saved = inference.load_run(settings, path)
        dataset = adapt(settings, datasets.load(saved.dataset if data is None else data))
        if stuck > 0:
            rng = np.random.default_rng([seed, 2])
            failed = sum(
                inference.break_devices(crossbar, stuck, rng) for crossbar in saved.crossbars
            )
            cli.say(f"{failed} devices failed")
        points = inference.accuracy_over_time(settings, saved, dataset, seconds, seed=seed)
        # Time 0 is always evaluated, as what a loss is measured against.
        last = points[-1]
        accuracy = last.compensated_accuracy if compensate else last.test_accuracy
        data_out = {
            "config": settings.name,
            "data": dataset.name,
            "run": path,
            "run_seed": saved.seed,
            "epochs": saved.epochs,
            "seed": seed,
            "images": len(dataset.test_labels),
            "stuck_fraction": stuck,
            "compensated": compensate,
            "seconds_after_training": last.seconds_after_training,
            "test_accuracy": accuracy,
            "accuracy_loss": points[0].test_accuracy - accuracy,
            "points": [dataclasses.asdict(point) for point in points],
        }
        with cli.staged(out) as stage:
            folder = stage / settings.name
            folder.mkdir()
            (folder / "infer.json").write_text(cli.json_text(data_out), encoding="utf-8")
            _plot(settings, points, folder / "infer.png")
        files = [out / settings.name / name for name in ("infer.json", "infer.png")]
        result.set(
            {**data_out, "files": files},
            "\n".join([_table(points, compensate), *(f"wrote {file}" for file in files)]),
        )


def _duration(seconds: float) -> str:
    """A time in the largest unit that keeps it at 1 or more."""
    for unit, size in reversed(UNITS.items()):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _table(points: "Sequence[Point]", compensate: bool) -> str:
    lines = [f"{'after training':>14}  {'accuracy':>8}" + ("  compensated" if compensate else "")]
    for point in points:
        line = f"{_duration(point.seconds_after_training):>14}  {100 * point.test_accuracy:6.2f} %"
        if compensate:
            line += f"  {100 * point.compensated_accuracy:9.2f} %"
        lines.append(line)
    return "\n".join(lines)


def _plot(config: "Config", points: "Sequence[Point]", path: Path) -> None:
    """Accuracy over time; time 0 is drawn at a tenth of the first other time."""
    from matplotlib.figure import Figure

    later = [point.seconds_after_training for point in points if point.seconds_after_training > 0]
    origin = min(later, default=1.0) / 10
    times = [point.seconds_after_training or origin for point in points]
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for label, field in (
        ("as it is", "test_accuracy"),
        ("global drift compensation", "compensated_accuracy"),
    ):
        values = [100 * getattr(point, field) for point in points]
        axes.semilogx(times, values, marker="o", label=label)
    axes.set_xticks(times, ["0", *(_duration(time) for time in times[1:])])
    axes.minorticks_off()
    axes.set_xlabel("time after training")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(f"{config.name}: inference over time")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(path, metadata={"Software": None})
