"""Co-simulation of the in-situ learning unit: emit, build, run beside the model, summarise."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.cosim import CosimResult, run_frames
from cocotb_tests.in_situ.unit_probes import probes
from cocotb_tests.netlist_unit import Gates
from cocotb_tests.simulator import EmittedVerilog
from hw.in_situ.verilog import emit
from model.in_situ.activity import PHASES
from model.in_situ.config import InSituConfig

__all__ = ["cosimulate"]


def cosimulate(
    config: InSituConfig,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    *,
    out_dir: Path,
    seed: int = 1,
    n_updates: int | None = None,
    train: bool = True,
    warm_up: int = 0,
    resume: bool = False,
    save_s: float = 60.0,
    identity: Mapping[str, Any] | None = None,
    waves: bool = False,
    quick: bool = False,
    gates: Gates | None = None,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
    emit_unit: Callable[[InSituConfig, Path], EmittedVerilog] = emit,
) -> CosimResult:
    """Runs images through the emitted Verilog in Verilator and through the model, and compares.

    Parameters are those of :func:`cocotb_tests.cosim.cosimulate`, and

    n_updates
        Updates over which the learning rate falls to zero; those of a whole training run of the
        configuration if not given.

    A run that is stopped goes on from the end of a batch.

    Raises
    ------
    SimulatorError
        If a tool is missing or the simulation itself fails. A mismatch is a result, not an error.
    """
    if n_updates is None:
        n_updates = config.training.images // config.update.batch
    parameters = {"train": train, "n_updates": n_updates}
    return run_frames(
        config,
        "cocotb_tests.in_situ.unit_bench",
        images,
        labels,
        phases=PHASES,
        warm_up=warm_up,
        seed=seed,
        parameters=parameters,
        run=None if gates else {"seed": seed, **parameters, **(identity or {})},
        instruments=probes(config),
        emit_unit=emit_unit,
        out_dir=out_dir,
        resume=resume,
        save_s=save_s,
        waves=waves,
        quick=quick,
        gates=gates,
        cache_dir=cache_dir,
        on_progress=on_progress,
        on_message=on_message,
    )
