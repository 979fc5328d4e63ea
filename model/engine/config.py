"""Configuration of an all-digital training engine."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from model.config import Config, ConverterConfig, NetworkConfig, UpdateConfig
from model.settings import require, require_name, require_range

__all__ = ["EngineConfig", "UpdateRule"]


class UpdateRule(StrEnum):
    """How a weight changes."""

    #: Every weight by every image: read, add the product of activation and error, write back.
    DIRECT = "direct"
    #: The 3-bit outer product and the chi memory of the in-memory system; a weight is written where
    #: chi reaches one of its LSBs.
    CHI = "chi"


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """A training engine of ``lanes`` multiply-accumulate lanes with its weights in SRAM.

    Activations are the unsigned 8-bit numbers of the sigmoid unit that the in-memory system has
    too, 255 standing for 1. A word of any memory holds ``lanes`` neighbouring inputs of one unit:
    activations, weights and chi words lie alike.
    """

    system: ClassVar[str] = "engine"

    name: str = "custom_engine"
    """Name of the configuration; generated files are named after it."""

    clock_period_s: float = 1e-9
    """Clock period in s."""

    network: NetworkConfig = field(default_factory=NetworkConfig)

    lanes: int = 32
    """Multiply-accumulate lanes, a power of two. Source: inferred from the times of Nandakumar
    2020, Table 1: 32 at 1 GHz or 64 at 500 MHz."""

    update: UpdateRule = UpdateRule.DIRECT
    """How a weight changes: ``direct``, every weight by every image, or ``chi``, as in the
    in-memory system."""

    weight_bits: int = 32
    """Width of a weight, signed; the most negative code is not used."""

    weight_lsb_log2: int = -24
    """log2 of a weight's LSB."""

    single_port: bool = True
    """Whether the weight memory has one port for reading and writing, so that changing a word takes
    two cycles; else it has one of each. Source: 15.36 us for an update in Nandakumar 2020, Table 1,
    is two accesses a word of 32 lanes at 1 GHz."""

    learning_rate_log2: int = -1
    """Learning-rate exponent. Direct: the rate is ``2**learning_rate_log2``, but for the rounding
    of 255 to 256. Chi: as ``update.learning_rate_log2`` of the in-memory system."""

    decay_log2: int = 6
    """Chi: decay of the running maximum of the errors, by ``1 - 2**-decay_log2`` an image."""

    initial_std: float = 0.146
    """Spread of the initial weights. Source: that of the in-memory system, 0.83 uS sqrt(2) / 8.02
    uS, Nandakumar 2020, Methods."""

    epochs: int = 30
    """Passes over the training images."""

    rate_drops: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95)
    """Parts of the run after which the learning rate is halved."""

    def __post_init__(self) -> None:
        require_name(self.name)
        require(
            math.isfinite(self.clock_period_s) and self.clock_period_s > 0,
            f"clock_period_s must be positive, not {self.clock_period_s!r}.",
        )
        require(
            4 <= self.lanes <= 128 and self.lanes & (self.lanes - 1) == 0,
            f"lanes must be a power of two between 4 and 128, not {self.lanes}.",
        )
        require_range("engine", "weight_bits", self.weight_bits, 2, 32)
        require_range("engine", "weight_lsb_log2", self.weight_lsb_log2, -28, 2)
        require_range("engine", "learning_rate_log2", self.learning_rate_log2, -16, 7)
        require_range("engine", "decay_log2", self.decay_log2, 1, 15)
        require_range("engine", "initial_std", self.initial_std, 0, 4)
        require_range("engine", "epochs", self.epochs, 1, 10_000)
        for drop in self.rate_drops:
            require_range("engine", "rate_drops", drop, 0, 1)
        if self.update is UpdateRule.DIRECT:
            require(
                self.update_shift(self.learning_rate_log2) >= 8,
                "weight_lsb_log2 and learning_rate_log2 make steps of more than 32 bits: "
                f"32 + {self.weight_lsb_log2} - {self.learning_rate_log2} must be at least 8.",
            )
        require(
            not (self.is_chi and self.single_port),
            "A chi update needs a weight memory of two ports: single_port must be false.",
        )
        require(
            self.sum_bits <= 63,
            f"Sums of {self.sum_bits} bits do not fit 63: fewer layers, inputs or weight bits.",
        )
        require(
            min(self.forward_shift, self.backward_shift) >= 0,
            f"weight_lsb_log2 must be at most {2 if self.is_chi else 0}, "
            f"not {self.weight_lsb_log2}.",
        )

    @property
    def description(self) -> str:
        """The engine in one line."""
        sizes = "-".join(str(width) for width in self.network.layers)
        return f"{sizes}, {self.lanes} lanes, {self.weight_bits}-bit weights, {self.update} update"

    @property
    def is_chi(self) -> bool:
        """Whether the update is that of the in-memory system."""
        return self.update is UpdateRule.CHI

    @property
    def unit(self) -> Config:
        """The in-memory system's configuration that the shared blocks take: codes of 8 bits with
        the same full scales, chi with an epsilon of one weight LSB."""
        return Config(
            name=self.name,
            network=self.network,
            clock_period_s=self.clock_period_s,
            converter=ConverterConfig(),
            update=UpdateConfig(
                lanes=self.lanes,
                epsilon_weight=2.0**self.weight_lsb_log2,
                learning_rate_log2=self.learning_rate_log2 if self.is_chi else -3,
                decay_log2=self.decay_log2,
            ),
        )

    @property
    def code_max(self) -> int:
        """Largest code of the sigmoid table."""
        return 2 ** (self.unit.converter.adc_bits - 1) - 1

    @property
    def weight_max(self) -> int:
        """Largest magnitude of a weight."""
        return 2 ** (self.weight_bits - 1) - 1

    @property
    def error_bits(self) -> int:
        """Width of an error that is multiplied with weights, sign included: all 32 bits, or what
        drives the array of the in-memory system."""
        return 8 if self.is_chi else 32

    @property
    def operand_bits(self) -> int:
        """Width of the second factor of a lane: an error, or an activation and a sign."""
        return max(9, self.error_bits)

    @property
    def sum_bits(self) -> int:
        """Width of a sum that cannot overflow, sign included. Output errors are exact and shorter
        than hidden ones."""
        network = self.network
        layers = range(network.n_layers)
        forward = (network.n_rows(k) * self.weight_max * 255 for k in layers)
        output = self.unit.output_error_max if not self.is_chi else 127
        hidden = 2 ** (self.error_bits - 1)
        backward = (
            network.n_cols(k) * self.weight_max * (output if k == layers[-1] else hidden)
            for k in layers
            if k > 0
        )
        return max(*forward, *backward, 1).bit_length() + 1

    @property
    def forward_shift(self) -> int:
        """Right shift of a forward sum to a code of the sigmoid table: 2**-4 of weight a code, and
        255 of an activation taken for 256."""
        lsb_log2 = round(math.log2(self.unit.converter.forward_full_scale / (self.code_max + 1)))
        return lsb_log2 + 8 - self.weight_lsb_log2

    @property
    def backward_shift(self) -> int:
        """Right shift of a backward sum. Direct: to the error's own LSB. Chi: to an 8-bit code, as
        of the in-memory system's converter."""
        if not self.is_chi:
            return -self.weight_lsb_log2
        return self.unit.converter.backward_lsb_log2 - self.weight_lsb_log2

    def update_shift(self, learning_rate_log2: int) -> int:
        """Direct: right shift of activation x error to a step in weight LSBs.

        The error is 255**3 times the real one and the activation 255 times, 32 bits together when
        255 counts as 256.
        """
        return 32 + self.weight_lsb_log2 - learning_rate_log2

    def n_words(self, layer: int) -> int:
        """Words of a layer's activation vector, bias included."""
        return -(-self.network.n_rows(layer) // self.lanes)

    def unit_words(self, layer: int) -> int:
        """Words of a vector of a layer's units."""
        return -(-self.network.n_cols(layer) // self.lanes)

    def weight_base(self, layer: int) -> int:
        """Address of a layer's first weight word; word w of unit j lies at ``base + j * n_words +
        w``."""
        return sum(self.network.n_cols(k) * self.n_words(k) for k in range(layer))

    @property
    def weight_depth(self) -> int:
        """Words of the weight memory."""
        return self.weight_base(self.network.n_layers)
