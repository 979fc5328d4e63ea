"""Test bench of an emitted training engine: shows it images and compares it with the model.

Runs in the simulator. The output activations and the counters, cycles of every phase among them,
are compared after every image, the weights and chi at the end.
"""

import time
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from cocotb_tests import exchange, probes
from cocotb_tests.engine.instruments import image_records, weight_records
from model.configurations import parse
from model.engine.activity import EngineActivity
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
        self.compared = {"outputs": 0, "cycles": 0, "counters": 0, "weights": 0, "chi_words": 0}
        self.cycles: list[list[int]] = []
        self.correct = 0

    async def reset(self) -> None:
        """Resets the engine, loads its weights and waits until it takes images."""
        dut = self.dut
        for port in ("weight_enable", "weight_write", "weight_address", "weight_data"):
            getattr(dut, port).value = 0
        dut.training.value = int(self.train)
        dut.learning_rate_log2.value = self.config.learning_rate_log2 & 0x3F
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        probes.give("weights_in", weight_records(self.config, self.weights))
        dut.load_weights_in.value = 1
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)

    def check_image(self, image: np.ndarray, label: int) -> str | None:
        """The model's turn; returns what differs."""
        model, config = self.model, self.config
        if self.train:
            self.correct += train_image(model, config.learning_rate_log2, image, label)
        else:
            self.correct += infer_image(model, image) == label
        words = np.ascontiguousarray(probes.take("outputs"))
        outputs = words.view(np.uint8)[:, : config.lanes].reshape(-1)
        expected = model.trace.activations[-1]
        if not np.array_equal(outputs, expected):
            return f"outputs {outputs.tolist()} are not {expected.tolist()}"
        # What was recorded in an image's last cycle lacks that cycle.
        counters = probes.take("counters").view(np.int64).reshape(-1).copy()
        last = EngineActivity.CYCLES_UPDATE if self.train else EngineActivity.CYCLES_FORWARD
        counters[[EngineActivity.IMAGES, last]] += 1
        if not np.array_equal(counters, model.counters):
            return f"counters {counters.tolist()} are not {model.counters.tolist()}"
        self.compared["outputs"] += len(expected)
        self.compared["cycles"] += len(model.trace.cycles)
        self.compared["counters"] += len(model.counters)
        self.cycles.append(model.trace.cycles.tolist())
        return None

    async def check_end(self) -> str | None:
        """All weights, and chi."""
        self.dut.dump_weights_out.value = 1
        if self.config.is_chi:
            self.dut.dump_chi.value = 1
        await FallingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        if not np.array_equal(
            probes.take("weights_out"), weight_records(self.config, self.model.weights)
        ):
            return "a weight differs"
        self.compared["weights"] = sum(layer.size for layer in self.model.weights)
        if self.config.is_chi:
            rows = np.concatenate([chi.reshape(-1, self.config.lanes) for chi in self.model.chi])
            if not np.array_equal(probes.take("chi").view(np.int32), rows):
                return "a chi word differs"
            self.compared["chi_words"] = rows.size
        return None

    async def run(self, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Shows all images; stops at the first difference."""
        await self.reset()
        probes.give("images", image_records(self.config, images, labels))
        start, cpu = time.perf_counter(), time.process_time()
        mismatch = None
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            await FallingEdge(self.dut.done)
            found = self.check_image(image, int(label))
            if found:
                mismatch = {"image": number, "text": f"Image {number}: {found}."}
                break
            exchange.report(images=number + 1, correct=self.correct)
        if mismatch is None:
            found = await self.check_end()
            if found:
                mismatch = {"image": len(images) - 1, "text": f"After the last image {found}."}
        return {
            "images": len(self.cycles),
            "mismatch": mismatch,
            "compared": self.compared,
            "cycles": self.cycles,
            "correct": self.correct,
            "counters": {
                member.name.lower(): self.model.counters[member] for member in EngineActivity
            },
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
        }


@cocotb.test()
async def run_images(dut: Any) -> None:
    """The images of the parameters."""
    given = exchange.parameters()
    with np.load(given["images"], allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    exchange.finish(await EngineBench(dut, given).run(images, labels))
