"""Co-simulation of a configuration: emit, build, run beside the model, summarise."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests import simulator
from cocotb_tests.simulator import Simulation
from cocotb_tests.toolchain import find_toolchain
from cocotb_tests.unit_probes import probes
from hw.verilog import emit
from model.activity import PHASES
from model.checkpoint import CheckpointError, check_config, read_checkpoint
from model.config import Config, to_toml
from model.settings import System

__all__ = ["STATE_FILE", "CosimResult", "can_go_on", "cosimulate"]


@dataclass(frozen=True, kw_only=True)
class CosimResult:
    """What a co-simulation found."""

    config: str
    images: int
    """Images compared."""
    mismatches: int
    """0, or 1: the first mismatch ends the run."""
    mismatch: dict[str, Any] | None
    """image, block, index, expected, got, text of the mismatch."""
    compared: dict[str, int]
    """How many values of each kind were equal."""
    cycles_per_image: dict[str, Any]
    """mean, max, by_phase; of the images behind the warm-up."""
    accuracy: float
    """Fraction of the images that were classified correctly, each before its update."""
    images_per_second: float
    """By the clock on the wall."""
    images_per_cpu_second: float
    """By the simulation's processor time: what a core of its own would give."""
    verilator_cycles_per_second: float
    simulator: str
    build_seconds: float
    counters: dict[str, int]
    """Activity counters, equal in gateware and model."""
    waves: str | None
    """Where the waveform is."""

    @classmethod
    def of_run(
        cls,
        found: Mapping[str, Any],
        *,
        config: str,
        phases: Sequence[str],
        warm_up: int,
        simulation: Simulation,
        run_dir: Path | None,
    ) -> "CosimResult":
        """From what the bench of a unit with these phases reports.

        ``warm_up``: so many images at the start are left out of the cycle statistics; ``run_dir``:
        where the waveform is.
        """
        done = max(1, found["images"])
        cycles = np.array(found["cycles"], dtype=np.int64).reshape(-1, len(phases))[warm_up:]
        if len(cycles) == 0:
            cycles = np.zeros((1, len(phases)), dtype=np.int64)
        return cls(
            config=config,
            images=found["images"],
            mismatches=int(found["mismatch"] is not None),
            mismatch=found["mismatch"],
            compared=found["compared"],
            cycles_per_image={
                "mean": float(cycles.sum(axis=1).mean()),
                "max": int(cycles.sum(axis=1).max()),
                "by_phase": dict(zip(phases, cycles.mean(axis=0).tolist(), strict=True)),
            },
            accuracy=found["correct"] / done,
            images_per_second=found["images"] / found["seconds"],
            images_per_cpu_second=found["images"] / found["cpu_seconds"],
            verilator_cycles_per_second=found["simulated_cycles"] / found["seconds"],
            simulator=simulation.simulator,
            build_seconds=simulation.seconds,
            counters=found["counters"],
            waves=str(run_dir / "dump.vcd") if run_dir is not None else None,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


STATE_FILE = "cosim_run.npz"
"""State of a run under way, beside the Verilog."""


def can_go_on(
    state: Path,
    config: System,
    header: Mapping[str, Any],
    n_images: int,
    on_message: Callable[[str], None] | None,
) -> bool:
    """Whether the saved state is of this run; says which it is."""
    if not state.exists():
        return False
    say = on_message if on_message is not None else lambda _: None
    try:
        saved = read_checkpoint(state)
        check_config(saved, config)
    except CheckpointError as error:
        say(f"Starting over: {error}")
        return False
    if saved.header.get("run") != header["run"] or int(saved.header["images"]) >= n_images:
        say(f"Starting over: {state.name} is of another run.")
        return False
    say(f"Going on after {saved.header['images']} images.")
    return True


def cosimulate(
    config: Config,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    *,
    out_dir: Path,
    seed: int = 1,
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
    emit_unit: Callable[[Config, Path], simulator.EmittedVerilog] = emit,
) -> CosimResult:
    """Runs images through the emitted Verilog in Verilator and through the model, and compares.

    Parameters
    ----------
    config
        The system.
    images, labels
        uint8 ``[n, layers[0]]`` and ``[n]``, in the order in which they are shown.
    out_dir
        Verilog and build go to ``out_dir / config.name``.
    seed
        Seed of the arrays.
    train
        Whether to train or only to classify.
    warm_up
        So many images at the start are compared, but left out of the cycle statistics.
    resume
        Whether to go on with a run of the same configuration, seed, mode and ``identity`` that was
        stopped. Its state is removed at the end.
    save_s
        Seconds between two saved states: what a run that is stopped can lose.
    identity
        What else makes two runs the same, as plain values: the name of the images' set.
    waves
        Whether to write a VCD.
    quick, cache_dir
        As of :func:`cocotb_tests.simulator.build`.
    on_progress
        Called with the images done and the fraction classified correctly.
    on_message
        Called with a line for the user when something takes long.
    emit_unit
        What emits the unit; a test passes one that emits a faulty unit.

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

    state = unit.path.parent / STATE_FILE
    header = {
        "config": to_toml(config),
        "run": {"seed": seed, "train": train, **(identity or {})},
    }
    going_on = resume and can_go_on(state, config, header, len(images), on_message)
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        path = Path(name) / "images.npz"
        np.savez(path, images=images, labels=labels)
        run_dir = simulation.directory.parent / "waves" if waves else None
        found = simulator.run(
            simulation,
            "cocotb_tests.unit_bench",
            {
                "config": to_toml(config),
                "seed": seed,
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
