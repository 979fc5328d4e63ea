"""Payloads and signatures of the inference unit, each field documented once.

Functions of the configuration, so that gateware, pysim tests and co-simulation pack and unpack with
the same objects. A *pixel* is one position of a feature map, all channels.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import PulseKind
from model.cnn.config import INPUT_BITS, CnnConfig, ReplicaMode
from model.cnn.requantiser import SHIFT_MAX

__all__ = [
    "ReadRange",
    "array_signature",
    "device_layout",
    "feature_word_layout",
    "n_copies",
    "parameter_layout",
    "patch_layout",
    "pixel_layout",
    "product_events_layout",
    "program_signature",
    "result_layout",
    "sums_layout",
    "write_command_layout",
    "write_result_layout",
]


class ReadRange(enum.Enum, shape=unsigned(1)):
    """Full scale of an array's converters."""

    #: The sum of all driven devices of a line.
    COMPUTE = 0
    #: One device.
    VERIFY = 1


def n_copies(config: CnnConfig) -> int:
    """Different feature maps of one layer that exist at a time: one a replica when each has an
    image of its own."""
    return config.replicas.n if config.replicas.mode is ReplicaMode.IMAGES else 1


def pixel_layout(channels: int) -> data.ArrayLayout:
    """Activations of all channels of one position."""
    return data.ArrayLayout(unsigned(INPUT_BITS), channels)


def product_events_layout() -> data.StructLayout:
    """Strobes of what an array's blocks do, for the counters."""
    return data.StructLayout(
        {
            # A pixel goes from the feature map to the line buffer; never in the last layer.
            "pixel": 1,
            # A patch, or the flat vector, is handed to the drivers.
            "patch": 1,
            # The last lines of a phase are sampled: all its codes have been added up.
            "converted": 1,
        }
    )


def feature_word_layout(shape: tuple[int, int, int]) -> data.StructLayout:
    """A pixel on its way into a feature map of ``shape`` (height, width, channels)."""
    height, width, channels = shape
    return data.StructLayout(
        {
            # row * width + column
            "address": range(height * width),
            "pixel": pixel_layout(channels),
        }
    )


def patch_layout(config: CnnConfig, layer: int) -> data.ArrayLayout:
    """All inputs of one product, by chunk: ``[chunks][chunk_inputs]``."""
    chunk = data.ArrayLayout(unsigned(INPUT_BITS), config.chunk_inputs(layer))
    return data.ArrayLayout(chunk, config.chunks(layer))


def sums_layout(config: CnnConfig, layer: int) -> data.ArrayLayout:
    """Exact sums of one product, one an output."""
    return data.ArrayLayout(signed(config.psum_bits(layer)), config.outs(layer))


def array_signature(config: CnnConfig, layer: int) -> wiring.Signature:
    """The compute side of one layer's arrays, seen from the inference unit.

    ``phase`` is high in the first cycle of a phase; the other outputs but ``slot`` hold for its
    ``phase_cycles`` cycles. At its end one of two groups of sample-and-hold stages keeps the
    currents of all lines; in the ``phase_cycles`` cycles after it the ADCs convert them, line m in
    conversion slot m mod ``lines_per_adc``, while the next phase goes to the other group. A code is
    sampled in the last cycle of its slot; an array may show all codes for the whole of that time.
    """
    array = config.array
    codes = data.ArrayLayout(unsigned(array.adc_bits), config.lines(layer))
    drive = data.ArrayLayout(unsigned(1), config.chunk_inputs(layer))
    return wiring.Signature(
        {
            "phase": Out(1),
            # Selects the chunk of every tile: tile t takes chunk t * steps + step.
            "step": Out(range(max(2, config.steps(layer)))),
            # Input lines of the selected chunk of every tile: 1 is a read pulse.
            "drive": Out(data.ArrayLayout(drive, config.tiles(layer))),
            "range": Out(ReadRange),
            # Sample-and-hold group that keeps this phase.
            "hold": Out(1),
            # Conversion under way: which of the lines that share an ADC.
            "slot": Out(range(max(2, array.lines_per_adc))),
            # Of the selected chunk's lines, for every tile.
            "codes": In(data.ArrayLayout(codes, config.tiles(layer))),
        }
    )


def _layers(config: CnnConfig) -> range:
    return range(config.n_layers)


def _max_lines(config: CnnConfig) -> int:
    return max(config.lines(layer) for layer in _layers(config))


def device_layout(config: CnnConfig) -> dict[str, object]:
    """Fields that name a row of devices: one input line of one chunk."""
    layers = _layers(config)
    return {
        # See CnnConfig.array_index.
        "array": range(config.n_arrays),
        "tile": range(max(config.tiles(layer) for layer in layers)),
        "step": range(max(config.steps(layer) for layer in layers)),
        "input": range(max(config.chunk_inputs(layer) for layer in layers)),
    }


def write_command_layout(config: CnnConfig) -> data.StructLayout:
    """A row of devices to be written."""
    lines = _max_lines(config)
    return data.StructLayout(
        device_layout(config)
        | {
            # Verify codes; of devices that are not enabled ignored.
            "targets": data.ArrayLayout(unsigned(config.array.adc_bits), lines),
            "enables": data.ArrayLayout(unsigned(1), lines),
        }
    )


def write_result_layout(config: CnnConfig) -> data.StructLayout:
    """What became of a row of devices."""
    return data.StructLayout(
        device_layout(config)
        | {
            # Devices given up.
            "failed": data.ArrayLayout(unsigned(1), _max_lines(config)),
            # Verify reads.
            "iterations": range(config.write.max_pulses + 2),
        }
    )


def program_signature(config: CnnConfig) -> wiring.Signature:
    """The programming side of all arrays: one pulse at a time, on many devices of a row.

    ``pulse`` is high for the pulse's whole width with ``request`` valid and stable; it is low for
    at least ``write.gap_cycles`` cycles after it. While ``busy`` is high no pulse begins.
    """
    return wiring.Signature(
        {
            "request": Out(
                data.StructLayout(
                    device_layout(config)
                    | {
                        "kind": PulseKind,
                        "mask": data.ArrayLayout(unsigned(1), _max_lines(config)),
                    }
                )
            ),
            "pulse": Out(1),
            "busy": In(1),
        }
    )


def parameter_layout(config: CnnConfig) -> data.StructLayout:
    """Requantisation of one channel of one convolution of one replica."""
    convolutions = range(config.n_conv)
    return data.StructLayout(
        {
            # See CnnConfig.array_index; the fully connected layer has none.
            "array": range(config.n_arrays),
            "channel": range(max(config.outs(layer) for layer in convolutions)),
            "offset": signed(max(config.psum_bits(layer) for layer in convolutions)),
            "multiplier": unsigned(config.requantiser.multiplier_bits),
            "shift": range(SHIFT_MAX + 1),
        }
    )


def result_layout(config: CnnConfig) -> data.StructLayout:
    """What the unit found out about one image."""
    return data.StructLayout(
        {
            "predicted": range(config.network.classes),
            # Sums of the fully connected layer.
            "scores": sums_layout(config, config.n_conv),
        }
    )
