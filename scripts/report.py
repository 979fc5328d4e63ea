"""``mixbar report``: energy, time and area of a configuration, as a page, Markdown and JSON."""

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli

if TYPE_CHECKING:
    from energy.activity import ActivityRecord, InputStatistics
    from energy.baselines import EngineRecord
    from energy.cnn import CnnActivity
    from energy.systems import System
    from model.config import Config

__all__ = ["report"]

#: What a training run leaves beside the report, per configuration.
ACTIVITY_FILE = "activity.json"

#: What the gate-level check leaves there.
POWER_FILE = "power.json"

#: What synthesis leaves there.
SYNTHESIS_FILE = "synth.json"

#: What is trained where no run has left its counters.
SAMPLE = "mnist-sample"
COUNTED_EPOCHS = 8

ActivityOption = Annotated[
    Path | None,
    typer.Option(
        "--activity",
        metavar="FILE",
        help="Counters of a run; OUT/CONFIG/activity.json unless told.",
    ),
]
NodeOption = Annotated[
    float | None,
    typer.Option(
        "--node", metavar="NM", help="Node of the digital unit, 7 to 180 nm; 14 unless told."
    ),
]
VddOption = Annotated[
    float | None,
    typer.Option("--vdd", metavar="VOLT", help="Its supply; the node's nominal one unless told."),
]


def report(
    config: cli.ConfigArgument,
    activity: ActivityOption = None,
    node: NodeOption = None,
    vdd: VddOption = None,
    seed: cli.SeedOption = 1,
    out: cli.OutOption = cli.OUT,
    allow_code: cli.AllowCodeOption = False,
    json: cli.JsonOption = False,
) -> None:
    """Estimate energy, time and area; write one HTML page, Markdown and JSON.

    Of the kinds mca and cnn. The activity is what 'mixbar train' counted last; where it did not
    run, a short training of the shipped sample counts it now. What 'mixbar synth', 'mixbar power'
    and trainings of li_mlp, fixed32 and mixed4 left under DIR is shown too, and the counters of
    'mixbar report yao_cnn'. Of the kind cnn an image is classified: what the test images cause on
    the devices of 'mixbar train' is counted anew. The page needs no network and no other file.

    \b
    Examples:
      mixbar report mca_mlp
      mixbar report mca_mlp --node 7
      mixbar report yao_cnn
      mixbar report mca_mlp --activity build/mca_mlp/activity.json --json
    """
    with cli.result(json) as result, cli.staged(out) as stage:
        from model.cnn.config import CnnConfig

        chosen = cli.load_config(config, allow_code or None)  # devices are not always made
        if isinstance(chosen, CnnConfig):
            cli.own_options(chosen, "mca", activity=activity, node=node, vdd=vdd)
            from scripts.cnn import report as cnn_reports

            cnn_reports.report(chosen, seed=seed, out=out, result=result)
            return
        settings = cli.load_mca_config(config, "mixbar report", "mca or cnn")
        from energy import markdown, page
        from energy import report as reports
        from energy.formats import si
        from energy.scaling import Node, nominal_vdd_v

        node = 14.0 if node is None else node
        try:
            where = Node(tech_nm=node, vdd_v=nominal_vdd_v(node) if vdd is None else vdd)
        except ValueError as error:
            raise cli.RequestError(str(error)) from None
        record = _activity(settings, activity, out, seed)
        inputs, words = _images(settings)
        data = reports.build(
            settings,
            record,
            inputs=inputs,
            words=words,
            trade_off=_trade_off(settings, out),
            node=where,
            synthesis=_synthesis(settings, out),
            engines=_engines(settings, out),
            power=_power(settings, out),
            li=_li(out),
            cnn=_cnn(out),
        )
        folder = stage / settings.name
        folder.mkdir()
        contents = {
            "report.html": page.to_html(data),
            "report.md": markdown.to_markdown(data),
            "report.json": cli.json_text(data),
        }
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8")
        files = [out / settings.name / name for name in contents]
        head = data["headline"]
        energy = si(head["energy_j"]["value"], "J")
        accounting = si(head["paper_accounting_j"]["value"], "J")
        result.set(
            {
                "config": settings.name,
                "images": record.images,
                "activity_source": record.source,
                "headline": head,
                "tables": data["tables"],
                "plots": data["plots"],
                "files": [str(path) for path in files],
            },
            "\n".join(
                [
                    f"{settings.name}, a training image: {energy} bottom-up, {accounting} by the "
                    f"paper's accounting, {head['cycles']:.0f} cycles",
                    *(f"wrote {path}" for path in files),
                ]
            ),
        )


def _activity(config: "Config", given: Path | None, out: Path, seed: int) -> "ActivityRecord":
    """The counters of the last run, or of a short one now."""
    from energy import activity as activities

    path = given if given is not None else out / config.name / ACTIVITY_FILE
    if given is not None and not path.is_file():
        raise cli.RequestError(f"There is no activity file {path}.")
    if not path.is_file():
        return _count(config, seed)
    record = activities.load(path)
    if record.config != config.name:
        raise cli.RequestError(f"{path} holds the activity of {record.config}, not {config.name}.")
    return record


def _count(config: "Config", seed: int) -> "ActivityRecord":
    """Counts a short training of the shipped sample."""
    from energy.activity import ActivityRecord
    from model import datasets, training

    run = training.Training(config, datasets.load(SAMPLE), seed=seed, epochs=COUNTED_EPOCHS)
    n_images = COUNTED_EPOCHS * run.images_per_epoch
    cli.say(f"No run of {config.name} has left its counters: training {n_images} images now.")
    with cli.progress(n_images, "training") as advance:
        done = 0
        for _ in run.run():
            advance(run.images - done)
            done = run.images
    return ActivityRecord(
        config=config.name,
        images=run.images,
        counters=training.activity(run.unit.counters),
        source=f"model, {COUNTED_EPOCHS} epochs of {SAMPLE}, seed {seed}",
        extra={"test_accuracy": run.curve[-1].test_accuracy},
    )


def _images(config: "Config") -> tuple["InputStatistics", dict[int, float]]:
    """What the shipped images drive in this network, and how many words they touch."""
    from energy import explorer, inputs
    from model import datasets
    from model.inputs import adapt

    images = adapt(config, datasets.load(SAMPLE)).train_images
    lanes = {*explorer.LANE_CHOICES, config.update.lanes}
    return inputs.measure(images), inputs.words_hit(images, sorted(lanes))


def _synthesis(config: "Config", out: Path) -> dict[str, Any] | None:
    """What `mixbar synth` left for this configuration, if it ran."""
    path = out / config.name / SYNTHESIS_FILE
    if not path.is_file():
        return None
    try:
        found = json_module.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise cli.FailureError(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise cli.FailureError(f"{path} must hold an object.")
    return found


def _engines(config: "Config", out: Path) -> dict[str, "EngineRecord"]:
    """What runs of the digital baselines under ``out`` counted, if their network is the same."""
    from energy.baselines import BASELINES, EngineRecord, engine_like
    from model import configurations

    records = {}
    for name in BASELINES:
        path = out / name / ACTIVITY_FILE
        if path.is_file():
            found = json_module.loads(path.read_text(encoding="utf-8"))
            engine = configurations.parse(found["toml"])
            if engine == engine_like(name, config):
                records[name] = EngineRecord(
                    config=engine,
                    images=int(found["images"]),
                    counters=found["counters"],
                    source=str(found["source"]),
                )
    return records


def _li(out: Path) -> "System | None":
    """A training image of Li's system, if its run left counters under ``out``."""
    from energy.systems import li_training
    from model.configurations import li_mlp

    path = out / li_mlp.name / ACTIVITY_FILE
    if not path.is_file():
        return None
    return li_training(li_mlp, json_module.loads(path.read_text(encoding="utf-8"))["counters"])


def _cnn(out: Path) -> "CnnActivity | None":
    """What an image of Yao's network counts, if its report was made under ``out``."""
    from model.configurations import yao_cnn
    from scripts.cnn.report import load_activity

    path = out / yao_cnn.name / ACTIVITY_FILE
    return load_activity(path) if path.is_file() else None


def _power(config: "Config", out: Path) -> dict[str, Any] | None:
    """What `mixbar power` left for this configuration, else for the smallest."""
    from model import configurations
    from model.config import Config as McaConfig

    for name in (config.name, *configurations.of_system(McaConfig)):
        path = out / name / POWER_FILE
        if path.is_file():
            found: dict[str, Any] = json_module.loads(path.read_text(encoding="utf-8"))
            return found
    return None


def _trade_off(config: "Config", out: Path) -> Sequence[dict[str, Any]]:
    """Every run under ``out`` of the same network that knows its accuracy."""
    from energy import activity as activities
    from energy.errors import EnergyError
    from model import configurations
    from model.config import Config
    from model.settings import ConfigError

    runs = []
    for path in sorted(out.glob(f"*/{ACTIVITY_FILE}")):
        try:
            written = json_module.loads(path.read_text(encoding="utf-8"))
            text, name = written.get("toml"), str(written.get("config"))
            other = configurations.parse(text) if text else configurations.load(name)
            if not isinstance(other, Config) or other.network != config.network:
                continue
            record = activities.load(path)
        except (AttributeError, EnergyError, ConfigError, ValueError) as error:
            cli.say(f"Left out of the curve: {error}")
            continue
        if "test_accuracy" in record.extra:
            runs.append(
                {
                    "label": path.parent.name,
                    "accuracy": record.extra["test_accuracy"],
                    "activity": record,
                    "config": other,
                }
            )
    return runs
