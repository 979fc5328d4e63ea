"""Co-simulation of a configuration: emit, build, run beside the model, summarise.

:func:`run_bench` and :func:`run_frames` serve the units of all systems, :func:`cosimulate` the
digital unit.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cocotb_tests import simulator
from cocotb_tests.bench import Instrument
from cocotb_tests.netlist_unit import Gates, netlist_unit
from cocotb_tests.simulator import EmittedVerilog, Simulation
from cocotb_tests.toolchain import find_toolchain
from cocotb_tests.unit_probes import probes
from hw.verilog import emit
from model.activity import PHASES
from model.checkpoint import CheckpointError, check_config, read_checkpoint
from model.config import Config, anchored
from model.settings import System, to_toml

__all__ = ["STATE_FILE", "CosimResult", "RunResult", "cosimulate", "run_bench", "run_frames"]

STATE_FILE = "cosim_run.npz"
"""State of a run under way, beside the Verilog."""

SystemT = TypeVar("SystemT", bound=System)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a co-simulation of any unit found."""

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

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CosimResult(RunResult):
    """What a co-simulation of a unit that trains found."""

    counters: dict[str, int]
    """Activity counters, equal in gateware and model."""
    waves: str | None
    """Where the waveform is."""


def _can_go_on(
    state: Path,
    config: System,
    run: Mapping[str, Any],
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
    if saved.header.get("run") != run or int(saved.header["images"]) >= n_images:
        say(f"Starting over: {state.name} is of another run.")
        return False
    say(f"Going on after {saved.header['images']} images.")
    return True


@dataclass(frozen=True)
class BenchRun:
    """A run of a test bench."""

    config: System
    found: Mapping[str, Any]
    """What the bench reports: images, correct, compared, cycles, mismatch, seconds, cpu_seconds,
    simulated_cycles, and what is its own."""
    simulation: Simulation
    waves: Path | None
    """Where the waveform is."""

    def summary(self) -> dict[str, Any]:
        """The parts of a :class:`RunResult` but ``cycles_per_image``."""
        found = self.found
        return {
            "config": self.config.name,
            "images": found["images"],
            "mismatches": int(found["mismatch"] is not None),
            "mismatch": found["mismatch"],
            "compared": found["compared"],
            "accuracy": found["correct"] / max(1, found["images"]),
            "images_per_second": found["images"] / found["seconds"],
            "images_per_cpu_second": found["images"] / found["cpu_seconds"],
            "verilator_cycles_per_second": found["simulated_cycles"] / found["seconds"],
            "simulator": self.simulation.simulator,
            "build_seconds": self.simulation.seconds,
        }


def run_bench(
    config: SystemT,
    test_module: str,
    *,
    instruments: Sequence[Instrument],
    emit_unit: Callable[[SystemT, Path], EmittedVerilog],
    parameters: Mapping[str, Any],
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    n_images: int,
    run: Mapping[str, Any] | None,
    out_dir: Path,
    resume: bool = False,
    save_s: float = 60.0,
    seed: int = 1,
    waves: bool = False,
    quick: bool = False,
    gates: Gates | None = None,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> BenchRun:
    """Emits and builds a unit, and runs its test bench to the end.

    Parameters
    ----------
    config
        The system.
    test_module
        The bench.
    instruments
        What it records and plays.
    parameters
        Those of the bench besides ``config``, ``save``, ``save_s``, ``save_header``, ``resume`` and
        the paths of ``arrays``.
    arrays
        Files for the bench: arrays by name in each. The path of a file is the parameter of its
        name.
    n_images
        Images of the run.
    run
        What makes two runs of the configuration the same, as plain values; None for a run that
        cannot go on.

    The others are those of :func:`cosimulate`.

    Raises
    ------
    SimulatorError
        If a tool is missing or the simulation itself fails. A mismatch is a result, not an error.
    ValueError
        If a waveform of gates is wanted.
    """
    if gates is not None and waves:
        raise ValueError("Gates as tables have no waveform.")
    find_toolchain()  # a missing compiler is said before anything is written
    unit = emit_unit(config, out_dir.resolve())
    folder, arguments = unit.path.parent, []
    if gates is not None:
        netlist = netlist_unit(unit, instruments, gates, on_message=on_message)
        unit, instruments = netlist.unit, netlist.instruments
        arguments = [f"+gates={netlist.table}"]
    simulation = simulator.build(
        unit,
        probes=instruments,
        waves=waves,
        quick=quick and gates is None,
        gates=gates is not None,
        cache_dir=cache_dir,
        on_message=on_message,
    )
    if gates is not None:
        simulation = replace(
            simulation, simulator=f"{simulation.simulator}, the unit as {netlist.library}"
        )

    def progress(message: dict[str, Any]) -> None:
        if on_progress is not None:
            on_progress(message["images"], message["correct"] / max(1, message["images"]))

    state = folder / STATE_FILE
    saves = run is not None and not waves
    going_on = resume and run is not None and _can_go_on(state, config, run, n_images, on_message)
    run_dir = simulation.directory.parent / "waves" if waves else None
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        paths = {}
        for file, values in arrays.items():
            path = Path(name) / f"{file}.npz"
            np.savez(path, **values)  # type: ignore[arg-type]
            paths[file] = str(path)
        found = simulator.run(
            simulation,
            test_module,
            {
                "config": to_toml(anchored(config)),
                **parameters,
                **paths,
                "save": str(state) if saves else None,
                "save_header": {"config": to_toml(config), "run": run},
                "save_s": save_s,
                "resume": str(state) if going_on else None,
            },
            run_dir=run_dir,
            seed=seed,
            on_progress=progress,
            waves=waves,
            arguments=arguments,
        )
    if saves:
        state.unlink(missing_ok=True)
    return BenchRun(config, found, simulation, run_dir / "dump.vcd" if run_dir else None)


def run_frames(
    config: SystemT,
    test_module: str,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    *,
    phases: Sequence[str],
    warm_up: int = 0,
    seed: int = 1,
    parameters: Mapping[str, Any],
    **options: Any,
) -> CosimResult:
    """Shows images to a unit that trains; the other parameters are those of :func:`run_bench`.

    Parameters
    ----------
    images, labels
        uint8 ``[n, layers[0]]`` and ``[n]``, in the order in which they are shown.
    phases
        Names of the phases whose cycles the bench reports, in order.
    warm_up
        So many images at the start are left out of the cycle statistics.
    """
    ran = run_bench(
        config,
        test_module,
        parameters={"seed": seed, **parameters},
        arrays={"images": {"images": images, "labels": labels}},
        n_images=len(images),
        seed=seed,
        **options,
    )
    cycles = np.array(ran.found["cycles"], dtype=np.int64).reshape(-1, len(phases))[warm_up:]
    if len(cycles) == 0:
        cycles = np.zeros((1, len(phases)), dtype=np.int64)
    return CosimResult(
        **ran.summary(),
        cycles_per_image={
            "mean": float(cycles.sum(axis=1).mean()),
            "max": int(cycles.sum(axis=1).max()),
            "by_phase": dict(zip(phases, cycles.mean(axis=0).tolist(), strict=True)),
        },
        counters=ran.found["counters"],
        waves=None if ran.waves is None else str(ran.waves),
    )


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
    gates: Gates | None = None,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
    emit_unit: Callable[[Config, Path], EmittedVerilog] = emit,
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
    gates
        Simulates the unit's synthesised gates, which wake up random, by the seed. Such a run
        always starts at its first image, and writes no waveform.
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
    return run_frames(
        config,
        "cocotb_tests.unit_bench",
        images,
        labels,
        phases=PHASES,
        warm_up=warm_up,
        seed=seed,
        parameters={"train": train},
        run=None if gates else {"seed": seed, "train": train, **(identity or {})},
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
