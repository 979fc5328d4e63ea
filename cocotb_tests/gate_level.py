"""Switching activity of a unit's gates over a real training trace.

The unit is trained as emitted Verilog beside its model, with every port recorded in every cycle.
The netlist that synthesis made of it then sees the same inputs, in Verilator, without delays; its
outputs must be the recorded ones, cycle by cycle, so that what toggles is what training toggles.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cocotb_tests import simulator
from cocotb_tests.bench import Field, Probe
from cocotb_tests.errors import SimulatorError
from cocotb_tests.toolchain import find_toolchain
from cocotb_tests.unit_probes import probes
from hw.gate_tables import GateTables
from hw.saif import Instance, read_saif
from hw.verilog import EmittedVerilog, Port
from model.config import Config, anchored, to_toml

__all__ = ["Recording", "record", "replay"]

#: Of a nanosecond: the resolution of the replay.
PICOSECONDS = 1000


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Ports of a unit over a training, cycle by cycle."""

    values: NDArray[np.uint32]
    """uint32 ``[n_cycles, n_words]``: ``rst``, then each port, in whole words."""
    ports: tuple[Port, ...]
    images: int
    counters: dict[str, int]
    """What the unit counted, by lower-case name of :class:`~model.activity.Activity`."""
    first_cycle: int
    """Cycle in which the first image begins: what lies before is initialisation."""


def record(
    config: Config,
    unit: EmittedVerilog,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    *,
    seed: int,
    on_message: Callable[[str], None] | None = None,
) -> Recording:
    """Trains the emitted unit beside its model, and records its ports.

    Raises
    ------
    SimulatorError
        If the simulation fails, or unit and model differ.
    """
    ports = Probe(
        name="ports",
        strobe="1'b1",
        fields=(
            Field(expression="rst", width=1),
            *(Field(expression=port.name, width=port.width) for port in unit.ports),
        ),
    )
    built = simulator.build(
        unit, probes=[*probes(config), ports], quick=True, on_message=on_message
    )
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        given, kept = Path(name) / "images.npz", Path(name) / "ports.npy"
        np.savez(given, images=images, labels=labels)
        found = simulator.run(
            built,
            "cocotb_tests.record_bench",
            {
                "config": to_toml(anchored(config)),
                "seed": seed,
                "images": str(given),
                "record": str(kept),
            },
            seed=seed,
        )
        if found["mismatch"] is not None:
            raise SimulatorError(found["mismatch"]["text"])
        values = np.load(kept)
    # The first word of the first image is the first beat on the image stream.
    at = 1
    for port in unit.ports:
        if port.name == "s_axis_image__tvalid":
            break
        at += -(-port.width // 32)
    return Recording(
        values=values,
        ports=unit.ports,
        images=len(images),
        counters=found["counters"],
        first_cycle=int(np.argmax(values[:, at])),
    )


def replay(
    recording: Recording,
    top: str,
    tables: GateTables,
    memories: Sequence[str],
    *,
    block: str,
    period_ns: float,
) -> dict[str, Instance]:
    """Runs a netlist on recorded inputs; returns what the nets of each block did.

    Parameters
    ----------
    recording
        Of the unit that the netlist was made of.
    top
        Its top module.
    tables
        The netlist.
    memories
        Verilog of the memories, whose insides are not recorded.
    block
        The block of the tables that is the top.
    period_ns
        Clock period of the activity.

    Raises
    ------
    SimulatorError
        If the build fails, or an output differs from the recorded one.
    """
    tools = find_toolchain()
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        place = Path(name)
        (place / "bin").mkdir()
        (place / "bin" / "verilator").symlink_to(tools.verilator)
        (place / "bin" / "python3").symlink_to(sys.executable)
        if tools.verilator_root is not None:
            (place / "verilator").symlink_to(tools.verilator_root)
        gates = tables.verilog(top, recording.ports, block)
        quiet = ["/*verilator tracing_off*/", *memories, "/*verilator tracing_on*/"]
        (place / "gates.v").write_text("\n".join([gates, *quiet]), encoding="utf-8")
        (place / "gates.hex").write_text(tables.numbers(recording.ports, block), encoding="utf-8")
        (place / "replay.sv").write_text(_bench(recording, top, period_ns), encoding="utf-8")
        _write_trace(recording, place / "trace.hex")
        environment = simulator.environment(place, tools)
        command = ["verilator", "--cc", "--exe", "--main", "--timing", "--trace-saif"]
        command += ["--trace-underscore", "-O3", "--x-assign", "0", "--x-initial", "0"]
        # An array of more is not traced, without a word.
        command += ["--trace-max-array", "1000000000", "--trace-max-width", "1000000000"]
        command += ["-Wno-fatal", "-Wno-lint", "-Wno-style", "--output-split", "20000"]
        command += ["-Mdir", "obj", "--prefix", "Vtop", "-o", "replay", "--top-module", "replay"]
        _run([*command, "replay.sv", "gates.v"], place, environment)
        runtime = simulator.replay_runtime(tools, place)
        simulator.take_objects(place / "obj", runtime)
        _run(simulator.make_command(tools, False, False), place, environment)
        simulator.keep_objects(place / "obj", runtime)
        done = _run(["obj/replay", "+gates=gates.hex"], place, environment)
        differences = int(done.rpartition("differences ")[2].split()[0])
        if differences:
            raise SimulatorError(
                f"The netlist of {top} differs from the emitted Verilog in {differences} cycles."
            )
        text = (place / "replay.saif").read_text(encoding="utf-8")
    root, _ = read_saif(text, start=recording.first_cycle * period_ns * PICOSECONDS)
    return tables.activity(next(_instances(root, "dut")))


def _instances(root: Instance, name: str) -> Iterator[Instance]:
    """The instances of a name, wherever they are."""
    for key, child in root.instances.items():
        if key == name:
            yield child
        yield from _instances(child, name)


def _run(command: list[str], place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise SimulatorError(f"{command[0]} failed at gate level: {lines[-1].rstrip('.')}.")
    return done.stdout


def _write_trace(recording: Recording, path: Path) -> None:
    """A line a cycle, the highest word first."""
    words = np.ascontiguousarray(recording.values[:, ::-1]).astype(">u4")
    path.write_text("".join(f"{row.tobytes().hex()}\n" for row in words), encoding="utf-8")


def _bench(recording: Recording, top: str, period_ns: float) -> str:
    n_cycles, n_words = recording.values.shape
    connections, checks, offset = [".clk(clk)", ".rst(now[0])"], [], 32
    declarations = []
    for port in recording.ports:
        part = f"now[{offset + port.width - 1}:{offset}]"
        if port.is_input:
            connections.append(f".{port.name}({part})")
        else:
            declarations.append(f"  wire [{port.width - 1}:0] {port.name};")
            connections.append(f".{port.name}({port.name})")
            checks.append(f"({port.name} !== {part})")
        offset += 32 * -(-port.width // 32)
    half = period_ns / 2
    return "\n".join(
        [
            "`timescale 1ns/1ps",
            "module replay;",
            "  /*verilator tracing_off*/",
            f"  reg [{32 * n_words - 1}:0] trace [0:{n_cycles - 1}];",
            f"  reg [{32 * n_words - 1}:0] now = 0;",
            "  /*verilator tracing_on*/",
            "  reg clk = 0;",
            "  integer cycle, differences = 0;",
            *declarations,
            f"  {top} dut ({', '.join(connections)});",
            "  initial begin",
            '    $readmemh("trace.hex", trace);',
            f"    for (cycle = 0; cycle < {n_cycles}; cycle = cycle + 1) begin",
            f"      if (cycle == {recording.first_cycle}) begin",
            '        $dumpfile("replay.saif");',
            "        $dumpvars(0, dut);",
            "      end",
            "      now = trace[cycle];",
            f"      #{half:g};",
            f"      if (cycle >= {recording.first_cycle} && ({' || '.join(checks)}))",
            "        differences = differences + 1;",
            "      clk = 1;",
            f"      #{half:g};",
            "      clk = 0;",
            "    end",
            '    $display("differences %0d", differences);',
            "    $finish;",
            "  end",
            "endmodule\n",
        ]
    )
