"""From what a run counted to what is charged: actions per image, each with its phase and block.

The counters are those of :class:`model.activity.Activity`, the same in the trainer, the emitted
Verilog and here. What they do not count directly follows from them and the configuration, as each
action's ``note`` says; ``basis`` tells the two apart, and both from the few quantities that only
synthesis can know (flip-flops).

Phases follow Table 1 of Nandakumar 2020: ``forward``, ``backward`` (the output error included) and
``update`` (refresh and pulses included).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from energy.errors import EnergyError
from model.activity import Activity
from model.chi_protection import code_of
from model.config import Config
from model.files import read_bytes

__all__ = ["PHASES", "Action", "ActivityRecord", "InputStatistics", "derive", "load", "seconds"]

FILE_BYTES = 1 << 22
"""Bytes of the largest activity record that is read."""

PHASES = ("forward", "backward", "update")
"""Phases of a training image, as in the published table."""

UPDATE_CODE_BITS = 3
"""Width of the codes of the outer product. Source: Nandakumar 2020, signed 3-bit numbers."""

ACTIVATION_BITS = 8
"""Width of an activation and of a drive code."""

DEVICES_PER_WEIGHT = 2
"""A differential pair. Source: Nandakumar 2020."""


@dataclass(frozen=True, kw_only=True)
class ActivityRecord:
    """What a run counted."""

    config: str
    """Name of the configuration that ran."""

    images: int
    """Training images of the run, at least one."""

    counters: Mapping[str, float]
    """Totals over the run, by lower-case name of :class:`~model.activity.Activity`."""

    source: str
    """Who counted: ``model``, ``verilog``, or a sentence."""

    extra: Mapping[str, float] = field(default_factory=dict)
    """Further figures of the run, as ``test_accuracy``."""

    def __post_init__(self) -> None:
        if self.images < 1:
            raise EnergyError(
                f"An activity record must hold at least one image, not {self.images}."
            )
        names = {member.name.lower() for member in Activity}
        missing = sorted(names - self.counters.keys())
        if missing:
            raise EnergyError(f"The activity record lacks the counter {missing[0]}.")
        for name in sorted(names):
            if not 0 <= self.counters[name] < float("inf"):
                raise EnergyError(
                    f"The counter {name} must not be negative, not {self.counters[name]}."
                )

    def mean(self, counter: Activity) -> float:
        """The counter's mean per image."""
        return self.counters[counter.name.lower()] / self.images


def load(path: Path) -> ActivityRecord:
    """Reads ``{"config", "images", "counters", "source"}`` from a JSON file.

    Raises
    ------
    EnergyError
        If the file is not such a record.
    """
    try:
        record = json.loads(read_bytes(path, FILE_BYTES))
    except OSError as error:
        raise EnergyError(f"Cannot read the activity {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise EnergyError(f"The activity {path} is not JSON: {error}.") from None
    try:
        return ActivityRecord(
            config=str(record["config"]),
            images=int(record["images"]),
            counters={str(name): float(value) for name, value in record["counters"].items()},
            source=str(record["source"]),
            extra={
                str(name): float(value)
                for name, value in record.items()
                if isinstance(value, int | float) and name != "images"
            },
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, EnergyError):
            raise
        raise EnergyError(
            f"The activity {path} must hold config, images, counters and source ({error})."
        ) from None


@dataclass(frozen=True, kw_only=True)
class InputStatistics:
    """What the images themselves drive; the counters hold only sums over all layers."""

    drive: float
    """Mean sum of an image's drive codes, bias not included."""

    lines: float
    """Mean number of an image's non-zero pixels."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that happens ``count`` times an image and costs energy each time."""

    component: str
    action: str
    phase: str
    unit: str
    """``analog``: computational memory and its converters; ``digital``: the digital unit."""
    block: str
    """Block of the unit, for charts."""
    count: float
    note: str
    basis: str = "counters"
    """``counters``, ``configuration`` or ``estimate``."""
    n_bytes: float = 0.0
    """Size of the memory that is accessed, for the component ``sram``."""
    bits: float = 0.0
    """Width of the access, for the component ``sram``."""


def seconds(config: Config, activity: ActivityRecord) -> dict[str, float]:
    """Mean time per image and phase, in seconds: cycles times the clock period."""
    error = activity.mean(Activity.CYCLES_ERROR)
    return {
        "forward": activity.mean(Activity.CYCLES_FORWARD) * config.clock_period_s,
        "backward": (activity.mean(Activity.CYCLES_BACKWARD) + error) * config.clock_period_s,
        "update": activity.mean(Activity.CYCLES_UPDATE) * config.clock_period_s,
    }


def chi_word_bits(config: Config) -> int:
    """Bits of an accumulator as it is stored, check bits included."""
    code = code_of(config)
    return config.update.chi_bits if code is None else code.word_bits


def chi_bank_bytes(config: Config) -> float:
    """Bytes of one of the ``lanes`` banks of the chi memory: one accumulator a word."""
    return config.chi_depth * chi_word_bits(config) / 8


def check_gates(config: Config) -> tuple[float, float]:
    """An encoder and a decoder of the chi memory, in bits of an adder; 0 and 0 without check bits.

    Their gates of two inputs (:class:`model.chi_protection.Code`), five of which make a bit of an
    adder: two XOR, two AND, one OR.
    """
    code = code_of(config)
    return (0.0, 0.0) if code is None else (code.encoder_gates / 5, code.decoder_gates / 5)


def pipeline_flip_flops(config: Config) -> int:
    """Flip-flops clocked in every cycle, estimated before synthesis.

    Per lane three stages of a chi word (read, add, write back) and four of an activation (drive,
    code, product, shift), plus 1,000 for control, counters and the registers of the host interface,
    and with check bits of chi two marks a lane and two counters. The line drivers' and the code
    buffer's registers have enables and are charged when written (clock gating assumed).
    """
    per_lane = 3 * config.update.chi_bits + 4 * ACTIVATION_BITS
    reports = 0 if code_of(config) is None else 2 * (64 + config.update.lanes)
    return config.update.lanes * per_lane + reports + 1000


def derive(
    config: Config,
    activity: ActivityRecord,
    *,
    inputs: InputStatistics | None = None,
    flip_flops: int | None = None,
) -> list[Action]:
    """The actions of a mean training image.

    Parameters
    ----------
    config, activity
        The system, and what it counted.
    inputs
        What the images drive. Without it all driven lines count as lines of the widest layer: an
        upper bound.
    flip_flops
        Flip-flops clocked in every cycle, from synthesis; else :func:`pipeline_flip_flops`.
    """
    return [
        *_products(config, activity, inputs),
        *_digital_propagation(config, activity),
        *_update(config, activity),
        *_standing(config, activity, flip_flops),
        *_paper(config, activity),
    ]


def _forward_share(config: Config, activity: ActivityRecord) -> tuple[float, float]:
    """Forward passes, and backward products a layer, per image."""
    forward = activity.mean(Activity.FORWARD_PRODUCTS) / config.network.n_layers
    hops = max(1, config.network.n_layers - 1)
    return forward, activity.mean(Activity.BACKWARD_PRODUCTS) / hops


def _products(
    config: Config, activity: ActivityRecord, inputs: InputStatistics | None
) -> list[Action]:
    network, array, bits = config.network, config.array, config.converter.adc_bits
    forward, backward = _forward_share(config, activity)
    layers = range(network.n_layers)
    rows = [network.n_rows(layer) for layer in layers]
    cols = [network.n_cols(layer) for layer in layers]
    hidden = range(1, network.n_layers)
    row_reads = activity.mean(Activity.ROW_READS)
    # Conversions: one a column forward; one a row but the bias backward; the rest are those of
    # refresh.
    forward_conversions = forward * sum(
        network.n_cols(layer) * config.row_tiles(layer) for layer in layers
    )
    backward_conversions = backward * sum(network.layers[layer] for layer in hidden)
    read_conversions = max(
        0.0, activity.mean(Activity.CONVERSIONS) - forward_conversions - backward_conversions
    )
    on_cycles = activity.mean(Activity.DRIVE_CYCLES) * array.integration_cycles / 255
    driven = activity.mean(Activity.DRIVEN_LINES)
    devices = [DEVICES_PER_WEIGHT * n for n in cols]
    if inputs is None:
        conduction = on_cycles * max(devices)
        charge = driven * max(devices)
        split = "all lines counted as of the widest layer: an upper bound"
    else:
        scale = array.integration_cycles / 255
        first_on = min(on_cycles, forward * (inputs.drive + 255) * scale)
        first_lines = min(driven, forward * (inputs.lines + 1) + row_reads)
        conduction = first_on * devices[0] + (on_cycles - first_on) * max(devices[1:], default=0)
        charge = first_lines * devices[0] + (driven - first_lines) * max(devices[1:], default=0)
        split = "first layer's lines from the images, the rest from the counter"
    period_ns = config.clock_period_s * 1e9
    conduction += row_reads * array.read_integration_cycles * devices[0] / DEVICES_PER_WEIGHT
    actions = [
        Action(
            component="array",
            action="conduction",
            phase="forward",
            unit="analog",
            block="crossbar",
            count=conduction * period_ns,
            note=f"drive cycles x devices of the line; {split}; backward and refresh included",
        ),
        Action(
            component="driver",
            action="charge",
            phase="forward",
            unit="analog",
            block="line drivers",
            count=charge,
            note=f"driven lines x devices of the line; {split}; backward and refresh included",
        ),
    ]
    backward_cols = sum(cols[layer] for layer in hidden)
    for phase, conversions, lines, tiles in (
        (
            "forward",
            forward_conversions,
            forward * sum(rows),
            forward * sum(_tiles(r, c) for r, c in zip(rows, cols, strict=True)),
        ),
        (
            "backward",
            backward_conversions,
            backward * backward_cols,
            backward * sum(_tiles(rows[layer], cols[layer]) for layer in hidden),
        ),
        ("update", read_conversions, row_reads, row_reads),
    ):
        cycles = array.read_integration_cycles if phase == "update" else array.integration_cycles
        what = "row reads of refresh" if phase == "update" else f"{phase} products"
        actions += [
            _analog(
                "adc", "conversion", phase, "converters", conversions, f"{what}: {bits}-bit codes"
            ),
            _analog(
                "driver",
                "line",
                phase,
                "line drivers",
                lines,
                f"{what}: every line of the array, driven or not",
            ),
            _analog(
                "driver",
                "compare",
                phase,
                "line drivers",
                0.0 if phase == "update" else lines * cycles,
                f"{what}: every line compares its code with the counter every cycle",
            ),
            _analog(
                "array",
                "tile_product",
                phase,
                "crossbar",
                tiles,
                f"{what}: products of 256 x 256 tiles",
            ),
        ]
    return actions


def _tiles(n_rows: int, n_cols: int) -> int:
    return -(-n_rows // 256) * -(-n_cols // 256)


def _analog(component: str, action: str, phase: str, block: str, count: float, note: str) -> Action:
    return Action(
        component=component,
        action=action,
        phase=phase,
        unit="analog",
        block=block,
        count=count,
        note=note,
    )


def _digital(
    component: str,
    action: str,
    phase: str,
    block: str,
    count: float,
    note: str,
    *,
    basis: str = "counters",
    n_bytes: float = 0.0,
    bits: float = 0.0,
) -> Action:
    return Action(
        component=component,
        action=action,
        phase=phase,
        unit="digital",
        block=block,
        count=count,
        note=note,
        basis=basis,
        n_bytes=n_bytes,
        bits=bits,
    )


def _digital_propagation(config: Config, activity: ActivityRecord) -> list[Action]:
    network, adc_bits = config.network, config.converter.adc_bits
    forward, backward = _forward_share(config, activity)
    layers = range(network.n_layers)
    input_bits = forward * network.layers[0] * ACTIVATION_BITS
    activations = activity.mean(Activity.ACTIVATIONS)
    drive_bits = forward * sum(network.n_rows(layer) for layer in layers) * ACTIVATION_BITS
    back_bits = (
        backward * sum(network.n_cols(layer) for layer in layers if layer > 0) * ACTIVATION_BITS
    )
    errors = activity.mean(Activity.ERRORS)
    total = activity.mean(Activity.CONVERSIONS)
    forward_codes = min(total, forward * sum(network.n_cols(layer) for layer in layers))
    backward_codes = backward * sum(network.layers[layer] for layer in layers if layer > 0)
    return [
        _digital(
            "register",
            "write",
            "forward",
            "buffers",
            2 * input_bits + drive_bits,
            "pixels into drivers and code buffer, activations into drivers",
        ),
        _digital(
            "logic",
            "add",
            "forward",
            "read-out",
            forward_codes * (adc_bits + 1),
            "one subtraction and saturation a code",
        ),
        _digital(
            "sram",
            "read",
            "forward",
            "activation unit",
            activations,
            "sigmoid table of 256 x 8 bits",
            n_bytes=256,
            bits=8,
        ),
        _digital(
            "register",
            "write",
            "forward",
            "buffers",
            activations * ACTIVATION_BITS,
            "activations into the activation buffer",
        ),
        _digital(
            "logic",
            "multiply",
            "backward",
            "error unit",
            errors * (8 * 8 + 16 * 8),
            "two products an error: 8 x 8, then 16 x 8 bits",
        ),
        _digital(
            "logic",
            "add",
            "backward",
            "error unit",
            errors * (ACTIVATION_BITS + config.error_bits) + backward_codes * (adc_bits + 1),
            "difference and running maximum an error; one subtraction a code",
        ),
        _digital(
            "logic",
            "shift",
            "backward",
            "error unit",
            errors * config.error_bits,
            "normalisation to the shared exponent",
        ),
        _digital(
            "register",
            "write",
            "backward",
            "buffers",
            back_bits + errors * config.error_bits,
            "errors into their buffer and into the drivers",
        ),
    ]


def _update(config: Config, activity: ActivityRecord) -> list[Action]:
    update, network = config.update, config.network
    _, trained = _forward_share(config, activity)
    words = activity.mean(Activity.CHI_WORDS)
    lanes = activity.mean(Activity.CHI_LANES)
    bank = chi_bank_bytes(config)
    encoder, decoder = check_gates(config)
    activations = trained * sum(network.layers[:-1])
    errors = trained * sum(network.layers[1:])
    return [
        _digital(
            "logic",
            "shift",
            "update",
            "quantiser",
            activations * ACTIVATION_BITS + errors * config.error_bits,
            "every activation and error of an image that is not skipped",
        ),
        _digital(
            "logic",
            "add",
            "update",
            "quantiser",
            (activations + errors) * (UPDATE_CODE_BITS + 1),
            "rounding to a code",
        ),
        _digital(
            "register",
            "write",
            "update",
            "buffers",
            words * update.lanes * UPDATE_CODE_BITS,
            "a word of activation codes per chi word; a read of a register file counted as a write",
        ),
        _digital(
            "logic",
            "multiply",
            "update",
            "outer product",
            lanes * UPDATE_CODE_BITS**2,
            "one product of codes per non-zero entry",
        ),
        _digital(
            "logic",
            "shift",
            "update",
            "outer product",
            lanes * update.chi_bits,
            "shift into chi per non-zero entry",
        ),
        _digital(
            "sram",
            "read",
            "update",
            "chi memory",
            words * update.lanes,
            "a word is read in all its lanes",
            n_bytes=bank,
            bits=chi_word_bits(config),
        ),
        _digital(
            "sram",
            "write",
            "update",
            "chi memory",
            lanes,
            "only changed lanes are written",
            n_bytes=bank,
            bits=chi_word_bits(config),
        ),
        _digital(
            "logic",
            "add",
            "update",
            "chi memory",
            2 * lanes * update.chi_bits,
            "accumulation and threshold per changed lane",
        ),
        *(
            _digital(
                "logic", "add", "update", "chi memory", count, f"{what}, five gates an adder bit"
            )
            for count, what in (
                (words * update.lanes * decoder, "check bits of every lane read"),
                (lanes * encoder, "check bits of every lane written"),
            )
            if count
        ),
        Action(
            component="pulse",
            action="set",
            phase="update",
            unit="analog",
            block="programming",
            count=activity.mean(Activity.SET_PULSES),
            note="SET pulses of update and refresh",
        ),
        Action(
            component="pulse",
            action="reset",
            phase="update",
            unit="analog",
            block="programming",
            count=activity.mean(Activity.RESET_PULSES),
            note="RESET pulses of refresh",
        ),
    ]


def _standing(config: Config, activity: ActivityRecord, flip_flops: int | None) -> list[Action]:
    flops = pipeline_flip_flops(config) if flip_flops is None else flip_flops
    basis = "estimate" if flip_flops is None else "configuration"
    actions = []
    for phase, duration in seconds(config, activity).items():
        cycles = duration / config.clock_period_s
        actions += [
            _digital(
                "register",
                "clock",
                phase,
                "clock",
                cycles * flops,
                f"cycles x {flops} flip-flops without a clock gate",
                basis=basis,
            ),
            _digital(
                "sram",
                "leakage",
                phase,
                "leakage",
                duration * 1e9 * config.update.lanes,
                "time x banks of the chi memory",
                n_bytes=chi_bank_bytes(config),
                bits=chi_word_bits(config),
            ),
        ]
    return actions


def _paper(config: Config, activity: ActivityRecord) -> list[Action]:
    """The lumps in which the paper's digital unit is accounted for."""
    _ = config
    return [
        _digital(
            "paper",
            "forward_digital",
            "forward",
            "digital unit (lump)",
            activity.mean(Activity.ACTIVATIONS),
            "activations",
        ),
        _digital(
            "paper",
            "backward_digital",
            "backward",
            "digital unit (lump)",
            activity.mean(Activity.ERRORS),
            "errors, output and hidden",
        ),
        _digital(
            "paper",
            "chi_update",
            "update",
            "chi memory",
            activity.mean(Activity.CHI_LANES),
            "accumulators changed",
        ),
    ]
