"""Starts one simulation: the process between :func:`cocotb_tests.simulator.run` and the simulator.

``python -m cocotb_tests.launch JOB``, where JOB holds the arguments of the cocotb runner's
``test`` as JSON. Ends with the simulator's status; a signal counts as 128 and its number, as in a
shell. Standard input is the
caller's end of a leash: when it closes, because the caller was killed, the simulator goes too.
"""

import json
import logging
import os
import re
import signal
import sys
import threading

from cocotb_tools.runner import get_runner

__all__ = ["main"]


def _die_with_caller() -> None:
    # Not through sys.stdin: its lock, held here for good, would trouble the interpreter's end.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main(job: str) -> int:
    """Runs the job and returns the status."""
    threading.Thread(target=_die_with_caller, daemon=True).start()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    try:
        get_runner("verilator").test(**json.loads(job))
    except RuntimeError as error:
        print(error, flush=True)
        match = re.search(r"return code: (-?\d+)", str(error))
        status = int(match[1]) if match else 1
        return 128 - status if status < 0 else status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
