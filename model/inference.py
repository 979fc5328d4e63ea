"""Inference with trained arrays, later: drift, failed devices, and what a global gain wins back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.arrays import new_arrays
from model.checkpoint import (
    LARGEST_SEED,
    CheckpointError,
    check_config,
    header_count,
    read_checkpoint,
    restore_crossbars,
)
from model.config import Config
from model.crossbar import MINUS, PLUS, Crossbar, CrossbarState, read_row
from model.datasets import Dataset
from model.jit import njit
from model.training import evaluate

__all__ = ["Point", "SavedRun", "accuracy_over_time", "break_devices", "load_run", "total_codes"]


@dataclass(frozen=True, eq=False)
class SavedRun:
    """What inference needs of a checkpoint."""

    crossbars: tuple[Crossbar, ...]
    """The arrays, as they were."""
    device_time_s: float
    """Device time at which the run had arrived, in s."""
    seed: int
    """Seed of the run."""
    dataset: str
    """Name of its data set."""
    epochs: int
    """Complete epochs."""


def load_run(config: Config, path: Path) -> SavedRun:
    """The arrays of a run that :meth:`model.training.Training.save` wrote.

    Raises
    ------
    CheckpointError
        If it is not a whole checkpoint of this version.
    CheckpointMismatchError
        If it is of another configuration.
    """
    checkpoint = read_checkpoint(path)
    check_config(checkpoint, config)
    # Any seed: everything it would decide is overwritten.
    crossbars = new_arrays(config, 0)
    restore_crossbars(checkpoint, crossbars)
    time_s = np.zeros(1)
    checkpoint.copy_into({"device_time_s": time_s})
    header = checkpoint.header
    try:
        return SavedRun(
            crossbars=crossbars,
            device_time_s=float(time_s[0]),
            seed=header_count(header, "seed", LARGEST_SEED),
            dataset=str(header["dataset"]),
            epochs=header_count(header, "epoch", 10**9),
        )
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"The checkpoint {path} has an incomplete header.") from None


def break_devices(crossbar: Crossbar, fraction: float, rng: np.random.Generator) -> int:
    """Lets each device fail with probability ``fraction``; returns how many did.

    A failed device is stuck at ``device.stuck_us``: it does not drift, but reads noisily.
    """
    saved = crossbar.save()
    failed = rng.random(saved["stuck"].shape) < fraction
    saved["stuck"][failed] = 1
    saved["conductance_us"][failed] = crossbar.config.device.stuck_us
    crossbar.load(saved)
    return int(failed.sum())


@njit
def total_codes(state: CrossbarState, time_s: float, codes: NDArray[np.int16]) -> int:
    """Sum of the codes of one read of every device of an array, at device time ``time_s``.

    ``codes``: int16 ``[n_cols]``, overwritten.
    """
    total = 0
    for row in range(state.n_rows):
        for device in (PLUS, MINUS):
            read_row(state, row, device, time_s, codes)
            for code in codes:
                total += code
    return total


@dataclass(frozen=True, kw_only=True)
class Point:
    """Inference at one time after training."""

    seconds_after_training: float
    """Device time since the last training image, in s."""
    test_accuracy: float
    """Accuracy (0..1) as the arrays are."""
    compensated_accuracy: float
    """Accuracy with every array's codes scaled by its gain."""
    gains: tuple[float, ...]
    """Gain of each array: its total conductance after training by the one now."""


def accuracy_over_time(
    config: Config,
    run: SavedRun,
    dataset: Dataset,
    seconds: Sequence[float],
    *,
    seed: int,
) -> list[Point]:
    """Test accuracy at times after training, with and without global drift compensation.

    Compensation knows one number an array: the sum of all its devices' read codes right after
    training over the same sum at the time of the inference, every device read once and noisily. The
    codes of forward products are scaled by it before they are rounded, as by a longer integration
    or a smaller full scale of the ADC. The sum contains both devices of a pair, since a sum of
    differences would nearly vanish.

    The run's arrays are aged by the call: times count from the run's device time, whatever was
    evaluated before, but may not lie before that.

    Parameters
    ----------
    dataset
        Test images of the network's size.
    seconds
        Times after the last training image, in s, none negative, in any order.
    seed
        Seed of the read noise; the same noise is drawn at every time.

    Returns
    -------
    One :class:`Point` a time, in rising order of time.
    """
    arrays = tuple(crossbar.state for crossbar in run.crossbars)

    def accuracy(states: tuple[CrossbarState, ...], time_s: float) -> float:
        return evaluate(
            config,
            states,
            dataset.test_images,
            dataset.test_labels,
            time_s=time_s,
            rng=np.random.default_rng(seed),
        )

    def totals(time_s: float) -> list[int]:
        children = np.random.default_rng([seed, 1]).spawn(len(arrays))
        return [
            total_codes(state._replace(rng=rng), time_s, np.empty(state.n_cols, np.int16))
            for state, rng in zip(arrays, children, strict=True)
        ]

    points = []
    reference = totals(run.device_time_s)
    for after_s in sorted(seconds):
        time_s = run.device_time_s + after_s
        gains = tuple(
            float(before / now) if now > 0 else 1.0
            for before, now in zip(reference, totals(time_s), strict=True)
        )
        compensated = tuple(
            state._replace(
                physics=state.physics._replace(forward_lsb=state.physics.forward_lsb / gain)
            )
            for state, gain in zip(arrays, gains, strict=True)
        )
        points.append(
            Point(
                seconds_after_training=float(after_s),
                test_accuracy=accuracy(arrays, time_s),
                compensated_accuracy=accuracy(compensated, time_s),
                gains=gains,
            )
        )
    return points
