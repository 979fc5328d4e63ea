"""What a co-simulation would report, for tests in which nothing is simulated."""

from typing import Any

#: Of a run of any system.
NOTHING: dict[str, Any] = {
    "mismatches": 0,
    "mismatch": None,
    "compared": {},
    "cycles_per_image": {"mean": 1.0, "max": 1, "by_phase": {}},
    "accuracy": 0.5,
    "images_per_second": 1.0,
    "images_per_cpu_second": 1.0,
    "verilator_cycles_per_second": 1.0,
    "simulator": "none",
    "build_seconds": 0.0,
}

#: Of a run of a unit that trains, besides.
NOTHING_TRAINED: dict[str, Any] = {**NOTHING, "counters": {}, "waves": None}
