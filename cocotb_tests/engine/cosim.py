"""Co-simulation of a training engine: emit, build, run beside the model, summarise."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cocotb_tests import simulator
from cocotb_tests.engine.instruments import instruments
from cocotb_tests.toolchain import find_toolchain
from hw.engine.verilog import emit
from model.engine.activity import PHASES
from model.engine.config import EngineConfig
from model.settings import to_toml

__all__ = ["EngineCosim", "cosimulate"]


@dataclass(frozen=True, kw_only=True)
class EngineCosim:
    """What a co-simulation found."""

    config: str
    images: int
    """Images compared."""
    mismatches: int
    """0, or 1: the first mismatch ends the run."""
    mismatch: dict[str, Any] | None
    """image and text of the mismatch."""
    compared: dict[str, int]
    """How many values of each kind were equal."""
    cycles_per_image: dict[str, Any]
    """mean, max, by_phase; of the images behind the warm-up."""
    accuracy: float
    """Fraction of the images classified correctly, each before its update."""
    images_per_second: float
    simulator: str
    build_seconds: float
    counters: dict[str, int]
    """Activity counters, equal in gateware and model."""


def cosimulate(
    config: EngineConfig,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    *,
    out_dir: Path,
    seed: int = 1,
    train: bool = True,
    warm_up: int = 0,
    quick: bool = False,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> EngineCosim:
    """Runs images through the emitted engine in Verilator and through the model, and compares.

    ``images``: uint8 ``[n, layers[0]]``, ``labels``: uint8 ``[n]``, as shown. The other parameters
    are those of :func:`cocotb_tests.cosim.cosimulate`.

    Raises
    ------
    SimulatorError
        If a tool is missing or the simulation itself fails. A mismatch is a result, not an error.
    """
    find_toolchain()  # a missing compiler is said before anything is written
    simulation = simulator.build(
        emit(config, out_dir.resolve()),
        probes=instruments(config),
        quick=quick,
        cache_dir=cache_dir,
        on_message=on_message,
    )

    def progress(message: dict[str, Any]) -> None:
        if on_progress is not None:
            on_progress(message["images"], message["correct"] / max(1, message["images"]))

    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        path = Path(name) / "images.npz"
        np.savez(path, images=images, labels=labels)
        found = simulator.run(
            simulation,
            "cocotb_tests.engine.engine_bench",
            {"config": to_toml(config), "seed": seed, "images": str(path), "train": train},
            seed=seed,
            on_progress=progress,
        )
    cycles = np.array(found["cycles"], np.int64).reshape(-1, len(PHASES))[warm_up:]
    if len(cycles) == 0:
        cycles = np.zeros((1, len(PHASES)), np.int64)
    return EngineCosim(
        config=config.name,
        images=found["images"],
        mismatches=int(found["mismatch"] is not None),
        mismatch=found["mismatch"],
        compared=found["compared"],
        cycles_per_image={
            "mean": float(cycles.sum(axis=1).mean()),
            "max": int(cycles.sum(axis=1).max()),
            "by_phase": dict(zip(PHASES, cycles.mean(axis=0).tolist(), strict=True)),
        },
        accuracy=found["correct"] / max(1, found["images"]),
        images_per_second=found["images"] / found["seconds"],
        simulator=simulation.simulator,
        build_seconds=simulation.seconds,
        counters=found["counters"],
    )
