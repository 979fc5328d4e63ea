"""Payloads and signatures of the in-situ learning unit, each field documented once.

What it shares with the MCA unit (words of activations and codes, directions, kinds of pulses) is
in :mod:`hw.layouts`.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Direction, PulseKind
from model.in_situ.config import InSituConfig

__all__ = [
    "ERROR",
    "MANTISSA_BITS",
    "array_signature",
    "change_word_layout",
    "error_word_layout",
    "gate_word_layout",
    "gradient_word_layout",
    "layer_shape",
    "max_cols",
    "max_inputs",
    "max_unit_words",
    "product_word_layout",
    "program_signature",
    "pulse_request_layout",
    "read_command_layout",
    "scalar_layout",
    "update_command_layout",
    "write_step_layout",
]

ERROR = signed(9)
"""An exact error, -255..255; also an activation where it meets one."""

MANTISSA_BITS = 8
"""Upper bits of the learning rate, by which gradients are multiplied; as in
:func:`model.in_situ.gate_memory.rate_mantissa`."""


def layer_shape(config: InSituConfig) -> range:
    """Index of a weight layer."""
    return range(max(2, config.network.n_layers))


def _layers(config: InSituConfig) -> range:
    return range(config.network.n_layers)


def max_inputs(config: InSituConfig) -> int:
    """Inputs of the layer that has most."""
    return max(config.network.n_inputs(layer) for layer in _layers(config))


def max_cols(config: InSituConfig) -> int:
    """Columns of the layer that has most."""
    return max(config.network.n_cols(layer) for layer in _layers(config))


def max_unit_words(config: InSituConfig) -> int:
    """Words of a row of the layer that has most."""
    return max(config.unit_words(layer) for layer in _layers(config))


def _word_shape(config: InSituConfig) -> range:
    return range(max(2, max_unit_words(config)))


def _address_shape(config: InSituConfig) -> range:
    return range(max(2, config.gradient_depth))


def error_word_layout(config: InSituConfig) -> data.StructLayout:
    """``lanes`` exact errors of a layer's units."""
    return data.StructLayout(
        {
            # Lane k of word w holds unit w * lanes + k; lanes beyond the vector are zero.
            "errors": data.ArrayLayout(ERROR, config.update.lanes),
            # High in the last word of a vector.
            "last": unsigned(1),
        }
    )


def read_command_layout(config: InSituConfig) -> data.StructLayout:
    """One product asked of an array."""
    return data.StructLayout(
        {
            # FORWARD or BACKWARD.
            "direction": Direction,
            # Of BACKWARD, the pass: 0 drives the positive errors, 1 the magnitudes of the negative.
            "negative": unsigned(1),
        }
    )


def update_command_layout(config: InSituConfig) -> data.StructLayout:
    """One layer's outer product."""
    return data.StructLayout({"layer": layer_shape(config)})


def scalar_layout(config: InSituConfig) -> data.StructLayout:
    """An input with a non-zero activation; named as :class:`hw.outer_product.WordWalker` has it."""
    return data.StructLayout(
        {
            # Index of the input.
            "unit": range(max_inputs(config)),
            # Its activation, 1..255.
            "error": ERROR,
        }
    )


def product_word_layout(config: InSituConfig) -> data.StructLayout:
    """One word of the outer product, on its way into the gradient memory."""
    return data.StructLayout(
        {
            "layer": layer_shape(config),
            # Index of the input, so of the pair of rows.
            "unit": range(max_inputs(config)),
            # Word of the layer's units: columns word * lanes + lane.
            "word": _word_shape(config),
            # gradient_base(layer) + unit * unit_words(layer) + word.
            "address": _address_shape(config),
            # -activation * error: at most 255 * 255.
            "products": data.ArrayLayout(signed(17), config.update.lanes),
        }
    )


def gradient_word_layout(config: InSituConfig) -> data.ArrayLayout:
    """A row of the gradient memory."""
    return data.ArrayLayout(signed(config.gradient_bits), config.update.lanes)


def gate_word_layout(config: InSituConfig) -> data.ArrayLayout:
    """A row of the gate memory: the gates of ``lanes`` pairs, in DAC LSBs times
    2**fraction_bits."""
    pair = {"plus": config.gate.word_bits, "minus": config.gate.word_bits}
    return data.ArrayLayout(data.StructLayout(pair), config.update.lanes)


def write_step_layout(config: InSituConfig) -> data.StructLayout:
    """One word to be updated in the write phase."""
    return data.StructLayout(
        {
            "layer": layer_shape(config),
            "unit": range(max_inputs(config)),
            "address": _address_shape(config),
            # High in the last word of a row.
            "last": unsigned(1),
        }
    )


def change_word_layout(config: InSituConfig) -> data.StructLayout:
    """What an update did to the gate codes of ``lanes`` pairs of a row."""
    device = data.StructLayout(
        {
            # The new code where it changed, else 0: not selected.
            "gate": unsigned(8),
            # The code falls: RESET before SET.
            "falls": unsigned(1),
        }
    )
    pair = data.StructLayout({"plus": device, "minus": device})
    return data.StructLayout(
        {"changes": data.ArrayLayout(pair, config.update.lanes), "last": unsigned(1)}
    )


def pulse_request_layout(config: InSituConfig) -> data.StructLayout:
    """One programming pulse on the selected devices of a row."""
    return data.StructLayout(
        {
            "layer": layer_shape(config),
            # Row i holds the plus devices of input i, row n_inputs + i the minus devices.
            "row": range(2 * max_inputs(config)),
            "kind": PulseKind,
            # Gate code of every column: 0 leaves it alone, 255 is the full gate of a RESET. Columns
            # that the layer does not have are 0.
            "gates": data.ArrayLayout(unsigned(8), max_cols(config)),
        }
    )


def array_signature(config: InSituConfig, layer: int) -> wiring.Signature:
    """The compute side of one layer's array, seen from the unit.

    ``start`` is high for one cycle, in which ``direction`` and the drives are valid; they stay
    valid until the codes are taken. The codes are valid from ``mvm_cycles`` cycles after ``start``
    until the next ``start``. Inner arrays have one element, the tile: as in
    :func:`hw.layouts.array_signature`.
    """
    n_inputs, n_cols = config.network.n_inputs(layer), config.network.n_cols(layer)
    codes = signed(config.converter.adc_bits)
    return wiring.Signature(
        {
            "start": Out(1),
            "direction": Out(Direction),
            # Amplitude codes: the macro puts +v on row i and -v on row n_inputs + i.
            "row_drive": Out(data.ArrayLayout(unsigned(8), n_inputs)),
            # Amplitude codes of a backward pass: never negative.
            "col_drive": Out(data.ArrayLayout(unsigned(8), n_cols)),
            # Forward: one code a column.
            "col_codes": In(data.ArrayLayout(data.ArrayLayout(codes, n_cols), 1)),
            # Backward: one code a pair of rows, of the difference of their currents. A first layer
            # is never driven backwards.
            "row_codes": In(data.ArrayLayout(data.ArrayLayout(codes, n_inputs if layer else 1), 1)),
        }
    )


def program_signature(config: InSituConfig) -> wiring.Signature:
    """The programming side of the arrays: one row-parallel pulse at a time.

    ``pulse`` is high for the pulse's whole width, with ``request`` valid and stable; it is low for
    at least ``pulse.gap_cycles`` cycles between pulses. While ``busy`` is high no new pulse begins.
    """
    return wiring.Signature(
        {"request": Out(pulse_request_layout(config)), "pulse": Out(1), "busy": In(1)}
    )
