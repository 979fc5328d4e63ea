"""Energy against accuracy: trains variants of a configuration, for the curve of the report.

``python -m scripts.trade_off mca_mlp --epochs 3`` leaves DIR/trade_off_<variant>/activity.json for
every variant; ``mixbar report mca_mlp --out DIR`` draws them. A finished variant is not trained
again: a stopped study goes on by the same command. The variants turn the levers of the
update one at a time: where the scale of the errors comes from, how fast its running maximum decays,
which images are skipped, how wide chi is.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from model.activity import Activity
from model.config import Config, ScalePolicy, SkipPolicy, UpdateConfig
from model.settings import to_toml
from model.training import Training, activity
from scripts import cli
from scripts.train import DataOption, load_dataset

__all__ = ["main", "variants"]

DECAYS = (3, 4, 5, 7, 8)
"""log2 of the decay of the running maximum, besides the configuration's own."""

CHI_BITS = (24, 16)
"""Widths of chi besides the configuration's; epsilon keeps its distance to the top."""


def variants(config: Config) -> dict[str, Config]:
    """The configuration and what becomes of it with one lever turned, by name of the variant."""

    def with_update(**change: object) -> Config:
        return replace(config, update=replace(config.update, **change))  # type: ignore[arg-type]

    update: UpdateConfig = config.update
    found = {
        "as_configured": config,
        "scale_own": with_update(scale_policy=ScalePolicy.OWN, crowded_codes=0),
        "skip_never": with_update(skip_policy=SkipPolicy.NEVER),
        "skip_zero_error": with_update(skip_policy=SkipPolicy.ZERO_ERROR),
        "never_crowded": with_update(crowded_codes=0),
    }
    found |= {
        f"decay_{decay}": with_update(decay_log2=decay)
        for decay in DECAYS
        if decay != update.decay_log2
    }
    found |= {
        f"chi_{bits}": with_update(
            chi_bits=bits, epsilon_log2=update.epsilon_log2 - (update.chi_bits - bits)
        )
        for bits in CHI_BITS
        if bits != update.chi_bits and update.epsilon_log2 - (update.chi_bits - bits) >= 2
    }
    return {
        name: variant
        for name, variant in found.items()
        if name == "as_configured" or variant != config
    }


def _train(name: str, config: Config, data: str | None, epochs: int, seed: int, out: Path) -> str:
    dataset = load_dataset(data)
    path = out / f"trade_off_{name}" / "activity.json"
    origin = {
        "source": f"model, {epochs} epochs of {dataset.name}, seed {seed}, {name}",
        "toml": to_toml(config),
    }
    finished = _finished(path, origin)
    if finished is not None:
        return _line(name, finished, path)
    run = Training(config, dataset, seed=seed, epochs=epochs)
    with cli.progress(epochs * run.images_per_epoch, name) as advance:
        done = 0
        for _ in run.run():
            advance(run.images - done)
            done = run.images
    record = {
        "config": config.name,
        "images": run.images,
        "counters": activity(run.unit.counters),
        "test_accuracy": run.curve[-1].test_accuracy,
        **origin,
    }
    cli.write(path, cli.json_text(record))
    return _line(name, record, path)


def _finished(path: Path, origin: Mapping[str, str]) -> dict[str, Any] | None:
    """The record of an earlier run of the same configuration, data, epochs and seed, if any."""
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record if origin.items() <= record.items() else None


def _line(name: str, record: Mapping[str, Any], path: Path) -> str:
    lanes = record["counters"][Activity.CHI_LANES.name.lower()] / record["images"]
    return f"{name}: {100 * record['test_accuracy']:.2f} %, {lanes:.0f} updates an image, {path}"


def main(
    config: cli.ConfigArgument,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the set.")] = 3,
    seed: cli.SeedOption = 1,
    data: DataOption = None,
    out: cli.OutOption = cli.OUT,
) -> None:
    """Trains every variant, one after the other; one that is finished is not trained again."""
    settings = cli.load_mca_config(config, "python -m scripts.trade_off")
    for name, variant in variants(settings).items():
        print(_train(name, variant, data, epochs, seed, out), flush=True)


if __name__ == "__main__":
    typer.run(main)
