"""Co-simulation of an inference unit: emit, build, run beside the model, summarise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.cnn.checker import WriteCommand
from cocotb_tests.cnn.unit_probes import instruments
from cocotb_tests.cosim import STATE_FILE, RunResult, run_bench
from cocotb_tests.netlist_unit import Gates
from cocotb_tests.simulator import EmittedVerilog
from hw.cnn.verilog import emit
from model.cnn.config import CnnConfig
from model.cnn.inference_unit import InferenceUnit

__all__ = ["STATE_FILE", "Batch", "CnnCosimResult", "Images", "cosimulate"]


@dataclass(frozen=True)
class Images:
    """A stage that classifies."""

    images: npt.NDArray[np.uint8]
    """uint8 ``[n, ...]``, ``height * width * channels`` values each."""
    labels: npt.NDArray[np.uint8]
    """``[n]``"""


@dataclass(frozen=True)
class Batch(Images):
    """A stage that classifies a batch, then learns from it: the rows of the fully connected layer
    that it changes are written."""

    logit_scale: float
    """See :func:`model.cnn.calibration.calibrate`."""


Stage = Images | Sequence[WriteCommand]
"""What the unit is asked for: to classify images, to learn, or to write rows of devices."""


class CnnCosimResult(RunResult):
    """What a co-simulation of an inference unit found.

    The phases of ``cycles_per_image`` are a convolution each, and the fully connected layer. In
    mode ``images`` the cycles are those of a group, divided by its images.
    """


def _stage_arrays(stage: Stage) -> dict[str, npt.NDArray[Any]]:
    if isinstance(stage, Images):
        found: dict[str, npt.NDArray[Any]] = {"images": stage.images, "labels": stage.labels}
        if isinstance(stage, Batch):
            found["logit_scale"] = np.array(stage.logit_scale)
        return found
    lines = max((len(command.targets) for command in stage), default=1)

    def padded(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.pad(values.astype(np.int64), (0, lines - len(values)))

    return {
        "places": np.array([[c.array, c.chunk, c.input] for c in stage], np.int64).reshape(-1, 3),
        "targets": np.array([padded(c.targets) for c in stage], np.int64).reshape(-1, lines),
        "enables": np.array([padded(c.enables) for c in stage], np.int64).reshape(-1, lines),
    }


def cosimulate(
    unit: InferenceUnit,
    stages: Sequence[Stage],
    *,
    out_dir: Path,
    resume: bool = False,
    save_s: float = 60.0,
    identity: Mapping[str, Any] | None = None,
    quick: bool = False,
    gates: Gates | None = None,
    seed: int = 1,
    cache_dir: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_message: Callable[[str], None] | None = None,
    emit_unit: Callable[[CnnConfig, Path], EmittedVerilog] = emit,
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
    gates
        As of :func:`cocotb_tests.cosim.cosimulate`.
    seed
        Seed of the state in which gates wake up.
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
    writes = any(isinstance(stage, Batch) or not isinstance(stage, Images) for stage in stages)
    if writes and config.device.read_noise_us:
        raise ValueError("Writing is co-simulated without read noise only.")
    can_go_on = len(stages) == 1 and not writes and gates is None
    ran = run_bench(
        config,
        "cocotb_tests.cnn.unit_bench",
        parameters={"n_stages": len(stages)},
        arrays={
            "unit": unit.save(),
            **{f"stage_{k}": _stage_arrays(stage) for k, stage in enumerate(stages)},
        },
        n_images=sum(len(stage.images) for stage in stages if isinstance(stage, Images)),
        run=dict(identity or {}) if can_go_on else None,
        instruments=instruments(config),
        emit_unit=emit_unit,
        out_dir=out_dir,
        resume=resume,
        save_s=save_s,
        seed=seed,
        quick=quick,
        gates=gates,
        cache_dir=cache_dir,
        on_progress=on_progress,
        on_message=on_message,
    )
    cycles = _cycles_per_image(config, ran.found["cycles"])
    return CnnCosimResult(**ran.summary(), cycles_per_image=cycles)


def _cycles_per_image(config: CnnConfig, found: Sequence[Sequence[int]]) -> dict[str, Any]:
    groups = np.array(found, np.int64).reshape(-1, config.n_layers + 1)
    images = np.maximum(groups[:, -1:], 1)
    cycles = groups[:, :-1] / images if len(groups) else np.zeros((1, config.n_layers))
    names = [*(f"convolution_{k}" for k in range(config.n_conv)), "fully_connected"]
    weights = images[:, 0] if len(groups) else None
    by_phase = np.average(cycles, axis=0, weights=weights).tolist()
    return {
        "mean": float(sum(by_phase)),
        "max": float(cycles.sum(axis=1).max()),
        "by_phase": dict(zip(names, by_phase, strict=True)),
    }
