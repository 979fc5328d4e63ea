"""``mixbar power``: what the gates of the digital unit dissipate over a real training trace."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli
from scripts.synth import DontUseOption, LibertyOption, read_library

if TYPE_CHECKING:
    from hw.liberty import Library
    from hw.power import BlockPower
    from model.config import Config

__all__ = ["power"]

#: What the report looks for, per configuration.
POWER_FILE = "power.json"

#: Nodes of libraries by the start of their names.
NODES_NM = {"osu018": 180.0, "sg13g2": 130.0, "asap7": 7.0}

#: The images are of the shipped sample: a few dozen are shown.
SAMPLE = "mnist-sample"

ImagesOption = Annotated[
    int, typer.Option("--images", min=1, max=10_000, help="Training images to show.")
]
TechOption = Annotated[
    float | None,
    typer.Option(
        "--node",
        metavar="NM",
        help="Node of the library, for scaling; known of osu018, sg13g2 and asap7 by the name.",
    ),
]
PeriodOption = Annotated[
    float, typer.Option("--period", metavar="NS", help="Clock period of synthesis and activity.")
]


def power(
    config: cli.ConfigArgument,
    images: ImagesOption = 30,
    liberty: LibertyOption = None,
    dont_use: DontUseOption = None,
    node: TechOption = None,
    period: PeriodOption = 10.0,
    seed: cli.SeedOption = 1,
    out: cli.OutOption = cli.OUT,
    allow_code: cli.AllowCodeOption = False,
    json: cli.JsonOption = False,
) -> None:
    """Energy of the digital unit's gates, block by block, over a real training trace.

    Of the kind mca. The unit is trained as Verilog beside its model; its netlist by synthesis sees
    the same inputs in Verilator and must give the same outputs; what toggles is charged by the
    library's tables. Before layout: no wires, no clock tree, no glitches. Writes
    DIR/<configuration>/power.json, which 'mixbar report' shows. A large unit takes long: start with
    tiny_mca.

    \b
    Examples:
      mixbar power tiny_mca
      mixbar power tiny_mca --liberty cells.lib.gz --liberty registers.lib.gz --node 7 --period 1
    """
    with cli.result(json) as result:
        settings = cli.load_mca_config(config, "mixbar power", allow_code=allow_code)
        library = read_library(liberty, dont_use)
        if library is None:
            raise cli.RequestError("Power needs a cell library: give its files by --liberty.")
        data = _measure(settings, library, images, period, seed, out, node)
        path = cli.write(out / settings.name / POWER_FILE, cli.json_text(data))
        lines = [f"{settings.name}, {data['library']}, {images} images: energy an image"]
        lines += [
            f"{block['block']:<20}{block['energy_j'] * 1e12:>12,.1f} pJ" for block in data["blocks"]
        ]
        lines.append(f"{'all':<20}{data['energy_j'] * 1e12:>12,.1f} pJ, memories apart")
        result.set({**data, "files": [path]}, "\n".join([*lines, f"wrote {path}"]))


def _measure(
    settings: "Config",
    library: "Library",
    images: int,
    period: float,
    seed: int,
    out: Path,
    node: float | None,
) -> dict[str, Any]:
    from cocotb_tests.gate_level import record, replay
    from hw.gate_tables import gate_tables, memory_modules, read_netlists
    from hw.liberty_power import read_power
    from hw.power import block_power
    from hw.synthesis import TOP_BLOCK, synthesise
    from hw.verilog import emit
    from model import datasets
    from model.inputs import adapt
    from model.settings import to_toml
    from scripts.cosim import training_order

    unit = emit(settings, out.resolve())
    folder = unit.path.parent / "synth" / library.name
    cli.say(f"Synthesising {settings.name} to {library.name}; unchanged blocks are not done again.")
    found = synthesise(unit.path, top=unit.top, library=library, period_ns=period, folder=folder)
    cli.say(f"Recording {images} training images.")
    dataset = adapt(settings, datasets.load(SAMPLE))
    order = training_order(settings, seed, len(dataset.train_labels), images)
    recording = record(
        settings,
        unit,
        dataset.train_images[order],
        dataset.train_labels[order],
        seed=seed,
        on_message=cli.say,
    )
    tables = read_power(library.texts)
    netlists = read_netlists(found, folder)
    gates = gate_tables(netlists, TOP_BLOCK, tables.cells, found.memories)
    memories = memory_modules(unit.path)
    cli.say(f"Simulating {len(gates.gates):,} gates for {len(recording.values):,} cycles.")
    activity = replay(recording, unit.top, gates, memories, block=TOP_BLOCK, period_ns=period)
    cli.say("Charging what toggled.")
    cycles = len(recording.values) - recording.first_cycle
    blocks = [
        block_power(
            name,
            netlist,
            activity[name],
            tables,
            seconds=cycles * period * 1e-9,
            output_load=library.output_load,
        )
        for name, netlist in netlists.items()
    ]
    per_image = [_block(block, recording.images) for block in blocks]
    return {
        "config": settings.name,
        "library": library.name,
        "node_nm": node if node is not None else _node(library.name),
        "voltage_v": tables.voltage_v,
        "images": recording.images,
        "counters": recording.counters,
        "toml": to_toml(settings),
        "cycles_per_image": cycles / recording.images,
        "period_ns": period,
        "flip_flops": found.flip_flops,
        "energy_j": sum(block["energy_j"] for block in per_image),
        "blocks": sorted(per_image, key=lambda block: -block["energy_j"]),
        "method": "pre-layout, no wire load, ideal clock, no glitches; memories apart",
    }


def _node(library: str) -> float | None:
    return next((nm for start, nm in NODES_NM.items() if library.startswith(start)), None)


def _block(block: "BlockPower", images: int) -> dict[str, Any]:
    return {
        "block": block.name,
        "cells": block.cells,
        "energy_j": block.energy_j / images,
        "logic_j": (block.internal_j + block.switching_j) / images,
        "register_j": block.register_j / images,
        "leakage_j": block.leakage_j / images,
        "unseen_nets": block.unseen,
    }
