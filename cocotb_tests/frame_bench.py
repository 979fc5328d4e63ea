"""The test bench of a unit that takes image frames and gives result frames: what all such units
need.

Python wakes for what the arrays do and for results, not for clock edges in between; images are
played to the unit's input by compiled code. What each block made is recorded by probes and compared
with the model image by image; the first mismatch ends the run.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests import probes
from cocotb_tests.exchange import finish
from cocotb_tests.frame_probes import IMAGE_PLAYER, FrameProbes
from cocotb_tests.host_bus import HostBus
from cocotb_tests.run_record import RunRecord
from cocotb_tests.scoreboard import Mismatch, Scoreboard
from hw.registers import Register
from model.checkpoint import Checkpoint
from model.frames import UnitSizes, image_frame, parse_result

__all__ = ["FrameBench"]

IMAGES_AHEAD = 4
"""Images given to the player beyond those done: one in work, one loaded, and some to spare."""


class FrameBench(HostBus, ABC):
    """Drives the unit's host side and checks every image; its arrays are served by the subclass.

    Parameters
    ----------
    dut
        cocotb's handle of the bench module.
    config
        The system.
    registers
        The unit's register table.
    checker
        The model beside the unit.
    unpack
        What reads the records of the probes.
    phases
        Names of the phases whose cycles are counted, in order.

    Attributes
    ----------
    images, labels : uint8 arrays
        What is shown, ``[n, layers[0]]`` and ``[n]``; set before :meth:`run`.
    train : bool
        Whether to train or only to classify.
    record : RunRecord
        How far the run is.
    cycles : int32 array
        ``[n, n_phases]``: the cycles of every image's phases; zero for those not done.
    """

    config: UnitSizes
    checker: Scoreboard
    unpack: FrameProbes

    #: Memories that are compared as a whole at the end; each has a probe of its name.
    memories: Sequence[str] = ()

    #: Probes that record every image.
    recorded: Sequence[str] = ("image", "results")

    def __init__(
        self,
        dut: Any,
        config: UnitSizes,
        registers: Iterable[Register],
        checker: Scoreboard,
        unpack: FrameProbes,
        phases: Sequence[str],
    ) -> None:
        super().__init__(dut, registers)
        self.config = config
        self.checker = checker
        self.unpack = unpack
        self.phases = phases
        self.images: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self.labels: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.train = True
        self.record = RunRecord(dut, checker.compared)
        self.given = 0
        self.cycles = np.zeros((0, len(phases)), np.int32)
        self.beats: list[npt.NDArray[np.uint8]] = []
        self.failure: Mismatch | None = None
        self.services: list[cocotb.task.Task[None]] = []

    # What a unit adds.

    @abstractmethod
    async def serve_array(self, layer: int) -> None:
        """Answers every transaction of one layer's arrays, after :meth:`end_image`."""

    @abstractmethod
    async def serve_pulses(self) -> None:
        """Applies every programming pulse to its array, after :meth:`end_image`."""

    async def configure(self) -> None:
        """Writes the registers that a run needs besides CONTROL."""

    @abstractmethod
    def check_image(
        self, records: npt.NDArray[np.uint32], image: npt.NDArray[np.uint8], label: int
    ) -> tuple[Sequence[int], int]:
        """Compares the image that has ended, of which the probe ``image`` left records.

        Returns
        -------
        The cycles of its phases and the class that the model predicts.

        Raises
        ------
        Mismatch
            At the first difference.
        """

    @abstractmethod
    async def check_end(self) -> None:
        """Compares what only stands still between images: memories, which have been recorded, and
        registers.

        Raises
        ------
        Mismatch
            At the first difference.
        """

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """The model's activity counters by lower-case name."""

    def results(self) -> dict[str, Any]:
        """What :meth:`run` reports besides."""
        return {}

    def is_whole(self) -> bool:
        """Whether a run can go on from the image that has just ended."""
        return True

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state after the last checked image; the gateware agrees on it."""

    @abstractmethod
    async def restore_state(self, checkpoint: Checkpoint) -> None:
        """Brings model, arrays and gateware to the saved :meth:`state`."""

    # Host side. Signals change at falling edges, as in HostBus.

    async def reset(self) -> None:
        """Holds reset for four cycles; records of before and images to be played are dropped."""
        dut = self.dut
        dut.m_axis_result__tready.value = 1
        dut.program__busy.value = 0
        for channel in ("aw", "w", "ar"):
            getattr(dut, f"s_axi__{channel}valid").value = 0
        for memory in self.memories:
            getattr(dut, f"dump_{memory}").value = 0
        dut.rst.value = 1
        for _ in range(4):
            await FallingEdge(dut.clk)
        for name in (*self.recorded, *self.memories, IMAGE_PLAYER.name):
            probes.discard(name)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    def give_images(self) -> None:
        """Keeps the player a few images ahead of the unit."""
        until = min(len(self.images), self.record.images + IMAGES_AHEAD)
        for index in range(self.given, until):
            beats = image_frame(self.images[index], int(self.labels[index]), self.config)
            probes.give("images", self.unpack.image_records(beats))
        self.given = max(self.given, until)

    async def serve_results(self) -> None:
        """Looks for finished images whenever a result comes."""
        while True:
            await RisingEdge(self.dut.m_axis_result__tlast)
            # The last beat is transferred, and so recorded, with the next edge.
            await FallingEdge(self.dut.clk)
            await FallingEdge(self.dut.clk)
            self.end_image()

    # Checking.

    def end_image(self) -> None:
        """Checks the image that has ended since the last call, if one has.

        Called first at every event, so that no event of the next image can come before.
        """
        records = probes.take("image")
        if len(records) == 0:
            return
        run = self.record
        image, label = self.images[run.images], int(self.labels[run.images])
        try:
            cycles, predicted = self.check_image(records, image, label)
            self.cycles[run.images] = cycles
            run.correct += int(predicted == label)
            run.images += 1
            self.give_images()
            self._check_results()
        except Mismatch as error:
            self.failure = error
            return
        run.advance(len(self.images), is_whole=self.is_whole(), arrays=self._saved)

    def _check_results(self) -> None:
        """Compares the result frames that have come; each comes a little after its image's end."""
        self.beats += list(self.unpack.results(probes.take("results")))
        n_beats = self.config.rows_to_words(self.config.network.layers[-1]) + 1
        while len(self.beats) >= n_beats:
            frame, self.beats = self.beats[:n_beats], self.beats[n_beats:]
            self.checker.check_result(parse_result(np.array(frame), self.config))

    # The run.

    def _saved(self) -> dict[str, npt.NDArray[Any]]:
        return {**self.state(), "cycles": self.cycles[: self.record.images]}

    async def restore(self, path: Path) -> None:
        """Goes on where a run was saved."""
        checkpoint = self.record.restore(path)
        done = self.given = self.checker.images = self.checker.checked_results = self.record.images
        self.cycles[:done] = checkpoint.arrays["cycles"]
        await self.restore_state(checkpoint)

    async def run(self, resume: Path | None = None) -> dict[str, Any]:
        """The whole run, or the rest of one that was stopped; returns its results."""
        self.cycles = np.zeros((len(self.images), len(self.phases)), np.int32)
        await self.reset()
        if resume is not None:
            await self.restore(resume)
        self.services = [
            cocotb.start_soon(service)
            for service in (
                *(self.serve_array(layer) for layer in range(len(self.config.network.layers) - 1)),
                self.serve_pulses(),
                self.serve_results(),
            )
        ]
        await self.configure()
        await self.write_register("CONTROL", 1 | int(self.train) << 1)
        self.record.start()
        self.give_images()
        while self.record.images < len(self.images) and self.failure is None:
            await RisingEdge(self.dut.m_axis_result__tlast)
            for _ in range(3):
                await FallingEdge(self.dut.clk)
        spent = self.record.spent()
        if self.failure is None:
            await self._check_end()
        return {
            **self.record.results(spent, self.failure),
            "cycles": self.cycles[: self.record.images],
            "counters": self.counters(),
            **self.results(),
        }

    def stop(self) -> None:
        """Serves the unit no longer."""
        for service in self.services:
            service.cancel()

    async def _check_end(self) -> None:
        for memory in self.memories:
            getattr(self.dut, f"dump_{memory}").value = 1
        for _ in range(4):
            await FallingEdge(self.dut.clk)
        for memory in self.memories:
            getattr(self.dut, f"dump_{memory}").value = 0
        try:
            self._check_results()
            await self.check_end()
        except Mismatch as error:
            self.failure = error

    async def run_given(self, given: dict[str, Any]) -> None:
        """Runs the images of a co-simulation's parameters and hands over the results."""
        with np.load(given["images"], allow_pickle=False) as archive:
            self.images, self.labels = archive["images"], archive["labels"]
        self.train = given["train"]
        if given["save"] is not None:
            self.record.save_to(Path(given["save"]), given["save_s"], given["save_header"])
        resume = given["resume"]
        finish(await self.run(None if resume is None else Path(resume)))
