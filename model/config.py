"""Configuration of a mixbar system: frozen dataclasses, one per concern, composed into
:class:`Config`.

Every number that the model, the gateware and the estimator share is a field here or a property
derived here, so that no second object can disagree. Change one with :func:`dataclasses.replace`;
read and write TOML with :func:`from_toml` and :func:`to_toml`. A value that cannot work raises
:class:`ConfigError` with one sentence that says what is required and what came.
"""

import dataclasses
import enum
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from model import settings
from model.settings import ConfigError, System, require, require_name, require_range, to_toml

__all__ = [
    "ArrayConfig",
    "ChiProtection",
    "Config",
    "ConfigError",
    "ConverterConfig",
    "DeviceConfig",
    "NetworkConfig",
    "PulseConfig",
    "RefreshConfig",
    "ScalePolicy",
    "SkipPolicy",
    "TrainingConfig",
    "UpdateConfig",
    "anchored",
    "from_toml",
    "to_toml",
]


class ScalePolicy(enum.StrEnum):
    """Where the shared power-of-two scale of an error vector comes from."""

    #: The largest magnitude of the vector itself.
    OWN = "own"
    #: The running maximum over images, decaying by ``1 - 2**-decay_log2`` an image.
    RUNNING = "running"


class SkipPolicy(enum.StrEnum):
    """When the backward products and the update of an image are skipped."""

    #: Never: every training image runs all products.
    NEVER = "never"
    #: When every output error is exactly zero; the result cannot change.
    ZERO_ERROR = "zero_error"
    #: When every 3-bit code of the output error is zero; hidden errors of such images are dropped.
    ZERO_CODES = "zero_codes"


class ChiProtection(enum.StrEnum):
    """What the chi memory does about bits that flip in it; see :mod:`model.chi_protection`."""

    #: Nothing: no check bits.
    NONE = "none"
    #: One check bit a word of a lane: an odd number of flipped bits is detected.
    PARITY = "parity"
    #: A Hsiao code: one flipped bit is corrected, two are detected.
    SECDED = "secded"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Layer widths of a fully connected network with sigmoid units."""

    layers: tuple[int, ...] = (784, 250, 10)
    """Units per layer, inputs first, bias not counted. Two to four entries (one to three weight
    layers). Every weight layer has one more row, the last, driven at full scale: the bias. Source:
    Nandakumar 2020, 785-250-10 with the bias input counted."""

    def __post_init__(self) -> None:
        require(
            2 <= len(self.layers) <= 4,
            f"network.layers must name 2 to 4 layer widths, not {len(self.layers)}.",
        )
        for width in self.layers:
            require(
                1 <= width <= 4096,
                f"Each of network.layers must be between 1 and 4096, not {width}.",
            )
        require(
            2 <= self.layers[-1] <= 256,
            f"The last of network.layers (classes) must be between 2 and 256, not "
            f"{self.layers[-1]}.",
        )

    @property
    def n_layers(self) -> int:
        """Number of weight layers, so of logical arrays."""
        return len(self.layers) - 1

    def n_rows(self, layer: int) -> int:
        """Rows of a layer's array: its inputs and, last, the bias line."""
        return self.layers[layer] + 1

    def n_cols(self, layer: int) -> int:
        """Columns of a layer's array: its units."""
        return self.layers[layer + 1]


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The array macros on the far side of the analog boundary, and their timing."""

    max_rows: int = 1024
    """Rows of the largest physical array; a layer with more rows is split and its codes added
    digitally."""

    max_cols: int = 1024
    """Columns of the largest physical array; a layer with more columns is split."""

    integration_cycles: int = 128
    """Cycles in which the pulse-width drive is integrated; 8-bit input at one cycle an LSB. Source:
    inferred from Nandakumar 2020, Table 1 (0.13 us a product); HERMES core, 128 ns."""

    conversion_cycles: int = 2
    """Cycles of one conversion of an ADC. Source: HERMES core, 130 ns for product and
    conversion."""

    columns_per_adc: int = 1
    """Read lines that share one ADC, converted one after the other."""

    read_integration_cycles: int = 62
    """Cycles in which one row's devices are read one by one (verify and refresh): a fixed pulse, no
    pulse width to resolve, so half of a product's integration. Assumed."""

    def __post_init__(self) -> None:
        require_range("array", "max_rows", self.max_rows, 2, 4096)
        require_range("array", "max_cols", self.max_cols, 2, 4096)
        require_range("array", "integration_cycles", self.integration_cycles, 1, 65536)
        require_range("array", "conversion_cycles", self.conversion_cycles, 1, 1024)
        require_range("array", "columns_per_adc", self.columns_per_adc, 1, 64)
        require_range("array", "read_integration_cycles", self.read_integration_cycles, 1, 65536)

    @property
    def mvm_cycles(self) -> int:
        """Cycles from ``start`` of a product to valid codes: integration, then the conversions of
        one ADC in turn."""
        return self.integration_cycles + self.conversion_cycles * self.columns_per_adc

    @property
    def read_cycles(self) -> int:
        """Cycles from ``start`` of a row read to valid codes."""
        return self.read_integration_cycles + self.conversion_cycles * self.columns_per_adc


@dataclass(frozen=True, kw_only=True)
class ConverterConfig:
    """The read-out: one signed saturating code a read line."""

    adc_bits: int = 8
    """Width of an ADC code, sign included."""

    weight_us: float = 8.0
    """Conductance difference of weight 1, in uS. Source: inferred, 0.77 uS / 0.096 in Nandakumar
    2020, Methods."""

    forward_full_scale: float = 8.0
    """Pre-activation at code ``2**(adc_bits-1)``, in weight units times activation 0..1."""

    backward_full_scale: float = 4.0
    """Back-propagated sum at code ``2**(adc_bits-1)``, in weight units times error -1..1. A power
    of two."""

    read_full_scale_us: float = 25.6
    """Conductance at code ``2**(adc_bits-1)`` of a single-device read, in uS. Assumed: covers the
    25 uS that Joshi 2020 gives as the largest conductance of this device."""

    def __post_init__(self) -> None:
        require_range("converter", "adc_bits", self.adc_bits, 3, 12)
        for name in (
            "weight_us",
            "forward_full_scale",
            "backward_full_scale",
            "read_full_scale_us",
        ):
            value = getattr(self, name)
            require(
                math.isfinite(value) and value > 0,
                f"converter.{name} must be positive, not {value!r}.",
            )
        require(
            math.log2(self.backward_full_scale).is_integer()
            and 0.25 <= self.backward_full_scale <= 64,
            "converter.backward_full_scale must be a power of two between 0.25 and 64, not "
            f"{self.backward_full_scale!r}.",
        )

    @property
    def code_max(self) -> int:
        """Largest ADC code; the smallest is ``-code_max - 1``."""
        return 2 ** (self.adc_bits - 1) - 1

    @property
    def forward_lsb(self) -> float:
        """One forward code, in weight units times activation 0..1."""
        return self.forward_full_scale / 2 ** (self.adc_bits - 1)

    @property
    def backward_lsb_log2(self) -> int:
        """log2 of one backward code in weight units times integer drive (-127..127)."""
        return int(math.log2(128 * self.backward_full_scale)) - (self.adc_bits - 1)

    @property
    def read_lsb_us(self) -> float:
        """One code of a single-device read, in uS."""
        return self.read_full_scale_us / 2 ** (self.adc_bits - 1)


@dataclass(frozen=True, kw_only=True)
class UpdateConfig:
    """Quantiser, outer product, chi memory and threshold."""

    lanes: int = 32
    """Words of activations processed in one cycle; the width of every internal stream."""

    strip_columns: int = 0
    """Columns of the vertical strips in which the host sends an image, each strip row by row; 0
    sends the whole image row by row. A word of lanes is then a block of pixels rather than a line:
    about square, it is dark as a whole more often, and dark words cost the update nothing. A fully
    connected layer does not mind the order of its inputs."""

    chi_bits: int = 32
    """Bits of one accumulator word per weight. Source: Nandakumar 2020, 32-bit chi memory."""

    chi_protection: ChiProtection = ChiProtection.NONE
    """Check bits beside each accumulator word: ``none``, ``parity`` (detects one flipped bit) or
    ``secded`` (corrects one, detects two). A word that is detected and not corrected counts as
    zero."""

    epsilon_log2: int = 20
    """log2 of the threshold epsilon in chi LSBs; the threshold divides by shifting."""

    epsilon_weight: float = 0.096
    """Weight change of one SET pulse on average, so of one epsilon. Source: Nandakumar 2020 (0.77
    uS)."""

    learning_rate_log2: int = -3
    """Learning-rate exponent r; the rate is about ``0.76 * 2**r`` (see ``learning_rate``). The
    paper's rate is not given in its main text; chosen on held-out training images, see
    docs/training.md."""

    scale_policy: ScalePolicy = ScalePolicy.RUNNING
    """Where the error scale comes from."""

    decay_log2: int = 6
    """The running maximum decays by ``1 - 2**-decay_log2`` an image. Chosen as
    ``learning_rate_log2``: 6 rather than 4 takes a third of the non-zero updates away at the same
    accuracy."""

    crowded_codes: int = 0
    """Non-zero codes above which an error vector is crowded, and the running maximum grows instead
    of decaying, until no more than a quarter of the images are: early in training, when every unit
    has an error, only the largest are worth an update then. 0 never grows it. Needs ``decay_log2``
    of 2 or more."""

    skip_policy: SkipPolicy = SkipPolicy.ZERO_ERROR
    """When backward products and update are skipped."""

    overlap: bool = False
    """The rest of an image's update runs beside the forward pass of the next training image, where
    that one waits already. The first layer then sees each update an image late."""

    def __post_init__(self) -> None:
        require(
            4 <= self.lanes <= 128 and self.lanes & (self.lanes - 1) == 0,
            f"update.lanes must be a power of two between 4 and 128, not {self.lanes}.",
        )
        require_range("update", "strip_columns", self.strip_columns, 0, 256)
        require_range("update", "chi_bits", self.chi_bits, 8, 32)
        require_range("update", "epsilon_log2", self.epsilon_log2, 2, self.chi_bits - 4)
        require(
            math.isfinite(self.epsilon_weight) and self.epsilon_weight > 0,
            f"update.epsilon_weight must be positive, not {self.epsilon_weight!r}.",
        )
        require_range("update", "learning_rate_log2", self.learning_rate_log2, -16, 8)
        require_range("update", "decay_log2", self.decay_log2, 1, 16)
        require_range("update", "crowded_codes", self.crowded_codes, 0, 4096)
        require(
            self.crowded_codes == 0 or self.decay_log2 >= 2,
            "update.decay_log2 must be at least 2 where update.crowded_codes is not 0, not "
            f"{self.decay_log2}.",
        )

    @property
    def shift_max(self) -> int:
        """Largest left shift of a code product (at most 9) into chi: keeps one step within 4.5
        epsilon, so that a remainder below epsilon plus one step makes at most five pulses and never
        overflows chi."""
        return self.epsilon_log2 - 1


@dataclass(frozen=True, kw_only=True)
class PulseConfig:
    """Pulses and their queue."""

    set_cycles: int = 50
    """Width of a SET pulse in cycles. Source: Nandakumar 2020, 90 uA, 50 ns."""

    reset_cycles: int = 50
    """Width of a RESET pulse in cycles. Source: Joshi 2020 on the same chip, 450 uA, 50 ns; the
    paper's own RESET is not given in its main text."""

    gap_cycles: int = 2
    """Idle cycles after every pulse, for the lines to settle. Assumed."""

    queue_depth: int = 16
    """Words of pulse counts of the first layer that wait for the scheduler; when they are full the
    update stalls. The words of all other layers fit besides (``Config.pulse_queue_depth``)."""

    timeout_cycles: int = 65536
    """Cycles for which the arrays may hold a pulse off; then the host is told and the pulse begins.
    Assumed."""

    def __post_init__(self) -> None:
        require_range("pulse", "set_cycles", self.set_cycles, 1, 65535)
        require_range("pulse", "reset_cycles", self.reset_cycles, 1, 65535)
        require_range("pulse", "gap_cycles", self.gap_cycles, 1, 1024)
        require_range("pulse", "queue_depth", self.queue_depth, 2, 1024)
        require_range("pulse", "timeout_cycles", self.timeout_cycles, 2, 2**31)


@dataclass(frozen=True, kw_only=True)
class RefreshConfig:
    """Refresh: saturated pairs are RESET and their difference is written again, blind.

    The thresholds are recollections of the paper's appendix, not figures of its main text, which
    only says that the result is robust to the scheme; every one is a parameter.
    """

    interval: int = 1
    """Training images between refreshed rows of device pairs (distributed refresh); 0 switches
    refresh off."""

    rows: int = 1
    """Rows refreshed at each interval: 1 is distributed refresh; 0 means every row of every array
    (periodic)."""

    saturated_us: float = 8.0
    """A pair is refreshed when one device exceeds this ..."""

    difference_us: float = 6.0
    """... while the difference of the two stays below this."""

    max_set_pulses: int = 3
    """SET pulses at most when the difference is written again."""

    set_step_us: float = 0.768
    """Expected step of one SET pulse in the re-programming: pulses = round(difference / step)."""

    def __post_init__(self) -> None:
        require_range("refresh", "interval", self.interval, 0, 1_000_000)
        require_range("refresh", "rows", self.rows, 0, 1)
        require_range("refresh", "saturated_us", self.saturated_us, 0.0, 1000.0)
        require_range("refresh", "difference_us", self.difference_us, 0.0, 1000.0)
        require_range("refresh", "max_set_pulses", self.max_set_pulses, 0, 7)
        require(
            math.isfinite(self.set_step_us) and self.set_step_us > 0,
            f"refresh.set_step_us must be positive, not {self.set_step_us!r}.",
        )


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Phase-change device: statistics of SET, drift, read noise, RESET.

    Values of the JAP 2018 model (J. Appl. Phys. 124, 152135) as implemented in public code;
    conductance in uS read at ``drift_t0_s`` after the pulse. P is the pulse history: 1 after RESET,
    times exp(-1/history_pulses) at every SET.
    """

    model: str = "pcm"
    """``pcm`` for the statistics below, the path of a CSV table of steps, or a Python function as
    ``file.py:name``, which runs only with ``--allow-code`` (see docs/devices.md)."""

    history_pulses: float = 2.6
    """Decay of the pulse history P, in pulses."""

    mean_slope: float = -0.084
    """Mean step = mean_slope * G + mean_offset_us + mean_history_us * P."""

    mean_offset_us: float = 0.880
    """See ``mean_slope``."""

    mean_history_us: float = 1.40
    """See ``mean_slope``."""

    std_slope: float = 0.091
    """Spread of the step = std_slope * G + std_offset_us + std_history_us * P."""

    std_offset_us: float = 0.260
    """See ``std_slope``."""

    std_history_us: float = 2.15
    """See ``std_slope``."""

    g_min_us: float = 0.1
    """Smallest conductance."""

    g_max_us: float = 20.0
    """Largest conductance."""

    drift_nu: float = 0.04
    """Drift exponent: G(t) = G(t0) (t/t0)**-nu, restarting at every pulse. 0 switches drift off."""

    drift_t0_s: float = 38.6
    """Time after the pulse at which the statistics hold. Source: Nandakumar 2020, read 38.6 s after
    each pulse."""

    noise_slope: float = 0.03
    """Read-noise sigma = noise_slope * G + noise_offset_us, a fresh Gaussian at every read. 0 and 0
    switch it off."""

    noise_offset_us: float = 0.13
    """See ``noise_slope``."""

    reset_mean_us: float = 0.1
    """Mean conductance after RESET."""

    reset_std_us: float = 0.01
    """Spread of the conductance after RESET."""

    reset_min_us: float = 0.01
    """Smallest conductance after RESET; SET brings it back above ``g_min_us``. Source: srnn-pcm."""

    initial_mean_us: float = 1.6
    """Mean initial conductance. Source: Nandakumar 2020, 1.6 uS."""

    initial_std_us: float = 0.83
    """Spread of the initial conductance. Source: Nandakumar 2020, 0.83 uS."""

    initial_age_s: float = 38.6
    """Age of the initial conductances when the first image arrives. Assumed: the time at which they
    were read."""

    stuck_fraction: float = 0.0
    """Fraction of devices that never change."""

    stuck_us: float = 0.1
    """Conductance of a stuck device."""

    seconds_per_image: float = 0.0
    """Device time of one training image; 0 takes the unit's own cycles times its clock period. The
    paper's experiment ran at about 1 s an image (recalled)."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, float):
                require(math.isfinite(value), f"device.{item.name} must be finite, not {value!r}.")
        require(
            self.history_pulses > 0,
            f"device.history_pulses must be positive, not {self.history_pulses!r}.",
        )
        require(
            self.initial_age_s > 0,
            f"device.initial_age_s must be positive, not {self.initial_age_s!r}.",
        )
        require(
            self.drift_t0_s > 0, f"device.drift_t0_s must be positive, not {self.drift_t0_s!r}."
        )
        require(
            0 <= self.g_min_us < self.g_max_us,
            f"device.g_min_us must be at least 0 and below device.g_max_us, not {self.g_min_us!r}.",
        )
        require_range("device", "stuck_fraction", self.stuck_fraction, 0.0, 1.0)
        require_range("device", "drift_nu", self.drift_nu, 0.0, 1.0)
        for name in (
            "noise_slope",
            "noise_offset_us",
            "reset_mean_us",
            "reset_std_us",
            "reset_min_us",
            "initial_std_us",
            "stuck_us",
            "seconds_per_image",
        ):
            require(
                getattr(self, name) >= 0,
                f"device.{name} must not be negative, not {getattr(self, name)!r}.",
            )
        # Times far beyond any experiment, whose sums over a run are still finite.
        require_range("device", "initial_age_s", self.initial_age_s, 0.0, 1e15)
        require_range("device", "seconds_per_image", self.seconds_per_image, 0.0, 1e6)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length and learning-rate schedule of a training run."""

    epochs: int = 30
    """Passes over the training set. Source: Nandakumar 2020, 30 epochs."""

    rate_drops: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95)
    """Fractions of the run at which the learning-rate exponent drops by one."""

    def __post_init__(self) -> None:
        require_range("training", "epochs", self.epochs, 1, 10_000)
        for drop in self.rate_drops:
            require_range("training", "rate_drops", drop, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One system: the network, its arrays, the digital unit and the training run."""

    system: ClassVar[str] = "mca"

    name: str = "custom"
    """Name of the configuration; generated files are named after it."""

    clock_period_s: float = 1e-9
    """Clock period of the digital unit. Source: the reference clock is 1 GHz."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    array: ArrayConfig = field(default_factory=ArrayConfig)
    converter: ConverterConfig = field(default_factory=ConverterConfig)
    update: UpdateConfig = field(default_factory=UpdateConfig)
    pulse: PulseConfig = field(default_factory=PulseConfig)
    refresh: RefreshConfig = field(default_factory=RefreshConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        require_name(self.name)
        require(
            math.isfinite(self.clock_period_s) and self.clock_period_s > 0,
            f"clock_period_s must be positive, not {self.clock_period_s!r}.",
        )
        for layer in range(self.network.n_layers):
            require(
                self.rows_to_words(self.network.n_rows(layer)) <= 256,
                f"update.lanes = {self.update.lanes} is too few for the "
                f"{self.network.n_rows(layer)} rows of layer {layer}: at most 256 words of lanes "
                "are allowed.",
            )

    @property
    def description(self) -> str:
        """The system in one line."""
        sizes = "-".join(str(units) for units in self.network.layers)
        return f"{sizes}, {self.update.lanes} lanes, {self.converter.adc_bits}-bit ADC"

    # Derived numbers

    def rows_to_words(self, n_rows: int) -> int:
        """Words of ``lanes`` that hold ``n_rows`` values: ceil(n_rows / lanes)."""
        return -(-n_rows // self.update.lanes)

    def n_words(self, layer: int) -> int:
        """Words of a layer's activation vector, bias included."""
        return self.rows_to_words(self.network.n_rows(layer))

    def activation_base(self, layer: int) -> int:
        """Address of the first word of a layer's activations in the activation buffer."""
        return sum(self.n_words(k) for k in range(layer))

    def chi_base(self, layer: int) -> int:
        """Address of the first chi word of a layer; word w of unit j lies at ``base + j * n_words +
        w``."""
        return sum(self.network.n_cols(k) * self.n_words(k) for k in range(layer))

    @property
    def chi_depth(self) -> int:
        """Words of the chi memory."""
        return self.chi_base(self.network.n_layers)

    @property
    def pulse_queue_depth(self) -> int:
        """Words that the pulse queue holds: ``pulse.queue_depth`` beyond all words of all layers
        but the first.

        Updates of those layers run beside backward products, when no pulse may be issued; if they
        could fill the queue, the product that ends the wait might itself wait for them.
        """
        return self.pulse.queue_depth + self.chi_depth - self.network.n_cols(0) * self.n_words(0)

    def row_tiles(self, layer: int) -> int:
        """Physical arrays side by side along a layer's rows."""
        return -(-self.network.n_rows(layer) // self.array.max_rows)

    def col_tiles(self, layer: int) -> int:
        """Physical arrays side by side along a layer's columns."""
        return -(-self.network.n_cols(layer) // self.array.max_cols)

    @property
    def output_error_max(self) -> int:
        """Bound of the exact output error |(y - t) y (255 - y)|, t in {0, 255}: max of (255 - y) *
        y * (255 - y)."""
        return max(y * (255 - y) ** 2 for y in range(256))

    @property
    def hidden_error_max(self) -> int:
        """Bound of the exact hidden error |code * h * (255 - h)|."""
        return 2 ** (self.converter.adc_bits - 1) * 127 * 128

    @property
    def error_bits(self) -> int:
        """Width of an exact signed error, output or hidden."""
        return max(self.output_error_max, self.hidden_error_max).bit_length() + 1

    @property
    def error_exponent_max(self) -> int:
        """Largest right shift that brings an exact error to 7 bits and sign."""
        return self.error_bits - 7

    @property
    def scale_bits(self) -> int:
        """Width of the running maxima: an exact error times the exponents of all layers above."""
        return self.error_bits + self.error_exponent_max * (self.network.n_layers - 1)

    def update_exponent(self, layer: int) -> int:
        """Constant part of the update's shift: round(log2(chi LSBs per unit of code product at rate
        1)).

        One chi LSB is ``epsilon_weight * 2**-epsilon_log2`` of weight. The exact output error is
        255**3 times the real one, every layer below multiplies by 255**2 and by the backward LSB,
        and an activation is 255 times the real one, so a product of codes with exponents ke and kx
        is worth ``2**(ke + kx) * backward_lsb**hops / 255**(4 + 2 * hops)`` of weight at rate 1.
        """
        hops = self.network.n_layers - 1 - layer
        lsb_per_weight = self.update.epsilon_log2 - math.log2(self.update.epsilon_weight)
        unit = self.converter.backward_lsb_log2 * hops - (4 + 2 * hops) * math.log2(255)
        return round(lsb_per_weight + unit)

    def learning_rate(self, layer: int, learning_rate_log2: int | None = None) -> float:
        """The real learning rate of a layer at an exponent (the configured one by default)."""
        exponent = (
            self.update.learning_rate_log2 if learning_rate_log2 is None else learning_rate_log2
        )
        hops = self.network.n_layers - 1 - layer
        lsb_per_weight = self.update.epsilon_log2 - math.log2(self.update.epsilon_weight)
        unit = self.converter.backward_lsb_log2 * hops - (4 + 2 * hops) * math.log2(255)
        return 2.0 ** (self.update_exponent(layer) + exponent - lsb_per_weight - unit)


# TOML


def from_toml(source: str | Path, base: Config | None = None) -> Config:
    """A configuration of this system from TOML; see :func:`model.settings.from_toml`.

    Settings that the file leaves out keep the values of ``base`` (the defaults if not given).
    """
    return settings.from_toml(source, Config() if base is None else base)


def anchored(config: System) -> System:
    """The same system for a process in another working directory: its device's file is absolute."""
    if not isinstance(config, Config):
        return config
    model = config.device.model
    if not model.endswith(".csv") and not model.rpartition(":")[0].endswith(".py"):
        return config
    device = dataclasses.replace(config.device, model=str(Path(model).absolute()))
    return dataclasses.replace(config, device=device)
