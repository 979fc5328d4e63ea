"""What the bench records inside the emitted digital unit, and how the records are read.

Every stage's output is recorded where it crosses a stream, so a mismatch names the block that made
it. The expressions are names of the emitted Verilog; a build fails if one is gone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.bench import Field, Instrument, Loader, MemoryProbe, Probe
from cocotb_tests.frame_probes import IMAGE_PLAYER, FrameProbes, result_probe
from cocotb_tests.signals import pack
from hw.layouts import (
    activation_word_layout,
    error_word_layout,
    pulse_request_layout,
    scaled_word_layout,
    update_command_layout,
)
from hw.sequencer import Phase
from model.activity import Activity
from model.chi_protection import code_of
from model.config import Config
from model.unit import UnitState

__all__ = ["UnitProbes", "corner_probes", "probes", "reset_probes"]

COUNTER_BITS = 64


def _stream(name: str, path: str, width: int) -> Probe:
    return Probe(
        name=name,
        strobe=f"{path}__valid & {path}__ready",
        fields=(Field(expression=f"{path}__payload", width=width),),
    )


def probes(config: Config) -> list[Instrument]:
    """The probes of a digital unit of this configuration, and the player of its images."""
    code = code_of(config)
    row_bits = (code.word_bits if code else config.update.chi_bits) * config.update.lanes
    return [
        Probe(
            name="image",
            strobe="dut.activity.amount_images",
            fields=(
                Field(expression="dut.activity.counters", width=COUNTER_BITS * len(Activity)),
                # High in the first cycle of an image that did not wait for this one's update.
                Field(
                    expression="dut.sequencer.carried" if config.update.overlap else "1'b0",
                    width=1,
                ),
            ),
        ),
        Probe(
            name="activations",
            strobe="dut.activation_unit.o__valid",
            fields=(
                Field(
                    expression="dut.activation_unit.o__payload",
                    width=activation_word_layout(config).size,
                ),
            ),
        ),
        _stream("errors", "dut.error_unit.o", error_word_layout(config).size),
        _stream("scaled", "dut.quantiser.o", scaled_word_layout(config).size),
        _stream("updates", "dut.outer_product.i_command", update_command_layout(config).size),
        Probe(
            name="chi",
            strobe="(|dut.chi_memory.rows.w0_en) & dut.sequencer.initialised",
            fields=(
                Field(
                    expression="dut.chi_memory.rows.w0_addr",
                    width=max(1, (config.chi_depth - 1).bit_length()),
                ),
                Field(expression="dut.chi_memory.rows.w0_data", width=row_bits),
            ),
        ),
        result_probe(config.update.lanes),
        IMAGE_PLAYER,
        MemoryProbe(
            name="chi_memory",
            memory="dut.chi_memory.rows.mem",
            depth=config.chi_depth,
            width=row_bits,
        ),
        Loader(
            name="chi_rows",
            targets=(Field(expression="dut.chi_memory.rows.mem", width=row_bits),),
            depth=config.chi_depth,
        ),
        Loader(name="registers", targets=tuple(field for field, _ in _registers(config))),
    ]


def reset_probes() -> list[Instrument]:
    """Record in which phase the unit is, whether refresh is at work, and whether a pulse is on the
    arrays: ``states`` in every cycle, ``reset`` when reset is raised."""
    fields = (
        Field(expression="dut.sequencer.phase", width=Phase.as_shape().width),
        Field(expression="dut.refresh_controller.busy", width=1),
        Field(expression="program__pulse", width=1),
    )
    return [
        Probe(name="states", strobe="1'b1", fields=fields),
        Probe(name="reset", strobe="rst", fields=fields, on_rise=True),
    ]


def corner_probes() -> list[Instrument]:
    """Those of resets, and a loader of the only counter that the model has not: cycles without an
    image."""
    target = Field(expression="dut.activity.cycles_idle", width=COUNTER_BITS)
    return [*reset_probes(), Loader(name="idle_cycles", targets=(target,))]


def _registers(config: Config) -> list[tuple[Field, Callable[[UnitState], int]]]:
    """The registers that hold the state between two images, and what the model has in them."""
    request = pulse_request_layout(config)

    def field(expression: str, width: int) -> Field:
        return Field(expression=expression, width=width)

    registers: list[tuple[Field, Callable[[UnitState], int]]] = [
        (
            field(f"dut.quantiser.scales.maximum_{layer}", config.scale_bits),
            lambda unit, layer=layer: int(unit.maxima[layer]),  # type: ignore[misc]
        )
        for layer in range(config.network.n_layers)
    ]
    if config.refresh.interval:
        registers += [
            (
                field("dut.refresh_controller.layer", request["layer"].width),
                lambda unit: int(unit.refresh[0]),
            ),
            (
                field("dut.refresh_controller.row", request["row"].width),
                lambda unit: int(unit.refresh[1]),
            ),
            (
                field("dut.images", config.refresh.interval.bit_length()),
                lambda unit: int(unit.refresh[2]),
            ),
        ]
    registers += [
        (
            field(f"dut.activity.counters[{64 * index + 63}:{64 * index}]", COUNTER_BITS),
            lambda unit, index=index: int(unit.counters[index]),  # type: ignore[misc]
        )
        for index in range(len(Activity))
    ]
    return registers


def _to_words(value: int, n_words: int) -> list[int]:
    return [value >> 32 * k & 0xFFFF_FFFF for k in range(n_words)]


class UnitProbes(FrameProbes):
    """Unpacks the records of :func:`probes`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.update.lanes)
        self.config = config
        self.code = code_of(config)
        self.error_bits = config.error_bits
        layout = update_command_layout(config)
        fields = [layout[name] for name in ("layer", "shift")]
        self._update_places = [(field.offset, (1 << field.width) - 1) for field in fields]

    def counters(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """int64 ``[n_images, len(Activity)]``: what each image's last cycle has not added to."""
        return np.ascontiguousarray(records[:, :-1]).view(np.int64)

    def follows(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """bool ``[n_images]``: whether the next image did not wait for the update of this one."""
        return records[:, -1] != 0

    def errors(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int32 ``[n_words, lanes]``."""
        return self.vectors(records, self.error_bits, signed=True)

    def drives(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int8 ``[n_words, lanes]`` of the scaled words."""
        return self.vectors(records, 8, signed=True)

    def codes(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int8 ``[n_words, lanes]`` of the scaled words."""
        return self.vectors(records, 3, signed=True, first_bit=8 * self.lanes)

    def updates(self, records: npt.NDArray[np.uint32]) -> list[tuple[int, int]]:
        """Layer and shift of each command."""
        words = records[:, 0].astype(np.int64)
        layers, shifts = (words >> first & mask for first, mask in self._update_places)
        return list(zip(layers.tolist(), shifts.tolist(), strict=True))

    def chi_addresses(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int64 ``[n]``."""
        return records[:, 0].astype(np.int64)

    def chi_words(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int32 ``[n, lanes]`` of the words written."""
        return self.chi_rows(records[:, 1:])

    def chi_rows(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int32 ``[n, lanes]`` of rows of the chi memory, decoded if it has check bits."""
        if self.code is not None:
            width = self.code.word_bits
            rows = [int.from_bytes(record.tobytes(), "little") for record in records]
            codewords = [
                [row >> width * k & (1 << width) - 1 for k in range(self.lanes)] for row in rows
            ]
            chi = self.code.decode(np.array(codewords, np.int64).reshape(-1, self.lanes)).chi
            return chi.astype(np.int32)
        if self.config.update.chi_bits == 32:
            return np.ascontiguousarray(records).view(np.int32)
        return self.vectors(records, self.config.update.chi_bits, signed=True)

    def chi_records(self, unit: UnitState) -> npt.NDArray[np.uint32]:
        """All chi words of the model, for the loader of chi."""
        rows = np.concatenate([chi.reshape(-1, self.lanes) for chi in unit.chi])
        if self.code is not None:
            width = self.code.word_bits
            return np.array(
                [
                    _to_words(
                        sum(codeword << width * k for k, codeword in enumerate(row)),
                        -(-width * self.lanes // 32),
                    )
                    for row in self.code.encode(rows).tolist()
                ],
                dtype=np.uint32,
            )
        bits = self.config.update.chi_bits
        n_words = -(-bits * self.lanes // 32)
        return np.array(
            [_to_words(pack(row, bits), n_words) for row in rows], dtype=np.uint32
        ).reshape(-1, n_words)

    def register_records(self, unit: UnitState) -> npt.NDArray[np.uint32]:
        """The registers of the model, for the loader of registers."""
        words: list[int] = []
        for field, value in _registers(self.config):
            words += _to_words(value(unit), -(-field.width // 32))
        return np.array([words], dtype=np.uint32)
