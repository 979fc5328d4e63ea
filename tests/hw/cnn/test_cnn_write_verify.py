# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest

from hw.cnn.write_verify import WriteVerify
from hw.layouts import PulseKind
from model.cnn.config import CnnConfig
from model.cnn.cycles import write_cycles
from model.cnn.write_verify import Decision, write_row
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.hw_sim import get, plain, put, simulate

NAMES = ["adc_a_line", "odd"]


class Row:
    """Devices that move by a step a pulse; some are stuck, some overshoot."""

    def __init__(self, codes: np.ndarray, steps: np.ndarray, code_max: int) -> None:
        self.codes, self.steps, self.code_max = codes.copy(), steps, code_max
        self.pulses: list[tuple[Decision, list[int]]] = []

    def read(self) -> np.ndarray:
        return self.codes.copy()

    def pulse(self, decision: Decision, mask: np.ndarray) -> None:
        self.pulses.append((decision, mask.astype(int).tolist()))
        step = self.steps if decision is Decision.SET else -self.steps
        self.codes = np.clip(self.codes + np.where(mask, step, 0), 0, self.code_max)


def draw_rows(config: CnnConfig, n_lines: int, n: int) -> list[tuple[Row, Row, dict]]:
    """Equal rows for the model and the gateware, and the command."""
    rng = np.random.default_rng(n_lines)
    code_max = config.array.code_max
    rows = []
    for number in range(n):
        codes = rng.integers(0, code_max + 1, n_lines)
        steps = rng.integers(0, 3 * config.margin_codes + 2, n_lines)
        command = {
            "array": number % 2,
            "tile": 0,
            "step": 0,
            "input": number % 3,
            "targets": rng.integers(0, code_max + 1, n_lines).tolist(),
            "enables": (rng.random(n_lines) < (0.7 if number else 0)).astype(int).tolist(),
        }
        if number == 1:  # nothing to do but to find that out
            command["targets"] = codes.tolist()
        rows.append((Row(codes, steps, code_max), Row(codes, steps, code_max), command))
    return rows


@pytest.mark.parametrize("stall", ["1", "w"])
@pytest.mark.parametrize("max_pulses", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_rows(name: str, max_pulses: int, stall: str) -> None:
    """Every pulse's kind and mask, width and rest; the result and when it comes."""
    config = replace(VARIANTS[name], write=replace(VARIANTS[name].write, max_pulses=max_pulses))
    dut = WriteVerify(config)
    n_lines = len(dut.codes)
    rows = draw_rows(config, n_lines, 5)
    array, rng = config.array, np.random.default_rng(1)
    slots = np.arange(n_lines) % array.lines_per_adc
    transfers: list[int] = []
    widths: list[tuple[int, int]] = []

    async def devices(ctx) -> None:
        """Answers reads with garbage but when a line is sampled; applies pulses."""
        cycle, read_at, high, low, converting = 0, -(10**6), 0, 10**6, np.zeros(n_lines, int)
        while True:
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                transfers.append(cycle)
            row = rows[max(0, len(transfers) - 1)][1]
            if ctx.get(dut.phase):
                read_at, converting = cycle, row.read()
                assert not ctx.get(dut.program.pulse)
            since = cycle - read_at - array.phase_cycles
            assert ctx.get(dut.driving) == (-array.phase_cycles <= since < 0)
            codes = rng.integers(0, array.code_max + 1, n_lines)
            if 0 <= since < array.phase_cycles:
                slot, rest = divmod(since, array.conversion_cycles)
                if rest == array.conversion_cycles - 1:
                    assert ctx.get(dut.slot) == slot
                    codes = np.where(slots == slot, converting, codes)
            ctx.set(dut.codes, codes.tolist())
            if ctx.get(dut.program.pulse):
                request = plain(ctx.get(dut.program.request))
                if not high:
                    assert low >= config.write.gap_cycles
                    begun = request
                    is_set = request["kind"] == PulseKind.SET
                    row.pulse(
                        Decision.SET if is_set else Decision.RESET,
                        np.array(request["mask"], bool),
                    )
                    command = rows[len(transfers) - 1][2]
                    for field in ("array", "tile", "step", "input"):
                        assert request[field] == command[field]
                assert request == begun
                high, low = high + 1, 0
            else:
                if high:
                    widths.append((int(is_set), high))
                high, low = 0, low + 1
            await ctx.tick()
            cycle += 1

    async def commands(ctx) -> None:
        await put(ctx, dut.i, [command for _, _, command in rows])

    results: list[dict] = []

    async def take(ctx) -> None:
        results.extend(await get(ctx, dut.o, len(rows), stall))

    trace = simulate(dut, commands, take, background=[devices])
    set_cycles, reset_cycles = config.write.set_cycles, config.write.reset_cycles
    assert set(widths) <= {(1, set_cycles), (0, reset_cycles)}
    failed = 0
    for number, (mine, theirs, command) in enumerate(rows):
        result = write_row(
            mine,
            np.array(command["targets"]),
            np.array(command["enables"], bool),
            margin=config.margin_codes,
            max_pulses=max_pulses,
        )
        assert theirs.pulses == mine.pulses
        got = results[number]
        assert got["failed"] == result.failed.astype(int).tolist()
        assert got["iterations"] == result.iterations
        assert [got[field] for field in ("array", "input")] == [command["array"], command["input"]]
        offered = trace["o"][number].offered - trace["i"][number].cycle
        assert offered == 1 + write_cycles(config, result)
        failed += int(result.failed.sum())
    assert failed > 0


def test_waits_for_busy_arrays() -> None:
    config = VARIANTS["adc_a_line"]
    dut = WriteVerify(config)
    n_lines = len(dut.codes)

    async def bench(ctx) -> None:
        ctx.set(dut.program.busy, 1)
        enables = [1] + [0] * (n_lines - 1)
        command = {"targets": [30] * n_lines, "enables": enables}
        await put(ctx, dut.i, [command])
        for _ in range(40):
            assert not ctx.get(dut.program.pulse)
            await ctx.tick()
        ctx.set(dut.program.busy, 0)
        await ctx.tick()
        for cycle in range(config.write.set_cycles + 1):
            assert ctx.get(dut.program.pulse) == (cycle < config.write.set_cycles)
            await ctx.tick()

    simulate(dut, bench, watch=["program.pulse"])
