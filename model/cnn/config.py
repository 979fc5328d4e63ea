"""Configuration of a convolutional network on RRAM arrays: frozen dataclasses, one per concern,
composed into :class:`CnnConfig`.

Words used throughout: an array has *input lines* (bit lines) and *output lines* (source lines). An
output of a layer is a pair of neighbouring output lines, plus and minus. A *chunk* is what can be
driven at once: one input channel of a kernel, or as many flat inputs as an array has. The chunks of
a layer are spread over *tiles*, arrays that run at the same time; each tile takes its chunks in
turn, one a *step*.

Source of all figures not marked otherwise: Yao et al., Nature 577, 641 (2020).
"""

import enum
import math
from dataclasses import dataclass, field
from typing import ClassVar

from model.settings import ConfigError, require, require_name, require_range

__all__ = [
    "INPUT_BITS",
    "UNITS_PER_US",
    "Band",
    "ClipPolicy",
    "CnnArrayConfig",
    "CnnConfig",
    "CnnNetworkConfig",
    "CnnTrainingConfig",
    "ConfigError",
    "QuantisationConfig",
    "ReplicaConfig",
    "ReplicaMode",
    "RequantiserConfig",
    "RramConfig",
    "WriteConfig",
    "WriteModel",
    "split_rows",
]

INPUT_BITS = 8
"""Bits of an input or activation, so one-bit phases of a product."""

UNITS_PER_US = 1024
"""Integer conductance units in one uS: conductances are read on this grid, so that line sums are
exact in any order. 1 nS is far below any programming or read error."""


class ReplicaMode(enum.StrEnum):
    """What the replicas of the convolver share."""

    #: One image: every replica computes its band of rows of each convolution.
    BANDS = "bands"
    #: As many images as replicas: each computes one whole image.
    IMAGES = "images"


class ClipPolicy(enum.StrEnum):
    """Where the largest weight level of a layer lies."""

    #: At the layer's largest weight.
    MAXIMUM = "maximum"
    #: Where the mean-square error of quantisation and writing together is smallest.
    MSE = "mse"


class WriteModel(enum.StrEnum):
    """How a target conductance is reached."""

    #: Pulse by pulse with verify reads, as the gateware does.
    VERIFY = "verify"
    #: At once, with a Gaussian error: the paper's model for simulations.
    SIGMA = "sigma"


@dataclass(frozen=True)
class Band:
    """Rows of one convolution that one replica computes: half-open ranges."""

    conv_first: int
    """First row of the convolution's output ..."""
    conv_end: int
    """... and the row after the last."""
    pool_first: int
    """First row after pooling ..."""
    pool_end: int
    """... and the row after the last."""
    in_first: int
    """First input row needed, halo included ..."""
    in_end: int
    """... and the row after the last."""

    @property
    def conv_rows(self) -> int:
        """Rows of the convolution."""
        return self.conv_end - self.conv_first


def split_rows(conv_rows: int, pool: int, n: int) -> tuple[tuple[int, int], ...]:
    """Splits the pooled rows of a convolution into ``n`` contiguous bands of at least one row.

    Takes the smallest bound on a band's rows *before* pooling for which that is possible; from the
    top, every band takes as many pooled rows as keep it within the bound and leave one for every
    later band. Returns (first, end) of pooled rows a band. A last, partial window has fewer rows
    and costs less, so bands may differ in pooled rows and yet be balanced.

    Raises
    ------
    ConfigError
        If there are fewer pooled rows than bands.
    """
    costs = [min(pool, conv_rows - first) for first in range(0, conv_rows, pool)]
    require(
        n <= len(costs),
        f"replicas.n = {n} leaves a band without rows: a convolution has {len(costs)} rows after "
        "pooling.",
    )

    def fill(bound: int) -> list[tuple[int, int]]:
        bands, first = [], 0
        for later in range(n - 1, -1, -1):
            end, rows = first, 0
            while end < len(costs) - later and rows + costs[end] <= bound:
                rows += costs[end]
                end += 1
            bands.append((first, end))
            first = end
        return bands

    for bound in range(max(costs), conv_rows + 1):
        bands = fill(bound)
        if bands[-1][1] == len(costs):
            return tuple(bands)
    raise AssertionError("a bound of all rows always holds")  # pragma: no cover


@dataclass(frozen=True, kw_only=True)
class CnnNetworkConfig:
    """Convolutions with ReLU and max-pooling, then one fully connected layer; no biases."""

    height: int = 28
    """Rows of an image."""

    width: int = 28
    """Columns of an image."""

    channels: int = 1
    """Channels of an image, 8 bits each."""

    kernels: tuple[int, ...] = (3, 3)
    """Edge of the square kernel of each convolution, no padding."""

    outputs: tuple[int, ...] = (8, 12)
    """Output channels of each convolution."""

    strides: tuple[int, ...] = (1, 1)
    """Stride of each convolution."""

    pools: tuple[int, ...] = (3, 2)
    """Edge and stride of the max-pooling after each convolution; 1 is none. A partial window at the
    lower or right edge counts."""

    classes: int = 10
    """Outputs of the fully connected layer."""

    def __post_init__(self) -> None:
        require_range("network", "height", self.height, 1, 256)
        require_range("network", "width", self.width, 1, 256)
        require_range("network", "channels", self.channels, 1, 64)
        require_range("network", "classes", self.classes, 2, 64)
        n_conv = len(self.kernels)
        require(1 <= n_conv <= 4, f"network.kernels must have 1 to 4 entries, not {n_conv}.")
        for name, low, high in (
            ("kernels", 1, 16),
            ("outputs", 1, 64),
            ("strides", 1, 16),
            ("pools", 1, 16),
        ):
            values = getattr(self, name)
            require(
                len(values) == n_conv,
                f"network.{name} must have an entry for each of the {n_conv} convolutions, not "
                f"{len(values)}.",
            )
            for value in values:
                require_range("network", name, value, low, high)


@dataclass(frozen=True, kw_only=True)
class CnnArrayConfig:
    """The array macros on the far side of the analog boundary, and their timing."""

    n_inputs: int = 16
    """Input lines (bit lines) of an array."""

    n_lines: int = 128
    """Output lines (source lines) of an array."""

    lines_per_adc: int = 4
    """Output lines that share one ADC; their held values are converted during the next phase."""

    conversion_cycles: int = 1
    """Cycles of one conversion. A phase lasts ``lines_per_adc`` conversions, so none is idle."""

    adc_bits: int = 8
    """Width of an ADC code, unsigned."""

    phase_s: float = 50e-9
    """Length of a one-bit phase, in s."""

    def __post_init__(self) -> None:
        require_range("array", "n_inputs", self.n_inputs, 1, 256)
        require_range("array", "n_lines", self.n_lines, 2, 4096)
        require_range("array", "lines_per_adc", self.lines_per_adc, 1, 16)
        require_range("array", "conversion_cycles", self.conversion_cycles, 1, 64)
        require_range("array", "adc_bits", self.adc_bits, 2, 12)
        require(
            math.isfinite(self.phase_s) and self.phase_s > 0,
            f"array.phase_s must be positive, not {self.phase_s!r}.",
        )

    @property
    def phase_cycles(self) -> int:
        """Cycles of a one-bit phase."""
        return self.lines_per_adc * self.conversion_cycles

    @property
    def code_max(self) -> int:
        """Largest ADC code."""
        return 2**self.adc_bits - 1


@dataclass(frozen=True, kw_only=True)
class RequantiserConfig:
    """From accumulators to 8-bit activations: an offset, a multiplier, a shift."""

    multiplier_bits: int = 8
    """Width of the unsigned multiplier of a channel."""

    def __post_init__(self) -> None:
        require_range("requantiser", "multiplier_bits", self.multiplier_bits, 2, 16)


@dataclass(frozen=True, kw_only=True)
class ReplicaConfig:
    """Copies of the convolver, each with its own arrays."""

    n: int = 1
    """Number of copies; the fully connected layer is shared."""

    mode: ReplicaMode = ReplicaMode.BANDS
    """What they share."""

    def __post_init__(self) -> None:
        require_range("replicas", "n", self.n, 1, 16)


@dataclass(frozen=True, kw_only=True)
class WriteConfig:
    """Closed-loop writing: read, compare, one pulse, again."""

    set_cycles: int = 4
    """Width of a SET pulse in cycles: 50 ns at the default phase."""

    reset_cycles: int = 4
    """Width of a RESET pulse in cycles: 50 ns at the default phase."""

    gap_cycles: int = 1
    """Idle cycles after every pulse. Assumed."""

    max_pulses: int = 500
    """Pulses a device may get before it is given up."""

    margin_us: float = 0.5
    """Largest difference between a device and its target. The paper gives 0.5 uS for eight states,
    0.25 uS for 32; 0.5 uS for the transfer of weights is inferred."""

    read_full_scale_us: float = 25.5
    """Conductance of one device at the largest code of a verify read. Assumed: a little above the
    largest state of 20 uS, and a code every 0.1 uS at 8 bits."""

    def __post_init__(self) -> None:
        require_range("write", "set_cycles", self.set_cycles, 1, 65535)
        require_range("write", "reset_cycles", self.reset_cycles, 1, 65535)
        require_range("write", "gap_cycles", self.gap_cycles, 1, 1024)
        require_range("write", "max_pulses", self.max_pulses, 1, 65535)
        require_range("write", "margin_us", self.margin_us, 0.0, 100.0)
        require_range("write", "read_full_scale_us", self.read_full_scale_us, 1.0, 1000.0)


@dataclass(frozen=True, kw_only=True)
class RramConfig:
    """The TaOx/HfOx device: window, pulses, errors, retention. Conductances in uS."""

    level_us: float = 2.5
    """Distance of neighbouring weight levels, and the lowest conductance of a level."""

    level_max: int = 7
    """Largest weight level: weights are ``-level_max..level_max`` times ``level_us``."""

    g_min_us: float = 0.5
    """Smallest conductance. Assumed: below the lowest published state of 2 uS."""

    g_max_us: float = 25.0
    """Largest conductance. Assumed: devices start above 20 uS in the paper's pulse counts."""

    set_step_us: float = 0.9
    """Mean step of one 50 ns SET pulse at ``g_min_us``; falls linearly to none at ``g_max_us``.
    Chosen with the three settings below so that the closed loop behaves as published, see
    docs/cnn/device.md; single steps are not published."""

    reset_step_us: float = 0.9
    """Mean step of one 50 ns RESET pulse at ``g_max_us``; falls linearly to none at 0."""

    step_spread: float = 0.6
    """Standard deviation of a step, in units of its mean, from pulse to pulse."""

    device_spread: float = 0.3
    """Standard deviation of the logarithm of a device's mean step, from device to device."""

    read_noise_us: float = 0.0
    """Standard deviation of one verify read of a device. The paper shows none that matters."""

    write_model: WriteModel = WriteModel.SIGMA
    """How a target is reached."""

    write_sigma_us: float = 0.54
    """Standard deviation of a written conductance, for ``sigma``: 108 nA at 0.2 V."""

    stuck_fraction: float = 1e-4
    """Fraction of devices that never change: a yield of 99.99 %. Half of them are stuck at
    ``g_min_us``, half at ``g_max_us`` (assumed)."""

    retention_t0_s: float = 60.0
    """Time scale of retention: nothing moves much before it. Assumed."""

    retention_sigma_us: float = 0.25
    """Spread that a decade of time beyond ``retention_t0_s`` adds, in quadrature. Assumed; the
    paper shows levels that stay ordered for 30 days."""

    retention_mean: float = 0.01
    """Relative fall of the mean conductance in a decade of time. Assumed."""

    retention_tail: float = 0.02
    """Fraction of devices whose spread is ``retention_tail_factor`` times as large. Assumed; the
    paper reports tail cells without figures."""

    retention_tail_factor: float = 4.0
    """See ``retention_tail``."""

    def __post_init__(self) -> None:
        for name in ("level_us", "set_step_us", "reset_step_us", "retention_t0_s"):
            value = getattr(self, name)
            require(
                math.isfinite(value) and value > 0,
                f"device.{name} must be positive, not {value!r}.",
            )
        for name in (
            "step_spread",
            "device_spread",
            "read_noise_us",
            "write_sigma_us",
            "retention_sigma_us",
            "retention_tail_factor",
        ):
            require_range("device", name, getattr(self, name), 0.0, 100.0)
        require_range("device", "level_max", self.level_max, 1, 127)
        require_range("device", "stuck_fraction", self.stuck_fraction, 0.0, 1.0)
        require_range("device", "retention_mean", self.retention_mean, 0.0, 0.1)
        require_range("device", "retention_tail", self.retention_tail, 0.0, 1.0)
        require(
            0 <= self.g_min_us < self.g_max_us <= 1000,
            "device.g_min_us must be at least 0 and below device.g_max_us, which is at most 1000, "
            f"not {self.g_min_us!r} and {self.g_max_us!r}.",
        )
        require(
            self.g_min_us <= self.level_us
            and self.level_us * (1 + self.level_max) <= self.g_max_us,
            f"Weights of {self.level_max} levels of {self.level_us} uS are outside the window of "
            f"the device, {self.g_min_us} to {self.g_max_us} uS.",
        )


@dataclass(frozen=True, kw_only=True)
class QuantisationConfig:
    """From a trained network to levels, ADC ranges and requantisation."""

    clip: ClipPolicy = ClipPolicy.MSE
    """Where the largest level of a layer lies."""

    per_output: bool = True
    """Whether each output channel of a convolution has a clip of its own, undone by its multiplier
    in the requantiser. The fully connected layer has one, since its outputs are compared."""

    calibrate_offsets: bool = True
    """Whether the requantiser's offsets undo the mean error of every written channel, measured on
    the calibration images; otherwise they are 0."""

    calibration_images: int = 1000
    """Training images from which ADC ranges and requantisation follow."""

    adc_quantile: float = 1.0
    """Share of the sums of the calibration images that the ADC's full scale covers."""

    def __post_init__(self) -> None:
        require_range("quantisation", "calibration_images", self.calibration_images, 1, 100_000)
        require_range("quantisation", "adc_quantile", self.adc_quantile, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class CnnTrainingConfig:
    """Ex-situ training in FP32, then hybrid training of the fully connected layer in place."""

    epochs: int = 14
    """Passes over the training set in FP32."""

    batch: int = 100
    """Images of a mini-batch, ex situ and in place."""

    rate: float = 0.005
    """Largest learning rate ex situ (Adam), falling to 0 along half a cosine. The paper's is not
    given."""

    weight_noise: float = 0.03
    """Gaussian noise added to the weights of each batch ex situ, in units of the layer's largest
    weight: a write error of 0.54 uS on both devices of a pair is 0.044 of the window. Makes the
    network tolerate write errors; 0 is the paper's plain training."""

    held_out: int = 5000
    """Training images kept for choosing settings, so that 55,000 of MNIST remain as in the
    paper."""

    hybrid_iterations: int = 550
    """Batches of hybrid training: one epoch."""

    hybrid_rate_us: float = 1.0
    """Learning rate of hybrid training, in uS per unit of the summed gradient of a batch with
    inputs 0..1. The paper's is not given. Below, nothing passes the threshold; from 2 on thousands
    of devices are written and the accuracy falls (docs/cnn/training.md)."""

    threshold_us: float = 1.5
    """Smallest change of a weight that is written."""

    def __post_init__(self) -> None:
        require_range("training", "epochs", self.epochs, 1, 1000)
        require_range("training", "batch", self.batch, 1, 100_000)
        require_range("training", "rate", self.rate, 1e-6, 1.0)
        require_range("training", "weight_noise", self.weight_noise, 0.0, 1.0)
        require_range("training", "held_out", self.held_out, 0, 1_000_000)
        require_range("training", "hybrid_iterations", self.hybrid_iterations, 0, 1_000_000)
        require_range("training", "hybrid_rate_us", self.hybrid_rate_us, 0.0, 1000.0)
        require_range("training", "threshold_us", self.threshold_us, 0.0, 1000.0)


@dataclass(frozen=True, kw_only=True)
class CnnConfig:
    """One system: the network, its arrays, the inference unit, devices, training.

    Layers are numbered from 0; the last, ``n_conv``, is the fully connected one.
    """

    system: ClassVar[str] = "cnn"

    name: str = "custom"
    """Name of the configuration; generated files are named after it."""

    network: CnnNetworkConfig = field(default_factory=CnnNetworkConfig)
    array: CnnArrayConfig = field(default_factory=CnnArrayConfig)
    requantiser: RequantiserConfig = field(default_factory=RequantiserConfig)
    replicas: ReplicaConfig = field(default_factory=ReplicaConfig)
    write: WriteConfig = field(default_factory=WriteConfig)
    device: RramConfig = field(default_factory=RramConfig)
    quantisation: QuantisationConfig = field(default_factory=QuantisationConfig)
    training: CnnTrainingConfig = field(default_factory=CnnTrainingConfig)

    def __post_init__(self) -> None:
        require_name(self.name)
        network, array = self.network, self.array
        for layer, kernel in enumerate(network.kernels):
            height, width, _ = self.in_shape(layer)
            require(
                kernel <= min(height, width),
                f"The kernel of convolution {layer} ({kernel} x {kernel}) does not fit its input "
                f"of {height} x {width}.",
            )
            require(
                kernel * kernel <= array.n_inputs,
                f"The kernel of convolution {layer} ({kernel} x {kernel}) does not fit the "
                f"{array.n_inputs} input lines of an array.",
            )
        for layer in range(self.n_layers):
            require(
                self.lines(layer) <= array.n_lines,
                f"The {self.outs(layer)} outputs of layer {layer} need {self.lines(layer)} output "
                f"lines; an array has {array.n_lines}.",
            )
            # One output a cycle is requantised or compared while the next product runs.
            require(
                self.outs(layer) + 4 <= self.product_cycles(layer),
                f"The {self.outs(layer)} outputs of layer {layer} are too many to be processed, "
                f"one a cycle, within a product of {self.product_cycles(layer)} cycles.",
            )
            # Every replica must be able to write a pixel while each computes its next one.
            require(
                self.replicas.n <= self.product_cycles(layer),
                f"replicas.n = {self.replicas.n} is more than can be gathered within a product of "
                f"{self.product_cycles(layer)} cycles.",
            )
        for layer in range(self.n_conv):
            self.bands(layer)
        require(
            self.write.read_full_scale_us
            >= self.device.level_us * (1 + self.device.level_max) + self.write.margin_us,
            f"write.read_full_scale_us = {self.write.read_full_scale_us!r} does not reach the "
            "highest level and its margin.",
        )
        require(
            self.write.margin_us >= self.read_lsb_us,
            f"write.margin_us = {self.write.margin_us!r} is finer than a verify read can tell "
            f"({self.read_lsb_us:.3g} uS a code).",
        )

    @property
    def description(self) -> str:
        """The system in one line."""
        network = self.network
        convolutions = ", ".join(
            f"{outs}@{kernel}x{kernel}" + (f" pool {pool}" if pool > 1 else "")
            for outs, kernel, pool in zip(
                network.outputs, network.kernels, network.pools, strict=True
            )
        )
        return (
            f"{network.height}x{network.width}x{network.channels}, {convolutions}, FC "
            f"{self.flat_inputs}-{network.classes}, {self.replicas.n} replicas"
        )

    # Shapes

    @property
    def n_conv(self) -> int:
        """Convolutions; also the number of the fully connected layer."""
        return len(self.network.kernels)

    @property
    def n_layers(self) -> int:
        """Layers with weights."""
        return self.n_conv + 1

    def in_shape(self, layer: int) -> tuple[int, int, int]:
        """Height, width and channels of a layer's input."""
        if layer == 0:
            return self.network.height, self.network.width, self.network.channels
        return self.out_shape(layer - 1)

    def conv_shape(self, layer: int) -> tuple[int, int, int]:
        """Height, width and channels of a convolution's output, before pooling."""
        height, width, _ = self.in_shape(layer)
        kernel, stride = self.network.kernels[layer], self.network.strides[layer]
        return (
            (height - kernel) // stride + 1,
            (width - kernel) // stride + 1,
            self.network.outputs[layer],
        )

    def out_shape(self, layer: int) -> tuple[int, int, int]:
        """Height, width and channels of a convolution's output, after pooling."""
        height, width, channels = self.conv_shape(layer)
        pool = self.network.pools[layer]
        return -(-height // pool), -(-width // pool), channels

    @property
    def flat_inputs(self) -> int:
        """Inputs of the fully connected layer."""
        return math.prod(self.out_shape(self.n_conv - 1))

    # Mapping to arrays

    def outs(self, layer: int) -> int:
        """Outputs of a layer: channels or classes."""
        return self.network.classes if layer == self.n_conv else self.network.outputs[layer]

    def lines(self, layer: int) -> int:
        """Output lines of a chunk: ``2 * o`` is the plus line of output o, ``2 * o + 1`` its minus
        line."""
        return 2 * self.outs(layer)

    def chunk_inputs(self, layer: int) -> int:
        """Input lines that a chunk of a layer uses."""
        if layer == self.n_conv:
            return self.array.n_inputs
        return self.network.kernels[layer] ** 2

    def chunks(self, layer: int) -> int:
        """Chunks of a layer: its input channels, or its flat inputs by ``n_inputs``, rounded up."""
        if layer == self.n_conv:
            return -(-self.flat_inputs // self.array.n_inputs)
        return self.in_shape(layer)[2]

    def tiles(self, layer: int) -> int:
        """Arrays over which the chunks of a layer are spread, as few as hold them."""
        return -(-self.chunks(layer) // (self.array.n_lines // self.lines(layer)))

    def steps(self, layer: int) -> int:
        """Chunks that a tile takes in turn: step s of tile t is chunk ``t * steps + s``; a chunk
        beyond the last is driven with zeros."""
        return -(-self.chunks(layer) // self.tiles(layer))

    @property
    def n_arrays(self) -> int:
        """Arrays, tiles not counted: one a replica and convolution, and the fully connected
        layer's."""
        return self.replicas.n * self.n_conv + 1

    def array_index(self, replica: int, layer: int) -> int:
        """Number of an array: replica by replica, in each the convolutions in order; last the fully
        connected layer's, which all replicas share."""
        return self.n_arrays - 1 if layer == self.n_conv else replica * self.n_conv + layer

    def adcs(self, layer: int) -> int:
        """ADCs of one tile that a layer uses: ADC a converts lines ``a * lines_per_adc + slot``."""
        return -(-self.lines(layer) // self.array.lines_per_adc)

    def psum_bits(self, layer: int) -> int:
        """Width of a signed sum over all phases and chunks of a layer: never overflows."""
        largest = (2**INPUT_BITS - 1) * self.array.code_max * self.tiles(layer) * self.steps(layer)
        return largest.bit_length() + 1

    def product_cycles(self, layer: int) -> int:
        """Cycles from one patch of a layer to the next: 8 phases a step, no phase idle."""
        return INPUT_BITS * self.steps(layer) * self.array.phase_cycles

    def bands(self, layer: int) -> tuple[Band, ...]:
        """The band of each replica in a convolution, or the one of all rows in mode ``images``."""
        n = self.replicas.n if self.replicas.mode is ReplicaMode.BANDS else 1
        rows = self.conv_shape(layer)[0]
        pool, stride = self.network.pools[layer], self.network.strides[layer]
        return tuple(
            Band(
                conv_first=first * pool,
                conv_end=min(rows, end * pool),
                pool_first=first,
                pool_end=end,
                in_first=first * pool * stride,
                in_end=(min(rows, end * pool) - 1) * stride + self.network.kernels[layer],
            )
            for first, end in split_rows(rows, pool, n)
        )

    # Converters

    @property
    def clock_period_s(self) -> float:
        """Clock period of the inference unit, in s."""
        return self.array.phase_s / self.array.phase_cycles

    @property
    def read_lsb_us(self) -> float:
        """One code of a verify read, in uS."""
        return self.read_lsb_units / UNITS_PER_US

    @property
    def read_lsb_units(self) -> int:
        """One code of a verify read, in conductance units."""
        return max(1, round(self.write.read_full_scale_us * UNITS_PER_US / self.array.code_max))

    @property
    def margin_codes(self) -> int:
        """Largest distance of a verify code from its target: a code less than the margin, half of
        one for the rounding of the target and half for that of the read, so that the conductance
        itself is within the margin."""
        return math.floor(self.write.margin_us / self.read_lsb_us - 1)
