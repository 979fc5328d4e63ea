"""One layer's one-transistor-one-resistor array: products, row-parallel pulses, device physics.

Row i of a layer's array is driven with +v, row ``n_inputs + i`` with -v of the same amplitude, so
that column j carries ``sum_i v_i (G[i, j] - G[n_inputs + i, j])``. Backwards, columns are driven
and the two rows of an input are read as a difference. What leaves is ADC codes.

The physics are compiled functions on an :class:`ArrayState`, for the trainer's own compiled loop;
:class:`OneTransistorArray` is the thin object around one state. Products come in batches because
conductances rest between two write phases. Bit for bit it makes no difference how many images a
call has: conductances lie on a grid of 2**-16 uS, drives are integers, and so every partial sum is
exact in float64, in any order (2000 uS, 2048 rows and 255 need 46 of 53 bits). A generator of its
own for each direction keeps read noise in the same order too.
"""

import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.faults import ConverterFaults, force, no_faults, reference
from model.in_situ.config import DRIVE_MAX, InSituConfig
from model.in_situ.device import conductance_table, set_spread_us, stuck_devices
from model.in_situ.pulse_scheduler import NOT_SELECTED, RESET, SET
from model.in_situ.wire import series_resistance
from model.jit import njit

__all__ = [
    "ArrayState",
    "OneTransistorArray",
    "product_backward",
    "product_forward",
    "program_row",
]

GRID_US = 2.0**-16
"""Conductances are multiples of this."""

LARGEST_US = 2000.0
"""No conductance is larger."""


class ArrayState(NamedTuple):
    """Everything one array knows. All layers' states have the same compiled type."""

    conductance: NDArray[np.float64]
    """float64 ``[n_rows, n_cols]``: conductance of each device in uS, wires left out."""
    weight: NDArray[np.float64]
    """float64 ``[n_inputs, n_cols]``: difference of a pair as seen from the edge, in uS."""
    set_code: NDArray[np.uint8]
    """uint8 ``[n_rows, n_cols]``: gate code of the last SET that took, 0 since a RESET."""
    stuck: NDArray[np.bool_]
    """bool ``[n_rows, n_cols]``: devices that no pulse changes."""
    resistance: NDArray[np.float64]
    """float64 ``[n_rows, n_cols]``: wire in series, in ohm."""
    table: NDArray[np.float64]
    """float64 ``[256]``: mean conductance at each gate code, in uS."""
    spread_us: float
    """Spread of a SET."""
    reset_us: float
    """Conductance after a RESET."""
    read_noise_us: float
    """Spread of a device from read to read."""
    forward_scale: float
    """Codes a uS and drive code, forward."""
    backward_scale: float
    """Codes a uS and drive code, backward."""
    code_max: int
    """Largest code."""
    faults: ConverterFaults
    """What is wrong with converters and lines; nothing unless told."""
    rng_write: np.random.Generator
    rng_forward: np.random.Generator
    rng_backward: np.random.Generator


@njit
def _on_grid(conductance: float) -> float:
    """The nearest conductance that a device can have."""
    return min(max(np.rint(conductance / GRID_US) * GRID_US, 0.0), LARGEST_US)


@njit
def _convert(
    state: ArrayState,
    rng: np.random.Generator,
    drives: NDArray[np.float64],
    sums: NDArray[np.float64],
    scale: float,
    faults: NDArray[np.int16],
    codes: NDArray[np.int16],
) -> None:
    """Read noise, then the ADC: ``round(sum * scale / reference)``, half to even, saturated."""
    low, high = -state.code_max - 1.0, state.code_max + 0.0
    for image in range(sums.shape[0]):
        image_scale = scale / reference(state.faults, rng)
        spread = 0.0
        if state.read_noise_us > 0.0:
            power = 0.0
            for line in range(drives.shape[1]):
                power += drives[image, line] ** 2
            # Two devices a driven line and read line; Gaussian sums have the summed variance.
            spread = state.read_noise_us * np.sqrt(2.0 * power)
        for line in range(sums.shape[1]):
            value = sums[image, line]
            # No draw where nothing is driven: a skipped backward product leaves no trace.
            if spread > 0.0:
                value += spread * rng.standard_normal()
            codes[image, line] = np.int16(min(max(np.rint(value * image_scale), low), high))
        force(faults, codes[image])


@njit
def product_forward(
    state: ArrayState, drives: NDArray[np.float64], codes: NDArray[np.int16]
) -> None:
    """Codes of forward products, one an image.

    ``drives``: float64 ``[n, n_inputs]``, integers 0..255; ``codes``: int16 ``[n, n_cols]``,
    written.
    """
    sums = np.dot(drives, state.weight)
    faults = state.faults.forward[:, 0]
    _convert(state, state.rng_forward, drives, sums, state.forward_scale, faults, codes)


@njit
def product_backward(
    state: ArrayState, drives: NDArray[np.float64], codes: NDArray[np.int16]
) -> None:
    """Codes of backward products, one a pass.

    ``drives``: float64 ``[n, n_cols]``, integers 0..255; ``codes``: int16 ``[n, n_inputs]``,
    written.
    """
    driven = drives * state.faults.columns
    sums = np.dot(driven, state.weight.T)
    faults = state.faults.backward[:, 0]
    _convert(state, state.rng_backward, driven, sums, state.backward_scale, faults, codes)


@njit
def _update_pair(state: ArrayState, pair: int, col: int) -> None:
    """Works a pair's weight out anew: series resistance, grid, difference."""
    n_inputs = state.weight.shape[0]
    plus, minus = state.conductance[pair, col], state.conductance[n_inputs + pair, col]
    if state.resistance[pair, col] > 0.0:
        plus = plus / (1.0 + 1e-6 * plus * state.resistance[pair, col])
        minus = minus / (1.0 + 1e-6 * minus * state.resistance[n_inputs + pair, col])
        plus, minus = _on_grid(plus), _on_grid(minus)
    state.weight[pair, col] = plus - minus


@njit
def program_row(state: ArrayState, row: int, kind: int, gates: NDArray[np.uint8]) -> None:
    """One row-parallel pulse.

    RESET brings every selected device to its smallest conductance. SET brings a selected device to
    the conductance of its gate code, with a fresh Gaussian spread, if the code is above that of
    its last SET since a RESET: the transistor only ever lets a device grow. Stuck devices stay.

    ``row``: of the array, 0..n_rows - 1; ``gates``: uint8 ``[>= n_cols]``, 0 for columns that are
    not selected.
    """
    n_inputs, n_cols = state.weight.shape
    pair = row % n_inputs
    for col in range(n_cols):
        if gates[col] == NOT_SELECTED:
            continue
        if kind == RESET:
            conductance = state.reset_us
            code = np.uint8(0)
        else:
            conductance = state.table[gates[col]] + state.spread_us * (
                state.rng_write.standard_normal()
            )
            code = gates[col]
            if code <= state.set_code[row, col]:
                continue
        if state.stuck[row, col]:
            continue
        state.set_code[row, col] = code
        state.conductance[row, col] = _on_grid(conductance)
        _update_pair(state, pair, col)


@njit
def _update_pairs(state: ArrayState) -> None:
    for pair in range(state.weight.shape[0]):
        for col in range(state.weight.shape[1]):
            _update_pair(state, pair, col)


class OneTransistorArray:
    """The array of one layer: see the module.

    Parameters
    ----------
    config
        The system.
    layer
        Its index.
    rng
        Everything random comes from its children: which devices are stuck, the spread of writes,
        read noise forward and backward.

    Attributes
    ----------
    state
        For the compiled functions of this module.

    Raises
    ------
    ConfigError
        If the map of stuck devices cannot be read.
    """

    def __init__(self, config: InSituConfig, layer: int, rng: np.random.Generator) -> None:
        self.config = config
        self.layer = layer
        stuck_rng, write_rng, forward_rng, backward_rng = rng.spawn(4)
        converter, network = config.converter, config.network
        full_scale_a = (
            converter.output_full_scale_a
            if layer == network.n_layers - 1
            else converter.hidden_full_scale_a
        )
        # Volts a drive code, times 1e-6 S a uS, times codes an ampere.
        amplitude = config.array.read_voltage_v / DRIVE_MAX * 1e-6
        codes = 2 ** (converter.adc_bits - 1)
        stuck_us = stuck_devices(config, layer, stuck_rng)
        stuck = ~np.isnan(stuck_us)
        table = conductance_table(config)
        spread = set_spread_us(config)
        # "One pulse from the low-conductance state": Li 2018, Methods.
        fresh = table[config.gate.code_initial] + spread * write_rng.standard_normal(stuck.shape)
        conductance = np.clip(np.where(stuck, stuck_us, fresh), 0.0, LARGEST_US)
        self.state = ArrayState(
            conductance=np.rint(conductance / GRID_US) * GRID_US,
            weight=np.zeros((network.n_inputs(layer), network.n_cols(layer))),
            set_code=np.where(stuck, 0, config.gate.code_initial).astype(np.uint8),
            stuck=stuck,
            resistance=series_resistance(config, layer),
            table=table,
            spread_us=spread,
            reset_us=float(config.device.reset_us),
            read_noise_us=float(config.device.read_noise_us),
            forward_scale=amplitude * codes / full_scale_a,
            backward_scale=amplitude * codes / converter.backward_full_scale_a,
            code_max=converter.code_max,
            faults=no_faults(network.n_inputs(layer), network.n_cols(layer)),
            rng_write=write_rng,
            rng_forward=forward_rng,
            rng_backward=backward_rng,
        )
        _update_pairs(self.state)

    def forward(self, drive: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Codes int16 ``[n_cols]`` of rows driven with ``drive``, uint8 ``[n_inputs]``."""
        n_inputs, n_cols = self.state.weight.shape
        codes = np.empty((1, n_cols), np.int16)
        product_forward(self.state, _vector(drive, n_inputs).astype(np.float64)[None], codes)
        return codes[0]

    def backward(self, drive: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Codes int16 ``[n_inputs]`` of columns driven with ``drive``, uint8 ``[n_cols]``."""
        n_inputs, n_cols = self.state.weight.shape
        codes = np.empty((1, n_inputs), np.int16)
        product_backward(self.state, _vector(drive, n_cols).astype(np.float64)[None], codes)
        return codes[0]

    def program(self, row: int, kind: int, gates: NDArray[np.uint8]) -> None:
        """One row-parallel pulse, ``gates`` uint8 ``[n_cols]``; see :func:`program_row`."""
        if not 0 <= row < self.state.conductance.shape[0]:
            raise ValueError(f"Row {row} is outside the {self.state.conductance.shape} array.")
        if kind not in (SET, RESET):
            raise ValueError(f"kind must be 0 (SET) or 1 (RESET), not {kind}.")
        program_row(self.state, row, kind, _vector(gates, self.state.weight.shape[1]))

    def transfer(self, codes: NDArray[np.uint8]) -> None:
        """Writes every device once from the low state, blind: ``codes`` uint8 ``[n_rows, n_cols]``.

        How weights trained elsewhere come into an array; spread and stuck devices as ever.
        """
        full = np.full(self.state.weight.shape[1], 255, np.uint8)
        for row in range(self.state.conductance.shape[0]):
            self.program(row, RESET, full)
            self.program(row, SET, np.ascontiguousarray(codes[row]))

    def break_devices(self, fraction: float, rng: np.random.Generator) -> int:
        """Lets each device fail with probability ``fraction``, stuck OFF from now on; returns how
        many did."""
        state = self.state
        failed = (rng.random(state.stuck.shape) < fraction) & ~state.stuck
        state.stuck[failed] = True
        state.conductance[failed] = _on_grid(self.config.device.stuck_off_us)
        _update_pairs(state)
        return int(failed.sum())

    def save(self) -> dict[str, NDArray[Any]]:
        """Everything :meth:`load` needs to go on bit for bit: plain arrays, generators as JSON."""
        state = self.state
        arrays: dict[str, NDArray[Any]] = {
            name: getattr(state, name).copy() for name in ("conductance", "set_code", "stuck")
        }
        for name in ("rng_write", "rng_forward", "rng_backward"):
            arrays[name] = np.array(json.dumps(getattr(state, name).bit_generator.state))
        return arrays

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Takes over what :meth:`save` gave, of an array of the same configuration.

        Raises
        ------
        ValueError
            If an array is missing or does not fit; nothing has changed then.
        """
        state = self.state
        where = f"The saved array of layer {self.layer}"
        generators = {}
        for name in ("rng_write", "rng_forward", "rng_backward"):
            try:
                generator = np.random.PCG64()
                generator.state = json.loads(str(arrays[name]))
                generators[name] = generator.state
            except (KeyError, TypeError, ValueError, OverflowError):
                raise ValueError(f"{where} has no valid {name}.") from None
        for name in ("conductance", "set_code", "stuck"):
            source, target = arrays.get(name), getattr(state, name)
            if source is None or source.shape != target.shape or source.dtype != target.dtype:
                raise ValueError(f"{where} has no {name} of {target.dtype} {target.shape}.")
        conductance = arrays["conductance"]
        # Off the grid or beyond its bound products would depend on the order of their sums.
        if not (
            np.isfinite(conductance).all()
            and (conductance >= 0).all()
            and (conductance <= LARGEST_US).all()
            and (conductance % GRID_US == 0).all()
        ):
            raise ValueError(f"{where} has a conductance that no device can have.")
        for name in ("conductance", "set_code", "stuck"):
            getattr(state, name)[...] = arrays[name]
        for name, value in generators.items():
            getattr(state, name).bit_generator.state = value
        _update_pairs(state)


def _vector(values: NDArray[Any], size: int) -> NDArray[np.uint8]:
    if values.dtype != np.uint8 or values.shape != (size,):
        raise ValueError(f"A drive must be uint8 [{size}], not {values.dtype} {values.shape}.")
    return np.ascontiguousarray(values)
