"""Compares what the in-situ learning unit did on one image with what the model does on it.

:class:`Observation` is filled by a test bench, from pysim or from the emitted Verilog;
:class:`Checker` runs :func:`model.in_situ.unit.train_images` on arrays of its own, built from the
same seed, and demands equality of every code, activation, error, gradient and gate word, pulse and
cycle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.boundary import BACKWARD, FORWARD
from cocotb_tests.scoreboard import Mismatch, Scoreboard
from model.frames import Result
from model.in_situ.activity import PHASES, Activity
from model.in_situ.arrays import new_arrays
from model.in_situ.config import InSituConfig
from model.in_situ.pulse_scheduler import SET
from model.in_situ.unit import COUNT, RATE, infer_images, new_unit, train_images

__all__ = ["Checker", "Observation", "Pulse", "Transaction"]


@dataclass(frozen=True)
class Transaction:
    """One product of an array; a backward product has two, one a pass."""

    layer: int
    direction: int
    drive: npt.NDArray[np.uint8]
    codes: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Pulse:
    """One row-parallel pulse."""

    layer: int
    row: int
    kind: int
    gates: npt.NDArray[np.uint8]
    """uint8 ``[most columns]``."""


def _nothing() -> npt.NDArray[Any]:
    return np.zeros((0, 0), np.int64)


@dataclass
class Observation:
    """What a bench saw of one image. Words are in order, ``[n_words, lanes]``."""

    transactions: list[Transaction] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    activations: npt.NDArray[Any] = field(default_factory=_nothing)
    """Words of the activation unit."""
    outputs: npt.NDArray[Any] = field(default_factory=_nothing)
    """Words of the softmax."""
    errors: npt.NDArray[Any] = field(default_factory=_nothing)
    """Words of errors, output and hidden."""
    gradient_addresses: npt.NDArray[Any] = field(default_factory=_nothing)
    """``[n]``: addresses of the gradient words written, cleared ones included."""
    gradient_words: npt.NDArray[Any] = field(default_factory=_nothing)
    """The words written."""
    gate_addresses: npt.NDArray[Any] = field(default_factory=_nothing)
    """``[n]``: addresses of the gate words written."""
    gate_words: npt.NDArray[Any] = field(default_factory=_nothing)
    """``[n, 2 * lanes]``: the words written, plus and minus gates in turn."""
    cycles: Sequence[int] = (0, 0, 0, 0, 0)
    """Cycles of the phases."""


class Checker(Scoreboard):
    """The model beside the gateware.

    Parameters
    ----------
    config
        The system; the arrays are built from ``seed`` as the trainer builds them.
    seed
        Seed of the run.
    n_updates
        Updates over which the learning rate falls to zero.
    """

    def __init__(self, config: InSituConfig, seed: int, n_updates: int) -> None:
        super().__init__(
            config.update.lanes,
            (
                "adc_codes",
                "activations",
                "errors",
                "gradient_words",
                "gate_codes",
                "pulses",
                "cycles",
            ),
        )
        self.config = config
        self.n_updates = n_updates
        self.layers = range(config.network.n_layers)
        self.unit = new_unit(config, n_updates)
        self.arrays = new_arrays(config, seed)
        self.states = tuple(array.state for array in self.arrays)

    def warm_up(self) -> None:
        """Compiles the model, or loads what was compiled before, without changing this checker."""
        other = Checker(self.config, 0, self.n_updates)
        batch, n_inputs = self.config.update.batch, self.config.network.layers[0]
        images, labels = np.zeros((batch, n_inputs), np.uint8), np.zeros(batch, np.uint8)
        train_images(other.unit, other.states, images, labels)
        infer_images(other.unit, other.states, images, labels)
        for layer, array in enumerate(other.arrays):
            array.forward(np.zeros(self.config.network.n_inputs(layer), np.uint8))
            array.backward(np.zeros(self.config.network.n_cols(layer), np.uint8))
            array.program(0, SET, np.zeros(self.config.network.n_cols(layer), np.uint8))

    def check(
        self,
        image: npt.NDArray[np.uint8],
        label: int,
        trained: bool,
        seen: Observation,
        *,
        with_cycles: bool = True,
    ) -> None:
        """Runs the model on an image and compares.

        ``with_cycles``: not where the arrays held pulses off, of which the model knows nothing.

        Raises
        ------
        Mismatch
            At the first value that differs.
        """
        place = int(self.unit.registers[COUNT])
        if trained:
            labels = np.array([label], np.uint8)
            train_images(self.unit, self.states, image[None], labels)
        else:
            infer_images(self.unit, self.states, image[None], np.zeros(1, np.uint8))
        trace = self.unit.trace
        skipped = trained and bool(trace.skipped[place])
        # In the order of the data, so that a mismatch names the block where it began.
        self._check_transactions(place, FORWARD, seen)
        self._check_words(place, trained, skipped, seen)
        if trained and not skipped:
            self._check_transactions(place, BACKWARD, seen)
        self._check_number(trained and not skipped, seen)
        ends_batch = trained and self.unit.registers[COUNT] == 0
        self._check_gradients(place, trained and not skipped, ends_batch, seen)
        self._check_gates(ends_batch, seen)
        self._check_pulses(ends_batch, seen)
        outputs = trace.outputs[place].copy()
        self.results.append(Result(outputs, int(outputs.argmax()), label, trained, skipped))
        if with_cycles:
            for phase, want, have in zip(PHASES, trace.cycles[place], seen.cycles, strict=True):
                self.equal("cycles", "sequencer", f"cycles of phase {phase}", int(want), int(have))
        self.images += 1

    def _check_transactions(self, place: int, direction: int, seen: Observation) -> None:
        trace = self.unit.trace
        name = "forward" if direction == FORWARD else "backward"
        for layer in self.layers:
            got = [t for t in seen.transactions if (t.layer, t.direction) == (layer, direction)]
            if direction == FORWARD:
                expected = [(trace.activations[layer][place], trace.codes[layer][place])]
            else:
                errors = trace.errors[layer][place]
                expected = [
                    (np.maximum(sign * errors, 0), trace.codes_back[layer][place, k])
                    for k, sign in enumerate((1, -1))
                    if layer > 0
                ]
            block = f"{name} product of layer {layer}"
            self.equal("adc_codes", block, "number", len(expected), len(got))
            for (drive, codes), have in zip(expected, got, strict=True):
                self.equal_arrays("activations", block + ", drive", drive, have.drive)
                self.equal_arrays("adc_codes", block + ", codes", codes, have.codes)

    def _check_number(self, backward: bool, seen: Observation) -> None:
        n_layers = self.config.network.n_layers
        expected = n_layers + 2 * (n_layers - 1) * backward
        self.equal("adc_codes", "readers", "products", expected, len(seen.transactions))

    def _check_words(self, place: int, trained: bool, skipped: bool, seen: Observation) -> None:
        trace, last = self.unit.trace, self.layers[-1]
        outputs = self._words([trace.outputs[place]])
        self.equal_arrays("activations", "softmax", outputs, seen.outputs)
        if last > 0:
            hidden = self._words([trace.activations[layer][place] for layer in self.layers[1:]])
            self.equal_arrays("activations", "activation unit", hidden, seen.activations)
        if trained:
            layers = [last] if skipped else reversed(self.layers)
            errors = self._words([trace.errors[layer][place] for layer in layers])
            self.equal_arrays("errors", "errors", errors, seen.errors)

    def gradient_rows(self) -> npt.NDArray[np.int32]:
        """The model's gradient memory, int32 ``[gradient_depth, lanes]``."""
        return np.concatenate([self._rows(sums, 0) for sums in self.unit.trace.gradients])

    def gate_rows(self) -> npt.NDArray[np.uint32]:
        """The model's gate memory, uint32 ``[gradient_depth, 2 * lanes]``, plus and minus in
        turn; lanes that no column has keep the initial gate."""
        rows = []
        for gates in self.unit.gates:
            plus, minus = (self._rows(part, self.config.gate.initial) for part in gates)
            rows.append(np.stack([plus, minus], axis=2).reshape(len(plus), -1))
        return np.concatenate(rows)

    def _rows(self, values: npt.NDArray[Any], fill: int) -> npt.NDArray[Any]:
        lanes = self.config.update.lanes
        padding = ((0, 0), (0, -values.shape[1] % lanes))
        return np.pad(values, padding, constant_values=fill).reshape(-1, lanes)

    def _check_gradients(
        self, place: int, updated: bool, ends_batch: bool, seen: Observation
    ) -> None:
        config, trace = self.config, self.unit.trace
        addresses: list[int] = []
        if updated:
            for layer in reversed(self.layers):
                words = self._words([trace.errors[layer][place]]).any(axis=1).nonzero()[0]
                for unit in trace.activations[layer][place].nonzero()[0]:
                    first = config.gradient_base(layer) + unit * config.unit_words(layer)
                    addresses += (first + words).tolist()
        rows = self.gradient_rows()[addresses]
        if ends_batch:
            addresses += range(config.gradient_depth)
            rows = np.concatenate([rows, np.zeros((config.gradient_depth, rows.shape[1]))])
        block, kind = "gradient memory", "gradient_words"
        self.equal_arrays(
            kind, f"{block}, addresses", np.array(addresses, np.int64), seen.gradient_addresses
        )
        self.equal_arrays(kind, f"{block}, words", rows, seen.gradient_words)

    def _check_gates(self, ends_batch: bool, seen: Observation) -> None:
        depth = self.config.gradient_depth if ends_batch else 0
        self.equal_arrays(
            "gate_codes", "gate memory, addresses", np.arange(depth), seen.gate_addresses
        )
        self.equal_arrays(
            "gate_codes", "gate memory, words", self.gate_rows()[:depth], seen.gate_words
        )

    def _check_pulses(self, ends_batch: bool, seen: Observation) -> None:
        trace = self.unit.trace
        n_pulses = int(trace.n_pulses[0]) if ends_batch else 0
        for k, have in enumerate(seen.pulses[:n_pulses]):
            want = tuple(int(value) for value in trace.pulses[k])
            self.equal(
                "pulses",
                "pulse scheduler",
                f"pulse {k}",
                want,
                (have.layer, have.row, have.kind),
            )
            self.equal_arrays(
                "pulses", f"pulse scheduler, gates of pulse {k}", trace.gates[k], have.gates
            )
        if n_pulses != len(seen.pulses):
            raise Mismatch(self.images, "pulse scheduler", "number", n_pulses, len(seen.pulses))

    def check_memories(self, gradients: npt.NDArray[Any], gates: npt.NDArray[Any]) -> None:
        """Compares both memories whole: int32 ``[gradient_depth, lanes]``, uint ``[.., 2 *
        lanes]``."""
        rows = self.gradient_rows()
        if self.unit.registers[COUNT] == 0:
            rows = np.zeros_like(rows)
        self.equal_arrays("gradient_words", "gradient memory, all words", rows, gradients)
        self.equal_arrays("gate_codes", "gate memory, all words", self.gate_rows(), gates)

    def check_registers(self, rate: int, counters: Sequence[int]) -> None:
        """Compares the learning rate and the totals of all activity counters."""
        expected = int(self.unit.registers[RATE])
        self.equal("cycles", "learning rate", "register", expected, rate)
        self.equal_counters(Activity, self.unit.counters, counters)
