"""What the trained unit is compared with: floating-point software, and synapses without chi's help.

* :class:`FloatMlp`: the same network, data and order in plain NumPy, in float32 or float64. It
  gives the software accuracy, and its loop over single images is the speed reference.
* Direct update: the unit's own arithmetic, but what an image leaves in chi goes to the devices at
  once, rounded to whole pulses toward zero or by chance, and is forgotten (:func:`train_direct`).
* Single-device synapse: the unit's own chi, but one device a weight against a fixed reference, SET
  to raise and RESET to lower it, each with a threshold of its own (:func:`train_single_device`).

The last two run :func:`model.unit.train_image` unchanged and only act between its images, so there
is no second arithmetic. The Verilog unit does neither.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.activity import Activity
from model.arrays import generators, new_arrays
from model.config import Config, ConfigError
from model.crossbar import Crossbar, CrossbarState, program
from model.datasets import Dataset
from model.devices import RESET, SET
from model.jit import njit
from model.pulse_scheduler import MINUS, PLUS
from model.threshold import threshold
from model.training import Training
from model.unit import Settings, UnitState, train_image

__all__ = [
    "DEFERRED_LOG2",
    "DirectUpdate",
    "FloatMlp",
    "SingleDevice",
    "train_direct",
    "train_single_device",
]

DEFERRED_LOG2 = 30
"""A threshold exponent that chi does not reach in :func:`train_direct` and
:func:`train_single_device`, so that the unit issues no pulse of its own: chi stays below the
thresholds there, 2**24 at most by default."""

# Plain ints, usable inside compiled code.
_SETS = int(Activity.SET_PULSES)
_RESETS = int(Activity.RESET_PULSES)


class FloatMlp:
    """The network in floating point: sigmoid units, mean-square error, one image at a time.

    The update of an image is ``w -= rate * delta x``, with ``delta = (y - t) y (1 - y)`` at the
    output and ``delta = (w' delta_above) h (1 - h)`` below, all layers from the weights before the
    update. Weights begin as those of the arrays do: differences of two conductances. Source: the
    rule of Nandakumar 2020; sigmoid and mean-square error are recalled of its appendix.

    Parameters
    ----------
    config
        Network, initial weights.
    seed
        Seed of the initial weights.
    dtype
        ``np.float32`` or ``np.float64``.

    Attributes
    ----------
    weights
        Of that type, ``[n_cols, n_rows]`` a layer; the last row is the bias.
    """

    def __init__(self, config: Config, *, seed: int, dtype: type[np.floating] = np.float32) -> None:
        network, device = config.network, config.device
        self.config = config
        self.dtype = dtype
        self.weights: list[NDArray[np.floating]] = []
        spread = device.initial_std_us * np.sqrt(2.0) / config.converter.weight_us
        for layer, rng in enumerate(generators(config, seed)[:-1]):
            shape = (network.n_cols(layer), network.n_rows(layer))
            self.weights.append(rng.normal(0.0, spread, shape).astype(dtype))

    def inputs(self, images: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Images as this network takes them: 0..1, with the bias input; ``[n, layers[0] + 1]``."""
        ones = np.ones((len(images), 1), self.dtype)
        return np.hstack([images.astype(self.dtype) / self.dtype(255), ones])

    def train(
        self,
        inputs: NDArray[np.floating],
        labels: NDArray[np.uint8],
        order: NDArray[np.int64],
        rate: float,
    ) -> None:
        """Trains on ``inputs[order]``, of :meth:`inputs`, one after the other."""
        weights, dtype = self.weights, self.dtype
        one, step = dtype(1), dtype(rate)
        for index in order:
            signals = [inputs[index]]
            for layer, weight in enumerate(weights):
                outputs = one / (one + np.exp(-(weight @ signals[layer])))
                signals.append(outputs if weight is weights[-1] else np.append(outputs, one))
            outputs = signals[-1]
            error = outputs.copy()
            error[labels[index]] -= one
            delta = error * outputs * (one - outputs)
            for layer in range(len(weights) - 1, -1, -1):
                below = signals[layer]
                back = delta @ weights[layer] if layer > 0 else None
                weights[layer] -= np.outer(step * delta, below)
                if back is not None:
                    delta = (back * below * (one - below))[:-1]

    def classify(self, inputs: NDArray[np.floating]) -> NDArray[np.int64]:
        """Predicted classes, int64 ``[n]``."""
        one = self.dtype(1)
        signals = inputs
        for weight in self.weights:
            outputs = one / (one + np.exp(-(signals @ weight.T)))
            signals = np.hstack([outputs, np.ones((len(outputs), 1), self.dtype)])
        return np.asarray(outputs.argmax(axis=1))

    def accuracy(self, inputs: NDArray[np.floating], labels: NDArray[np.uint8]) -> float:
        """Accuracy, 0..1."""
        return float(np.mean(self.classify(inputs) == labels))


@njit
def _deferred(run: Settings) -> Settings:
    """The settings of an image in which the unit's threshold is out of reach."""
    return Settings(run.learning_rate_log2, DEFERRED_LOG2, run.running_scale, run.skip)


@njit
def train_direct(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    run: Settings,
    by_chance: bool,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
) -> int:
    """:func:`model.training.train_images` without accumulation: chi is cleared after every image.

    An image's update u of a weight, in chi LSBs, becomes ``trunc((|u| + d) / eps)`` SET pulses to
    the device of its sign, ``eps = 2**run.epsilon_log2``: with d = 0 the update is rounded toward
    zero; ``by_chance``, d is drawn uniformly from ``0..eps - 1``, so that the pulses of an update
    are ``|u| / eps`` on average. The rest is lost. The unit's own threshold is out of reach
    meanwhile, as in :func:`train_single_device`. Returns how many images were classified correctly
    before their update.
    """
    correct = 0
    trace = unit.trace
    deferred = _deferred(run)
    for index in order:
        time_s = unit.device_time_s[0]
        image, label = images[index], np.int64(labels[index])
        correct += train_image(unit, arrays, deferred, image, label, False)
        for entry in range(trace.sizes[0]):
            layer, col, word = trace.words[entry]
            chi = unit.chi[layer][col, word]
            for lane in range(chi.shape[0]):
                if chi[lane] == 0:
                    continue
                row = word * chi.shape[0] + lane
                drawn = arrays[layer].rng.integers(0, 1 << run.epsilon_log2) if by_chance else 0
                pulses, _ = threshold(abs(int(chi[lane])) + drawn, run.epsilon_log2)
                device = PLUS if chi[lane] > 0 else MINUS
                for _ in range(pulses):
                    program(arrays[layer], row, col, device, SET, time_s)
                unit.counters[_SETS] += pulses
                chi[lane] = 0
    return correct


@njit
def train_single_device(
    unit: UnitState,
    arrays: tuple[CrossbarState, ...],
    run: Settings,
    depression: int,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    order: NDArray[np.int64],
) -> int:
    """:func:`model.training.train_images` on the arrays of a :class:`SingleDevice` run.

    Where chi reaches ``eps = 2**run.epsilon_log2`` the plus device gets ``trunc(chi / eps)`` SET
    pulses; where it falls to ``-depression`` or below, one RESET, which that amount of chi pays
    for. The unit's own threshold is put out of reach meanwhile, so its cycle counts lack the
    pulses: give a configuration with ``device.seconds_per_image``. The pulses are counted.

    Returns how many images were classified correctly before their update.
    """
    correct = 0
    trace = unit.trace
    deferred = _deferred(run)
    for index in order:
        time_s = unit.device_time_s[0]
        image, label = images[index], np.int64(labels[index])
        correct += train_image(unit, arrays, deferred, image, label, False)
        for entry in range(trace.sizes[0]):
            layer, col, word = trace.words[entry]
            chi = unit.chi[layer][col, word]
            for lane in range(chi.shape[0]):
                row = word * chi.shape[0] + lane
                if chi[lane] > 0:
                    pulses, remainder = threshold(int(chi[lane]), run.epsilon_log2)
                    chi[lane] = remainder
                    for _ in range(pulses):
                        program(arrays[layer], row, col, PLUS, SET, time_s)
                    unit.counters[_SETS] += pulses
                elif chi[lane] <= -depression:
                    chi[lane] += depression
                    program(arrays[layer], row, col, PLUS, RESET, time_s)
                    unit.counters[_RESETS] += 1
    return correct


def _check_time(config: Config, who: str) -> None:
    """Pulses given between images are missing in the unit's cycles, which are its clock."""
    if config.device.seconds_per_image == 0:
        raise ConfigError(f"{who} needs device.seconds_per_image.")


class DirectUpdate(Training):
    """A training run without accumulation, see :func:`train_direct`.

    Source: Nandakumar 2020, main text, which compares with at most 83 %. How an update below
    epsilon reaches a device there is not said, so both ways are offered.

    Parameters
    ----------
    config, dataset, seed, epochs
        As for :class:`~model.training.Training`; device time must be set, for the reason given in
        :func:`train_single_device`.
    by_chance
        Whether an update below epsilon makes a pulse with the probability of its share of epsilon;
        otherwise it makes none.

    Raises
    ------
    ConfigError
        As Training, and if device time is not set.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        *,
        seed: int,
        epochs: int | None = None,
        by_chance: bool,
    ) -> None:
        _check_time(config, "Direct update")
        self.by_chance = by_chance
        super().__init__(config, dataset, seed=seed, epochs=epochs)

    def train_images(self, run: Settings, order: NDArray[np.int64]) -> int:
        """:func:`train_direct` on this run."""
        return train_direct(
            self.unit,
            self.arrays,
            run,
            self.by_chance,
            self.dataset.train_images,
            self.dataset.train_labels,
            order,
        )


class SingleDevice(Training):
    """A training run with one device a weight, see :func:`train_single_device`.

    The minus devices of all pairs are the reference level: programmed to it exactly, never pulsed,
    drifting and read with noise as all devices are. The plus devices begin around it, with the
    configuration's initial spread. Refresh must be off: it would RESET what is no pair.

    A RESET ends near zero wherever it began, so its threshold can only be the mean fall, as in the
    source. It also sets where weights that only jitter come to rest: one RESET undoes as much chi
    as ``depression`` SET pulses, so with SET steps of s on average they rest ``depression * s``
    above the RESET state. Where that is the reference, they rest at zero.

    Chi begins anywhere between its thresholds, uniformly. From zero, all weights of inputs with
    equal codes would reach the threshold in the same image, and hundreds of RESETs at once drive an
    output so far below zero that its derivative, 8 bits wide, vanishes for good.

    Source: Nandakumar 2020, main text, single-device experiment; its thresholds, reference level
    and initial state are not given there.

    Parameters
    ----------
    config, dataset, seed, epochs
        As for :class:`~model.training.Training`; device time must be set, see
        :func:`train_single_device`.
    reference_us
        Conductance of weight 0.
    depression
        Threshold of a RESET in units of the threshold of a SET.

    Raises
    ------
    ConfigError
        As Training, and if refresh is on, device time is not set or a threshold is out of range.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        *,
        seed: int,
        epochs: int | None = None,
        reference_us: float,
        depression: float,
    ) -> None:
        if config.refresh.interval != 0:
            raise ConfigError("A single-device synapse needs refresh.interval = 0.")
        _check_time(config, "A single-device synapse")
        most = 2.0 ** (DEFERRED_LOG2 - config.update.epsilon_log2 - 2)
        if not 2.0**-config.update.epsilon_log2 <= depression <= most:
            raise ConfigError(f"depression = {depression!r} is out of range.")
        self.reference_us = reference_us
        self.depression = round(depression * 2**config.update.epsilon_log2)
        super().__init__(config, dataset, seed=seed, epochs=epochs)
        # Three numbers: the evaluations' generators take two, the arrays' one.
        rng = np.random.default_rng([seed, 0, 0])
        for layer, chi in enumerate(self.unit.chi):
            shape = (config.network.n_cols(layer), config.network.n_rows(layer))
            start = rng.integers(1 - self.depression, 2**config.update.epsilon_log2, shape)
            chi.reshape(shape[0], -1)[:, : shape[1]] = start

    def new_crossbars(self) -> tuple[Crossbar, ...]:
        """Arrays of single devices against the reference."""
        device = replace(self.config.device, initial_mean_us=self.reference_us)
        crossbars = new_arrays(replace(self.config, device=device), self.seed)
        for crossbar in crossbars:
            saved = crossbar.save()
            saved["conductance_us"][..., MINUS] = self.reference_us
            crossbar.load(saved)
        return crossbars

    def train_images(self, run: Settings, order: NDArray[np.int64]) -> int:
        """:func:`train_single_device` on this run."""
        return train_single_device(
            self.unit,
            self.arrays,
            run,
            self.depression,
            self.dataset.train_images,
            self.dataset.train_labels,
            order,
        )
