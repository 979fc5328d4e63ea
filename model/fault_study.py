"""Accuracy of in-memory training with a fault that is there from the start, or comes after it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.chi_protection import Code, code_of
from model.config import Config
from model.crossbar import CrossbarState
from model.datasets import Dataset
from model.faults import Fault, break_converters, cut_columns, flip_bits
from model.inference import break_devices
from model.jit import njit
from model.training import Training, classify_images, train_images
from model.unit import Settings, UnitState, new_unit

__all__ = ["ChiFlips", "FaultyTraining", "accuracy_after", "accuracy_trained", "inject"]


@njit
def _train_noting(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    run: Settings,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
    follows: bool,
    touched: tuple[NDArray[np.bool_], ...],
) -> int:
    """:func:`model.training.train_images`; also marks the words of chi that were updated.

    ``touched``: bool ``[n_cols, n_words]`` a layer.
    """
    correct = 0
    for k in range(len(order)):
        more = follows or k + 1 < len(order)
        correct += train_images(unit, arrays, run, images, labels, order[k : k + 1], more)
        for entry in range(unit.trace.sizes[0]):
            layer, col, word = unit.trace.words[entry]
            touched[layer][col, word] = True
    return correct


class ChiFlips:
    """Bits that flip in the chi memory between images, and what its check bits make of them.

    Each stored bit, check bits included, flips with probability ``rate`` before each image. The
    model's chi holds what the next update of a word will find there: without check bits the flipped
    word, else what :meth:`model.chi_protection.Code.decode` gives; an update of any lane of a word
    writes all its lanes right, as the gateware does.

    Attributes
    ----------
    flipped, corrected, lost
        Bits that flipped; lanes that updates found wrong.
    """

    def __init__(self, unit: UnitState, config: Config, rate: float, rng: np.random.Generator):
        self.code: Code | None = code_of(config)
        self.data_bits = config.update.chi_bits
        self.rate, self.rng = rate, rng
        self.chi = [layer.reshape(-1) for layer in unit.chi]
        self.firsts = np.cumsum([0, *(len(chi) for chi in self.chi)])
        self.word_bits = self.data_bits if self.code is None else self.code.word_bits
        self.touched = tuple(np.zeros(chi.shape[:2], np.bool_) for chi in unit.chi)
        self.lanes = config.update.lanes
        # What was written, and which bits of the codeword have flipped since.
        self.truth = [chi.copy() for chi in self.chi]
        self.pattern = [np.zeros(len(chi), np.int64) for chi in self.chi]
        self.flipped = self.corrected = self.lost = 0

    def counts(self, n_images: int) -> NDArray[np.int64]:
        """How many bits flip before each of the next images."""
        bits = int(self.firsts[-1]) * self.word_bits
        return self.rng.binomial(bits, self.rate, n_images)

    def settle(self) -> None:
        """Counts and forgets the flips of words that have been updated since."""
        if self.code is None:
            return
        for touched, pattern in zip(self.touched, self.pattern, strict=True):
            words = pattern.reshape(-1, self.lanes)
            updated = touched.reshape(-1)
            # The code is linear: what the flips alone would be found to be.
            found = self.code.decode(words[updated])
            self.corrected += int(found.corrected.sum())
            self.lost += int(found.lost.sum())
            words[updated] = 0
            touched[:] = False

    def flip(self, count: int) -> None:
        """Flips ``count`` bits, any of all."""
        self.settle()
        self.flipped += count
        places = self.rng.integers(0, self.firsts[-1], count)
        bits = self.rng.integers(0, self.word_bits, count)
        for layer, (first, end) in enumerate(itertools.pairwise(self.firsts)):
            own = (places >= first) & (places < end)
            self._flip_layer(layer, places[own] - first, bits[own])

    def _flip_layer(self, layer: int, index: NDArray[np.int64], bits: NDArray[np.int64]) -> None:
        """Flips bit ``bits[k]`` of word ``index[k]`` for every k; a word may come again."""
        chi, pattern, truth = self.chi[layer], self.pattern[layer], self.truth[layer]
        if self.code is None:
            # In int32 all bits above the word's sign are as the sign is.
            flips = np.where(bits == self.data_bits - 1, -1 << bits, 1 << bits)
            np.bitwise_xor.at(chi, index, flips.astype(chi.dtype))
            return
        fresh = index[pattern[index] == 0]
        truth[fresh] = chi[fresh]
        np.bitwise_xor.at(pattern, index, 1 << bits)
        chi[index] = self.code.decode(self.code.encode(truth[index]) ^ pattern[index]).chi


class FaultyTraining(Training):
    """A training run whose unit may be faulty; ``flips`` are those of chi, if there are any."""

    flips: ChiFlips | None = None

    def train_images(self, run: Settings, order: NDArray[np.int64]) -> int:
        """As of :class:`Training`, bits of chi flipping between images."""
        if self.flips is None:
            return super().train_images(run, order)
        images, labels = self.dataset.train_images, self.dataset.train_labels
        more = self.position + len(order) < self.images_per_epoch
        counts = self.flips.counts(len(order))
        starts = sorted({0, *np.flatnonzero(counts).tolist()})
        correct = 0
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            if len(order) and counts[start]:
                self.flips.flip(int(counts[start]))
            follows = more or end < len(order)
            part, touched = order[start:end], self.flips.touched
            correct += _train_noting(
                self.unit, self.arrays, run, images, labels, part, follows, touched
            )
        return correct

    def test(self, time_s: float) -> float:
        """As of :class:`Training`, with the unit's own table."""
        rng = np.random.default_rng([self.seed, self.epoch])
        children = rng.spawn(len(self.arrays))
        states = tuple(
            state._replace(rng=child) for state, child in zip(self.arrays, children, strict=True)
        )
        data = self.dataset
        classes = np.empty(len(data.test_images), np.uint8)
        unit = new_unit(self.config)._replace(table=self.unit.table)
        classify_images(unit, states, data.test_images, time_s, classes)
        return float(np.mean(classes == data.test_labels))


def inject(training: FaultyTraining, fault: Fault, rate: float, rng: np.random.Generator) -> None:
    """Gives a run a fault, from now on."""
    config = training.config
    for crossbar in training.crossbars:
        faults = crossbar.state.faults
        if fault is Fault.STUCK:
            break_devices(crossbar, rate, rng)
        elif fault is Fault.ADC_BITS:
            shared = config.array.columns_per_adc
            break_converters(faults, config.converter.adc_bits, rate, rng, shared=shared)
        elif fault is Fault.DEAD_COLUMNS:
            cut_columns(faults, rate, rng)
        elif fault is Fault.REFERENCES:
            faults.spread[0] = rate
    if fault is Fault.TABLES:
        table = flip_bits(training.unit.table, 8, rate, rng)
        training.unit = training.unit._replace(table=table)
    if fault is Fault.CHI_BITS:
        training.flips = ChiFlips(training.unit, config, rate, rng)


def _finish(training: FaultyTraining) -> None:
    for _ in training.run():
        pass


def _accuracy(training: FaultyTraining) -> float:
    """At its end; the same generator wherever a fault comes from."""
    return training.test(training.device_time_s)


def accuracy_trained(
    config: Config, dataset: Dataset, fault: Fault, rate: float, *, seed: int, epochs: int | None
) -> dict[str, Any]:
    """Test accuracy (0..1) of a run that had the fault from its start; of chi what it counted."""
    training = FaultyTraining(config, dataset, seed=seed, epochs=epochs)
    inject(training, fault, rate, np.random.default_rng([seed, 4]))
    _finish(training)
    record: dict[str, Any] = {"test_accuracy": _accuracy(training)}
    if training.flips is not None:
        training.flips.settle()
        for name in ("flipped", "corrected", "lost"):
            record[name] = getattr(training.flips, name)
    return record


def accuracy_after(
    config: Config,
    dataset: Dataset,
    fault: Fault,
    rate: float,
    *,
    seed: int,
    epochs: int | None,
    saved: Path,
) -> dict[str, Any]:
    """Test accuracy (0..1) if the fault comes after a training without it.

    ``saved``: where that training lies, or is saved when it is done. Flips of chi do nothing then.
    """
    training = FaultyTraining(config, dataset, seed=seed, epochs=epochs)
    if saved.exists():
        training.restore(saved)
    else:
        _finish(training)
        training.save(saved)
    inject(training, fault, rate, np.random.default_rng([seed, 4]))
    return {"test_accuracy": _accuracy(training)}
