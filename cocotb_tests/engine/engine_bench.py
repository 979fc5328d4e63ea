"""Test bench of an emitted training engine: shows it images and compares it with the model.

Runs in the simulator. The output activations and the counters, cycles of every phase among them,
are compared after every image, the weights and chi at the end.
"""

from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from cocotb_tests import exchange, probes
from cocotb_tests.engine.instruments import image_records
from cocotb_tests.frame_probes import FrameProbes
from cocotb_tests.run_record import RunRecord
from cocotb_tests.scoreboard import Mismatch, Scoreboard
from cocotb_tests.signals import pack
from model.configurations import parse
from model.engine.activity import PHASES, EngineActivity
from model.engine.config import EngineConfig
from model.engine.training_engine import infer_image, new_engine, new_weights, train_image


class EngineBench:
    """The model beside the unit, and what was compared."""

    def __init__(self, dut: Any, given: dict[str, Any]) -> None:
        self.dut = dut
        config = parse(given["config"])
        assert isinstance(config, EngineConfig)
        self.config = config
        self.train: bool = given["train"]
        self.weights = new_weights(self.config, given["seed"])
        self.model = new_engine(self.config, self.weights)
        self.unpack = FrameProbes(config.lanes)
        self.checker = Scoreboard(
            config.lanes, ("outputs", "cycles", "counters", "weights", "chi_words")
        )
        self.record = RunRecord(dut, self.checker.compared)
        self.cycles = np.zeros((0, len(PHASES)), np.int32)
        self.memories = ("weights", "chi") if config.is_chi else ("weights",)

    async def reset(self) -> None:
        """Holds reset for four cycles and drops what was recorded before, then writes the
        weights."""
        dut = self.dut
        dut.weight_enable.value = 0
        for memory in self.memories:
            getattr(dut, f"dump_{memory}").value = 0
        dut.training.value = int(self.train)
        dut.learning_rate_log2.value = self.config.learning_rate_log2 & 0x3F
        dut.rst.value = 1
        for _ in range(4):
            await FallingEdge(dut.clk)
        for name in ("outputs", "counters", *self.memories):
            probes.discard(name)
        dut.rst.value = 0
        dut.weight_write.value = 1
        dut.weight_enable.value = 1
        for address, word in enumerate(self.words(self.weights)):
            dut.weight_address.value = address
            dut.weight_data.value = pack(word, self.config.weight_bits)
            await FallingEdge(dut.clk)
        dut.weight_enable.value = 0

    def words(self, layers: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
        """Words of all layers as the memories hold them: int32 ``[n, lanes]``."""
        return np.concatenate([layer.reshape(-1, self.config.lanes) for layer in layers])

    def check_image(self, image: np.ndarray, label: int) -> None:
        """The model's turn.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        model, config, checker = self.model, self.config, self.checker
        if self.train:
            is_correct = train_image(model, config.learning_rate_log2, image, label)
        else:
            is_correct = infer_image(model, image) == label
        outputs = self.unpack.activations(probes.take("outputs")).reshape(-1)
        checker.equal_arrays("outputs", "output layer", model.trace.activations[-1], outputs)
        # What was recorded in an image's last cycle lacks that cycle.
        counters = probes.take("counters").view(np.int64).reshape(-1).copy()
        last = EngineActivity.CYCLES_UPDATE if self.train else EngineActivity.CYCLES_FORWARD
        counters[[EngineActivity.IMAGES, last]] += 1
        checker.equal_arrays("counters", "counters", model.counters, counters)
        checker.compared["cycles"] += len(model.trace.cycles)
        self.cycles[checker.images] = model.trace.cycles
        checker.images += 1
        self.record.images = checker.images
        self.record.correct += int(is_correct)

    async def check_end(self) -> None:
        """All weights, and chi.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        config = self.config
        for memory in self.memories:
            getattr(self.dut, f"dump_{memory}").value = 1
        await FallingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        found = self.unpack.vectors(probes.take("weights"), config.weight_bits, signed=True)
        weights = self.words(self.model.weights)
        self.checker.equal_arrays("weights", "weight memory", weights, found)
        if config.is_chi:
            found = probes.take("chi").view(np.int32)
            self.checker.equal_arrays("chi_words", "chi memory", self.words(self.model.chi), found)

    async def run(self, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Shows all images; stops at the first difference."""
        self.cycles = np.zeros((len(images), len(PHASES)), np.int32)
        await self.reset()
        probes.give("images", image_records(self.config, images, labels))
        self.record.start()
        failure = None
        try:
            for image, label in zip(images, labels, strict=True):
                await FallingEdge(self.dut.done)
                self.check_image(image, int(label))
                self.record.advance(len(images))
            spent = self.record.spent()
            await self.check_end()
        except Mismatch as error:
            failure, spent = error, self.record.spent()
        return {
            **self.record.results(spent, failure),
            "cycles": self.cycles[: self.record.images],
            "counters": {
                member.name.lower(): self.model.counters[member] for member in EngineActivity
            },
        }


@cocotb.test()
async def run_images(dut: Any) -> None:
    """The images of the parameters."""
    given = exchange.parameters()
    with np.load(given["images"], allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    exchange.finish(await EngineBench(dut, given).run(images, labels))
