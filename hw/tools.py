"""Runs the programs that follow the gateware."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

__all__ = ["run_tool"]


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
