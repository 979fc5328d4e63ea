"""Test bench of corners: what no image of a digit brings a unit to.

Runs in the simulator on an emitted digital unit, with the probes of
:func:`cocotb_tests.unit_probes.corner_probes`, for :mod:`scripts.coverage`. Arrays that answer
mostly noise, memories and counters that begin full, every setting of the host, frames that are
malformed, a host that is slow to take results, registers written at random, an array that never
answers. All that the unit does is compared with the model, as with the images of digits.
"""

import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cocotb_tests import probes
from cocotb_tests.checker import Checker
from cocotb_tests.coverage import largest_maxima
from cocotb_tests.exchange import parameters
from cocotb_tests.register_model import RegisterModel
from cocotb_tests.unit_bench import UnitBench
from hw.axi import AXIResponse
from hw.registers import Access, register_table
from model.activity import Activity
from model.arrays import new_arrays
from model.checkpoint import Checkpoint
from model.config import Config, from_toml
from model.frames import FrameError, frame_error, image_frame
from model.unit import Settings, new_unit
from model.unit_state import unit_arrays

ACCESSES = 3_000
"""Of registers, at random."""


class CornerBench(UnitBench):
    """A bench whose unit begins with full memories and goes by settings of the host.

    Parameters
    ----------
    dut, config
        As of :class:`~cocotb_tests.unit_bench.UnitBench`.
    run_settings
        What the host sets.
    rng
        Of the state that the unit begins with, of its images and of malformed frames.
    counters_start
        What all counters begin with.
    """

    recorded = (*UnitBench.recorded, "states", "reset")

    def __init__(
        self,
        dut: Any,
        config: Config,
        run_settings: Settings,
        rng: np.random.Generator,
        counters_start: int,
    ) -> None:
        seed = int(rng.integers(2**32))
        self.crossbars = new_arrays(config, seed)
        super().__init__(dut, config, Checker(config, seed), self.crossbars)
        self.run_settings = run_settings
        self.rng = rng
        self.counters_start = counters_start
        self.errors: set[FrameError] = set()

    def draw_images(self, n: int) -> None:
        """Pixels of one value, of two, and of any."""
        shape = (n, self.config.network.layers[0])
        low, high = np.sort(self.rng.integers(0, 256, (2, n, 1)), axis=0)
        any_pixel, either = self.rng.integers(0, 256, shape), self.rng.integers(0, 2, shape)
        kinds = np.arange(n)[:, None] % 3
        images = np.select([kinds == 0, kinds == 1], [any_pixel, np.where(either, low, high)], low)
        self.images = images.astype(np.uint8)
        self.labels = self.rng.integers(0, self.config.network.layers[-1], n).astype(np.uint8)

    def start_state(self) -> Checkpoint:
        """A state that the unit can be in between two images, its numbers as large as they get."""
        config, rng = self.config, self.rng
        unit = new_unit(config)
        below = (1 << self.run_settings.epsilon_log2) - 1
        for chi in unit.chi:
            chi[...] = rng.integers(-below, below, chi.shape, endpoint=True)
        unit.maxima[:] = [
            rng.integers(largest, endpoint=True) for largest in largest_maxima(config)
        ]
        layer = int(rng.integers(config.network.n_layers))
        unit.refresh[:2] = layer, rng.integers(config.network.n_rows(layer))
        unit.counters[:] = self.counters_start
        return Checkpoint(Path(), {}, unit_arrays(unit, self.crossbars))

    async def configure(self) -> None:
        """The state, then the settings."""
        probes.give("idle_cycles", np.array([_two_words(self.counters_start)], np.uint32))
        self.dut.load_idle_cycles.value = 1
        await self.restore_state(self.start_state())
        for loader in ("idle_cycles", "chi_rows", "registers"):
            getattr(self.dut, f"load_{loader}").value = 0
        for name, value in zip(
            ("LEARNING_RATE", "EPSILON", "SCALE_POLICY", "SKIP_POLICY"),
            self.run_settings,
            strict=True,
        ):
            await self.write_register(name, int(value))
        self.services.append(cocotb.start_soon(self.pause_results()))

    async def pause_results(self) -> None:
        """A host that takes a beat now and then."""
        ready, pauses = self.dut.m_axis_result__tready, random.Random(1)
        while True:
            await ClockCycles(self.dut.clk, pauses.choice((1, 1, 2, 30, 200)))
            await FallingEdge(self.dut.clk)
            ready.value = not int(ready.value)

    def give_images(self) -> None:
        """A malformed frame before each that is sound."""
        if self.given < len(self.images):
            index = self.given
            pixels = self.rng.integers(0, 256, self.images.shape[1], np.uint8)
            beats = image_frame(pixels, 0, self.config)
            if index % 3 == 0:
                beats = beats[: int(self.rng.integers(1, len(beats)))]
            elif index % 3 == 1:
                more = self.rng.integers(0, 256, (int(self.rng.integers(1, 4)), beats.shape[1]))
                beats = np.concatenate((beats, more.astype(np.uint8)))
            else:
                classes = self.config.network.layers[-1]
                beats[-1] = self.rng.integers(classes, 256, beats.shape[1])
            error = frame_error(beats, self.config)
            assert error is not None
            self.errors.add(error)
            probes.give("images", self.unpack.image_records(beats))
        super().give_images()

    async def read_counter(self, name: str) -> int:
        """As the model counts: in two's complement of 64 bits."""
        value = await super().read_counter(name)
        return value - (value >> 63 << 64)

    async def check_end(self) -> None:
        """Also a lane of each word of chi as the host reads it, and the sticky errors."""
        await super().check_end()
        lanes = self.config.update.lanes
        rows = np.concatenate([chi.reshape(-1, lanes) for chi in self.checker.unit.chi])
        for address, row in enumerate(rows):
            lane = int(self.rng.integers(lanes))
            await self.write_register("CHI_ADDRESS", address)
            await self.write_register("CHI_LANE", lane)
            value = await self.read_register(self.offsets["CHI_DATA"])
            self.checker.equal(
                "chi_words", "chi window", f"{address}", int(row[lane]), _signed(value)
            )
        errors = sum(1 << error for error in self.errors)
        assert await self.read_register(self.offsets["ERRORS"]) == errors
        await self.write_register("ERRORS", errors)
        assert await self.read_register(self.offsets["ERRORS"]) == 0


def _signed(word: int) -> int:
    return word - (word >> 31 << 32)


def _two_words(value: int) -> list[int]:
    return [value & 0xFFFF_FFFF, value >> 32 & 0xFFFF_FFFF]


@cocotb.test()
async def corners(dut: Any) -> None:
    """Images under every kind of setting, each from a state of its own."""
    given = parameters()
    for number, case in enumerate(given["cases"]):
        bench = CornerBench(
            dut,
            from_toml(case["config"]),
            Settings(*case["settings"]),
            np.random.default_rng(number),
            case["counters_start"],
        )
        bench.draw_images(given["n_images"])
        found = await bench.run()
        bench.stop()
        assert found["mismatch"] is None, f"case {number}: {found['mismatch']['text']}"
        assert found["images"] == given["n_images"]


@cocotb.test()
async def registers(dut: Any) -> None:
    """Reads and writes at random, in and out of the table, are answered as its rules say."""
    config = from_toml(parameters()["config"])
    table = register_table(config)
    bench = CornerBench(dut, config, Settings(0, 2, False, 0), np.random.default_rng(1), 0)
    await bench.reset()
    await ClockCycles(dut.clk, config.chi_depth + 8)
    model, rng = RegisterModel(table), random.Random(1)
    idle = next(register for register in table if register.name == "STATUS").fields[0]
    model.bits[bench.offsets["STATUS"]] = idle.encode(1)
    moving = bench.offsets["COUNT_CYCLES_IDLE"]
    addresses = [register.offset for register in table if register.offset != moving]
    addresses += [register.offset + 4 for register in table if register.width == 64]
    addresses.remove(moving + 4)
    writable = [register.offset for register in table if register.access is Access.RW]
    for _ in range(ACCESSES):
        # The two lowest bits of an address do not count.
        address = rng.choice((rng.choice(addresses), rng.choice(writable), rng.randrange(4096)))
        address |= rng.randrange(4)
        if address & ~3 in (moving, moving + 4):
            continue
        if rng.random() < 0.5:
            value = rng.choice((0, 2**32 - 1, rng.randrange(64), rng.getrandbits(32)))
            strobes = rng.choice((0xF, rng.randrange(16)))
            response = await bench.write(address, value, strobes, pause=rng.randrange(3))
            assert response == model.write(address, value, strobes)
        else:
            answer = await bench.read(address, pause=rng.randrange(3))
            assert answer == model.read(address), hex(address)
        await ClockCycles(dut.clk, rng.choice((1, 1, 1, 5)))
        await FallingEdge(dut.clk)


@cocotb.test()
async def slow_host(dut: Any) -> None:
    """Frames beat by beat, a malformed one too; chi is refused beside an image; time passes."""
    config = from_toml(parameters()["config"])
    bench = CornerBench(dut, config, Settings(0, 2, False, 0), np.random.default_rng(1), 0)
    await bench.reset()
    await ClockCycles(dut.clk, config.chi_depth + 8)
    before = await bench.read_counter("COUNT_CYCLES_IDLE")
    sound = image_frame(np.zeros(config.network.layers[0], np.uint8), 0, config)
    for beats in (np.concatenate((sound, sound)), sound):
        for record in bench.unpack.image_records(beats):
            probes.give("images", record[None])
            await ClockCycles(dut.clk, 8)
    await FallingEdge(dut.clk)
    assert await bench.read_counter("COUNT_CYCLES_IDLE") >= before + 8 * 3 * len(sound)
    assert await bench.read_register(bench.offsets["ERRORS"]) == 1 << FrameError.LONG_FRAME
    await bench.write_register("CONTROL", 1)
    assert await bench.read(bench.offsets["CHI_DATA"]) == (AXIResponse.SLVERR, 0)
    if not int(dut.m_axis_result__tlast.value):
        await RisingEdge(dut.m_axis_result__tlast)
    for _ in range(4):
        await FallingEdge(dut.clk)
    assert await bench.read(bench.offsets["CHI_DATA"]) == (AXIResponse.OKAY, 0)
    assert await bench.read_counter(f"COUNT_{Activity.IMAGES.name}") == 1


@cocotb.test()
async def watchdog(dut: Any) -> None:
    """Programming that is held off for too long is reported, once."""
    config = from_toml(parameters()["config"])
    bench = CornerBench(dut, config, Settings(0, 2, False, 0), np.random.default_rng(1), 0)
    await bench.reset()
    dut.program__busy.value = 1
    await ClockCycles(dut.clk, config.pulse.timeout_cycles + 8)
    await FallingEdge(dut.clk)
    dut.program__busy.value = 0
    timeout = 1 << len(FrameError)
    assert await bench.read_register(bench.offsets["ERRORS"]) == timeout
    await bench.write_register("ERRORS", timeout)
    assert await bench.read_register(bench.offsets["ERRORS"]) == 0
