"""Bit-serial drivers and read-out, each and together with an array between them."""

# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from hw.cnn.bit_serial_drivers import BitSerialDrivers
from hw.cnn.bit_serial_read_out import BitSerialReadOut
from hw.cnn.product import Product
from model.cnn.bit_serial import bit_plane
from model.cnn.config import CnnConfig
from model.cnn.read_out import accumulate, shift_add
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import random_unit, serve_array
from tests.hw.hw_sim import PATTERNS, plain, put, simulate

LAYERS = [
    (name, layer)
    for name, config in VARIANTS.items()
    if config.replicas.n == 1
    for layer in range(config.n_layers)
]


def draw_patches(config: CnnConfig, layer: int, n: int) -> np.ndarray:
    shape = (n, config.chunks(layer), config.chunk_inputs(layer))
    patches = np.random.default_rng(layer).integers(0, 256, shape).astype(np.uint8)
    patches[0], patches[1] = 255, 0
    return patches


def by_tile(config: CnnConfig, layer: int, patch: np.ndarray) -> np.ndarray:
    """``[steps, tiles, inputs]``."""
    steps, tiles = config.steps(layer), config.tiles(layer)
    padded = np.zeros((steps * tiles, patch.shape[1]), np.uint8)
    padded[: len(patch)] = patch
    return padded.reshape(tiles, steps, -1).swapaxes(0, 1)


@pytest.mark.parametrize("idle", PATTERNS)
@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_drivers(name: str, layer: int, idle: str) -> None:
    """Every bit for one phase, least significant first, without a gap while patches wait."""
    config = VARIANTS[name]
    dut = BitSerialDrivers(config, layer)
    patches = draw_patches(config, layer, 3)
    phase_cycles = config.array.phase_cycles
    seen: list[list] = []

    async def record(ctx) -> None:
        cycle = 0
        while True:
            held = ctx.get(dut.held) and (ctx.get(dut.bit), ctx.get(dut.last))
            seen.append([cycle, ctx.get(dut.phase), ctx.get(dut.step), plain(ctx.get(dut.drive))])
            seen[-1] += [ctx.get(dut.hold), held]
            await ctx.tick()
            cycle += 1

    trace = simulate(
        dut, lambda ctx: put(ctx, dut.i, patches.tolist(), idle), background=[record], settle=200
    )
    driven = [False] * len(seen)
    for number, (patch, taken) in enumerate(zip(patches, trace["i"], strict=True)):
        chunks = by_tile(config, layer, patch)
        if number and idle == "1":
            assert taken.cycle == trace["i"][number - 1].cycle + config.product_cycles(layer)
        for phase in range(8 * config.steps(layer)):
            step, bit = divmod(phase, 8)
            last = step == config.steps(layer) - 1 and bit == 7
            first = taken.cycle + 1 + phase * phase_cycles
            for cycle in range(first, first + phase_cycles):
                is_end = cycle == first + phase_cycles - 1
                drive = bit_plane(chunks[step], bit).tolist()
                hold = (number * config.steps(layer) * 8 + phase) % 2
                held = (bit, last) if is_end else 0
                assert seen[cycle] == [cycle, cycle == first, step, drive, hold, held]
                driven[cycle] = True
    idle_drive = np.zeros_like(seen[0][3]).tolist()
    for entry, is_driven in zip(seen, driven, strict=True):
        assert is_driven or (entry[1] == 0 and entry[3] == idle_drive and entry[5] == 0)


@pytest.mark.parametrize("gap", [0, 5])
@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_read_out(name: str, layer: int, gap: int) -> None:
    """Codes of two products, the corners first; a line counts in the last cycle of its slot."""
    config = VARIANTS[name]
    array = config.array
    dut = BitSerialReadOut(config, layer)
    rng = np.random.default_rng(3)
    shape = (3, config.steps(layer), 8, config.tiles(layer), config.lines(layer))
    codes = rng.integers(0, array.code_max + 1, shape)
    codes[0, ..., 0::2], codes[0, ..., 1::2] = array.code_max, 0
    codes[1] = array.code_max - codes[0]
    phases = codes.reshape(-1, *shape[3:])
    slots = np.arange(shape[4]) % array.lines_per_adc

    async def bench(ctx) -> None:
        for number in range(len(phases) + 1):
            # The phase before is converted while this one is driven.
            for cycle in range(array.phase_cycles + gap):
                garbage = rng.integers(0, array.code_max + 1, shape[3:])
                slot, rest = divmod(cycle, array.conversion_cycles)
                if number and rest == array.conversion_cycles - 1:
                    garbage = np.where(slots == slot, phases[number - 1], garbage)
                ctx.set(dut.codes, garbage.tolist())
                is_last_cycle = cycle == array.phase_cycles + gap - 1
                ctx.set(dut.held, is_last_cycle and number < len(phases))
                ctx.set(dut.bit, number % 8)
                ctx.set(dut.last, (number + 1) % (8 * shape[1]) == 0)
                await ctx.tick()

    trace = simulate(dut, bench, watch=["held", "last"])
    expected = [
        accumulate(shift_add(product.swapaxes(1, 2))).tolist()
        for product in codes.astype(np.uint16)
    ]
    assert trace.payloads("o") == expected
    held = trace.cycles("held")
    ends = held[8 * shape[1] - 1 :: 8 * shape[1]]
    latency = array.phase_cycles + BitSerialReadOut.LATENCY
    assert [sums.cycle for sums in trace["o"]] == [end + latency for end in ends]


@pytest.mark.parametrize("idle", ["1", "110100"])
@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_product(name: str, layer: int, idle: str) -> None:
    config = VARIANTS[name]
    dut = Product(config, layer)
    arrays = [*random_unit(config, 1).replicas[0], random_unit(config, 1).fully_connected][layer]
    patches = draw_patches(config, layer, 3)
    seen: list = []
    trace = simulate(
        dut,
        lambda ctx: put(ctx, dut.i, patches.tolist(), idle),
        background=[serve_array(dut.array, arrays, seen)],
        settle=config.product_cycles(layer) + 20,
    )
    phases = 8 * config.steps(layer)
    assert len(seen) == len(patches) * phases
    for taken, sums, patch in zip(trace["i"], trace["o"], patches, strict=True):
        chunks = by_tile(config, layer, patch)
        codes = np.array(
            [
                [arrays.phase(step, bit_plane(chunk, bit)) for bit in range(8)]
                for step, chunk in enumerate(chunks)
            ]
        )
        assert sums.payload == accumulate(shift_add(codes.swapaxes(1, 2))).tolist()
        latency = (phases + 1) * config.array.phase_cycles + Product.LATENCY
        assert sums.cycle == taken.cycle + latency
