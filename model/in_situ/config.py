"""Configuration of an in-situ learning system: a network on one-transistor-one-resistor arrays that
is trained by gate voltages (Li 2018)."""

import enum
import math
from dataclasses import dataclass, field
from typing import ClassVar

from model.settings import require, require_name, require_range

__all__ = [
    "ArrayConfig",
    "ConverterConfig",
    "Curve",
    "DeviceConfig",
    "GateConfig",
    "InSituConfig",
    "NetworkConfig",
    "PulseConfig",
    "TrainingConfig",
    "UpdateConfig",
]

SOURCE = "Li et al., Nat. Commun. 9, 2385 (2018)"

DRIVE_MAX = 255
"""Full-scale drive code: 8-bit amplitude."""


class Curve(enum.StrEnum):
    """How the conductance after a SET pulse depends on the gate voltage."""

    #: The straight line fitted through the conductances seen in the running network.
    IN_NETWORK = "in_network"
    #: The median of single devices read one at a time.
    INTRINSIC = "intrinsic"


def _require_positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        require(
            math.isfinite(value) and value > 0, f"{owner}.{name} must be positive, not {value!r}."
        )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Layer widths of a fully connected network: clipped ReLU, then softmax; no bias."""

    layers: tuple[int, ...] = (64, 54, 10)
    """Units per layer, inputs first. Two to four entries (one to three weight layers). Source:
    Li 2018, 64-54-10 without bias."""

    def __post_init__(self) -> None:
        require(
            2 <= len(self.layers) <= 4,
            f"network.layers must name 2 to 4 layer widths, not {len(self.layers)}.",
        )
        for width in self.layers:
            require(
                1 <= width <= 2048,
                f"Each of network.layers must be between 1 and 2048, not {width}.",
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

    def n_inputs(self, layer: int) -> int:
        """Inputs of a layer: pairs of rows."""
        return self.layers[layer]

    def n_rows(self, layer: int) -> int:
        """Rows of a layer's array: ``+v`` on row i and ``-v`` on row ``n_inputs + i``."""
        return 2 * self.layers[layer]

    def n_cols(self, layer: int) -> int:
        """Columns of a layer's array: its units."""
        return self.layers[layer + 1]


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The physical array that holds all layers, side by side along its columns, and its timing."""

    rows: int = 128
    """Rows of the array. Source: Li 2018, 128 x 64."""

    cols: int = 64
    """Columns of the array. Source: Li 2018, 128 x 64."""

    settle_cycles: int = 10
    """Cycles from the start of an amplitude-coded product until its currents are still. Assumed:
    the paper gives no read time."""

    convert_cycles: int = 2
    """Cycles of one conversion; every read line has its ADC. Assumed, as for ``mca_mlp``."""

    read_voltage_v: float = 0.2
    """Amplitude of the drive code 255. Source: Li 2018, Fig. 3a."""

    segment_ohm: float = 0.0
    """Resistance of the wire between two neighbouring devices; 0 leaves wires out. The in-network
    curve has their effect inside; give a resistance with the intrinsic curve. The paper has none;
    its authors' simulator shows 0.1 ohm."""

    def __post_init__(self) -> None:
        require_range("array", "rows", self.rows, 2, 8192)
        require_range("array", "cols", self.cols, 2, 8192)
        require_range("array", "settle_cycles", self.settle_cycles, 1, 65536)
        require_range("array", "convert_cycles", self.convert_cycles, 1, 1024)
        require_range("array", "segment_ohm", self.segment_ohm, 0.0, 1000.0)
        _require_positive("array", read_voltage_v=self.read_voltage_v)

    @property
    def mvm_cycles(self) -> int:
        """Cycles from ``start`` of a product to valid codes."""
        return self.settle_cycles + self.convert_cycles


@dataclass(frozen=True, kw_only=True)
class ConverterConfig:
    """The read-out: one signed saturating code a read line, and what the units make of it."""

    adc_bits: int = 8
    """Width of an ADC code, sign included."""

    hidden_full_scale_a: float = 0.7e-3
    """Current at code ``2**(adc_bits-1)`` of hidden layers, where the drive of the next layer is
    clipped too. With ``relu_shift`` 1 the gain is 287 V/A; 1 mA would give the paper's 200 V/A.
    Chosen on held-out training images, see docs/in_situ/training.md."""

    output_full_scale_a: float = 64e-6
    """Current at code ``2**(adc_bits-1)`` of the last layer. Source: Li 2018, Figs. 3f and 3i show
    output currents up to 34 uA; the factor of two is for other seeds and longer training."""

    backward_full_scale_a: float = 64e-6
    """Current at code ``2**(adc_bits-1)`` of backward products: see ``output_full_scale_a``."""

    relu_shift: int = 1
    """log2 of drive codes a code of a hidden unit."""

    softmax_gain_per_a: float = 5e5
    """Logit of one ampere, k. Source: Li 2018, Methods, 5e5 /A."""

    def __post_init__(self) -> None:
        require_range("converter", "adc_bits", self.adc_bits, 3, 8)
        require_range("converter", "relu_shift", self.relu_shift, 0, 7)
        _require_positive(
            "converter",
            hidden_full_scale_a=self.hidden_full_scale_a,
            output_full_scale_a=self.output_full_scale_a,
            backward_full_scale_a=self.backward_full_scale_a,
            softmax_gain_per_a=self.softmax_gain_per_a,
        )

    @property
    def code_max(self) -> int:
        """Largest ADC code; the smallest is ``-code_max - 1``."""
        return 2 ** (self.adc_bits - 1) - 1

    @property
    def softmax_lsb(self) -> float:
        """Logit of one code of the last layer."""
        return self.softmax_gain_per_a * self.output_full_scale_a / 2 ** (self.adc_bits - 1)


@dataclass(frozen=True, kw_only=True)
class UpdateConfig:
    """Mini-batch accumulation and learning rate."""

    lanes: int = 32
    """Gradients processed in one cycle; the width of every internal stream. Lanes lie along a
    layer's units, so that a row of devices is a run of consecutive words."""

    batch: int = 50
    """Images whose gradients are summed before gates are written. Source: Li 2018, 50."""

    rate_bits: int = 24
    """Bits of the rate register; its upper eight are the mantissa that multiplies gradients."""

    rate_start: int = 2**24 - 1
    """Rate register at the start of a run; it falls linearly to zero at its end."""

    shifts: tuple[int, ...] = (14, 10)
    """Right shift of gradient times mantissa to gate LSBs, one for each layer. Chosen on held-out
    training images, see docs/in_situ/training.md; the paper does not give its learning rate."""

    def __post_init__(self) -> None:
        require(
            4 <= self.lanes <= 128 and self.lanes & (self.lanes - 1) == 0,
            f"update.lanes must be a power of two between 4 and 128, not {self.lanes}.",
        )
        require_range("update", "batch", self.batch, 1, 4096)
        require_range("update", "rate_bits", self.rate_bits, 9, 32)
        require_range("update", "rate_start", self.rate_start, 0, 2**self.rate_bits - 1)
        for shift in self.shifts:
            require_range("update", "shifts", shift, 0, 31)


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """The gate-voltage memory and its DAC: fixed point in DAC LSBs."""

    step_v: float = 0.01
    """Gate voltage of one DAC LSB. Source: Li 2018, Fig. 1g, steps of 10 mV."""

    fraction_bits: int = 8
    """Bits of the memory below the DAC's LSB, so that small gradients are not lost."""

    code_min: int = 60
    """Smallest gate code. Source: Li 2018, 0.6 V."""

    code_max: int = 170
    """Largest gate code. Source: Li 2018, 1.7 V."""

    code_initial: int = 100
    """Gate code of every device before training. Source: Li 2018, 1.0 V."""

    def __post_init__(self) -> None:
        require_range("gate", "fraction_bits", self.fraction_bits, 1, 12)
        # Code 0 means "not selected" and 255 the full gate of a RESET.
        require_range("gate", "code_min", self.code_min, 1, 254)
        require_range("gate", "code_max", self.code_max, self.code_min, 254)
        require_range("gate", "code_initial", self.code_initial, self.code_min, self.code_max)
        _require_positive("gate", step_v=self.step_v)

    @property
    def word_bits(self) -> int:
        """Bits of one gate in the memory."""
        return 8 + self.fraction_bits

    @property
    def low(self) -> int:
        """Smallest gate in the memory."""
        return self.code_min << self.fraction_bits

    @property
    def high(self) -> int:
        """Largest gate in the memory."""
        return self.code_max << self.fraction_bits

    @property
    def initial(self) -> int:
        """Every gate in the memory before training."""
        return self.code_initial << self.fraction_bits


@dataclass(frozen=True, kw_only=True)
class PulseConfig:
    """Programming pulses; the paper gives their voltages, not their widths."""

    set_cycles: int = 100
    """Width of a SET pulse (2.5 V at the top electrode) in cycles. Assumed."""

    reset_cycles: int = 100
    """Width of a RESET pulse (1.6 V at the bottom electrode, gate at 5 V) in cycles. Assumed."""

    gap_cycles: int = 2
    """Idle cycles after every pulse, for the lines to settle. Assumed."""

    timeout_cycles: int = 65536
    """Cycles for which the array may hold a pulse off; then the host is told and the pulse begins.
    Assumed."""

    def __post_init__(self) -> None:
        require_range("pulse", "set_cycles", self.set_cycles, 1, 65535)
        require_range("pulse", "reset_cycles", self.reset_cycles, 1, 65535)
        require_range("pulse", "gap_cycles", self.gap_cycles, 1, 1024)
        require_range("pulse", "timeout_cycles", self.timeout_cycles, 2, 2**31)


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Ta/HfO2 device behind its transistor: the last gate voltage sets the conductance."""

    curve: Curve = Curve.IN_NETWORK
    """Mean conductance over gate voltage. Source: Li 2018, Fig. 3d (in the network, digitised:
    63.5 + 150.6 V_g uS) or Fig. 1h (single devices, digitised)."""

    update_variation: float = 0.02
    """Spread of the conductance after a SET pulse, as a fraction of the range between the smallest
    and the largest gate voltage. Source: Li 2018, Methods, 2 %; that it is of the range is
    inferred."""

    stuck_off_fraction: float = 0.11
    """Fraction of devices that never leave ``stuck_off_us``, drawn at random. Source: Li 2018,
    11 % unresponsive devices."""

    stuck_off_us: float = 10.0
    """Their conductance. Source: Li 2018, Methods, 10 uS."""

    stuck_on_fraction: float = 0.0
    """Fraction of devices shorted to ``stuck_on_us``, drawn at random besides those."""

    stuck_on_us: float = 1000.0
    """Their conductance. Assumed: the top of the intrinsic curve."""

    stuck_map: str = ""
    """A CSV file ``layer,row,col,conductance_us`` of more stuck devices, or nothing."""

    reset_us: float = 10.0
    """Conductance after RESET, until the SET pulse that follows. Assumed: "very low", as a stuck
    device."""

    read_noise_us: float = 0.0
    """Spread of one device's conductance from read to read. The paper gives none; the authors'
    simulator reads without noise."""

    def __post_init__(self) -> None:
        for name in ("stuck_off_fraction", "stuck_on_fraction"):
            require_range("device", name, getattr(self, name), 0.0, 1.0)
        require(
            self.stuck_off_fraction + self.stuck_on_fraction <= 1,
            "device.stuck_off_fraction and device.stuck_on_fraction must add up to at most 1, not "
            f"{self.stuck_off_fraction + self.stuck_on_fraction:g}.",
        )
        require_range("device", "update_variation", self.update_variation, 0.0, 1.0)
        for name in ("stuck_off_us", "stuck_on_us", "reset_us", "read_noise_us"):
            # Twice the largest conductance seen; the exact sums of products rest on the bound.
            require_range("device", name, getattr(self, name), 0.0, 2000.0)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Images of a training run and how they reach the network."""

    images: int = 80_000
    """Training images of a run, a multiple of the batch; the set is repeated. Source: Li 2018,
    80,000."""

    curve_images: int = 8_000
    """Images between two evaluations on the test set, a multiple of the batch."""

    held_out: int = 0
    """The last so many training images are not trained on but stand in for the test set: how rates
    and full scales are chosen. 0 for results."""

    crop: int = 20
    """Side of the central square of a 28 x 28 image that is used. Source: Li 2018, 20 for 64
    inputs, 22 for 484."""

    def __post_init__(self) -> None:
        require_range("training", "images", self.images, 1, 10**9)
        require_range("training", "curve_images", self.curve_images, 1, 10**9)
        require_range("training", "held_out", self.held_out, 0, 10**9)
        require_range("training", "crop", self.crop, 1, 28)


@dataclass(frozen=True, kw_only=True)
class InSituConfig:
    """One in-situ learning system: network, array, digital unit and training run."""

    system: ClassVar[str] = "in_situ"

    name: str = "custom"
    """Name of the configuration; generated files are named after it."""

    clock_period_s: float = 1e-9
    """Clock period of the digital unit. Source: the reference clock is 1 GHz."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    array: ArrayConfig = field(default_factory=ArrayConfig)
    converter: ConverterConfig = field(default_factory=ConverterConfig)
    update: UpdateConfig = field(default_factory=UpdateConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    pulse: PulseConfig = field(default_factory=PulseConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        require_name(self.name)
        _require_positive("The configuration", clock_period_s=self.clock_period_s)
        network = self.network
        layers = range(network.n_layers)
        rows = max(network.n_rows(layer) for layer in layers)
        cols = sum(network.n_cols(layer) for layer in layers)
        require(
            rows <= self.array.rows and cols <= self.array.cols,
            f"The network needs {rows} rows and {cols} columns (layers lie side by side), more "
            f"than array.rows = {self.array.rows} and array.cols = {self.array.cols}.",
        )
        require(
            len(self.update.shifts) == network.n_layers,
            f"update.shifts must have one entry for each of the {network.n_layers} weight layers, "
            f"not {len(self.update.shifts)}.",
        )
        for name in ("images", "curve_images"):
            count = getattr(self.training, name)
            require(
                count % self.update.batch == 0,
                f"training.{name} must be a multiple of update.batch = {self.update.batch}, not "
                f"{count}.",
            )
        require(
            self.unit_words(0) <= 256 and self.input_words(0) <= 256,
            f"update.lanes = {self.update.lanes} is too few for the layers: at most 256 words of "
            "lanes are allowed.",
        )

    @property
    def description(self) -> str:
        """The system in one line."""
        sizes = "-".join(str(units) for units in self.network.layers)
        return f"{sizes} on 1T1R, batch {self.update.batch}, {self.converter.adc_bits}-bit ADC"

    # Derived numbers

    def rows_to_words(self, n: int) -> int:
        """Words of ``lanes`` that hold ``n`` values: ceil(n / lanes)."""
        return -(-n // self.update.lanes)

    def unit_words(self, layer: int) -> int:
        """Words of a layer's units: of its codes, errors and rows of gradients and gates."""
        return self.rows_to_words(self.network.n_cols(layer))

    def input_words(self, layer: int) -> int:
        """Words of a layer's inputs."""
        return self.rows_to_words(self.network.n_inputs(layer))

    def gradient_base(self, layer: int) -> int:
        """Address of a layer's first word of gradients and gates; word w of input i lies at ``base
        + i * unit_words + w``."""
        return sum(self.network.n_inputs(k) * self.unit_words(k) for k in range(layer))

    @property
    def gradient_depth(self) -> int:
        """Words of the gradient memory, and of the gate memory."""
        return self.gradient_base(self.network.n_layers)

    @property
    def gradient_bits(self) -> int:
        """Width of a gradient sum: a batch of products of at most 255 * 255, and a sign."""
        return (DRIVE_MAX * DRIVE_MAX * self.update.batch).bit_length() + 1

    def rate_decay(self, n_updates: int) -> int:
        """What the rate register loses at each of ``n_updates`` updates of a run: it ends near
        zero."""
        return self.update.rate_start // max(n_updates, 1)

    def volts_per_gradient(self, layer: int) -> float:
        """Learning rate of a layer at the start of a run: change of the gate voltage, in V, for a
        mean gradient of 1 (activation and error at full scale in every image)."""
        mantissa = self.update.rate_start >> (self.update.rate_bits - 8)
        lsb_v = self.gate.step_v / 2**self.gate.fraction_bits
        total = DRIVE_MAX * DRIVE_MAX * self.update.batch
        return total * mantissa / 2 ** self.update.shifts[layer] * lsb_v
