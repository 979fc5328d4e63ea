"""RRAM arrays of one layer: products and verify reads as ADC codes, pulses, retention.

Conductances are floats; a read sees them on a grid of 1/1024 uS (``UNITS_PER_US``), so that the sum
of a line is an exact integer whatever the order, and a code follows by integer arithmetic. IR drop
is left out: currents of 16 devices at 0.2 V are below 0.1 mA.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cnn import rram
from model.cnn.config import UNITS_PER_US, CnnConfig, WriteModel
from model.cnn.write_verify import Decision, WriteResult, write_row
from model.faults import no_faults

__all__ = ["LayerArrays", "TransferReport", "convert", "to_units"]


def to_units(conductance_us: NDArray[np.float64]) -> NDArray[np.int32]:
    """Conductances in units of 1/1024 uS, rounded half to even."""
    return np.rint(conductance_us * UNITS_PER_US).astype(np.int32)


def convert(sums: NDArray[Any], lsb: int, code_max: int) -> NDArray[np.uint16]:
    """ADC codes ``min(code_max, (sum + lsb // 2) // lsb)`` of line sums in conductance units.

    ``sums``: integers, not negative, any shape; ``lsb``: conductance units of a code.
    """
    return np.minimum((sums + lsb // 2) // lsb, code_max).astype(np.uint16)


@dataclass(frozen=True)
class TransferReport:
    """What writing took."""

    devices: int
    """Devices that were written."""
    failed: int
    """Devices given up."""
    pulses: int
    """Pulses over all devices."""


class LayerArrays:
    """The arrays of one layer of one replica.

    Devices are addressed as ``[chunk, input, line]``; step s of tile t is chunk ``t * steps + s``.

    Parameters
    ----------
    config, layer
        Which layer.
    rng
        Of everything random; a PCG64 generator, belongs to the arrays from then on.

    Attributes
    ----------
    conductance_us
        float64 ``[chunks, inputs, lines]``. Call :meth:`refresh` after changing it.
    units
        int32, the same: what reads see.
    lsb
        Conductance units of one code of a product; from the calibration.
    faults
        int16 ``[2, tiles, lines]``: a code keeps the ones of the first and gets those of the
        second; see :mod:`model.faults`. All steps of a tile share its converters.
    """

    def __init__(self, config: CnnConfig, layer: int, rng: np.random.Generator) -> None:
        self.config = config
        self.layer = layer
        self.rng = rng
        shape = (config.chunks(layer), config.chunk_inputs(layer), config.lines(layer))
        device = config.device
        self.conductance_us = np.full(shape, device.level_us)
        self.stuck = rram.stuck_devices(device, self.conductance_us, rng)
        self.speeds = rram.device_speeds(device, shape, rng)
        # Until it is calibrated: no product ever clips.
        largest = shape[1] * device.g_max_us * UNITS_PER_US
        self.lsb = max(1, -(-int(largest) // config.array.code_max))
        self.faults = no_faults(1, shape[2], config.tiles(layer)).forward
        self.refresh()

    def refresh(self) -> None:
        """Takes changed conductances over into what reads see."""
        self.units = to_units(self.conductance_us)

    def forced(self, codes: NDArray[Any], chunk: int | slice) -> NDArray[Any]:
        """The codes of a chunk, ``[..., lines]``, or of several, ``[chunks, ..., lines]``, as the
        converters give them."""
        keep, ones = np.repeat(self.faults, self.config.steps(self.layer), axis=1)[:, chunk]
        if isinstance(chunk, slice):
            keep, ones = (
                np.expand_dims(mask, tuple(range(1, codes.ndim - 1))) for mask in (keep, ones)
            )
        return ((codes.astype(np.int32) & keep) | ones).astype(codes.dtype)

    # Products

    def phase(self, step: int, drive: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Codes uint16 ``[tiles, lines]`` of one phase: bits uint8 ``[tiles, inputs]`` driven."""
        config, steps = self.config, self.config.steps(self.layer)
        codes = np.zeros((config.tiles(self.layer), config.lines(self.layer)), np.uint16)
        for tile, bits in enumerate(drive):
            chunk = tile * steps + step
            if chunk < len(self.units):
                sums = bits.astype(np.int64) @ self.units[chunk]
                codes[tile] = self.forced(convert(sums, self.lsb, config.array.code_max), chunk)
        return codes

    # Reading and writing single rows

    def verify(self, chunk: int, line_in: int) -> NDArray[np.uint16]:
        """Codes uint16 ``[lines]`` of the devices of one input line, read one by one."""
        config = self.config
        units = self.units[chunk, line_in]
        if config.device.read_noise_us:
            noise = self.rng.normal(0.0, config.device.read_noise_us, units.shape)
            units = np.maximum(units + to_units(noise), 0)
        codes = convert(units, config.read_lsb_units, config.array.code_max)
        return np.asarray(self.forced(codes, chunk))

    def pulse(self, chunk: int, line_in: int, decision: Decision, mask: NDArray[np.bool_]) -> None:
        """One pulse on the masked devices of one input line; stuck ones stay as they are."""
        here = mask & ~self.stuck[chunk, line_in]
        row = self.conductance_us[chunk, line_in]
        row[here] = rram.pulse(
            self.config.device, row[here], self.speeds[chunk, line_in, here], decision, self.rng
        )
        self.units[chunk, line_in] = to_units(row)

    def target_codes(self, targets_us: NDArray[np.float64]) -> NDArray[np.int32]:
        """Verify codes of target conductances: nearest, within the ADC's range."""
        units = to_units(targets_us)
        return convert(units, self.config.read_lsb_units, self.config.array.code_max).astype(
            np.int32
        )

    def write_row(
        self,
        chunk: int,
        line_in: int,
        targets: NDArray[Any],
        enables: NDArray[np.bool_],
    ) -> WriteResult:
        """Closed-loop write of one input line's devices to verify codes, as the gateware does."""
        config = self.config
        return write_row(
            _Row(self, chunk, line_in),
            targets,
            enables,
            margin=config.margin_codes,
            max_pulses=config.write.max_pulses,
        )

    def program(
        self, targets_us: NDArray[np.float64], mask: NDArray[np.bool_] | None = None
    ) -> TransferReport:
        """Writes all devices, or those of a mask, to targets ``[chunks, inputs, lines]``.

        With ``write_model`` ``sigma`` at once; a device then counts one pulse, and has failed if it
        is stuck outside the margin. With ``verify`` row by row in the order of chunks and inputs.
        """
        device = self.config.device
        mask = np.ones(self.stuck.shape, bool) if mask is None else mask
        if device.write_model is WriteModel.SIGMA:
            here = mask & ~self.stuck
            self.conductance_us[here] = rram.write(device, targets_us[here], self.rng)
            self.refresh()
            lost = mask & self.stuck
            lost &= np.abs(self.conductance_us - targets_us) > self.config.write.margin_us
            return TransferReport(int(mask.sum()), int(lost.sum()), int(mask.sum()))
        codes = self.target_codes(targets_us)
        failed = pulses = 0
        for chunk, line_in in zip(*np.nonzero(mask.any(axis=2)), strict=True):
            result = self.write_row(chunk, line_in, codes[chunk, line_in], mask[chunk, line_in])
            failed += int(result.failed.sum())
            pulses += int(result.pulses.sum())
        return TransferReport(int(mask.sum()), failed, pulses)

    def age(self, seconds: float) -> None:
        """Lets the arrays lie for a time after their last write; stuck devices stay."""
        moved = rram.retain(self.config.device, self.conductance_us, seconds, self.rng)
        self.conductance_us[~self.stuck] = moved[~self.stuck]
        self.refresh()

    def break_devices(self, fraction: float, rng: np.random.Generator) -> int:
        """Lets each device fail with probability ``fraction``: it is stuck at either end of the
        window. Returns how many did."""
        failed = rng.random(self.stuck.shape) < fraction
        high = rng.random(self.stuck.shape) < 0.5
        device = self.config.device
        self.conductance_us[failed] = np.where(high, device.g_max_us, device.g_min_us)[failed]
        self.stuck |= failed
        self.refresh()
        return int(failed.sum())

    # State

    def save(self) -> dict[str, NDArray[Any]]:
        """Everything :meth:`load` needs to go on bit for bit: plain arrays."""
        return {
            "conductance_us": self.conductance_us.copy(),
            "stuck": self.stuck.copy(),
            "speeds": self.speeds.copy(),
            "lsb": np.array(self.lsb),
            "rng": np.array(json.dumps(self.rng.bit_generator.state)),
        }

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Takes over what :meth:`save` gave, of the same configuration.

        Raises
        ------
        ValueError
            If an array is missing or has another shape.
        """
        for name in ("conductance_us", "stuck", "speeds"):
            if name not in arrays or arrays[name].shape != self.stuck.shape:
                raise ValueError(f"The saved array of layer {self.layer} lacks a fitting {name}.")
        self.conductance_us = arrays["conductance_us"].astype(np.float64)
        self.stuck = arrays["stuck"].astype(bool)
        self.speeds = arrays["speeds"].astype(np.float64)
        self.lsb = int(arrays["lsb"])
        self.rng.bit_generator.state = json.loads(str(arrays["rng"]))
        self.refresh()


@dataclass(frozen=True)
class _Row:
    """One input line of one chunk, for :func:`model.cnn.write_verify.write_row`."""

    arrays: LayerArrays
    chunk: int
    line_in: int

    def read(self) -> NDArray[np.uint16]:
        return self.arrays.verify(self.chunk, self.line_in)

    def pulse(self, decision: Decision, mask: NDArray[np.bool_]) -> None:
        self.arrays.pulse(self.chunk, self.line_in, decision, mask)
