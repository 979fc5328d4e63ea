"""RRAM arrays in compiled code: they answer every phase inside the simulator.

A product of an image takes thousands of one-bit phases, each of them a product of at most a few
hundred integers: waking Python for each would be most of the time. Conductances are integers and
codes follow by integer division (:mod:`model.cnn.crossbar`), so that compiled code gives the same
codes to the bit. Python hands over the conductances, again after every pulse.
"""

import numpy as np
import numpy.typing as npt

from cocotb_tests.bench import Field, Responder
from hw.cnn.layouts import array_signature
from model.cnn.config import CnnConfig
from model.cnn.crossbar import LayerArrays

__all__ = ["array_name", "macro", "table"]

#: Behind the conductances: the codes' units, of products and of verify reads.
N_RANGES = 2

SOURCE = """\
  const std::uint32_t step = fields[0];
  const std::uint32_t lsb = table[{n_units} + fields[1]];
  const std::uint32_t* drive = fields + 2;
  for (int tile = 0; tile < {tiles}; tile++) {{
    const std::uint32_t* units = table + (tile * {steps} + step) * {inputs} * {lines};
    std::uint32_t sums[{lines}] = {{0}};
    for (int input = 0; input < {inputs}; input++, units += {lines}) {{
      const int bit = tile * {inputs} + input;
      if (drive[bit >> 5] >> (bit & 31) & 1)
        for (int line = 0; line < {lines}; line++) sums[line] += units[line];
    }}
    for (int line = 0; line < {lines}; line++) {{
      std::uint64_t code = (sums[line] + lsb / 2) / lsb;
      if (code > {code_max}) code = {code_max};
      const int bit = (tile * {lines} + line) * {bits};
      code <<= bit & 31;
      answer[bit >> 5] |= static_cast<std::uint32_t>(code);
      if ((bit & 31) + {bits} > 32) answer[(bit >> 5) + 1] |= code >> 32;
    }}
  }}
"""


def array_name(index: int) -> str:
    """Name of an array's responder."""
    return f"macro_{index}"


def macro(config: CnnConfig, layer: int, index: int) -> Responder:
    """The arrays of a layer behind port ``array_<index>``: codes of a phase in the time in which
    the next one is driven, by :meth:`model.cnn.crossbar.LayerArrays.phase`."""
    port = f"array_{index}__"
    ports = array_signature(config, layer).members
    inputs, lines = config.chunk_inputs(layer), config.lines(layer)
    tiles, steps = config.tiles(layer), config.steps(layer)
    n_units = tiles * steps * inputs * lines
    return Responder(
        name=array_name(index),
        strobe=f"{port}phase",
        fields=(
            Field(expression=f"{port}step", width=(max(2, steps) - 1).bit_length()),
            Field(expression=f"{port}range", width=1),
            Field(expression=f"{port}drive", width=ports["drive"].shape.size),
        ),
        port=f"{port}codes",
        latency=config.array.phase_cycles,
        table_words=n_units + N_RANGES,
        source=SOURCE.format(
            n_units=n_units,
            tiles=tiles,
            steps=steps,
            inputs=inputs,
            lines=lines,
            bits=config.array.adc_bits,
            code_max=config.array.code_max,
        ),
    )


def table(arrays: LayerArrays) -> npt.NDArray[np.uint32]:
    """The record for :func:`cocotb_tests.probes.give`, uint32 ``[1, n]``: conductances by chunk,
    input and line, zeros for chunks that no tile has, then the codes' units."""
    config, layer = arrays.config, arrays.layer
    chunks = config.tiles(layer) * config.steps(layer)
    units = np.zeros((chunks, *arrays.units.shape[1:]), np.uint32)
    units[: len(arrays.units)] = arrays.units
    ranges = np.array([arrays.lsb, config.read_lsb_units], np.uint32)
    return np.concatenate([units.reshape(-1), ranges])[None]
