"""Runs the programs that follow the gateware."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

__all__ = ["run_tool", "run_yosys"]

_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in open(sys.argv[1]).read().splitlines():
    design.run_pass(command)
"""


def run_tool(command: Sequence[str], *, cwd: Path, output: IO[bytes]) -> int:
    """Runs a program to its end, everything that it prints going to a file.

    Whatever ends the wait early (a signal, the keyboard) ends the program too, and all that it
    started.

    Returns
    -------
    int
        Its exit status.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def run_yosys(commands: Sequence[str], *, cwd: Path, output: IO[bytes]) -> int:
    """Runs commands in a Yosys of its own, from ``script.ys`` in folder ``cwd``.

    A process of its own: Yosys ends the process on an error, and keeps its memory.

    Returns
    -------
    int
        Its exit status.
    """
    (cwd / "script.ys").write_text("".join(f"{command}\n" for command in commands))
    return run_tool([sys.executable, "-c", _YOSYS, "script.ys"], cwd=cwd, output=output)
