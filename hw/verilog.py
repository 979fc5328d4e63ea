"""Emits Verilog: the digital unit of a configuration, or any component, as one file.

The text depends on the configuration and the sources alone, so that its hash can name a simulator
build and a golden hash can guard a release: no paths, dates or memory addresses are in it.
"""

import contextlib
import gc
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Const, Value
from amaranth.hdl._ir import PortDirection  # not exported, but what convert(ports=) wants
from amaranth.lib import wiring

from hw.digital_unit import DigitalUnit
from hw.errors import VerilogError
from hw.ram import RamPlatform
from model.config import Config
from model.settings import System, to_toml

__all__ = [
    "WAIVERS",
    "EmittedVerilog",
    "Port",
    "Waiver",
    "emit",
    "emit_component",
    "emit_configuration",
    "top_name",
]


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A lint warning that is expected in emitted Verilog."""

    name: str
    """Verilator's name of the warning."""

    reason: str
    """Why it does not point at a fault of the gateware."""


#: Every warning of ``verilator --lint-only -Wall`` that emitted Verilog may give. Anything else
#: is a fault.
WAIVERS = (
    Waiver(
        name="DECLFILENAME",
        reason="One file holds all modules of the unit: at most one can have the file's name.",
    ),
    Waiver(
        name="PROCASSINIT",
        reason="A register's reset value is its initial value too: power-up and reset agree.",
    ),
    Waiver(
        name="UNUSEDSIGNAL",
        reason="Fields of structures are named wires, read or not, so that waveforms show them.",
    ),
    Waiver(
        name="UNUSEDPARAM",
        reason="As UNUSEDSIGNAL, for constants.",
    ),
    Waiver(
        name="CMPCONST",
        reason="A comparison with a parameter's extreme is constant in some configurations.",
    ),
    Waiver(
        name="WIDTHEXPAND",
        reason="Operands extend to the result's width by their own signedness, as Amaranth means "
        "it; signed ones are marked $signed.",
    ),
    Waiver(
        name="WIDTHTRUNC",
        reason="Amaranth computes in full width and truncates only where the source assigns to a "
        "narrower signal.",
    ),
    Waiver(
        name="CASEINCOMPLETE",
        reason="A case without default keeps what was assigned before it, as written.",
    ),
    Waiver(
        name="CASEOVERLAP",
        reason="A switch on patterns with don't-care bits takes its first match, as Amaranth's.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of an emitted module; structured ports are flat bit vectors, first field lowest."""

    name: str
    """Name in Verilog: the member's path in the signature joined by two underscores."""

    width: int
    """Bits."""

    is_input: bool
    """Direction, seen from the module."""


@dataclass(frozen=True, kw_only=True)
class EmittedVerilog:
    """A written file and its outside."""

    top: str
    """Name of the top module."""

    path: Path
    """The file."""

    bytes: int
    """Size of the file."""

    ports: tuple[Port, ...]
    """Ports of the top module in the order of its signature; ``clk`` and ``rst`` come on top of
    them."""


def top_name(config: Config) -> str:
    """Name of the top module of a configuration; unique, so that several units fit in one chip."""
    return f"digital_unit_{config.name}"


def emit(config: Config, out_dir: Path) -> EmittedVerilog:
    """Writes the digital unit of a configuration; see :func:`emit_configuration`."""
    return emit_configuration(config, DigitalUnit(config), top=top_name(config), out_dir=out_dir)


def emit_configuration(
    config: System, component: wiring.Component, *, top: str, out_dir: Path
) -> EmittedVerilog:
    """Writes the gateware of a configuration to ``out_dir/<configuration>/<top>.v``.

    The file opens with the configuration as TOML in comments, so that a netlist found years later
    says what it is.

    Parameters
    ----------
    config
        The configuration.
    component
        Its gateware, not elaborated before.
    top
        Name of its module.
    out_dir
        Where the configuration's folder is made, if missing.

    Returns
    -------
    EmittedVerilog
        Equal bytes for equal configurations. The file appears whole or not at all.
    """
    header = [
        f"mixbar {top}: Verilog made from this configuration; change that, not this file.",
        "",
        *to_toml(config).splitlines(),
    ]
    return emit_component(
        component, top=top, path=out_dir / config.name / f"{top}.v", header=header
    )


def emit_component(
    component: wiring.Component, *, top: str, path: Path, header: list[str] | None = None
) -> EmittedVerilog:
    """Writes any component as Verilog; see :func:`emit`.

    Memories become modules named ``<top>_ram_<depth>x<width>``, see :mod:`hw.ram`.

    Parameters
    ----------
    component
        The component, not elaborated before.
    top
        Name of its module.
    path
        The file to write; its folder is made if missing.
    header
        Lines of a comment at the top of the file.

    Raises
    ------
    VerilogError
        If Yosys cannot convert it: where its temporary files have no room, say.
    """
    # A constant (the ready of a stream that never stalls) has no wire to come out by.
    members = [
        ("__".join(map(str, member_path)), member.flow, Value.cast(value))
        for member_path, member, value in component.signature.flatten(component)
        if not isinstance(Value.cast(value), Const)
    ]
    ports = tuple(
        Port(name=name, width=len(value), is_input=flow == wiring.In)
        for name, flow, value in members
    )
    directions = {wiring.In: PortDirection.Input, wiring.Out: PortDirection.Output}
    comment = "".join(f"// {line}".rstrip() + "\n" for line in header or [])
    platform = RamPlatform(prefix=top)
    try:
        with _no_garbage_collection():
            body = verilog.convert(
                component,
                name=top,
                platform=platform,
                ports={name: (value, directions[flow]) for name, flow, value in members},
                emit_src=False,
                strip_internal_attrs=True,
            )
    except verilog.YosysError as error:
        # Amaranth hands on all that Yosys said; its last line is the reason.
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1].rstrip(".")
        raise VerilogError(f"Yosys could not write the Verilog of {top}: {reason}.") from None
    content = (comment + _repair(_join_registers(body)) + platform.verilog()).encode("utf-8")
    _write(path, content)
    return EmittedVerilog(top=top, path=path, bytes=len(content), ports=ports)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Holds back Python's search for cyclic garbage.

    A netlist is a million objects, all of them needed until it is written: looking through them
    again and again is a third of the time of emission.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


#: A combinational block; Amaranth writes one for each signal that is assigned under a condition.
_BLOCK = re.compile(
    r"^  always @\*(?: begin)?\n(?:    if \(\\\$auto\$.*\n)?"
    r"(?P<body>(?:    .*\n)+)(?:  end\n)?",
    re.MULTILINE,
)
#: The register takes it.
_TAKE = re.compile(
    r"^  always @\(posedge clk\)\n    (?P<register>\S+ ?) <= (?P<next>\\\$\d+ );\n", re.MULTILINE
)
#: A case that does nothing.
_IDLE_CASE = re.compile(r"^ +\d+'h[0-9a-f]+:\n +/\* empty \*/;\n", re.MULTILINE)


def _join_registers(text: str) -> str:
    """Writes each register as one clocked block that assigns under its conditions.

    Amaranth computes the next value of every register, changed or not, in a combinational block and
    takes it in a clocked one. Synthesis finds the enables in that; a simulator computes and copies
    all registers in every cycle, and a reader has two places to look at.
    """
    modules = re.split(r"^(?=module )", text, flags=re.MULTILINE)
    return "".join(_join_module(module) for module in modules)


def _join_module(module: str) -> str:
    taken = {found["next"]: found["register"] for found in _TAKE.finditer(module)}
    joined: set[str] = set()

    def join(found: re.Match[str]) -> str:
        body = found["body"]
        assigned = re.search(r"^ +(\\\$\d+ ).* = ", body, re.MULTILINE)
        following = assigned[1] if assigned else ""
        if following not in taken:
            return found[0]
        register = taken[following]
        body = re.sub(
            rf"^( +){re.escape(following)}(.*?) = ",
            lambda place: f"{place[1]}{register}{place[2]} <= ",
            body,
            flags=re.MULTILINE,
        )
        # It is read too, or other signals are assigned beside it.
        if following in body or re.search(r"^ +[^(\s].* = ", body, re.MULTILINE):
            return found[0]
        joined.add(following)
        # A register holds its value by itself.
        body = body.replace(f"    {register} <= {register};\n", "", 1)
        if "default:" not in body and "?" not in body:
            body = _IDLE_CASE.sub("", body)
        return f"  always @(posedge clk) begin\n{body}  end\n"

    module = _BLOCK.sub(join, module)
    module = _TAKE.sub(lambda found: "" if found["next"] in joined else found[0], module)
    return re.sub(
        r"^  reg (?:\[\d+:0\] )?(\\\$\d+ );\n",
        lambda found: "" if found[1] in joined else found[0],
        module,
        flags=re.MULTILINE,
    )


#: A register that never changes; an escaped name that no Amaranth signal has.
_START = r"\$start "


def _repair(text: str) -> str:
    """Rewrites two things that Yosys writes and other tools read differently.

    - A signal of no bits is declared as ``[-1:0]``, which is two bits in Verilog. Nothing refers to
      it: the declaration goes.
    - ``always @*`` with a constant on its right side has nothing to wait for and never runs: the
      bits would stay x. It gets the register that Yosys itself gives to blocks with a branch.
    """
    text = re.sub(r"^  (?:wire|reg) \[-1:0\] [^;]*;\n", "", text, flags=re.MULTILINE)
    constant = r"(?:\d+'s?[bhd][0-9a-f]+|[{}, ])+"
    pattern = re.compile(rf"^  always @\*\n    ([^;\n]+ = {constant};)\n", flags=re.MULTILINE)
    modules = re.split(r"^(?=module )", text, flags=re.MULTILINE)
    for k, module in enumerate(modules):
        started, count = pattern.subn(
            rf"  always @* begin\n    if ({_START}) begin end\n    \1\n  end\n", module
        )
        if count:
            header, semicolon, rest = started.partition(");\n")
            modules[k] = f"{header}{semicolon}  reg {_START} = 0;\n{rest}"
    return "".join(modules)


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files private; a netlist is as public as its folder.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
