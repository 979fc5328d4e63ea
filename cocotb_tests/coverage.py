"""Functional coverage of the digital unit: which of the cases that matter a co-simulation has met.

A :class:`CoverPoint` names the cases of one thing, its bins; :class:`UnitCoverage` counts, image by
image, how often each was met. It looks at the model after the gateware was found equal to it, so a
bin counts what both of them did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model.config import Config
from model.outer_product import update_shift
from model.quantiser import ACTIVATION_EXPONENT, DRIVE_CODE_MAX, scale_exponent
from model.refresh_controller import saturated
from model.unit import Settings, UnitState

__all__ = [
    "POINTS",
    "RESET_POINT",
    "Counts",
    "CoverPoint",
    "UnitCoverage",
    "add",
    "holes",
    "largest_maxima",
    "new_counts",
]

Counts = dict[str, dict[str, int]]
"""How often each bin of each point was met."""

RESET_POINT = "reset during"
"""Counted by :mod:`cocotb_tests.bench_reset`, not image by image."""

UNLIMITED = 63
"""An epsilon exponent that no update shift reaches."""

_ROUNDING = ("exact", "down", "half, positive", "half, negative", "up")

_ODD = (
    "an exact error has an odd factor above 7, so it is no multiple of half a step of its scale; "
    "tests/hw/test_rounding.py rounds all values"
)
_NEVER_HALF = dict.fromkeys(("exact", "half, positive", "half, negative"), _ODD)


@dataclass(frozen=True)
class CoverPoint:
    """One thing whose cases are counted."""

    name: str
    block: str
    """The block that it is about, by the name of its module."""
    bins: tuple[str, ...]
    impossible: Mapping[str, str] = field(default_factory=dict)
    """Bins that no run of the unit can meet, each with the reason and where it is tested
    instead."""


def _exponents(largest: int) -> tuple[str, ...]:
    return tuple(str(k) for k in range(largest + 1))


POINTS: tuple[CoverPoint, ...] = (
    CoverPoint("image", "input_buffer", ("all zero", "all full", "some zero", "none zero")),
    CoverPoint(
        "activation code, rounding",
        "activation_unit",
        ("exact", "down", "half", "up"),
    ),
    CoverPoint("activation code", "activation_unit", ("0", "1", "2")),
    CoverPoint("forward code", "read_out", ("lowest", "negative", "0", "positive", "highest")),
    CoverPoint("backward code", "read_out", ("lowest", "negative", "0", "positive", "highest")),
    CoverPoint("sum over tiles", "read_out", ("inside", "saturates low", "saturates high")),
    CoverPoint("drive, rounding", "quantiser", _ROUNDING),
    CoverPoint("update code, rounding", "quantiser", _ROUNDING, _NEVER_HALF),
    CoverPoint("drive exponent", "quantiser", _exponents(15)),
    CoverPoint("update code", "quantiser", ("-3", "-2", "-1", "0", "1", "2", "3")),
    CoverPoint("error codes", "quantiser", ("all zero", "some zero", "none zero")),
    CoverPoint("image skipped", "sequencer", ("yes", "no")),
    CoverPoint("update shift", "update_shift", ("below chi", "inside", "limited")),
    CoverPoint(
        "next chi word",
        "chi_memory",
        ("same", "next", "elsewhere"),
        {
            "same": "an update touches each word once; tests/hw/test_chi_memory.py hits a word "
            "back to back, and so does its proof"
        },
    ),
    CoverPoint("pulses of a lane", "threshold", ("-3", "-2", "-1", "0", "1", "2", "3")),
    CoverPoint("pulses of a word", "pulse_scheduler", ("1", "2 to 4", "more")),
    CoverPoint("pulse", "pulse_scheduler", ("SET plus", "SET minus", "RESET")),
    CoverPoint(
        "pair read by refresh",
        "refresh_controller",
        ("low", "high but apart", "written plus", "written minus", "only RESET"),
    ),
    CoverPoint(
        RESET_POINT,
        "digital_unit",
        ("forward", "error", "backward", "update", "idle", "refresh", "pulse"),
    ),
)


def new_counts() -> Counts:
    """Nothing met yet."""
    return {point.name: dict.fromkeys(point.bins, 0) for point in POINTS}


def add(total: Counts, counts: Counts) -> None:
    """Adds counts to a total."""
    for name, bins in counts.items():
        for case, n in bins.items():
            total[name][case] += n


def holes(counts: Counts) -> list[tuple[str, str]]:
    """Point and bin of everything that can be met and was not."""
    return [
        (point.name, case)
        for point in POINTS
        for case in point.bins
        if counts[point.name][case] == 0 and case not in point.impossible
    ]


def largest_maxima(config: Config) -> list[int]:
    """Of each layer the largest running maximum: an exact error times the drive exponents of all
    layers above."""
    maxima: list[int] = []
    above = 0
    for error in (
        config.output_error_max,
        *[config.hidden_error_max] * (config.network.n_layers - 1),
    ):
        maxima.insert(0, error << above)
        above += scale_exponent(error, DRIVE_CODE_MAX)
    return maxima


def _vector_case(values: npt.NDArray[Any]) -> str:
    if not values.any():
        return "all zero"
    return "none zero" if values.all() else "some zero"


class UnitCoverage:
    """Counts the cases that a digital unit meets.

    Parameters
    ----------
    config
        The unit's.

    Attributes
    ----------
    counts : Counts
        So far.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.counts = new_counts()

    def sample(self, unit: UnitState, run: Settings | None) -> None:
        """Counts what an image did, by its trace; ``run`` is None for inference."""
        layers = self.config.network.n_layers
        self._sample_forward(unit)
        if run is None:
            return
        skipped = bool(unit.trace.sizes[2])
        self._hit("image skipped", "yes" if skipped else "no")
        base = 0
        for layer in range(layers - 1, -1, -1):
            self._sample_errors(unit, layer, base)
            if skipped:
                break
            self._sample_shift(unit, run, layer)
            base += int(unit.trace.exponents[layer, 0])
            if layer:
                self._codes("backward code", unit.trace.tile_codes_back[layer], unit.code_max)
        self._sample_update(unit)
        self._sample_refresh(unit)

    def _hit(self, point: str, case: str, n: int = 1) -> None:
        self.counts[point][case] += n

    def _sample_forward(self, unit: UnitState) -> None:
        trace, sizes = unit.trace, self.config.network.layers
        image = trace.activations[0][: sizes[0]]
        self._hit("image", "all full" if (image == 255).all() else _vector_case(image))
        for layer in range(self.config.network.n_layers):
            inputs = trace.activations[layer][: sizes[layer]]
            for case, n in self._rounding(inputs, ACTIVATION_EXPONENT).items():
                self._hit("activation code, rounding", case.partition(",")[0], n)
            codes = trace.update_codes[layer].reshape(-1)[: sizes[layer]]
            self._values("activation code", codes)
            tiles = trace.tile_codes[layer]
            self._codes("forward code", tiles, unit.code_max)
            sums = tiles.astype(np.int64).sum(axis=0)
            self._hit("sum over tiles", "saturates low", int((sums < -unit.code_max - 1).sum()))
            self._hit("sum over tiles", "saturates high", int((sums > unit.code_max).sum()))
            self._hit("sum over tiles", "inside", int((sums == trace.codes[layer]).sum()))

    def _sample_errors(self, unit: UnitState, layer: int, base: int) -> None:
        trace = unit.trace
        errors, (drive, scale) = trace.errors[layer], trace.exponents[layer, :2].tolist()
        for name, exponent in (("drive", drive), ("update code", scale - base)):
            for case, n in self._rounding(errors, exponent).items():
                self._hit(f"{name}, rounding", case, n)
        self._hit("drive exponent", str(drive))
        self._values("update code", trace.error_codes[layer])
        self._hit("error codes", _vector_case(trace.error_codes[layer]))

    def _sample_shift(self, unit: UnitState, run: Settings, layer: int) -> None:
        if not unit.trace.error_codes[layer].any():
            return
        exponents = (int(unit.trace.exponents[layer, 1]), int(unit.update_exponents[layer]))
        shift = update_shift(*exponents, run.learning_rate_log2, UNLIMITED)
        limited = update_shift(*exponents, run.learning_rate_log2, run.epsilon_log2)
        self._hit(
            "update shift",
            "below chi" if shift < 0 else "limited" if limited < shift else "inside",
        )

    def _sample_update(self, unit: UnitState) -> None:
        n = int(unit.trace.sizes[0])
        words = unit.trace.words[:n].astype(np.int64)
        depth = np.array([self.config.n_words(k) for k in range(self.config.network.n_layers)])
        addresses = words[:, 1] * depth[words[:, 0]] + words[:, 2]
        steps = np.diff(addresses)[words[1:, 0] == words[:-1, 0]]
        for case, met in (("same", steps == 0), ("next", steps == 1), ("elsewhere", steps > 1)):
            self._hit("next chi word", case, int(met.sum()))
        counts = unit.trace.counts[:n]
        self._values("pulses of a lane", counts)
        self._hit("pulse", "SET plus", int(counts[counts > 0].sum()))
        self._hit("pulse", "SET minus", int(-counts[counts < 0].sum()))
        pulses = np.abs(counts.astype(np.int64)).sum(axis=1)
        for case, met in (
            ("1", pulses == 1),
            ("2 to 4", (pulses > 1) & (pulses < 5)),
            ("more", pulses > 4),
        ):
            self._hit("pulses of a word", case, int(met.sum()))

    def _sample_refresh(self, unit: UnitState) -> None:
        trace = unit.trace
        point = "pair read by refresh"
        written = trace.refreshed[: trace.sizes[1], 3]
        self._hit(point, "written plus", int((written > 0).sum()))
        self._hit(point, "written minus", int((written < 0).sum()))
        self._hit(point, "only RESET", int((written == 0).sum()))
        self._hit("pulse", "RESET", 2 * len(written))
        if self.config.refresh.rows != 1:
            return  # the trace keeps the codes of the last row only
        for layer, _ in trace.refreshed_rows[: trace.sizes[3]]:
            for plus, minus in trace.read_codes[layer].T.tolist():
                if saturated(plus, minus, unit.thresholds):
                    continue
                high = max(plus, minus) >= unit.thresholds.saturated
                self._hit(point, "high but apart" if high else "low")

    def _codes(self, point: str, codes: npt.NDArray[Any], code_max: int) -> None:
        lowest, highest = codes == -code_max - 1, codes == code_max
        self._hit(point, "lowest", int(lowest.sum()))
        self._hit(point, "highest", int(highest.sum()))
        self._hit(point, "0", int((codes == 0).sum()))
        self._hit(point, "negative", int(((codes < 0) & ~lowest).sum()))
        self._hit(point, "positive", int(((codes > 0) & ~highest).sum()))

    def _values(self, point: str, values: npt.NDArray[Any]) -> None:
        for value, n in zip(*np.unique(values, return_counts=True), strict=True):
            self._hit(point, str(value), int(n))

    @staticmethod
    def _rounding(values: npt.NDArray[Any], shift: int) -> dict[str, int]:
        """Of how many values, zeros left out, a shift cuts off which part."""
        values = values[values != 0].astype(np.int64)
        if shift == 0:  # only of vectors that are zero
            return {}
        half = 1 << (shift - 1)
        cut = np.abs(values) & (2 * half - 1)
        return {
            "exact": int((cut == 0).sum()),
            "down": int(((cut > 0) & (cut < half)).sum()),
            "half, positive": int(((cut == half) & (values > 0)).sum()),
            "half, negative": int(((cut == half) & (values < 0)).sum()),
            "up": int((cut > half).sum()),
        }
