"""``mixbar bench``: the speed of this machine against the references, in one run."""

import contextlib
import importlib
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli
from scripts.cosim import MOST_IMAGES
from scripts.train import DataOption, load_dataset

if TYPE_CHECKING:
    from model.config import Config
    from model.datasets import Dataset

__all__ = ["bench", "measure_cold_start", "measure_speed"]

NUMPY_IMAGES = 1000
"""Images of the NumPy loop in one turn: a tenth of a second or more."""
TRAINER_IMAGES = 4000
"""Images of the trainer in one turn."""
TRAINER_LEAD = 20_000
"""Images of the trainer before the first turn."""
NUMPY_RATE = 0.4
"""Learning rate of the NumPy loop; it does not bear on its speed."""

RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, help="Turns of each program; the median counts.")
]
CosimImagesOption = Annotated[
    int,
    typer.Option(
        "--cosim-images",
        min=0,
        max=MOST_IMAGES,
        help="Images of the co-simulation; 0 leaves it out.",
    ),
]


def bench(
    config: cli.ConfigArgument,
    rounds: RoundsOption = 7,
    cosim_images: CosimImagesOption = 100,
    data: DataOption = None,
    seed: cli.SeedOption = 1,
    allow_code: cli.AllowCodeOption = False,
    json: cli.JsonOption = False,
) -> None:
    """Measure the speed of trainer and co-simulation on this machine.

    Of the kind mca. The trainer, with all device physics, and a plain NumPy float32 loop of the
    same network train on the same images, in turn, in one process on one core. The ratio of each
    turn's speeds is taken; the median of the ratios is the result. The trainer's first 20,000
    images, a hundredth of a full run and several times as busy as the rest, are left out.

    \b
    Examples:
      mixbar bench mca_mlp
      mixbar bench mca_mlp --cosim-images 0 --json
    """
    with cli.result(json) as result:
        settings = cli.load_mca_config(config, "mixbar bench", allow_code=allow_code)
        dataset = load_dataset(data)
        cli.say("cold start: compiling everything once ...")
        with _one_core():
            cold = _in_process(measure_cold_start, settings, seed)
            cli.say("trainer and NumPy loop in turn ...")
            speed = _in_process(measure_speed, settings, dataset, seed, rounds)
        cosim = _measure_cosim(settings, dataset, seed, cosim_images)
        figures = {
            "config": settings.name,
            "data": dataset.name,
            "seed": seed,
            "rounds": rounds,
            **speed,
            "cold_start_seconds": cold,
            **cosim,
        }
        result.set(figures, _describe(figures))


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Processes started in the block run on one core, where the system can say so.

    They inherit it before NumPy counts the cores for its own threads.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result from a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def measure_cold_start(config: "Config", seed: int) -> float:
    """Seconds from the first import to a trainer that is compiled, its cache empty at first."""
    start = time.perf_counter()
    # model.jit says where compiled functions are kept; from here on it is an empty folder.
    importlib.import_module("model.jit")
    folder = tempfile.mkdtemp(prefix="mixbar-cold-")
    vars(importlib.import_module("numba.core.config"))["CACHE_DIR"] = folder
    try:
        from model import datasets
        from model.training import Training

        Training(config, datasets.load("mnist-sample"), seed=seed).warm_up()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return time.perf_counter() - start


def measure_speed(config: "Config", dataset: "Dataset", seed: int, rounds: int) -> dict[str, Any]:
    """Both loops in turn; see :func:`bench` for what the keys mean."""
    start = time.perf_counter()
    import numpy as np

    from model.arrays import image_order
    from model.baselines import FloatMlp
    from model.training import Training

    training = Training(config, dataset, seed=seed, epochs=1_000_000)
    training.warm_up()
    warm_start = time.perf_counter() - start
    steps = training.run(chunk_images=TRAINER_IMAGES)
    while training.images < TRAINER_LEAD:
        next(steps)
    # ru_maxrss is in kB, on macOS in bytes. Taken here, before the loop's own copy of the images.
    unit = 1 if sys.platform == "darwin" else 1024
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    mlp = FloatMlp(config, seed=seed, dtype=np.float32)
    # As the trainer has them, in the network's size and order.
    images, labels = training.dataset.train_images, training.dataset.train_labels
    inputs = mlp.inputs(images)
    order = image_order(config, seed, 0, len(inputs))
    speeds: dict[str, list[float]] = {"trainer": [], "numpy": []}
    # The first turn of both only warms caches up.
    for turn in range(rounds + 1):
        done, seconds = training.images, training.seconds
        next(steps)
        trainer = (training.images - done) / (training.seconds - seconds)
        chosen = order[np.arange(turn * NUMPY_IMAGES, (turn + 1) * NUMPY_IMAGES) % len(order)]
        before = time.perf_counter()
        mlp.train(inputs, labels, chosen, NUMPY_RATE)
        numpy = NUMPY_IMAGES / (time.perf_counter() - before)
        if turn:
            speeds["trainer"].append(trainer)
            speeds["numpy"].append(numpy)
    ratios = [t / n for t, n in zip(speeds["trainer"], speeds["numpy"], strict=True)]
    return {
        "train_ratio_vs_numpy": statistics.median(ratios),
        "train_ratios": ratios,
        "train_images_per_second": statistics.median(speeds["trainer"]),
        "numpy_images_per_second": statistics.median(speeds["numpy"]),
        "warm_start_seconds": warm_start,
        "peak_memory_bytes": peak_memory,
    }


def _measure_cosim(
    config: "Config", dataset: "Dataset", seed: int, n_images: int
) -> dict[str, float | None]:
    """Speed of the co-simulation; None and a message where it was left out or cannot run."""
    nothing = {
        "cosim_images_per_second": None,
        "cosim_images_per_cpu_second": None,
        "verilator_cycles_per_second": None,
    }
    if n_images == 0:
        return {**nothing}
    import numpy as np

    from cocotb_tests.cosim import cosimulate
    from cocotb_tests.errors import SimulatorError
    from model.arrays import image_order
    from model.inputs import adapt

    dataset = adapt(config, dataset)
    order = image_order(config, seed, 0, len(dataset.train_labels))
    order = np.resize(order, n_images)
    with tempfile.TemporaryDirectory(prefix="mixbar-bench-") as folder:
        try:
            found = cosimulate(
                config,
                dataset.train_images[order],
                dataset.train_labels[order],
                out_dir=Path(folder),
                seed=seed,
                on_message=cli.say,
            )
        except SimulatorError as error:
            cli.say(f"co-simulation left out: {error}")
            return {**nothing}
    if found.mismatch is not None:
        raise cli.FailureError(found.mismatch["text"])
    return {
        "cosim_images_per_second": found.images_per_second,
        "cosim_images_per_cpu_second": found.images_per_cpu_second,
        "verilator_cycles_per_second": found.verilator_cycles_per_second,
    }


def _describe(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['config']}: trainer {figures['train_images_per_second']:.0f} images/s, NumPy "
        f"float32 loop {figures['numpy_images_per_second']:.0f} images/s: "
        f"{figures['train_ratio_vs_numpy']:.2f} times as fast",
        f"start {figures['cold_start_seconds']:.1f} s cold, {figures['warm_start_seconds']:.1f} s "
        f"warm; {figures['peak_memory_bytes'] / 1e6:.0f} MB at most",
    ]
    if figures["cosim_images_per_second"] is not None:
        lines.append(
            f"co-simulation {figures['cosim_images_per_second']:.0f} images/s "
            f"({figures['cosim_images_per_cpu_second']:.0f} a second of processor time), "
            f"{figures['verilator_cycles_per_second']:.0f} cycles/s"
        )
    return "\n".join(lines)
