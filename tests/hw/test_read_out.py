# amaranth: UnusedElaboratable=no
from itertools import pairwise

import numpy as np
import pytest

from hw.layouts import Device, Direction
from hw.read_out import ReadOut
from model.config import Config
from model.configurations import tiny_mca
from model.read_out import partial_sum
from tests.hw.hw_configs import VARIANTS, words
from tests.hw.hw_sim import STALLS, get, put, simulate

LAYERS = [(name, k) for name, c in VARIANTS.items() for k in range(c.network.n_layers)]


class Array:
    """Stands in for the array macro: garbage until the codes are due, then the expected codes."""

    def __init__(self, config: Config, layer: int, seed: int = 0) -> None:
        self.config, self.layer = config, layer
        self.rng = np.random.default_rng(seed)
        network, code_max = config.network, config.converter.code_max
        self.span = (-code_max - 1, code_max + 1)
        self.col_shape = (config.row_tiles(layer), network.n_cols(layer))
        self.row_shape = (config.col_tiles(layer), network.n_rows(layer) if layer else 1)
        self.commands: list[dict] = []
        self.expected: list[dict] = []

    def plan(self, directions: list[Direction]) -> None:
        """Draws a command and codes for every transaction, and what must come out."""
        corners = [self.span[0], self.span[1] - 1, 0]
        self.codes = []
        for number, direction in enumerate(directions):
            backward = direction == Direction.BACKWARD
            shape = self.row_shape if backward else self.col_shape
            codes = self.rng.integers(*self.span, shape)
            if number < len(corners):
                codes[:] = corners[number]
            summed = np.zeros(shape[1], np.int16)
            partial_sum(codes.astype(np.int16), self.config.converter.code_max, summed)
            self.codes.append(codes)
            self.expected += words(
                summed[:-1] if backward else summed, self.config.update.lanes, "codes"
            )
            self.commands.append(
                {
                    "direction": direction,
                    "row": int(self.rng.integers(self.config.network.n_rows(self.layer))),
                    "device": Device(int(self.rng.integers(2))),
                }
            )

    def wait(self, direction: Direction) -> int:
        array = self.config.array
        return array.read_cycles if direction == Direction.READ else array.mvm_cycles

    async def answer(self, ctx, dut: ReadOut) -> None:
        cols = np.zeros(self.col_shape, int)
        rows = np.zeros(self.row_shape, int)
        for command, codes in zip(self.commands, self.codes, strict=True):
            while not ctx.get(dut.start):
                await ctx.tick()
            direction = command["direction"]
            # Until the codes are due, whatever else.
            ctx.set(dut.col_codes, self.rng.integers(*self.span, self.col_shape).tolist())
            ctx.set(dut.row_codes, self.rng.integers(*self.span, self.row_shape).tolist())
            for cycle in range(self.wait(direction)):
                assert ctx.get(dut.start) == (cycle == 0)
                assert ctx.get(dut.direction) == direction
                assert ctx.get(dut.row) == command["row"]
                assert ctx.get(dut.device) == command["device"]
                await ctx.tick()
            target = rows if direction == Direction.BACKWARD else cols
            target[:] = codes
            ctx.set(dut.col_codes, cols.tolist())
            ctx.set(dut.row_codes, rows.tolist())
            assert ctx.get(dut.direction) == direction


def run(config: Config, layer: int, directions: list[Direction], idle: str, stall: str):
    dut, array = ReadOut(config, layer), Array(config, layer)
    array.plan(directions)
    taken: list[dict] = []

    async def consume(ctx) -> None:
        taken.extend(await get(ctx, dut.o_words, len(array.expected), stall))

    trace = simulate(
        dut,
        lambda ctx: put(ctx, dut.i_command, array.commands, idle),
        lambda ctx: array.answer(ctx, dut),
        consume,
    )
    assert taken == array.expected
    return array, trace


def directions_of(layer: int) -> list[Direction]:
    kinds = [Direction.FORWARD, Direction.READ] + [Direction.BACKWARD] * (layer > 0)
    return kinds * 3


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_stalls(idle: str, stall: str) -> None:
    run(tiny_mca, 1, directions_of(1), idle, stall)


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_sizes_and_latency(name: str, layer: int) -> None:
    config = VARIANTS[name]
    array, trace = run(config, layer, directions_of(layer), "1", "1")
    sent = iter(trace["o_words"])
    commands = trace["i_command"]
    for command, following in pairwise([*commands, None]):
        direction = command.payload["direction"]
        n_lines = (
            config.network.n_rows(layer) - 1
            if direction == Direction.BACKWARD
            else config.network.n_cols(layer)
        )
        first = command.cycle + array.wait(direction) + ReadOut.OUTPUT_LATENCY
        cycles = [next(sent).cycle for _ in range(config.rows_to_words(n_lines))]
        assert cycles == list(range(first, first + len(cycles)))
        if following is not None:
            assert following.cycle == cycles[-1] + 1
    assert next(sent, None) is None


def test_init_wrong_layer() -> None:
    with pytest.raises(ValueError, match="between 0 and 1, not 2"):
        ReadOut(tiny_mca, 2)
