"""Payloads and signatures that cross between components, each field documented once.

Functions of the configuration build the parametric layouts, so that gateware, pysim tests and
co-simulation pack and unpack with the same objects.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from model.config import Config
from model.frames import UnitSizes

__all__ = [
    "Device",
    "Direction",
    "PulseKind",
    "activation_layout",
    "activation_word_layout",
    "array_signature",
    "code_layout",
    "code_word_layout",
    "error_word_layout",
    "operand_word_layout",
    "product_word_layout",
    "program_signature",
    "pulse_request_layout",
    "pulse_word_layout",
    "read_command_layout",
    "scaled_word_layout",
    "update_command_layout",
]


class Direction(enum.Enum, shape=unsigned(2)):
    """What an array computes in one transaction."""

    #: Rows driven, columns read.
    FORWARD = 0
    #: Columns driven, rows read.
    BACKWARD = 1
    #: One row driven by a fixed pulse, one device of every pair read; MCA arrays only.
    READ = 2


class Device(enum.Enum, shape=unsigned(1)):
    """One device of a differential pair."""

    #: Adds to the weight.
    PLUS = 0
    #: Subtracts from the weight.
    MINUS = 1


class PulseKind(enum.Enum, shape=unsigned(1)):
    """What a programming pulse does."""

    #: The conductance grows; in PCM by partial crystallisation.
    SET = 0
    #: The conductance falls; in PCM, by melt and quench, to its minimum.
    RESET = 1


def _layer_shape(config: Config) -> range:
    return range(max(2, config.network.n_layers))


def _row_shape(config: Config) -> range:
    return range(max(config.network.n_rows(layer) for layer in range(config.network.n_layers)))


def _col_shape(config: Config) -> range:
    return range(max(config.network.n_cols(layer) for layer in range(config.network.n_layers)))


def _word_shape(config: Config) -> range:
    return range(max(2, max(config.n_words(layer) for layer in range(config.network.n_layers))))


def activation_word_layout(config: UnitSizes) -> data.StructLayout:
    """``lanes`` unsigned 8-bit activations."""
    return activation_layout(config.update.lanes)


def activation_layout(lanes: int) -> data.StructLayout:
    """As :func:`activation_word_layout`, of any configuration."""
    return data.StructLayout(
        {
            # Lane k of word w holds activation w * lanes + k; lanes beyond the vector are zero.
            "activations": data.ArrayLayout(unsigned(8), lanes),
            # High in the last word of a vector.
            "last": unsigned(1),
        }
    )


def read_command_layout(config: Config) -> data.StructLayout:
    """One transaction asked of an array."""
    return data.StructLayout(
        {
            "direction": Direction,
            # Row and device to read; only for Direction.READ.
            "row": _row_shape(config),
            "device": Device,
        }
    )


def code_word_layout(config: UnitSizes) -> data.StructLayout:
    """``lanes`` ADC codes, tiles already summed and saturated."""
    return code_layout(lanes=config.update.lanes, bits=config.converter.adc_bits)


def code_layout(*, lanes: int, bits: int) -> data.StructLayout:
    """``lanes`` signed codes; lanes beyond the vector are zero."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(signed(bits), lanes),
            # High in the last word of a vector.
            "last": unsigned(1),
        }
    )


def operand_word_layout(config: UnitSizes) -> data.StructLayout:
    """The two operands of an exact error: ``factor * activation * (255 - activation)``."""
    return data.StructLayout(
        {
            # Output layer: y - t (-255..255); hidden layer: the backward code.
            "factors": data.ArrayLayout(
                signed(max(9, config.converter.adc_bits)), config.update.lanes
            ),
            "activations": data.ArrayLayout(unsigned(8), config.update.lanes),
            "last": unsigned(1),
        }
    )


def error_word_layout(config: Config) -> data.StructLayout:
    """``lanes`` exact signed errors."""
    return data.StructLayout(
        {
            "errors": data.ArrayLayout(signed(config.error_bits), config.update.lanes),
            "last": unsigned(1),
        }
    )


def scaled_word_layout(config: Config) -> data.StructLayout:
    """``lanes`` errors, coded twice with shared scales."""
    return data.StructLayout(
        {
            # 7 bits and sign, to drive the array backwards.
            "drives": data.ArrayLayout(signed(8), config.update.lanes),
            # -3..3, for the outer product.
            "codes": data.ArrayLayout(signed(3), config.update.lanes),
            "last": unsigned(1),
        }
    )


def update_command_layout(config: Config) -> data.StructLayout:
    """One layer's outer product."""
    return data.StructLayout(
        {
            "layer": _layer_shape(config),
            # Left shift of the code products into chi, 0..epsilon_log2 - 1.
            "shift": range(config.update.chi_bits),
        }
    )


def product_word_layout(config: Config) -> data.StructLayout:
    """One word of the outer product, on its way into chi."""
    return data.StructLayout(
        {
            "layer": _layer_shape(config),
            # Column of the pairs: index of the error.
            "unit": _col_shape(config),
            # Word of activations: rows word * lanes + lane.
            "word": _word_shape(config),
            # chi_base(layer) + unit * n_words(layer) + word.
            "address": range(config.chi_depth),
            "shift": range(config.update.chi_bits),
            # -9..9; a zero lane leaves its accumulator alone.
            "products": data.ArrayLayout(signed(5), config.update.lanes),
        }
    )


def pulse_word_layout(config: Config) -> data.StructLayout:
    """Pulse counts of one chi word, at least one of them non-zero."""
    return data.StructLayout(
        {
            "layer": _layer_shape(config),
            "unit": _col_shape(config),
            "word": _word_shape(config),
            # -5..5: positive counts go to the plus device, negative to the minus device.
            "counts": data.ArrayLayout(signed(4), config.update.lanes),
        }
    )


def pulse_request_layout(config: Config) -> data.StructLayout:
    """One programming pulse on one device."""
    return data.StructLayout(
        {
            "layer": _layer_shape(config),
            "row": _row_shape(config),
            "col": _col_shape(config),
            "device": Device,
            "kind": PulseKind,
        }
    )


def array_signature(config: Config, layer: int) -> wiring.Signature:
    """The compute side of one layer's array macros, seen from the digital unit.

    A layer larger than ``array.max_rows x array.max_cols`` is made of tiles that share the drive of
    their lines; each gives its own codes. ``start`` is high for one cycle, in which ``direction``,
    ``row``, ``device`` and the drives are valid; they stay valid until the codes are taken. The
    codes are valid from ``mvm_cycles`` (``read_cycles`` for Direction.READ) cycles after ``start``
    until the next ``start``.
    """
    n_rows, n_cols = config.network.n_rows(layer), config.network.n_cols(layer)
    codes = signed(config.converter.adc_bits)
    return wiring.Signature(
        {
            "start": Out(1),
            "direction": Out(Direction),
            "row": Out(range(n_rows)),
            "device": Out(Device),
            # Forward pulse widths in LSBs; the last row is the bias, always 255.
            "row_drive": Out(data.ArrayLayout(unsigned(8), n_rows)),
            # Backward pulse widths in LSBs, -127..127.
            "col_drive": Out(data.ArrayLayout(signed(8), n_cols)),
            # Forward and row reads: one code a column, for each row tile.
            "col_codes": In(
                data.ArrayLayout(data.ArrayLayout(codes, n_cols), config.row_tiles(layer))
            ),
            # Backward: one code a row, for each column tile. A first layer is never driven
            # backwards.
            "row_codes": In(
                data.ArrayLayout(
                    data.ArrayLayout(codes, n_rows if layer else 1), config.col_tiles(layer)
                )
            ),
        }
    )


def program_signature(config: Config) -> wiring.Signature:
    """The programming side of the arrays: one pulse at a time.

    ``pulse`` is high for the pulse's whole width, with ``request`` valid and stable; it is low for
    at least ``pulse.gap_cycles`` cycles between pulses. While ``busy`` is high no new pulse begins.
    """
    return wiring.Signature(
        {
            "request": Out(pulse_request_layout(config)),
            "pulse": Out(1),
            "busy": In(1),
        }
    )
