"""What a cocotb test bench exchanges with the process that started it: parameters in, progress
and results out.

Used inside the simulator. Nothing here imports cocotb, so that a bench's helper functions can be
tested without.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["finish", "parameters", "report", "run_directory"]

#: Environment variable with the run's directory; set by cocotb_tests.simulator alone.
RUN_DIRECTORY = "MIXBAR_RUN_DIRECTORY"

#: File with the parameters.
PARAMETERS = "parameters.json"

#: File with the results.
RESULTS = "results.json"

#: Start of a line of standard output that is a progress report.
PROGRESS_MARK = "@mixbar "


def run_directory() -> Path:
    """Where the run's files go."""
    return Path(os.environ[RUN_DIRECTORY])


def parameters() -> dict[str, Any]:
    """The parameters that the caller of :func:`cocotb_tests.simulator.run` gave."""
    result: dict[str, Any] = json.loads((run_directory() / PARAMETERS).read_text(encoding="utf-8"))
    return result


def report(**progress: Any) -> None:
    """Sends a progress report to the caller; a millisecond at most, so not for every cycle."""
    print(PROGRESS_MARK + json.dumps(progress, default=_to_plain), file=sys.stdout, flush=True)


def finish(results: Mapping[str, Any]) -> None:
    """Hands the results to the caller; the last call of several counts."""
    text = json.dumps(dict(results), default=_to_plain)
    (run_directory() / RESULTS).write_text(text, encoding="utf-8")


def _to_plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form.")
