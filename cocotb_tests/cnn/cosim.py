"""Co-simulation of an inference unit: emit, build, run beside the model, summarise."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests import simulator
from cocotb_tests.cnn.checker import WriteCommand
from cocotb_tests.cnn.unit_probes import instruments
from cocotb_tests.toolchain import find_toolchain
from hw.cnn.verilog import emit
from model.checkpoint import CheckpointError, check_config, read_checkpoint
from model.cnn.config import CnnConfig
from model.cnn.inference_unit import InferenceUnit
from model.settings import to_toml

__all__ = ["STATE_FILE", "CnnCosimResult", "Images", "cosimulate"]

STATE_FILE = "cosim_run.npz"
"""State of a run under way, beside the Verilog."""


@dataclass(frozen=True)
class Images:
    """A stage that classifies."""

    images: npt.NDArray[np.uint8]
    """uint8 ``[n, ...]``, ``height * width * channels`` values each."""
    labels: npt.NDArray[np.uint8]
    """``[n]``"""


Stage = Images | Sequence[WriteCommand]
"""What the unit is asked for: to classify images, or to write rows of devices."""


@dataclass(frozen=True, kw_only=True)
class CnnCosimResult:
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
    """mean, max, by_phase: a convolution each, and the fully connected layer. In mode ``images``
    of a group, divided by its images."""
    accuracy: float
    """Fraction of the images that were classified correctly."""
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


def _can_go_on(state: Path, config: CnnConfig, run: Mapping[str, Any], n_images: int) -> bool:
    """Whether the saved state is of this run."""
    try:
        saved = read_checkpoint(state)
        check_config(saved, config)
    except CheckpointError:
        return False
    return saved.header.get("run") == run and int(saved.header["images"]) < n_images


def _write_stage(path: Path, stage: Stage) -> None:
    if isinstance(stage, Images):
        np.savez(path, images=stage.images, labels=stage.labels)
        return
    lines = max((len(command.targets) for command in stage), default=1)

    def padded(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.pad(values.astype(np.int64), (0, lines - len(values)))

    np.savez(
        path,
        places=np.array([[c.array, c.chunk, c.input] for c in stage], np.int64).reshape(-1, 3),
        targets=np.array([padded(c.targets) for c in stage], np.int64).reshape(-1, lines),
        enables=np.array([padded(c.enables) for c in stage], np.int64).reshape(-1, lines),
    )


def cosimulate(
    unit: InferenceUnit,
    stages: Sequence[Stage],
    *,
    out_dir: Path,
    resume: bool = False,
    save_s: float = 60.0,
    identity: Mapping[str, Any] | None = None,
    quick: bool = False,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
    emit_unit: Callable[[CnnConfig, Path], simulator.EmittedVerilog] = emit,
) -> CnnCosimResult:
    """Runs stages through the emitted Verilog in Verilator and through the model, and compares.

    Parameters
    ----------
    unit
        The devices and the requantisation to begin with; not changed.
    stages
        What to do, in order.
    out_dir
        Verilog and build go to ``out_dir / config.name``.
    resume
        Whether to go on with a run of the same configuration and ``identity`` that was stopped;
        for runs of one stage of images. Its state is removed at the end.
    save_s
        Seconds between two saved states: what a run that is stopped can lose.
    identity
        What makes two runs the same, as plain values: the devices, the name of the images' set.
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
    ValueError
        If verify reads are noisy: the arrays in compiled code draw no random numbers.
    """
    config = unit.config
    writes = any(not isinstance(stage, Images) for stage in stages)
    if writes and config.device.read_noise_us:
        raise ValueError("Writing is co-simulated without read noise only.")
    find_toolchain()  # a missing compiler is said before anything is written
    emitted = emit_unit(config, out_dir.resolve())
    simulation = simulator.build(
        emitted,
        probes=instruments(config),
        quick=quick,
        cache_dir=cache_dir,
        on_message=on_message,
    )

    def progress(message: dict[str, Any]) -> None:
        if on_progress is not None:
            on_progress(message["images"], message["correct"] / max(1, message["images"]))

    one_set = len(stages) == 1 and isinstance(stages[0], Images)
    state = emitted.path.parent / STATE_FILE
    run_identity = dict(identity or {})
    n_images = sum(len(stage.images) for stage in stages if isinstance(stage, Images))
    going_on = (
        resume and one_set and state.exists() and _can_go_on(state, config, run_identity, n_images)
    )
    if going_on and on_message is not None:
        on_message(f"Going on with the run in {state}.")
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        folder = Path(name)
        np.savez(folder / "unit.npz", **unit.save())  # type: ignore[arg-type]
        paths = [folder / f"stage_{k}.npz" for k in range(len(stages))]
        for path, stage in zip(paths, stages, strict=True):
            _write_stage(path, stage)
        found = simulator.run(
            simulation,
            "cocotb_tests.cnn.unit_bench",
            {
                "config": to_toml(config),
                "unit": str(folder / "unit.npz"),
                "stages": [str(path) for path in paths],
                "save": str(state) if one_set else None,
                "save_header": {"config": to_toml(config), "run": run_identity},
                "save_s": save_s,
                "resume": going_on,
            },
            on_progress=progress,
        )
    if one_set:
        state.unlink(missing_ok=True)
    return _summary(config, found, simulation)


def _summary(
    config: CnnConfig, found: dict[str, Any], simulation: simulator.Simulation
) -> CnnCosimResult:
    groups = np.array(found["cycles"], np.int64).reshape(-1, config.n_layers + 1)
    images = np.maximum(groups[:, -1:], 1)
    cycles = groups[:, :-1] / images if len(groups) else np.zeros((1, config.n_layers))
    names = [*(f"convolution_{k}" for k in range(config.n_conv)), "fully_connected"]
    weights = images[:, 0] if len(groups) else None
    by_phase = np.average(cycles, axis=0, weights=weights).tolist()
    return CnnCosimResult(
        config=config.name,
        images=found["images"],
        mismatches=int(found["mismatch"] is not None),
        mismatch=found["mismatch"],
        compared=found["compared"],
        cycles_per_image={
            "mean": float(sum(by_phase)),
            "max": float(cycles.sum(axis=1).max()),
            "by_phase": dict(zip(names, by_phase, strict=True)),
        },
        accuracy=found["correct"] / max(1, found["images"]),
        images_per_second=found["images"] / found["seconds"],
        images_per_cpu_second=found["images"] / found["cpu_seconds"],
        verilator_cycles_per_second=found["simulated_cycles"] / found["seconds"],
        simulator=simulation.simulator,
        build_seconds=simulation.seconds,
    )
