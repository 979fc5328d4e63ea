"""Compares what the gateware did on one image with what the model does on it.

:class:`Observation` is filled by a test bench, from pysim or from the emitted Verilog;
:class:`Checker` runs :func:`model.unit.train_image` on arrays of its own, built from the same seed,
and demands equality of every code, activation, error, chi word, pulse and cycle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.boundary import BACKWARD, FORWARD, READ
from cocotb_tests.scoreboard import Mismatch, Scoreboard
from model.activity import PHASES, Activity
from model.arrays import new_arrays
from model.config import Config
from model.devices import RESET, SET
from model.frames import Result
from model.pulse_scheduler import MINUS, PLUS, PULSES_PER_LANE, expand
from model.unit import Settings, UnitState, infer_image, new_unit, settings, train_image

__all__ = ["Checker", "Mismatch", "Observation", "Pulse", "Transaction"]


@dataclass(frozen=True)
class Transaction:
    """One transaction of an array."""

    layer: int
    direction: int
    row: int
    device: int
    drive: npt.NDArray[Any]
    codes: npt.NDArray[np.int16]


Pulse = tuple[int, int, int, int, int]
"""layer, row, column, device, kind."""


@dataclass
class Observation:
    """What a bench saw of one image."""

    transactions: list[Transaction] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    activations: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """``[n_words, lanes]``: words of the activation unit, in order."""
    errors: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    """``[n_words, lanes]``: exact error words, in order."""
    drives: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int8))
    """``[n_words, lanes]``: backward drives of the scaled words, in order."""
    codes: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int8))
    """``[n_words, lanes]``: update codes of the scaled words, in order."""
    updates: list[tuple[int, int]] = field(default_factory=list)
    """Layer and shift of the update commands, in order."""
    chi_addresses: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int64))
    """``[n]``: addresses of the chi words written, in order."""
    chi_words: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    """``[n, lanes]``: the words written."""
    cycles: Sequence[int] = (0, 0, 0, 0)
    """Cycles of the phases."""
    follows: bool = False
    """Whether the next image did not wait for the update of this one."""


class Checker(Scoreboard):
    """The model beside the gateware.

    Parameters
    ----------
    config
        The system; the arrays are built from ``seed`` as the trainer builds them.
    seed
        Seed of the run.
    """

    def __init__(self, config: Config, seed: int) -> None:
        super().__init__(
            config.update.lanes,
            ("adc_codes", "activations", "errors", "chi_words", "pulses", "cycles"),
        )
        self.config = config
        self.unit: UnitState = new_unit(config)
        self.arrays = new_arrays(config, seed)
        self.states = tuple(array.state for array in self.arrays)
        all_layers = range(config.network.n_layers)
        self.chi_bases = np.array([config.chi_base(k) for k in all_layers])
        self.n_words = np.array([config.n_words(k) for k in all_layers])
        # What the last image left to the one beside whose forward pass its update goes on.
        self.carried_addresses = np.zeros(0, np.int64)
        self.carried_words = np.zeros((0, config.update.lanes), np.int32)
        self.carried_pulses: list[Pulse] = []

    def warm_up(self) -> None:
        """Compiles the model, or loads what was compiled before, without changing this checker."""
        other = Checker(self.config, seed=0)
        image = np.zeros(self.config.network.layers[0], np.uint8)
        train_image(other.unit, other.states, settings(self.config), image, 0, False)
        infer_image(other.unit, other.states, image)
        array, time_s = other.arrays[-1], float(other.unit.device_time_s[0])
        n_rows, n_cols = array.shape
        array.forward(np.zeros(n_rows, np.uint8), time_s)
        array.backward(np.zeros(n_cols, np.int8), time_s)
        array.read(0, PLUS, time_s)
        array.program(0, 0, PLUS, SET, time_s)

    def check(
        self,
        image: npt.NDArray[np.uint8],
        label: int,
        run: Settings | None,
        seen: Observation,
    ) -> None:
        """Runs the model on an image and compares; ``run`` is None for inference.

        Raises
        ------
        Mismatch
            At the first value that differs.
        """
        if run is None:
            infer_image(self.unit, self.states, image)
        else:
            train_image(self.unit, self.states, run, image, label, seen.follows)
        trained = run is not None
        self._check_transactions(trained, seen)
        self._check_activations(seen)
        if trained:
            self._check_errors(seen)
        self._check_update(trained, seen)
        self._check_pulses(seen)
        self._expect_result(label, trained)
        for phase, expected, got in zip(PHASES, self.unit.trace.cycles, seen.cycles, strict=True):
            self.equal("cycles", "sequencer", f"cycles of phase {phase}", int(expected), int(got))
        self.images += 1

    def _expected_transactions(self, trained: bool) -> Iterator[list[Transaction]]:
        """The transactions of each layer, in order."""
        trace = self.unit.trace
        skipped = bool(trace.sizes[2])
        rows = trace.refreshed_rows[: trace.sizes[3]]
        for layer in range(self.config.network.n_layers):
            n_rows = self.config.network.n_rows(layer)
            reads = [
                Transaction(
                    layer,
                    READ,
                    int(row),
                    device,
                    np.zeros(0),
                    self._read_tiles(layer, int(row), device),
                )
                for owner, row in rows
                if owner == layer
                for device in (PLUS, MINUS)
            ]
            forward = Transaction(
                layer, FORWARD, 0, 0, trace.activations[layer][:n_rows], trace.tile_codes[layer]
            )
            backward = Transaction(
                layer, BACKWARD, 0, 0, trace.drives[layer], trace.tile_codes_back[layer]
            )
            order = [forward, *reads] if layer == 0 else [*reads, forward]
            if trained and not skipped and layer > 0:
                order.append(backward)
            yield order

    def _read_tiles(self, layer: int, row: int, device: int) -> npt.NDArray[np.int16]:
        codes = self.unit.trace.read_codes[layer][device]
        tiles = np.zeros((self.config.row_tiles(layer), codes.size), dtype=np.int16)
        tiles[row // self.config.array.max_rows] = codes
        return tiles

    def _check_transactions(self, trained: bool, seen: Observation) -> None:
        names = {FORWARD: "forward", BACKWARD: "backward", READ: "read"}
        for layer, expected in enumerate(self._expected_transactions(trained)):
            got = [item for item in seen.transactions if item.layer == layer]
            self.equal(
                "adc_codes",
                f"read-out of layer {layer}",
                "transactions",
                [names[item.direction] for item in expected],
                [names[item.direction] for item in got],
            )
            for want, have in zip(expected, got, strict=True):
                block = f"{names[want.direction]} product of layer {layer}"
                if want.direction == READ:
                    where = (have.row, have.device)
                    self.equal("adc_codes", block, "row", (want.row, want.device), where)
                    # With several rows a refresh, the trace keeps the last row's codes only.
                    if self.config.refresh.rows == 1:
                        self.equal_arrays("adc_codes", block + ", codes", want.codes, have.codes)
                else:
                    self.equal_arrays("activations", block + ", drive", want.drive, have.drive)
                    self.equal_arrays("adc_codes", block + ", codes", want.codes, have.codes)

    def _check_activations(self, seen: Observation) -> None:
        trace, layers = self.unit.trace, self.config.network.layers
        vectors = [trace.activations[layer][: layers[layer]] for layer in range(1, len(layers))]
        self.equal_arrays("activations", "activation unit", self._words(vectors), seen.activations)

    def _check_errors(self, seen: Observation) -> None:
        trace = self.unit.trace
        last = self.config.network.n_layers - 1
        # Downwards; nothing below the output layer when the image was skipped.
        layers = [last] if trace.sizes[2] else range(last, -1, -1)
        for block, vectors, got in (
            ("error unit", trace.errors, seen.errors),
            ("quantiser, drives", trace.drives, seen.drives),
            ("quantiser, codes", trace.error_codes, seen.codes),
        ):
            expected = self._words([vectors[layer] for layer in layers])
            self.equal_arrays("errors", block, expected, got)

    def _check_update(self, trained: bool, seen: Observation) -> None:
        trace, config = self.unit.trace, self.config
        shifts = trace.exponents[:, 2]
        layers = range(config.network.n_layers - 1, -1, -1)
        expected = [(k, int(shifts[k])) for k in layers if trained and shifts[k] >= 0]
        self.equal("errors", "sequencer", "update commands", expected, seen.updates)
        words = trace.words[: trace.sizes[0]]
        owners = words[:, 0]
        addresses = self.chi_bases[owners] + words[:, 1] * self.n_words[owners] + words[:, 2]
        rows = np.zeros((len(words), config.update.lanes), np.int32)
        for layer in layers:
            of_layer = owners == layer
            rows[of_layer] = self.unit.chi[layer][words[of_layer, 1], words[of_layer, 2]]
        # Words of the image before come first, all of them; those of this one may be still to come
        # if the next image followed.
        addresses = np.concatenate((self.carried_addresses, addresses))
        rows = np.concatenate((self.carried_words, rows))
        n = len(addresses)
        if seen.follows:
            n = min(n, max(len(self.carried_addresses), len(seen.chi_addresses)))
        self.equal_arrays("chi_words", "chi memory, addresses", addresses[:n], seen.chi_addresses)
        self.equal_arrays("chi_words", "chi memory, words", rows[:n], seen.chi_words)
        self.carried_addresses, self.carried_words = addresses[n:], rows[n:]

    def _refresh_pulses(self) -> list[Pulse]:
        """The pulses of the last image's refresh, in order."""
        trace = self.unit.trace
        pulses: list[Pulse] = []
        for layer, row, col, count in trace.refreshed[: trace.sizes[1]].tolist():
            pulses += [(layer, row, col, PLUS, RESET), (layer, row, col, MINUS, RESET)]
            pulses += [(layer, row, col, PLUS if count > 0 else MINUS, SET)] * abs(count)
        return pulses

    def _update_pulses(self) -> list[Pulse]:
        """The pulses of the last image's update, in order."""
        trace, lanes = self.unit.trace, self.config.update.lanes
        pulses: list[Pulse] = []
        most = PULSES_PER_LANE * lanes
        rows, devices = np.zeros(most, np.int32), np.zeros(most, np.int8)
        counts = trace.counts[: trace.sizes[0]]
        for entry in np.flatnonzero(counts.any(axis=1)):
            layer, col, word = trace.words[entry].tolist()
            for k in range(expand(word, trace.counts[entry], rows, devices)):
                pulses.append((layer, int(rows[k]), col, int(devices[k]), SET))
        return pulses

    def _check_pulses(self, seen: Observation) -> None:
        carried, refresh, update = (
            self.carried_pulses,
            self._refresh_pulses(),
            self._update_pulses(),
        )
        expected = [
            pulse
            for of_first in (False, True)
            for pulses in (carried, refresh)
            for pulse in pulses
            if (pulse[0] == 0) == of_first
        ]
        self.carried_pulses = update if seen.follows else []
        if not seen.follows:
            expected += update
        for k, (want, have) in enumerate(zip(expected, seen.pulses, strict=False)):
            self.equal("pulses", "pulse scheduler", f"pulse {k}", want, have)
        if len(expected) != len(seen.pulses):
            raise Mismatch(
                self.images, "pulse scheduler", "number", len(expected), len(seen.pulses)
            )

    def _expect_result(self, label: int, trained: bool) -> None:
        trace = self.unit.trace
        outputs = trace.activations[-1][: self.config.network.layers[-1]].copy()
        self.results.append(
            Result(
                outputs=outputs,
                predicted=int(outputs.argmax()),
                label=label,
                trained=trained,
                skipped=bool(trace.sizes[2]),
            )
        )

    def check_chi(self, rows: npt.NDArray[Any]) -> None:
        """Compares the whole chi memory, int32 ``[chi_depth, lanes]``."""
        expected = np.concatenate(
            [chi.reshape(-1, self.config.update.lanes) for chi in self.unit.chi]
        )
        self.equal_arrays("chi_words", "chi memory, all words", expected, rows)

    def check_counters(self, counters: Sequence[int]) -> None:
        """Compares the totals of all activity counters."""
        self.equal_counters(Activity, self.unit.counters, counters)
