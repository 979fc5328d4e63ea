# amaranth: UnusedElaboratable=no
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hw.quantiser import Quantiser, ScaleExponent
from model.config import Config, NetworkConfig, UpdateConfig
from model.configurations import tiny_mca
from model.quantiser import (
    DRIVE_CODE_MAX,
    UPDATE_CODE_MAX,
    crowded_maximum,
    running_maximum,
    scale_exponent,
)
from model.rounding import shift_round
from tests.hw.hw_configs import VARIANTS, words
from tests.hw.hw_sim import STALLS, Trace, get, put, simulate

STATUS = ("drive_exponent", "update_exponent", "zero_error", "zero_codes")


@dataclass
class Golden:
    """The scales of one vector after the other, from the model's integer functions."""

    config: Config
    running: bool

    def __post_init__(self) -> None:
        self.maxima = [0] * self.config.network.n_layers
        self.above = 0

    def __call__(self, layer: int, errors: np.ndarray) -> tuple[dict[str, int], list[dict]]:
        """The status and the scaled words of a vector."""
        update = self.config.update
        above = 0 if layer == len(self.maxima) - 1 else self.above
        m = int(np.abs(errors).max())
        s = scale_exponent(m, DRIVE_CODE_MAX)
        if self.running:
            self.maxima[layer] = running_maximum(self.maxima[layer], m << above, update.decay_log2)
        else:
            self.maxima[layer] = m << above
        k = max(scale_exponent(self.maxima[layer], UPDATE_CODE_MAX), above)
        self.above = above + s
        drives = [shift_round(int(e), s) for e in errors]
        codes = [shift_round(int(e), k - above) for e in errors]
        self.maxima[layer] = crowded_maximum(
            self.maxima[layer],
            int(np.count_nonzero(codes)),
            update.crowded_codes,
            update.decay_log2,
            self.config.scale_bits,
        )
        assert max(map(abs, drives)) <= DRIVE_CODE_MAX
        assert max(map(abs, codes)) <= UPDATE_CODE_MAX
        status = dict(zip(STATUS, (s, k, int(m == 0), int(not any(codes))), strict=True))
        lanes = self.config.update.lanes
        scaled = [
            {"drives": d["drives"], "codes": c["codes"], "last": d["last"]}
            for d, c in zip(
                words(drives, lanes, "drives"), words(codes, lanes, "codes"), strict=True
            )
        ]
        return status, scaled


def images(config: Config, count: int, seed: int) -> list[tuple[int, np.ndarray]]:
    """Error vectors of several images, output layer first: corners, then all magnitudes."""
    rng = np.random.default_rng(seed)
    limit = 2 ** (config.error_bits - 1) - 1
    bounds = [limit, 0, 1, 3, 127, 128, 255, 256]
    vectors = []
    for image in range(count):
        for layer in reversed(range(config.network.n_layers)):
            corner = image < len(bounds)
            bound = bounds[image] if corner else int(2 ** rng.uniform(0, config.error_bits - 1)) - 1
            errors = rng.integers(-bound, bound + 1, config.network.n_cols(layer))
            if corner:
                errors[rng.integers(len(errors))] = rng.choice([-bound, bound])
            vectors.append((layer, errors))
    return vectors


def run(
    config: Config,
    vectors: list[tuple[int, np.ndarray]],
    *,
    running: bool = True,
    idle: str = "1",
    stall: str = "1",
    emit_delay: int | None = None,
) -> Trace:
    """Scales the vectors; asserts status and words, and the latency where nothing stalls.

    Without ``emit_delay`` the port is left alone; with it ``emit`` rises as many cycles after
    ``scaled``.
    """
    dut, golden = Quantiser(config), Golden(config, running)
    expected = [golden(layer, errors) for layer, errors in vectors]
    sent = [words(errors, config.update.lanes, "errors") for _, errors in vectors]
    taken: list[list[dict]] = []

    async def produce(ctx) -> None:
        ctx.set(dut.scale_policy, running)
        if emit_delay is not None:
            ctx.set(dut.emit, 0)
        for number, ((layer, _), payloads) in enumerate(zip(vectors, sent, strict=True)):
            ctx.set(dut.layer, layer)
            await put(ctx, dut.i, payloads, idle)
            for _ in range(Quantiser.SCALE_LATENCY - 1):
                assert not ctx.get(dut.scaled)
                await ctx.tick()
            for _ in range(emit_delay or 0):
                assert ctx.get(dut.scaled)
                await ctx.tick()
            if emit_delay is not None:
                ctx.set(dut.emit, 1)
                await ctx.tick()
                ctx.set(dut.emit, 0)
            while len(taken) == number:
                assert ctx.get(dut.scaled)
                status = {name: ctx.get(getattr(dut, name)) for name in STATUS}
                assert status == expected[number][0]
                await ctx.tick()

    async def consume(ctx) -> None:
        for _, scaled in expected:
            taken.append(await get(ctx, dut.o, len(scaled), stall, extra=3))

    trace = simulate(dut, produce, consume)
    assert taken == [scaled for _, scaled in expected]

    last_words = [transfer.cycle for transfer in trace["i"] if transfer.payload["last"]]
    outputs = iter(trace["o"])
    for cycle, (_, scaled) in zip(last_words, expected, strict=True):
        for k in range(len(scaled)):
            transfer = next(outputs)
            if k == 0:
                first = cycle + Quantiser.OUTPUT_LATENCY + (emit_delay or 0)
                assert transfer.offered == first
            if stall == "1":
                assert transfer.cycle == first + k
    return trace


@pytest.mark.parametrize("running", [False, True], ids=["own", "running"])
@pytest.mark.parametrize("name", VARIANTS)
def test_sizes(name: str, running: bool) -> None:
    config = VARIANTS[name]
    run(config, images(config, 16, seed=len(name)), running=running)


@pytest.mark.parametrize(("idle", "stall"), STALLS)
def test_stalls(idle: str, stall: str) -> None:
    config = VARIANTS["three_layers"]
    run(config, images(config, 5, seed=1), idle=idle, stall=stall)


@pytest.mark.parametrize("emit_delay", [0, 1, 5])
def test_emit(emit_delay: int) -> None:
    run(tiny_mca, images(tiny_mca, 10, seed=2), stall="110100", emit_delay=emit_delay)


def test_one_layer_and_slow_decay() -> None:
    config = replace(
        tiny_mca,
        network=NetworkConfig(layers=(7, 19)),
        update=UpdateConfig(lanes=8, decay_log2=16),
    )
    run(config, images(config, 30, seed=3))


def test_decay_reaches_small_errors() -> None:
    """After a large error the codes vanish, until the running maximum has decayed to the errors."""
    large, small = np.array([2_000_000, 0, 0, 0]), np.array([0, 500, -1000, 0])
    run(tiny_mca, [(1, large)] + [(1, small)] * 130)


@pytest.mark.parametrize("crowded_codes", [1, 5])
@pytest.mark.parametrize("name", ["tiny_mca", "three_layers"])
def test_crowded(name: str, crowded_codes: int) -> None:
    """Vectors alike from image to image: crowded until the scale has grown, then no longer."""
    config = VARIANTS[name]
    update = replace(config.update, crowded_codes=crowded_codes, decay_log2=3)
    config = replace(config, update=update)
    rng = np.random.default_rng(crowded_codes)
    vectors = [
        (layer, rng.integers(-1000, 1001, config.network.n_cols(layer)))
        for _ in range(40)
        for layer in reversed(range(config.network.n_layers))
    ]
    run(config, vectors, stall="110")


def test_maximum_stops_growing() -> None:
    """The largest errors, crowded in every image: the running maximum stays within its bits."""
    config = replace(tiny_mca, update=replace(tiny_mca.update, crowded_codes=1, decay_log2=2))
    largest = 2 ** (config.error_bits - 1) - 1
    vectors = [
        (layer, np.full(config.network.n_cols(layer), largest))
        for _ in range(8)
        for layer in (1, 0)
    ]
    run(config, vectors)


def test_decay_strobe() -> None:
    """An image that was skipped: the layers below the output layer decay without a vector."""
    dut, golden = Quantiser(tiny_mca), Golden(tiny_mca, True)
    large, small = np.array([4000, 0, 0, 0]), np.arange(9)

    async def bench(ctx) -> None:
        ctx.set(dut.scale_policy, 1)
        for layer, errors in ((1, large), (0, small), (1, large), (0, small)):
            expected, scaled = golden(layer, errors)
            ctx.set(dut.layer, layer)
            await put(ctx, dut.i, words(errors, 8, "errors"))
            assert await get(ctx, dut.o, len(scaled)) == scaled
            assert {name: ctx.get(getattr(dut, name)) for name in STATUS} == expected
            if layer == 0:
                ctx.set(dut.decay, 1)
                await ctx.tick().repeat(20)
                ctx.set(dut.decay, 0)
                for _ in range(20):
                    golden.maxima[0] = running_maximum(
                        golden.maxima[0], 0, tiny_mca.update.decay_log2
                    )

    simulate(dut, bench)


def test_dropped_vector() -> None:
    """A vector that is never emitted leaves its scale and gives way to the next one."""
    dut, golden = Quantiser(tiny_mca), Golden(tiny_mca, True)
    vectors = [(1, np.array([5, -900, 0, 1])), (1, np.array([1, 2, -3, 4]))]
    expected = [golden(layer, errors) for layer, errors in vectors]

    async def bench(ctx) -> None:
        ctx.set(dut.scale_policy, 1)
        ctx.set(dut.layer, 1)
        ctx.set(dut.emit, 0)
        for (_, errors), (status, _) in zip(vectors, expected, strict=True):
            await put(ctx, dut.i, words(errors, 8, "errors"))
            await ctx.tick().repeat(Quantiser.SCALE_LATENCY - 1)
            assert {name: ctx.get(getattr(dut, name)) for name in STATUS} == status
        ctx.set(dut.emit, 1)
        assert await get(ctx, dut.o, 1) == expected[1][1]

    simulate(dut, bench)


@pytest.mark.parametrize(("width", "code_max"), [(12, 127), (12, 3), (3, 7), (9, 1)])
def test_scale_exponent(width: int, code_max: int) -> None:
    dut = ScaleExponent(width=width, code_max=code_max)

    async def bench(ctx) -> None:
        for maximum in range(2**width):
            ctx.set(dut.maximum, maximum)
            assert ctx.get(dut.exponent) == scale_exponent(maximum, code_max)
            assert ctx.get(dut.length) == maximum.bit_length()

    simulate(dut, bench)


def test_scale_exponent_wrong_code_max() -> None:
    with pytest.raises(ValueError, match="not 6"):
        ScaleExponent(width=8, code_max=6)
