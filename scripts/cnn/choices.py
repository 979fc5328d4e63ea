"""The settings of the two modes, chosen on held-out training images.

    .venv/bin/python -m scripts.cnn.choices yao_cnn --networks 2 --writes 2

The held-out images, the last ``training.held_out`` of the training set, take the place of the test
set, so that no test image is looked at. Compared are the clip and the noise of FP32 training, after
transfer, and the rate of hybrid training in either mode, after it. FP32 networks are files that
:mod:`scripts.cnn.accuracy` shares, comparisons files in DIR/<configuration>_choices/; none is
repeated. Prints tables and writes them to choices.md there.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from model import datasets
from model.cnn.config import ClipPolicy, CnnConfig
from model.cnn.modes import Mode, in_mode
from model.cnn.training import Training
from model.datasets import Dataset
from model.settings import ConfigError
from scripts import cli
from scripts.cnn.accuracy import (
    accuracy_folder,
    load_network,
    software,
    spread,
    study_parser,
)

__all__ = ["held_out", "main"]

NOISES = (0.0, 0.03, 0.06)
"""Noise of FP32 training that is compared."""

RATES = (0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0)
"""Rates of hybrid training, in uS, that are compared."""


def held_out(config: CnnConfig, dataset: Dataset) -> Dataset:
    """The same set with its held-out training images, never trained on, in place of the test
    images."""
    n = len(dataset.train_labels)
    first = n - min(config.training.held_out, n // 10)
    return replace(
        dataset,
        test_images=dataset.train_images[first:],
        test_labels=dataset.train_labels[first:],
    )


@dataclass(frozen=True)
class _Setup:
    """One network and one write seed."""

    config: CnnConfig
    dataset: Dataset
    seed: int
    write: int
    networks: Path

    def transferred(self, config: CnnConfig, network: CnnConfig | None = None) -> Training:
        """The network of these settings, or trained with others, written and calibrated."""
        training = Training(config, self.dataset, seed=self.seed, write_seed=self.write)
        source = config if network is None else network
        training.take_software(software(source, self.dataset, self.seed, self.networks))
        training.transfer()
        return training


def _noises(setup: _Setup) -> Iterator[tuple[str, float]]:
    config = setup.config
    for noise in NOISES:
        settings = replace(config.training, weight_noise=noise)
        noisy = replace(config, training=settings)
        if noise != config.training.weight_noise:
            noisy = replace(noisy, name=f"{config.name}_noise{round(100 * noise)}")
        yield f"{noise:g}", setup.transferred(noisy).results["transferred"]["test_accuracy"]


def _clips(setup: _Setup) -> Iterator[tuple[str, float]]:
    for clip in ClipPolicy:
        settings = replace(setup.config.quantisation, clip=clip)
        run = setup.transferred(replace(setup.config, quantisation=settings), setup.config)
        yield clip.value, run.results["transferred"]["test_accuracy"]


def _rates(setup: _Setup, mode: Mode) -> Iterator[tuple[str, float]]:
    """Accuracy after hybrid training at each rate, from the same written devices."""
    run = setup.transferred(in_mode(setup.config, mode))
    yield "before", run.results["transferred"]["test_accuracy"]
    for rate in RATES:
        tuned = copy.deepcopy(run, {id(run.dataset): run.dataset})
        settings = replace(run.config.training, hybrid_rate_us=rate)
        tuned.config = tuned.unit.config = replace(run.config, training=settings)
        for _ in tuned.run():
            pass
        yield f"{rate:g}", tuned.results["hybrid"]["test_accuracy"]


TABLES: dict[str, Callable[[_Setup], Iterator[tuple[str, float]]]] = {
    "clip": _clips,
    "rate_best": partial(_rates, mode=Mode.BEST),
    "rate_paper": partial(_rates, mode=Mode.PAPER),
    "noise": _noises,
}
"""Comparisons by name."""


def main(arguments: list[str]) -> None:
    """Makes the comparisons that are missing and prints their means."""
    parser = study_parser("choices", "Settings compared on held-out training images.", 2, 2)
    options = parser.parse_args(arguments)
    config = load_network(options.config)
    if not config.training.held_out:
        raise cli.RequestError(f"{config.name} holds no training images out.")
    dataset = held_out(config, datasets.load(options.data))
    folder = options.out / f"{config.name}_choices"
    found: dict[str, list[dict[str, float]]] = {name: [] for name in TABLES}
    for write in range(1, options.writes + 1):
        for seed in range(1, options.networks + 1):
            setup = _Setup(config, dataset, seed, write, accuracy_folder(config, options.out))
            for name, compare in TABLES.items():
                path = folder / f"{name}_network{seed}_write{write}.json"
                if not path.exists():
                    cli.write(path, cli.json_text(dict(compare(setup))))
                    cli.say(f"wrote {path}")
                found[name].append(json.loads(path.read_text(encoding="utf-8")))
    lines = [f"{len(dataset.test_labels)} held-out images:"]
    for name, records in found.items():
        lines += ["", f"| {name} | accuracy, % |", "|---|---|"]
        for setting in records[0]:
            lines.append(f"| {setting} | {spread([record[setting] for record in records])} |")
    text = "\n".join(lines)
    cli.write(folder / "choices.md", text + "\n")
    print(text)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (cli.RequestError, ConfigError, datasets.DatasetError) as error:
        sentence, status = cli.describe(error)
        cli.say(f"choices: {sentence}")
        sys.exit(status)
