"""Test bench of resets: a unit that was reset at any moment is like new.

Runs in the simulator on an emitted digital unit, with the probes of
:func:`cocotb_tests.unit_probes.reset_probes`. A first run of the images, whole, records what the
unit is at in every cycle. The moments of the resets are taken from that record, so that each thing
it does is cut off in the first cycle, in the middle and in the last. Each time the unit is left
alone there, then reset, and must train on images as a model and arrays that are new.
"""

from collections import Counter
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
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


def _activities(states: npt.NDArray[np.uint32]) -> dict[str, npt.NDArray[np.bool_]]:
    """By name, whether the unit was at it, of records of phase, refresh and pulse."""
    phases = {phase.name.lower(): states[:, 0] == phase.value for phase in Phase}
    return phases | {REFRESH: states[:, 1] != 0, PULSE: states[:, 2] != 0}


def _moments(at: npt.NDArray[np.bool_], n: int) -> set[int]:
    """Cycles of up to ``n`` of the stretches in which something holds, spread over all of them:
    of one the middle, of the next the first, of the next the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], at.astype(np.int8), [0]))))
    stretches = edges.reshape(-1, 2)
    chosen = np.unique(np.linspace(0, len(stretches) - 1, min(n, len(stretches))).astype(int))
    moments = set()
    for k, (start, stop) in enumerate(stretches[chosen].tolist()):
        moments.add(((start + stop) // 2, start, stop - 1)[k % 3])
    return moments


async def _record(bench: UnitBench) -> npt.NDArray[np.uint32]:
    """Runs all images; what the unit was at in every cycle."""
    probes.discard("states")
    found = await bench.run()
    bench.stop()
    assert found["mismatch"] is None, str(found["mismatch"])
    return probes.take("states")


async def _cut_off(bench: UnitBench, cycle: int) -> npt.NDArray[np.uint32]:
    """Runs up to a cycle of the record and raises reset there; what the unit was at."""
    dut = bench.dut
    run = cocotb.start_soon(bench.run())
    await ClockCycles(dut.clk, cycle)
    await FallingEdge(dut.clk)
    run.cancel()
    bench.stop()
    assert bench.failure is None, str(bench.failure)
    probes.discard("reset")
    dut.rst.value = 1
    for _ in range(2):
        await FallingEdge(dut.clk)
    return probes.take("reset")


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Cuts runs of the images off in each thing that they do."""
    given = parameters()
    config = from_toml(given["config"])
    await FallingEdge(dut.clk)
    states = await _record(_bench(dut, config, given, given["n_images"]))
    # The first records are of the reset that a run begins with.
    begun = np.arange(len(states)) > 4
    cuts: set[int] = set()
    for at in _activities(states).values():
        cuts |= _moments(at & begun, given["n_each"])
    met: Counter[str] = Counter()
    for cut in sorted(cuts):
        state = await _cut_off(_bench(dut, config, given, given["n_images"]), cut)
        assert np.array_equal(state, states[cut : cut + 1]), f"cycle {cut} is not as recorded"
        met.update(name for name, at in _activities(state).items() if at[0])
        bench = _bench(dut, config, given, 2)
        found = await bench.run()
        bench.stop()
        assert found["mismatch"] is None, f"reset in cycle {cut}: {found['mismatch']}"
        assert found["images"] == 2
    finish({"resets": met})
