"""Test bench of resets: a unit that was reset at any moment is like new.

Runs in the simulator on an emitted digital unit, with the probe of
:func:`cocotb_tests.unit_probes.reset_probe`. Each time the unit is left alone in the middle of an
image, then reset, and must train on images as a model and arrays that are new.
"""

from collections import Counter
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge

from cocotb_tests import probes
from cocotb_tests.checker import Checker
from cocotb_tests.exchange import finish, parameters
from cocotb_tests.unit_bench import UnitBench
from hw.sequencer import Phase
from model.arrays import new_arrays
from model.config import Config, from_toml

REFRESH, PULSE = "refresh", "pulse"


def _bench(dut: Any, config: Config, given: dict[str, Any], n_images: int) -> UnitBench:
    """A bench with model and arrays as new."""
    seed = given["seed"]
    bench = UnitBench(dut, config, Checker(config, seed), new_arrays(config, seed))
    with np.load(given["images"], allow_pickle=False) as archive:
        bench.images, bench.labels = archive["images"][:n_images], archive["labels"][:n_images]
    return bench


async def _cut_off(bench: UnitBench, cycles: int) -> set[str]:
    """Runs for so many cycles and raises reset; what the unit was at."""
    dut = bench.dut
    run = cocotb.start_soon(bench.run())
    await ClockCycles(dut.clk, cycles)
    await FallingEdge(dut.clk)
    run.cancel()
    bench.stop()
    assert bench.failure is None, str(bench.failure)
    probes.discard("reset")
    dut.rst.value = 1
    for _ in range(2):
        await FallingEdge(dut.clk)
    ((phase, refresh, pulse),) = probes.take("reset").tolist()
    at = {Phase(phase).name.lower()}
    return at | {name for name, met in ((REFRESH, refresh), (PULSE, pulse)) if met}


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Cuts runs of the images off after each of some numbers of cycles."""
    given = parameters()
    config = from_toml(given["config"])
    met: Counter[str] = Counter()
    for cut in given["cuts"]:
        met.update(await _cut_off(_bench(dut, config, given, given["n_images"]), cut))
        bench = _bench(dut, config, given, 2)
        found = await bench.run()
        bench.stop()
        assert found["mismatch"] is None, f"reset after {cut} cycles: {found['mismatch']}"
        assert found["images"] == 2
    finish({"resets": met})
