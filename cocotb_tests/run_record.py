"""How far a run of images is, what it took, and the state from which it can go on.

Used inside the simulator; nothing here imports cocotb.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cocotb_tests.exchange import report
from cocotb_tests.scoreboard import Mismatch
from model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

__all__ = ["RunRecord"]

PROGRESS_S = 0.5
"""Seconds between progress reports."""


class RunRecord:
    """Images, time and saved state of a run, the parts before an interruption included.

    Parameters
    ----------
    dut
        cocotb's handle of the bench module.
    compared
        How many values of each kind were equal; the checker's own, which goes on counting in it.

    Attributes
    ----------
    images, correct : int
        Images done, and those of them that were classified correctly.
    """

    def __init__(self, dut: Any, compared: dict[str, int]) -> None:
        self.dut = dut
        self.compared = compared
        self.images = 0
        self.correct = 0
        self._path: Path | None = None
        self._save_s = 60.0
        self._header: Mapping[str, Any] = {}
        # Of the parts of this run before it was stopped.
        self._before = {"seconds": 0.0, "cpu_seconds": 0.0, "simulated_cycles": 0}
        self._start = self._now()
        self._last_report, self._last_save = 0.0, time.monotonic()

    def save_to(self, path: Path, every_s: float, header: Mapping[str, Any]) -> None:
        """From now on :meth:`advance` saves; ``header`` says which run this is."""
        self._path, self._save_s, self._header = path, every_s, header

    def start(self) -> None:
        """Time counts from here."""
        self._start = self._now()

    def _now(self) -> dict[str, Any]:
        return {
            "seconds": time.perf_counter(),
            "cpu_seconds": time.process_time(),
            "simulated_cycles": int(self.dut.cycle.value),
        }

    def spent(self) -> dict[str, Any]:
        """Seconds, processor seconds and clock cycles so far."""
        now = self._now()
        return {name: self._before[name] + now[name] - self._start[name] for name in now}

    def _done(self) -> dict[str, Any]:
        return {"images": self.images, "correct": self.correct, "compared": self.compared}

    def advance(
        self,
        n_images: int,
        *,
        is_whole: bool = False,
        arrays: Callable[[], Mapping[str, npt.NDArray[Any]]] = dict,
    ) -> None:
        """Reports and saves, where it is time to.

        Parameters
        ----------
        n_images
            Images of the whole run; the last is reported at once.
        is_whole
            Whether a run can go on from here.
        arrays
            Makes what is saved.
        """
        now = time.monotonic()
        if self._path is not None and is_whole and now - self._last_save > self._save_s:
            self._last_save = now
            header = {**self._header, **self.spent(), **self._done()}
            write_checkpoint(self._path, header, dict(arrays()))
        if now - self._last_report > PROGRESS_S or self.images == n_images:
            self._last_report = now
            report(images=self.images, correct=self.correct)

    def restore(self, path: Path) -> Checkpoint:
        """Goes on where a state was saved; the arrays in it are for the caller."""
        checkpoint = read_checkpoint(path)
        header = checkpoint.header
        self.images, self.correct = int(header["images"]), int(header["correct"])
        self.compared |= header["compared"]
        self._before = {name: header[name] for name in self._before}
        return checkpoint

    def results(self, spent: Mapping[str, Any], failure: Mismatch | None) -> dict[str, Any]:
        """What a test bench hands to its caller; ``spent`` is read before the last checks."""
        mismatch = None if failure is None else vars(failure) | {"text": str(failure)}
        return {**spent, **self._done(), "mismatch": mismatch}
