"""The whole inference unit in pysim beside the model: writes, then images, everything compared."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.cnn.inference_unit import InferenceUnit
from hw.layouts import PulseKind
from model.cnn.activity import activity_names, unit_activity
from model.cnn.config import CnnConfig, ReplicaMode
from model.cnn.cycles import image_cycles
from model.cnn.inference_unit import InferenceUnit as Model
from model.cnn.inference_unit import trace_image
from model.cnn.write_verify import Decision
from tests.hw.cnn.cnn_sim import parameter_words, random_images, random_unit, serve_array
from tests.hw.hw_sim import get, plain, put, simulate

__all__ = ["run_inference"]


def image_words(images: NDArray[np.uint8]) -> list[dict]:
    """Pixels of images, the last image being the last of its group."""
    pixels = images.reshape(-1, images.shape[-1]).tolist()
    return [{"pixel": pixel, "last": k == len(pixels) - 1} for k, pixel in enumerate(pixels)]


def expected_phases(config: CnnConfig, traces: list) -> dict[int, list]:
    """Step and drive of every phase of every array, in order."""
    phases: dict[int, list] = {}
    for trace in traces:
        for layer, one in enumerate(trace.layers):
            for patch, replica in enumerate(one.replicas):
                index = config.array_index(int(replica), layer)
                for step in range(config.steps(layer)):
                    for bit in range(8):
                        drive = one.drives[patch, step, bit].tolist()
                        phases.setdefault(index, []).append([step, drive])
    return phases


def draw_writes(model: Model, n: int) -> list[dict]:
    """Commands for rows of all arrays in turn."""
    config, rng = model.config, np.random.default_rng(n)
    commands = []
    for number in range(n):
        index = number % len(model.arrays)
        arrays = model.arrays[index]
        chunks, inputs, lines = arrays.units.shape
        tile, step = divmod(int(rng.integers(chunks)), config.steps(arrays.layer))
        commands.append(
            {
                "array": index,
                "tile": tile,
                "step": step,
                "input": int(rng.integers(inputs)),
                "targets": rng.integers(10, config.array.code_max * 3 // 4, lines).tolist(),
                "enables": rng.integers(0, 2, lines).tolist(),
            }
        )
    return commands


def write_on_model(model: Model, command: dict) -> dict[str, Any]:
    """Writes a row on the model; what the unit must report."""
    arrays = model.arrays[command["array"]]
    chunk = command["tile"] * model.config.steps(arrays.layer) + command["step"]
    result = arrays.write_row(
        chunk,
        command["input"],
        np.array(command["targets"]),
        np.array(command["enables"], bool),
    )
    place = {name: command[name] for name in ("array", "tile", "step", "input")}
    failed = result.failed.astype(int).tolist()
    return place | {"failed": failed, "iterations": result.iterations}


def serve_program(dut: Any, devices: Model, pulsed: Counter[str]) -> Any:
    """A background testbench that applies the pulses of the programming port, and counts them."""

    async def run(ctx: Any) -> None:
        was_high = 0
        while True:
            is_high = ctx.get(dut.program.pulse)
            if is_high and not was_high:
                request = plain(ctx.get(dut.program.request))
                arrays = devices.arrays[request["array"]]
                chunk = request["tile"] * devices.config.steps(arrays.layer) + request["step"]
                mask = np.array(request["mask"], bool)[: devices.config.lines(arrays.layer)]
                is_set = request["kind"].value == PulseKind.SET.value
                decision = Decision.SET if is_set else Decision.RESET
                kind = "set" if is_set else "reset"
                pulsed[f"{kind}_pulses"] += 1
                pulsed[f"{kind}_devices"] += int(mask.sum())
                arrays.pulse(chunk, request["input"], decision, mask)
            was_high = is_high
            await ctx.tick()

    return run


def run_inference(
    config: CnnConfig,
    *,
    n_images: int = 3,
    n_writes: int = 0,
    idle: str = "1",
    stall: str = "1",
    unit: type[InferenceUnit] = InferenceUnit,
    max_cycles: int = 5_000,
) -> None:
    """Fails with an AssertionError that names the place of the first difference."""
    model, devices = random_unit(config, 5), random_unit(config, 5)
    images, commands = random_images(config, 5, n_images), draw_writes(model, n_writes)
    dut = unit(config)
    seen: dict[int, list] = {index: [] for index in range(len(devices.arrays))}
    written: list[dict] = []
    results: list[dict] = []
    counters: dict[str, int] = {}
    pulsed = Counter[str]()
    finished: list[bool] = []

    async def host(ctx: Any) -> None:
        await put(ctx, dut.i_parameters, parameter_words(config, model))
        for command in commands:
            await put(ctx, dut.i_write, [command])
            written.extend(await get(ctx, dut.o_write, 1, stall, extra=1))
        await put(ctx, dut.i_image, image_words(images), idle)
        finished.append(True)

    async def take(ctx: Any) -> None:
        results.extend(await get(ctx, dut.o_result, n_images, stall))
        while not finished:
            await ctx.tick()
        values = plain(ctx.get(dut.counters))
        counters.update(zip(activity_names(config), values, strict=True))

    simulate(
        dut,
        host,
        take,
        background=[
            serve_program(dut, devices, pulsed),
            *(
                serve_array(getattr(dut, f"array_{index}"), arrays, seen[index])
                for index, arrays in enumerate(devices.arrays)
            ),
        ],
        max_cycles=max_cycles,
    )

    for number, (command, got) in enumerate(zip(commands, written, strict=True)):
        expected = write_on_model(model, command)
        got["failed"] = got["failed"][: len(expected["failed"])]
        assert got == expected, f"write {number}"
    for index, (mine, theirs) in enumerate(zip(model.arrays, devices.arrays, strict=True)):
        assert (mine.units == theirs.units).all(), f"devices of array {index}"
    whole = config.replicas.mode is ReplicaMode.IMAGES
    traces = [
        trace_image(model, image, k % config.replicas.n if whole else None)
        for k, image in enumerate(images)
    ]
    expected_drives = expected_phases(config, traces)
    for index, phases in seen.items():
        drives = [[step, drive] for _, step, drive in phases]
        assert drives == expected_drives.get(index, []), f"drive of array {index}"
    for number, (trace, got) in enumerate(zip(traces, results, strict=True)):
        scores = trace.layers[-1].accumulators[0].tolist()
        assert got["scores"] == scores, f"scores of image {number}"
        assert got["predicted"] == trace.label, f"class of image {number}"
    activity = unit_activity(model, images) + pulsed
    for command, got in zip(commands, written, strict=True):
        activity["verify_reads"] += got["iterations"]
        activity[f"phases_{command['array']}"] += got["iterations"]
        activity[f"lines_{command['array']}"] += got["iterations"]
    for name, value in counters.items():
        if not name.startswith("cycles"):
            assert value == activity[name], f"counter {name}"
    cycles = image_cycles(config)
    groups = -(-n_images // cycles.images)
    expected_cycles = [groups * value for value in cycles.convolutions]
    expected_cycles.append(n_images * cycles.fully_connected // cycles.images)
    for layer, value in enumerate(expected_cycles):
        assert counters[f"cycles_{layer}"] == value, f"cycles of layer {layer}"
