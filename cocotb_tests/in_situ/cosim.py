"""Co-simulation of the in-situ learning unit: emit, build, run beside the model, summarise."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests import simulator
from cocotb_tests.cosim import STATE_FILE, CosimResult, can_go_on
from cocotb_tests.in_situ.unit_probes import probes
from cocotb_tests.toolchain import find_toolchain
from hw.in_situ.verilog import emit
from model.in_situ.activity import PHASES
from model.in_situ.config import InSituConfig
from model.settings import to_toml

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
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
    emit_unit: Callable[[InSituConfig, Path], simulator.EmittedVerilog] = emit,
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
    find_toolchain()  # a missing compiler is said before anything is written
    unit = emit_unit(config, out_dir.resolve())
    simulation = simulator.build(
        unit,
        probes=probes(config),
        waves=waves,
        quick=quick,
        cache_dir=cache_dir,
        on_message=on_message,
    )

    def progress(message: dict[str, Any]) -> None:
        if on_progress is not None:
            on_progress(message["images"], message["correct"] / max(1, message["images"]))

    if n_updates is None:
        n_updates = config.training.images // config.update.batch
    state = unit.path.parent / STATE_FILE
    run = {"seed": seed, "train": train, "n_updates": n_updates, **(identity or {})}
    header = {"config": to_toml(config), "run": run}
    going_on = resume and can_go_on(state, config, header, len(images), on_message)
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        path = Path(name) / "images.npz"
        np.savez(path, images=images, labels=labels)
        run_dir = simulation.directory.parent / "waves" if waves else None
        found = simulator.run(
            simulation,
            "cocotb_tests.in_situ.unit_bench",
            {
                "config": to_toml(config),
                "seed": seed,
                "n_updates": n_updates,
                "images": str(path),
                "train": train,
                "save": None if waves else str(state),
                "save_header": header,
                "save_s": save_s,
                "resume": str(state) if going_on else None,
            },
            run_dir=run_dir,
            seed=seed,
            on_progress=progress,
            waves=waves,
        )
    if not waves:
        state.unlink(missing_ok=True)
    return CosimResult.of_run(
        found,
        config=config.name,
        phases=PHASES,
        warm_up=warm_up,
        simulation=simulation,
        run_dir=run_dir,
    )
