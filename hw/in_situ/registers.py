"""The register table of the in-situ learning unit; kinds of registers and texts are those of
:mod:`hw.registers`."""

from hw.registers import (
    CONTROL_FIELDS,
    ERROR_FIELDS,
    ID,
    VERSION_FIELDS,
    Access,
    Field,
    Register,
    counter_registers,
    whole,
)
from model.in_situ.activity import ACTIVITY_DOC
from model.in_situ.config import InSituConfig

__all__ = ["register_table"]


def _constants(config: InSituConfig) -> list[Register]:
    network = config.network
    geometry = (
        Field(name="lanes", low=0, width=8, reset=config.update.lanes, meaning="bytes of a beat"),
        Field(name="layers", low=8, width=8, reset=network.n_layers, meaning="weight layers"),
        Field(
            name="adc_bits", low=16, width=8, reset=config.converter.adc_bits, meaning="ADC code"
        ),
        Field(
            name="fraction_bits",
            low=24,
            width=8,
            reset=config.gate.fraction_bits,
            meaning="gate memory bits below the DAC's LSB",
        ),
    )
    registers = [
        ("ID", "Recognises the unit.", whole('"MXBR" in ASCII', reset=ID)),
        ("VERSION", "Version of this register map.", VERSION_FIELDS),
        ("GEOMETRY", "Widths inside the unit.", geometry),
        (
            "BATCH",
            "Training images between two write phases.",
            whole("", reset=config.update.batch),
        ),
    ]
    for k in range(4):
        units = network.layers[k] if k < len(network.layers) else 0
        what = "Inputs." if k == 0 else f"Units of layer {k}."
        registers.append((f"UNITS_{k}", what, whole("0: none", reset=units)))
    return [
        Register(name=name, offset=4 * k, access=Access.CONSTANT, meaning=meaning, fields=fields)
        for k, (name, meaning, fields) in enumerate(registers)
    ]


def _controls(config: InSituConfig) -> list[Register]:
    update = config.update
    status = (
        Field(name="idle", low=0, width=1, meaning="no image under way, no pulse due"),
        Field(name="image_ready", low=1, width=1, meaning="an image waits to be taken"),
        Field(name="initialising", low=2, width=1, meaning="the memories are being initialised"),
        Field(name="result_waiting", low=3, width=1, meaning="a result has not left"),
    )
    rate = update.rate_bits
    rows = [
        ("CONTROL", Access.RW, "Starts and stops; takes effect at the next image.", CONTROL_FIELDS),
        ("STATUS", Access.RO, "What the unit is doing.", status),
        (
            "RATE",
            Access.RW,
            "Learning rate at the start of a run: loaded whenever run rises from 0 to 1.",
            whole("upper eight bits multiply", width=rate, reset=update.rate_start),
        ),
        (
            "RATE_DECAY",
            Access.RW,
            "What the learning rate loses at every write phase, down to zero.",
            whole("in units of RATE", width=rate),
        ),
        (
            "RATE_NOW",
            Access.RO,
            "The learning rate; written to RATE before run rises again, it goes on from here.",
            whole("in units of RATE", width=rate),
        ),
        ("ERRORS", Access.W1C, "Sticky errors; a malformed frame is dropped whole.", ERROR_FIELDS),
    ]
    rows += [
        (
            f"SHIFT_{layer}",
            Access.RW,
            f"Right shift of gradient times rate to gates, layer {layer}.",
            whole("binary places", width=5, reset=update.shifts[layer]),
        )
        for layer in range(config.network.n_layers)
    ]
    return [
        Register(name=name, offset=0x40 + 4 * k, access=access, meaning=meaning, fields=fields)
        for k, (name, access, meaning, fields) in enumerate(rows)
    ]


def register_table(config: InSituConfig) -> tuple[Register, ...]:
    """Every register of a configuration, by rising offset."""
    return (*_constants(config), *_controls(config), *counter_registers(ACTIVITY_DOC.items()))
