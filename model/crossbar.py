"""One logical crossbar array of device pairs: products, reads, pulses, with all device physics.

A weight is a pair of devices, ``w = (G+ - G-) / weight_us``. The analog side of the boundary ends
in ADC codes: currents, noise and drift are floating point here, what leaves is integer.

The physics are compiled functions on a :class:`CrossbarState`, so that the trainer can run them
inside its own compiled loop; :class:`Crossbar` is the thin object around one state. Both ways give
the same numbers, bit for bit: no function depends on the order in which a compiler sums.

Two savings (tests/model/test_crossbar.py holds both against the physics device by device):

* Each device's read noise is Gaussian and independent, so the noise of a read line is one Gaussian
  with the summed variance: one draw a line and product instead of one a driven device. The
  distribution is exactly the same.
* A device's drift factor is taken at the geometric midpoint of its age class, a sixteenth of an
  octave wide (relative error at most :func:`~model.devices.drift_error_bound`, 0.087 % for
  nu = 0.04), and the weight and noise variance of its pair are recomputed only when it enters a
  new class (:mod:`model.device_pairs`).

Time is device time in s and never runs backwards. Its resolution is an image: all operations of an
image pass the time of the image's start, so devices pulsed in image t are read at image t + 1 with
the age of a whole image. Within one image a just pulsed device counts as 1 ns old.
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import typeof_impl
from numpy.typing import NDArray

from model.config import Config
from model.device_pairs import (
    AGELESS,
    DEVICE_DTYPE,
    ArrayPhysics,
    age_devices,
    append,
    rebuild,
    unlink,
    update_pair,
)
from model.devices import (
    ELAPSED_MIN_S,
    N_AGE_CLASSES,
    SET,
    StepTable,
    class_starts,
    drift_factors,
    initial_history,
    interpolate_step,
    step_table,
)
from model.faults import ConverterFaults, force, no_faults, reference
from model.jit import njit

__all__ = [
    "MINUS",
    "PLUS",
    "Crossbar",
    "CrossbarState",
    "advance",
    "product_backward",
    "product_forward",
    "program",
    "read_row",
]

#: The two devices of a pair.
PLUS = 0
MINUS = 1

#: No device time lies beyond, before or after 0, in s: far more than any run, and sums stay finite.
LATEST_S = 1e18

#: What a device remembers; the rest of its record follows from it.
_SAVED = ("conductance_us", "history", "pulse_time_s", "stuck")


class CrossbarState(NamedTuple):
    """Everything one array knows. All layers' states have the same compiled type.

    Devices are numbered ``d = (row * n_cols + col) * 2 + device``, pairs ``d // 2``. The random
    generator can be exchanged with ``state._replace(rng=...)``, for instance to evaluate without
    touching the training's own; all arrays stay shared then.
    """

    n_rows: int
    n_cols: int
    #: Rows and columns of a physical tile; the last tile has the rest.
    tile_rows: int
    tile_cols: int
    code_max: int
    physics: ArrayPhysics
    step: StepTable
    #: Record array of :data:`DEVICE_DTYPE`, [n_devices].
    devices: NDArray[np.void]
    #: Weight of each pair at the time of the last call, float32 [n_rows, n_cols].
    weight: NDArray[np.float32]
    #: Variance of one read's noise of each pair, in squared weight units, float32, the same shape.
    variance: NDArray[np.float32]
    #: Oldest and youngest device of each age class's list, -1 if empty, int32 [N_AGE_CLASSES, 2].
    ends: NDArray[np.int32]
    #: Time at which the oldest of each class leaves it, in s, float64 [N_AGE_CLASSES].
    due_s: NDArray[np.float64]
    #: See :func:`~model.devices.class_starts` and :func:`~model.devices.drift_factors`.
    starts_s: NDArray[np.float64]
    factors: NDArray[np.float64]
    #: Device time of the last call and the earliest time at which any device is due, in s.
    clock_s: NDArray[np.float64]
    #: Scratch space of the products: read lines' sums, driven lines and their drives.
    sums: NDArray[np.float32]
    variances: NDArray[np.float32]
    lines: NDArray[np.int32]
    drives: NDArray[np.float32]
    #: What is wrong with its converters and lines; nothing unless told.
    faults: ConverterFaults
    rng: np.random.Generator


_state_type: list[Any] = []


@typeof_impl.register(CrossbarState)
def _typeof_state(state: CrossbarState, context: Any) -> Any:
    """The one compiled type of all states, worked out once.

    Working it out field by field takes twenty times as long as a call itself, which a test bench
    that calls a few times an image from Python would notice.
    """
    if not _state_type:
        _state_type.append(typeof_impl.dispatch(tuple)(state, context))
    return _state_type[0]


@njit
def advance(state: CrossbarState, time_s: float) -> None:
    """Brings all weights to device time ``time_s``; every other function does this first.

    Costs one comparison if no device is due, else the scan of the classes and the due devices.

    Raises
    ------
    ValueError
        If time runs backwards.
    """
    clock = state.clock_s
    if time_s < clock[0]:
        raise ValueError("Device time must not run backwards.")
    clock[0] = time_s
    if time_s >= clock[1]:
        clock[1] = age_devices(
            time_s,
            state.physics,
            state.devices,
            state.weight.reshape(-1),
            state.variance.reshape(-1),
            state.ends,
            state.due_s,
            state.starts_s,
            state.factors,
        )


# Products and reads


@njit
def _quantise(value: float, code_max: int) -> int:
    """ADC: half to even, saturating to ``-code_max - 1 .. code_max``."""
    return int(min(max(np.rint(value), -code_max - 1.0), float(code_max)))


@njit
def _list_driven(
    drive: NDArray[np.integer],
    connected: NDArray[np.bool_],
    first: int,
    last: int,
    lines: NDArray[np.int32],
    drives: NDArray[np.float32],
) -> int:
    """Lists the lines ``first .. last - 1`` that are driven and connected, filled up to a multiple
    of four.

    The filling is line ``first`` with drive 0, which adds nothing. Returns the length of the list.
    """
    n = 0
    for line in range(first, last):
        if drive[line] != 0 and connected[line]:
            lines[n] = line
            drives[n] = drive[line]
            n += 1
    while n % 4:
        lines[n] = first
        drives[n] = 0
        n += 1
    return n


@njit
def _add_lines(
    matrix: NDArray[np.float32],
    lines: NDArray[np.int32],
    factors: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    """``sums[k] += sum_i factors[i] * matrix[lines[i], k]``, in the order of the lines.

    Four lines in one pass keep the sums in registers four times as long; a sum is still formed in
    the same order as line by line. Elements do not mix, so vector code rounds as scalar code does.
    """
    for i in range(0, lines.size, 4):
        f0, f1, f2, f3 = factors[i], factors[i + 1], factors[i + 2], factors[i + 3]
        m0, m1 = matrix[lines[i]], matrix[lines[i + 1]]
        m2, m3 = matrix[lines[i + 2]], matrix[lines[i + 3]]
        for k in range(sums.size):
            sums[k] = (((sums[k] + f0 * m0[k]) + f1 * m1[k]) + f2 * m2[k]) + f3 * m3[k]


@njit
def _convert(
    sums: NDArray[np.float32],
    variances: NDArray[np.float32],
    lsb: float,
    noisy: bool,
    code_max: int,
    rng: np.random.Generator,
    codes: NDArray[np.int16],
) -> None:
    """Codes of read lines from their currents and noise variances; one draw a line if ``noisy``.

    ``variances`` is used up. Three loops, since the first and the last are vector code.
    """
    if noisy:
        for line in range(sums.size):
            variances[line] = math.sqrt(variances[line])
        for line in range(sums.size):
            sums[line] += variances[line] * rng.standard_normal()
    for line in range(sums.size):
        codes[line] = _quantise(sums[line] / lsb, code_max)


@njit
def _product(
    state: CrossbarState,
    weight: NDArray[np.float32],
    variance: NDArray[np.float32],
    drive: NDArray[np.integer],
    connected: NDArray[np.bool_],
    faults: NDArray[np.int16],
    tile_lines: int,
    lsb: float,
    codes: NDArray[np.int16],
) -> None:
    """The product of either direction; driven lines are rows of ``weight`` and ``variance``."""
    noisy = state.physics.noise_slope != 0.0 or state.physics.noise_offset_us != 0.0
    sums = state.sums[: weight.shape[1]]
    variances = state.variances[: weight.shape[1]]
    for tile in range(codes.shape[0]):
        first = tile * tile_lines
        last = min(first + tile_lines, weight.shape[0])
        n = _list_driven(drive, connected, first, last, state.lines, state.drives)
        lines = state.lines[:n]
        drives = state.drives[:n]
        sums[:] = 0
        _add_lines(weight, lines, drives, sums)
        if noisy:
            variances[:] = 0
            for i in range(n):
                drives[i] *= drives[i]
            _add_lines(variance, lines, drives, variances)
        _convert(sums, variances, lsb, noisy, state.code_max, state.rng, codes[tile])
        force(faults[:, tile], codes[tile])


@njit
def product_forward(
    state: CrossbarState,
    drive: NDArray[np.uint8],
    time_s: float,
    codes: NDArray[np.int16],
) -> None:
    """Forward product: rows driven, columns read, one code a column and row tile.

    ``codes[t, c] = adc(sum_r drive[r] / 255 * (w[r, c] + noise) / forward_lsb)``, r over the rows
    of tile t, the noise a fresh Gaussian for each device; half to even, saturating. One standard
    normal is drawn a code (none if the configuration has no read noise).

    Parameters
    ----------
    drive
        uint8 [n_rows], 255 being full scale.
    time_s
        Device time, in s.
    codes
        int16 [n_row_tiles, n_cols], written.
    """
    advance(state, time_s)
    faults = state.faults
    lsb = 255.0 * state.physics.forward_lsb * reference(faults, state.rng)
    _product(
        state,
        state.weight,
        state.variance,
        drive,
        faults.rows,
        faults.forward,
        state.tile_rows,
        lsb,
        codes,
    )


@njit
def product_backward(
    state: CrossbarState,
    drive: NDArray[np.int8],
    time_s: float,
    codes: NDArray[np.int16],
) -> None:
    """Backward product: columns driven, rows read, one code a row and column tile.

    ``codes[t, r] = adc(sum_c drive[c] * (w[r, c] + noise) / 2**backward_lsb_log2)``, c over the
    columns of tile t; otherwise as :func:`product_forward`.

    Parameters
    ----------
    drive
        int8 [n_cols].
    time_s
        Device time, in s.
    codes
        int16 [n_col_tiles, n_rows], written.
    """
    advance(state, time_s)
    faults = state.faults
    lsb = state.physics.backward_lsb * reference(faults, state.rng)
    _product(
        state,
        state.weight.T,
        state.variance.T,
        drive,
        faults.columns,
        faults.backward,
        state.tile_cols,
        lsb,
        codes,
    )


@njit
def read_row(
    state: CrossbarState, row: int, device: int, time_s: float, codes: NDArray[np.int16]
) -> None:
    """Reads one device of every pair of a row: ``codes[c] = adc((G + noise) / read_lsb_us)``.

    Half to even, saturating. One standard normal is drawn a code (none without read noise). Faults
    of the forward converters and of the reference are those of this read too.

    Parameters
    ----------
    row, device
        The row, and :data:`PLUS` or :data:`MINUS`.
    time_s
        Device time, in s.
    codes
        int16 [n_cols], written. Noise can make a code negative.
    """
    advance(state, time_s)
    physics = state.physics
    noisy = physics.noise_slope != 0.0 or physics.noise_offset_us != 0.0
    devices = state.devices
    factors = state.factors
    rng = state.rng
    first = row * state.n_cols * 2 + device
    lsb_us = physics.read_lsb_us * reference(state.faults, rng)
    for col in range(state.n_cols):
        index = first + 2 * col
        value = devices[index].conductance_us * factors[devices[index].age_class]
        if noisy:
            spread = physics.noise_slope * value + physics.noise_offset_us
            value += spread * rng.standard_normal()
        codes[col] = _quantise(value / lsb_us, state.code_max)
    force(state.faults.forward[:, row // state.tile_rows], codes)


# Pulses


@njit
def program(
    state: CrossbarState, row: int, col: int, device: int, kind: int, time_s: float
) -> None:
    """One blind pulse on one device; its drift starts again.

    * SET: ``P <- P exp(-1 / history_pulses)``, then ``G <- clip(G + mean(G, P) + std(G, P) N(0, 1),
      g_min, g_max)``.
    * RESET: ``G <- max(N(reset_mean, reset_std), reset_min)`` and ``P <- 1``.

    G is the conductance at t0 after a pulse: drift does not enter the step, as in the source. One
    standard normal is drawn a pulse, none on a stuck device, which stays as it is.

    Parameters
    ----------
    row, col, device
        Where: :data:`PLUS` or :data:`MINUS` of the pair.
    kind
        :data:`~model.devices.SET` or :data:`~model.devices.RESET`.
    time_s
        Device time, in s.
    """
    advance(state, time_s)
    physics = state.physics
    index = (row * state.n_cols + col) * 2 + device
    target = state.devices[index]
    if target.stuck:
        return
    normal = state.rng.standard_normal()
    if kind == SET:
        history = target.history * physics.history_decay
        before = np.float64(target.conductance_us)
        mean, std = interpolate_step(state.step, before, history)
        after = min(max(before + mean + std * normal, physics.g_min_us), physics.g_max_us)
    else:
        history = 1.0
        after = max(physics.reset_mean_us + physics.reset_std_us * normal, physics.reset_min_us)
    target.conductance_us = after
    target.history = history
    if target.age_class != AGELESS:
        unlink(index, state.devices, state.ends, state.due_s, state.starts_s)
        target.pulse_time_s = time_s
        append(index, 0, state.devices, state.ends, state.due_s, state.starts_s)
        state.clock_s[1] = min(state.clock_s[1], state.due_s[0])
    else:
        target.pulse_time_s = time_s
    update_pair(
        index >> 1,
        physics,
        state.devices,
        state.factors,
        state.weight.reshape(-1),
        state.variance.reshape(-1),
    )


# The object


class Crossbar:
    """The array of one layer.

    Initial conductances are drawn from N(initial_mean, initial_std), clipped to [g_min, g_max],
    with the history that belongs to them (:func:`~model.devices.initial_history`), and are
    ``initial_age_s`` old at time 0. A fraction ``stuck_fraction`` of the devices, each by its own
    draw, is stuck at ``stuck_us``: no pulse and no drift changes them, but reading them is noisy.

    Parameters
    ----------
    config
        The system.
    layer
        Weight layer, 0 being next to the input.
    rng
        Source of all randomness of this array, from here on its own: give each layer its own
        (``rng.spawn``). The bit generator must be PCG64, the default of NumPy.

    Raises
    ------
    ConfigError
        If the device model cannot be loaded.
    ValueError
        If the bit generator is another one.
    """

    def __init__(self, config: Config, layer: int, rng: np.random.Generator) -> None:
        if type(rng.bit_generator) is not np.random.PCG64:
            raise ValueError(
                "A crossbar needs a PCG64 generator, as numpy.random.default_rng makes, not "
                f"{type(rng.bit_generator).__name__}."
            )
        self.config = config
        self.layer = layer
        device, converter = config.device, config.converter
        n_rows, n_cols = config.network.n_rows(layer), config.network.n_cols(layer)
        n_devices, longest = 2 * n_rows * n_cols, max(n_rows, n_cols)
        table = step_table(device)

        conductance = rng.normal(device.initial_mean_us, device.initial_std_us, n_devices)
        conductance = np.clip(conductance, device.g_min_us, device.g_max_us)
        devices = np.zeros(n_devices, DEVICE_DTYPE)
        devices["history"] = initial_history(table, device, conductance)
        devices["pulse_time_s"] = -device.initial_age_s
        devices["stuck"] = rng.random(n_devices) < device.stuck_fraction
        devices["conductance_us"] = np.where(devices["stuck"], device.stuck_us, conductance)

        self.state = CrossbarState(
            n_rows=n_rows,
            n_cols=n_cols,
            tile_rows=config.array.max_rows,
            tile_cols=config.array.max_cols,
            code_max=converter.code_max,
            physics=ArrayPhysics(
                weight_us=float(converter.weight_us),
                forward_lsb=float(converter.forward_lsb),
                backward_lsb=2.0**converter.backward_lsb_log2,
                read_lsb_us=float(converter.read_lsb_us),
                history_decay=math.exp(-1 / device.history_pulses),
                g_min_us=float(device.g_min_us),
                g_max_us=float(device.g_max_us),
                noise_slope=float(device.noise_slope),
                noise_offset_us=float(device.noise_offset_us),
                reset_mean_us=float(device.reset_mean_us),
                reset_std_us=float(device.reset_std_us),
                reset_min_us=float(device.reset_min_us),
            ),
            step=table,
            devices=devices,
            weight=np.zeros((n_rows, n_cols), np.float32),
            variance=np.zeros((n_rows, n_cols), np.float32),
            ends=np.zeros((N_AGE_CLASSES, 2), np.int32),
            due_s=np.zeros(N_AGE_CLASSES),
            starts_s=class_starts(),
            factors=drift_factors(device),
            clock_s=np.zeros(2),
            sums=np.zeros(longest, np.float32),
            variances=np.zeros(longest, np.float32),
            lines=np.zeros(longest + 3, np.int32),
            drives=np.zeros(longest + 3, np.float32),
            faults=no_faults(n_rows, n_cols, config.row_tiles(layer), config.col_tiles(layer)),
            rng=rng,
        )
        self._rebuild()

    def _rebuild(self) -> None:
        state = self.state
        rebuild(
            float(state.clock_s[0]),
            np.argsort(state.devices["pulse_time_s"], kind="stable"),
            self.config.device.drift_nu > 0,
            state.physics,
            state.devices,
            state.weight.reshape(-1),
            state.variance.reshape(-1),
            state.ends,
            state.due_s,
            state.starts_s,
            state.factors,
        )
        state.clock_s[1] = state.due_s.min()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.state.n_rows, self.state.n_cols

    @property
    def time_s(self) -> float:
        """Device time of the last operation, in s."""
        return float(self.state.clock_s[0])

    def forward(self, drive: NDArray[np.uint8], time_s: float) -> NDArray[np.int16]:
        """Codes int16 [n_row_tiles, n_cols] of a forward product; see :func:`product_forward`."""
        codes = np.empty((self.config.row_tiles(self.layer), self.state.n_cols), np.int16)
        product_forward(self.state, _vector(drive, np.uint8, self.state.n_rows), time_s, codes)
        return codes

    def backward(self, drive: NDArray[np.int8], time_s: float) -> NDArray[np.int16]:
        """Codes int16 [n_col_tiles, n_rows] of a backward product; see :func:`product_backward`."""
        codes = np.empty((self.config.col_tiles(self.layer), self.state.n_rows), np.int16)
        product_backward(self.state, _vector(drive, np.int8, self.state.n_cols), time_s, codes)
        return codes

    def read(self, row: int, device: int, time_s: float) -> NDArray[np.int16]:
        """Codes int16 [n_cols] of one device of each pair of a row; see :func:`read_row`."""
        self._check(row, 0, device)
        codes = np.empty(self.state.n_cols, np.int16)
        read_row(self.state, row, device, time_s, codes)
        return codes

    def program(self, row: int, col: int, device: int, kind: int, time_s: float) -> None:
        """One pulse on one device; see :func:`program`."""
        self._check(row, col, device)
        if kind not in (0, 1):
            raise ValueError(f"kind must be 0 (SET) or 1 (RESET), not {kind}.")
        program(self.state, row, col, device, kind, time_s)

    def _check(self, row: int, col: int, device: int) -> None:
        if not (0 <= row < self.state.n_rows and 0 <= col < self.state.n_cols and device in (0, 1)):
            raise ValueError(
                f"Device {row}, {col}, {device} is outside the {self.state.n_rows} x "
                f"{self.state.n_cols} x 2 array."
            )

    def conductances(self, time_s: float) -> NDArray[np.float64]:
        """Conductances in uS, float64 [2, n_rows, n_cols], without noise and without age classes.

        ``G(t) = G ((t - tp) / t0)**-nu`` at any time after the pulses, times below 1 ns counting as
        1 ns. Changes nothing, so ``time_s`` may also lie far ahead.
        """
        state, device = self.state, self.config.device
        elapsed = np.maximum(time_s - state.devices["pulse_time_s"], ELAPSED_MIN_S)
        factor = (elapsed / device.drift_t0_s) ** -device.drift_nu
        factor[state.devices["stuck"] != 0] = 1.0
        drifted = state.devices["conductance_us"] * factor
        return np.ascontiguousarray(np.moveaxis(drifted.reshape(*self.shape, 2), 2, 0))

    def weights(self, time_s: float) -> NDArray[np.float64]:
        """Weights ``(G+ - G-) / weight_us`` of :meth:`conductances`, float64 [n_rows, n_cols]."""
        plus, minus = self.conductances(time_s)
        return (plus - minus) / self.config.converter.weight_us

    def save(self) -> dict[str, NDArray[Any]]:
        """Everything :meth:`load` needs to go on bit for bit: plain arrays, no pickles.

        The state of the random generator is JSON text in a 0-d array.
        """
        devices = self.state.devices.reshape(*self.shape, 2)
        arrays = {name: devices[name].copy() for name in _SAVED}
        arrays["time_s"] = np.array(self.time_s)
        arrays["rng"] = np.array(json.dumps(self.state.rng.bit_generator.state))
        return arrays

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Takes over what :meth:`save` gave, of an array of the same configuration.

        Raises
        ------
        ValueError
            If an array is missing or has another shape, type or range; nothing has changed then.
        """
        state = self.state
        where = f"The saved array of layer {self.layer}"
        for name in (*_SAVED, "time_s", "rng"):
            if name not in arrays:
                raise ValueError(f"{where} lacks {name}.")
        for name in _SAVED:
            source, dtype = arrays[name], DEVICE_DTYPE[name]
            if source.shape != (*self.shape, 2) or source.dtype != dtype:
                raise ValueError(
                    f"{where}: {name} must be {dtype} {(*self.shape, 2)}, not {source.dtype} "
                    f"{source.shape}."
                )
            if not np.isfinite(source).all():
                raise ValueError(f"{where}: {name} must be finite.")
        try:
            time_s = float(arrays["time_s"])
            generator_state = json.loads(str(arrays["rng"]))
            generator = np.random.PCG64()
            generator.state = generator_state
        except (TypeError, ValueError, KeyError, OverflowError):
            raise ValueError(f"{where} has no valid time or random generator.") from None
        if not arrays["pulse_time_s"].max() <= time_s <= LATEST_S:
            raise ValueError(f"{where} has pulses later than its own time, or a time without end.")
        if arrays["pulse_time_s"].min() < -LATEST_S:
            raise ValueError(f"{where} has devices older than any.")
        for name in _SAVED:
            state.devices[name] = arrays[name].reshape(-1)
        state.clock_s[0] = time_s
        state.rng.bit_generator.state = generator_state
        self._rebuild()


def _vector(drive: NDArray[Any], dtype: type, size: int) -> NDArray[Any]:
    if drive.dtype != dtype or drive.shape != (size,):
        raise ValueError(
            f"drive must be {np.dtype(dtype)} [{size}], not {drive.dtype} {list(drive.shape)}."
        )
    return np.ascontiguousarray(drive)
