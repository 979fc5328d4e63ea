"""What the bench records inside the emitted inference unit, and how the records are read.

Inside a block of the unit only registers are read: these synthesis leaves, under their names.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape
from amaranth.lib import data

from cocotb_tests import probes as records
from cocotb_tests.bench import Field, Instrument, Player, Probe
from cocotb_tests.cnn.array_macro import macro
from cocotb_tests.signals import unpack_signed, unpack_unsigned
from hw.cnn.image_loader import image_word_layout
from hw.cnn.layouts import (
    array_signature,
    feature_word_layout,
    n_copies,
    pixel_layout,
    product_events_layout,
    program_signature,
    result_layout,
    sums_layout,
    write_command_layout,
    write_result_layout,
)
from hw.counters import COUNTER_BITS
from model.cnn.activity import activity_names
from model.cnn.config import CnnConfig

__all__ = ["ArrayRecords", "UnitProbes", "array_places", "instruments"]


def array_places(config: CnnConfig) -> dict[int, tuple[int, int]]:
    """Replica and layer of every array by its number; the last layer's has replica 0."""
    places = {
        config.array_index(replica, layer): (replica, layer)
        for replica in range(config.replicas.n)
        for layer in range(config.n_conv)
    }
    return places | {config.n_arrays - 1: (0, config.n_conv)}


def _owner(config: CnnConfig, replica: int, layer: int) -> tuple[str, str]:
    """Where the blocks of an array are, and the strobes of what they do."""
    if layer == config.n_conv:
        return "dut.fully_connected", "dut.fully_connected.events"
    owner = f"dut.convolution_{layer}"
    return f"{owner}.convolver_{replica}", f"{owner}.events_{replica}"


def _array_probes(config: CnnConfig, index: int, replica: int, layer: int) -> list[Instrument]:
    (owner, events), port = _owner(config, replica, layer), f"array_{index}__"
    converted = product_events_layout()["converted"].offset
    sums = f"{owner}.product.read_out.o"
    members = array_signature(config, layer).members
    found: list[Instrument] = [
        macro(config, layer, index),
        Probe(
            name=f"phases_{index}",
            strobe=f"{port}phase",
            fields=(
                Field(expression=f"{port}step", width=Shape.cast(members["step"].shape).width),
                Field(expression=f"{port}range", width=1),
                Field(expression=f"{port}drive", width=members["drive"].shape.size),
            ),
        ),
        Probe(
            name=f"codes_{index}",
            strobe=f"{events}[{converted}:{converted}]",
            fields=(Field(expression=f"{port}codes", width=members["codes"].shape.size),),
        ),
        Probe(
            name=f"sums_{index}",
            strobe=f"{sums}__valid",
            fields=(Field(expression=f"{sums}__payload", width=sums_layout(config, layer).size),),
        ),
    ]
    if layer < config.n_conv:
        width = pixel_layout(config.outs(layer)).size
        found.append(
            Probe(
                name=f"activations_{index}",
                strobe=f"{owner}.requantiser.o__valid",
                fields=(Field(expression=f"{owner}.requantiser.o__payload", width=width),),
            )
        )
    return found


def instruments(config: CnnConfig) -> list[Instrument]:
    """Arrays, probes and players of an inference unit of this configuration."""
    found: list[Instrument] = []
    for index, (replica, layer) in array_places(config).items():
        found += _array_probes(config, index, replica, layer)
    for layer in range(config.n_conv):
        for copy in range(n_copies(config)):
            port = f"dut.convolution_{layer}.o_{copy}__"
            width = feature_word_layout(config.out_shape(layer)).size
            found.append(
                Probe(
                    name=f"pooled_{layer}_{copy}",
                    strobe=f"{port}valid",
                    fields=(Field(expression=f"{port}payload", width=width),),
                )
            )
    cycle = Field(expression="cycle", width=64)
    counters = Field(expression="counters", width=COUNTER_BITS * len(activity_names(config)))
    return [
        *found,
        Probe(
            name="results",
            strobe="o_result__valid & o_result__ready",
            fields=(Field(expression="o_result__payload", width=result_layout(config).size),),
        ),
        Probe(
            name="groups",
            strobe="dut.sequencer.idle | dut.sequencer.take",
            fields=(counters,),
            on_rise=True,
        ),
        Probe(name="write_starts", strobe="i_write__valid & i_write__ready", fields=(cycle,)),
        Probe(
            name="write_results",
            strobe="o_write__valid & o_write__ready",
            fields=(
                cycle,
                Field(expression="o_write__payload", width=write_result_layout(config).size),
            ),
        ),
        Probe(
            name="pulses",
            strobe="program__pulse",
            fields=(
                Field(
                    expression="program__request",
                    width=program_signature(config).members["request"].shape.size,
                ),
            ),
            on_rise=True,
        ),
        Player(
            name="images",
            valid="i_image__valid",
            ready="i_image__ready",
            data=("i_image__payload",),
        ),
        Player(
            name="writes",
            valid="i_write__valid",
            ready="i_write__ready",
            data=("i_write__payload",),
        ),
    ]


def _to_records(values: list[int], width: int) -> npt.NDArray[np.uint32]:
    size = 4 * -(-width // 32)
    raw = b"".join(value.to_bytes(size, "little") for value in values)
    return np.frombuffer(raw, np.uint32).reshape(len(values), -1)


def _vectors(
    taken: npt.NDArray[np.uint32], first_bit: int, n: int, bits: int, *, signed: bool = False
) -> npt.NDArray[Any]:
    """``n`` elements of ``bits`` bits from a bit of each record on: ``[n_records, n]``."""
    raw = np.ascontiguousarray(taken).view(np.uint8)
    if first_bit % 8 == 0 and bits == 8 and not signed:
        return raw[:, first_bit // 8 : first_bit // 8 + n]
    planes = np.unpackbits(raw, axis=1, bitorder="little")[:, first_bit : first_bit + n * bits]
    if bits == 1:
        return planes
    packed = np.packbits(planes.reshape(-1), bitorder="little").tobytes()
    unpack = unpack_signed if signed else unpack_unsigned
    return unpack(packed, len(taken) * n, bits).reshape(len(taken), n)


@dataclass(frozen=True)
class ArrayRecords:
    """What passed at one array, in order."""

    steps: npt.NDArray[Any]
    """``[phases]``"""
    drives: npt.NDArray[Any]
    """Bits ``[phases, tiles, inputs]``."""
    codes: npt.NDArray[Any]
    """``[phases, tiles, lines]``"""
    sums: npt.NDArray[Any]
    """``[patches, outs]``"""
    activations: npt.NDArray[Any]
    """``[patches, outs]``; none of the last layer."""

    def split(self, phases: int, patches: int) -> "tuple[ArrayRecords, ArrayRecords]":
        """The first so many phases and patches, and the rest."""
        cuts = (phases, phases, phases, patches, patches)
        values = list(vars(self).values())
        return (
            ArrayRecords(*(v[:cut] for v, cut in zip(values, cuts, strict=True))),
            ArrayRecords(*(v[cut:] for v, cut in zip(values, cuts, strict=True))),
        )

    def __add__(self, other: "ArrayRecords") -> "ArrayRecords":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return ArrayRecords(*(np.concatenate(pair) for pair in pairs))


class UnitProbes:
    """Takes and unpacks the records of :func:`instruments`."""

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.places = array_places(config)

    def array(self, index: int) -> ArrayRecords:
        """Of products since the last call; verify reads are left out."""
        config, layer = self.config, self.places[index][1]
        tiles, inputs = config.tiles(layer), config.chunk_inputs(layer)
        lines, outs = config.lines(layer), config.outs(layer)
        phases = records.take(f"phases_{index}")
        phases = phases[phases[:, 1] == 0]
        codes = records.take(f"codes_{index}")
        sums = records.take(f"sums_{index}")
        activations = np.zeros((0, outs), np.uint8)
        if layer < config.n_conv:
            activations = _vectors(records.take(f"activations_{index}"), 0, outs, 8)
        return ArrayRecords(
            steps=phases[:, 0],
            drives=_vectors(phases, 64, tiles * inputs, 1).reshape(-1, tiles, inputs),
            codes=_vectors(codes, 0, tiles * lines, config.array.adc_bits).reshape(
                -1, tiles, lines
            ),
            sums=_vectors(sums, 0, outs, config.psum_bits(layer), signed=True),
            activations=activations,
        )

    def pooled(self, layer: int, copy: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Addresses ``[n]`` and pixels ``[n, outs]`` of the words of a map."""
        layout = feature_word_layout(self.config.out_shape(layer))
        taken = records.take(f"pooled_{layer}_{copy}")
        bits = layout["address"].width
        addresses = taken[:, 0] & (1 << bits) - 1
        return addresses, _vectors(taken, bits, self.config.outs(layer), 8)

    def results(self) -> list[tuple[int, npt.NDArray[Any]]]:
        """Class and scores of each image."""
        config = self.config
        bits = result_layout(config)["predicted"].width
        taken = records.take("results")
        scores = _vectors(
            taken, bits, config.network.classes, config.psum_bits(config.n_conv), signed=True
        )
        return [
            (int(record[0]) & (1 << bits) - 1, score)
            for record, score in zip(taken, scores, strict=True)
        ]

    def groups(self) -> npt.NDArray[np.int64]:
        """Counters int64 ``[n_groups, n_counters]`` after each group."""
        return np.ascontiguousarray(records.take("groups")).view(np.int64)

    def write_cycles(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Cycles in which write commands and their results were transferred; takes the results'
        failed masks along, see :meth:`write_results`."""
        starts = np.ascontiguousarray(records.take("write_starts")).view(np.int64)[:, 0]
        taken = records.take("write_results")
        self._write_results = taken[:, 2:]
        return starts, np.ascontiguousarray(taken[:, :2]).view(np.int64)[:, 0]

    def write_results(self) -> list[dict[str, Any]]:
        """The results of the commands of the last :meth:`write_cycles`."""
        return [self._fields(write_result_layout(self.config), r) for r in self._write_results]

    def pulses(self) -> list[dict[str, Any]]:
        """Requests of the pulses that began."""
        layout = program_signature(self.config).members["request"].shape
        return [self._fields(layout, record) for record in records.take("pulses")]

    def _fields(self, layout: data.StructLayout, record: npt.NDArray[np.uint32]) -> dict[str, Any]:
        """A structure's fields; arrays of bits as a bool array."""
        bits = int.from_bytes(record.tobytes(), "little")
        found: dict[str, Any] = {}
        for name, field in layout:
            value = bits >> field.offset & (1 << field.width) - 1
            found[name] = value
            if isinstance(field.shape, data.ArrayLayout):
                found[name] = np.array([bool(value >> k & 1) for k in range(field.width)])
        return found

    def image_records(self, image: npt.NDArray[np.uint8], *, last: bool) -> Any:
        """An image, uint8 of any shape, for the player of images."""
        channels = self.config.network.channels
        layout = image_word_layout(self.config)
        pixels = image.reshape(-1, channels)
        values = [int.from_bytes(pixel.tobytes(), "little") for pixel in pixels]
        values[-1] |= int(last) << layout["last"].offset
        return _to_records(values, layout.size)

    def write_record(self, command: dict[str, Any]) -> npt.NDArray[np.uint32]:
        """A write command, its vectors as lists, for the player of writes."""
        layout = write_command_layout(self.config)
        return _to_records([layout.const(command).as_bits()], layout.size)
