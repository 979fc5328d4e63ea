"""Test bench that flips bits of the chi memory between two images."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from cocotb_tests import probes
from cocotb_tests.checker import Checker
from cocotb_tests.exchange import parameters
from cocotb_tests.unit_bench import UnitBench
from model.arrays import new_arrays
from model.chi_protection import code_of
from model.config import from_toml

IDLE_CYCLES = 3000
"""Cycles after a result within which the update before it has ended."""


class FlipBench(UnitBench):
    """After ``flip_after`` images flips ``flips`` bits in every word of every lane."""

    def __init__(self, given: dict[str, Any], *args: Any) -> None:
        super().__init__(*args)
        self.after, self.flips, self.seed = given["flip_after"], given["flips"], given["seed"]
        self.flipped = False
        self.touched: set[int] = set()
        self.reports: dict[str, int] = {}

    def give_images(self) -> None:
        every = self.images
        if not self.flipped:
            self.images = every[: self.after]
        super().give_images()
        self.images = every

    async def flip(self) -> None:
        """Waits for the unit to be idle, flips, and lets the rest of the images come."""
        while self.record.images < self.after:
            await FallingEdge(self.dut.clk)
        for _ in range(IDLE_CYCLES):
            await FallingEdge(self.dut.clk)
        code, lanes = code_of(self.config), self.config.update.lanes
        width = self.config.update.chi_bits if code is None else code.word_bits
        rng = np.random.default_rng(self.seed)
        records = self.unpack.chi_records(self.checker.unit)
        for record in records:
            mask = 0
            for lane in range(lanes):
                for bit in rng.choice(width, self.flips, replace=False).tolist():
                    mask |= 1 << lane * width + bit
            record ^= np.array(
                [mask >> 32 * k & 0xFFFF_FFFF for k in range(record.size)], np.uint32
            )
        if code is not None and self.flips > int(code.corrects):
            for chi in self.checker.unit.chi:  # every word counts as zero
                chi[:] = 0
        probes.give("chi_rows", records)
        self.dut.load_chi_rows.value = 1
        await FallingEdge(self.dut.clk)
        self.flipped = True
        self.give_images()

    def check_image(self, *args: Any) -> Any:
        result = super().check_image(*args)
        if self.flipped:
            trace = self.checker.unit.trace
            for layer, unit, word in trace.words[: trace.sizes[0]].tolist():
                base, n_words = self.config.chi_base(layer), self.config.n_words(layer)
                self.touched.add(base + unit * n_words + word)
        return result

    async def check_end(self) -> None:
        await super().check_end()
        if code_of(self.config) is not None:
            self.reports = {
                "corrected": await self.read_counter("COUNT_CHI_CORRECTED"),
                "lost": await self.read_counter("COUNT_CHI_LOST"),
                "errors": await self.read_register(self.offsets["ERRORS"]),
            }

    def results(self) -> dict[str, Any]:
        return {"touched": len(self.touched), **self.reports}


@cocotb.test()
async def run_images(dut: Any) -> None:
    given = parameters()
    config = from_toml(given["config"])
    checker = Checker(config, given["seed"])
    checker.warm_up()
    bench = FlipBench(given, dut, config, checker, new_arrays(config, given["seed"]))
    cocotb.start_soon(bench.flip())
    await bench.run_given(given)
