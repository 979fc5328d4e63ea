"""Co-simulation of a training engine: emit, build, run beside the model, summarise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cocotb_tests.cosim import CosimResult, run_frames
from cocotb_tests.engine.instruments import instruments
from cocotb_tests.netlist_unit import Gates
from hw.engine.verilog import emit
from model.engine.activity import PHASES
from model.engine.config import EngineConfig

__all__ = ["cosimulate"]


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
    gates: Gates | None = None,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> CosimResult:
    """Runs images through the emitted engine in Verilator and through the model, and compares.

    ``images``: uint8 ``[n, layers[0]]``, ``labels``: uint8 ``[n]``, as shown. The other parameters
    are those of :func:`cocotb_tests.cosim.cosimulate`.

    Raises
    ------
    SimulatorError
        If a tool is missing or the simulation itself fails. A mismatch is a result, not an error.
    """
    return run_frames(
        config,
        "cocotb_tests.engine.engine_bench",
        images,
        labels,
        phases=PHASES,
        warm_up=warm_up,
        seed=seed,
        parameters={"train": train},
        run=None,
        instruments=instruments(config),
        emit_unit=emit,
        out_dir=out_dir,
        quick=quick,
        gates=gates,
        cache_dir=cache_dir,
        on_progress=on_progress,
        on_message=on_message,
    )
