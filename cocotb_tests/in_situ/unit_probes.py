"""What the bench records inside the emitted in-situ learning unit, and how records are read.

Every stage's output is recorded where it crosses a stream or enters a memory, so a mismatch names
the block that made it. The expressions are names of the emitted Verilog; a build fails if one is
gone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.bench import Field, Instrument, Loader, MemoryProbe, Probe
from cocotb_tests.frame_probes import IMAGE_PLAYER, FrameProbes, result_probe
from cocotb_tests.signals import pack_words
from hw.counters import COUNTER_BITS
from hw.in_situ.layouts import error_word_layout
from hw.layouts import activation_word_layout
from model.in_situ.activity import PHASES, Activity
from model.in_situ.config import InSituConfig

__all__ = ["LearningProbes", "probes"]

FIRST_PHASE = COUNTER_BITS * Activity.CYCLES_FORWARD
"""First bit of the cycle counters among all counters."""

PHASE_BITS = COUNTER_BITS * len(PHASES)


def _memory_writes(name: str, memory: str, depth: int, width: int) -> Probe:
    address_bits = max(1, (depth - 1).bit_length())
    return Probe(
        name=name,
        strobe=f"(|dut.{memory}.rows.w0_en) & ~dut.{memory}.busy",
        fields=(
            Field(expression=f"dut.{memory}.rows.w0_addr", width=address_bits),
            Field(expression=f"dut.{memory}.rows.w0_data", width=width),
        ),
    )


def probes(config: InSituConfig) -> list[Instrument]:
    """The probes of a learning unit of this configuration, and the player of its images."""
    lanes, depth = config.update.lanes, config.gradient_depth
    gradient_bits, gate_bits = config.gradient_bits * lanes, 2 * config.gate.word_bits * lanes
    counters = "dut.activity.counters"
    words: list[Instrument] = [
        Probe(
            name=name,
            strobe=strobe,
            fields=(Field(expression=expression, width=width),),
        )
        for name, strobe, expression, width in (
            (
                "activations",
                "dut.activation_unit.o__valid",
                "dut.activation_unit.o__payload",
                activation_word_layout(config).size,
            ),
            (
                "outputs",
                "dut.softmax.o__valid",
                "dut.softmax.o__payload",
                activation_word_layout(config).size,
            ),
            (
                "errors",
                "dut.error_buffer.i__valid & dut.sequencer.training",
                "dut.error_buffer.i__payload",
                error_word_layout(config).size,
            ),
        )
    ]
    return [
        Probe(
            name="image",
            strobe="dut.sequencer.done",
            fields=(
                Field(
                    expression=f"{counters}[{FIRST_PHASE + PHASE_BITS - 1}:{FIRST_PHASE}]",
                    width=PHASE_BITS,
                ),
                Field(expression="dut.sequencer.phase", width=3),
            ),
        ),
        *words,
        result_probe(lanes),
        _memory_writes("gradients", "gradient_memory", depth, gradient_bits),
        _memory_writes("gates", "gate_memory", depth, gate_bits),
        IMAGE_PLAYER,
        MemoryProbe(
            name="gradient_memory",
            memory="dut.gradient_memory.rows.mem",
            depth=depth,
            width=gradient_bits,
        ),
        MemoryProbe(
            name="gate_memory", memory="dut.gate_memory.rows.mem", depth=depth, width=gate_bits
        ),
        Loader(
            name="gate_rows",
            targets=(Field(expression="dut.gate_memory.rows.mem", width=gate_bits),),
            depth=depth,
        ),
        Loader(
            name="counters",
            targets=tuple(
                Field(
                    expression=f"{counters}[{COUNTER_BITS * (k + 1) - 1}:{COUNTER_BITS * k}]",
                    width=COUNTER_BITS,
                )
                for k in range(len(Activity))
            ),
        ),
    ]


class LearningProbes(FrameProbes):
    """Unpacks the records of :func:`probes`."""

    def __init__(self, config: InSituConfig) -> None:
        super().__init__(config.update.lanes)
        self.config = config

    def cycles(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """int64 ``[n_images, 5]``: totals of the phases' cycles, each image's last included."""
        n_words = 2 * len(PHASES)
        totals = np.ascontiguousarray(records[:, :n_words]).view(np.int64).copy()
        totals[np.arange(len(records)), records[:, n_words]] += 1
        return totals

    def errors(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int16 ``[n_words, lanes]``."""
        return self.vectors(records, 9, signed=True)

    def addresses(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int64 ``[n]`` of memory writes."""
        return records[:, 0].astype(np.int64)

    def gradients(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """int32 ``[n, lanes]`` of rows of the gradient memory."""
        return self.vectors(rows, self.config.gradient_bits, signed=True)

    def gates(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """uint ``[n, 2 * lanes]`` of rows of the gate memory."""
        return self.vectors(rows, self.config.gate.word_bits, signed=False, n=2 * self.lanes)

    def gate_records(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
        """Rows of the gate memory, for its loader."""
        return np.concatenate([pack_words(row, self.config.gate.word_bits) for row in rows])

    def counter_records(self, counters: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        """All counters, for their loader."""
        return np.ascontiguousarray(counters).view(np.uint32).reshape(1, -1)
