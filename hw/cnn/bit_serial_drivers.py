"""Bit-serial line drivers: an input vector as one-bit phases, least significant bit first."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import array_signature, patch_layout
from model.cnn.config import INPUT_BITS, CnnConfig

__all__ = ["BitSerialDrivers"]


class BitSerialDrivers(wiring.Component):
    """Drives the chunks of a patch, one a step and tile, each bit for one phase.

    In phase b of step s input i of tile t is driven by bit b of ``patch[t * steps + s][i]``, as in
    :func:`model.cnn.bit_serial.bit_plane`; a chunk beyond the last is driven with zeros.

    **Timing**: F = ``array.phase_cycles``. For a patch transferred in cycle 0, phase j =
    0 .. 8 ``steps`` - 1 takes cycles ``1 + j F`` to ``(j + 1) F``. The next patch can be
    transferred in the last cycle of the last phase: no phase is idle while patches wait.

    Parameters
    ----------
    config : CnnConfig
    layer : int

    Members
    -------
    i : ``In(stream)`` of :func:`hw.cnn.layouts.patch_layout`
    phase, step, drive, hold : ``Out``
        To the array, see :func:`hw.cnn.layouts.array_signature`.
    held : ``Out(1)``
        Strobe in the last cycle of a phase.
    bit, last : ``Out``
        With ``held``: the phase's bit, and whether it is the patch's last.
    """

    def __init__(self, config: CnnConfig, layer: int) -> None:
        self.config = config
        self.layer = layer
        array = array_signature(config, layer).members
        super().__init__(
            {"i": In(stream.Signature(patch_layout(config, layer)))}
            | {name: array[name] for name in ("phase", "step", "drive", "hold")}
            | {"held": Out(1), "bit": Out(range(INPUT_BITS)), "last": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self.config, self.layer
        steps, tiles, chunks = config.steps(layer), config.tiles(layer), config.chunks(layer)

        active, cycle = Signal(), Signal(range(config.array.phase_cycles))
        last_step, take = Signal(), Signal()
        m.d.comb += [
            last_step.eq(self.step == steps - 1),
            self.phase.eq(active & (cycle == 0)),
            self.held.eq(active & (cycle == config.array.phase_cycles - 1)),
            self.last.eq((self.bit == INPUT_BITS - 1) & last_step),
            self.i.ready.eq(~active | (self.held & self.last)),
            take.eq(self.i.valid & self.i.ready),
        ]

        # A tile's chunks wait behind each other; the first one's bytes move right a bit a phase, so
        # that the bits to drive lie in one place.
        chunk = patch_layout(config, layer).elem_shape
        queue = [
            [Signal(chunk, name=f"chunk_{tile}_{step}") for step in range(steps)]
            for tile in range(tiles)
        ]
        for tile in range(tiles):
            for step in range(steps):
                number = tile * steps + step
                source = self.i.p[number] if number < chunks else chunk.const([])
                with m.If(take):
                    m.d.sync += queue[tile][step].eq(source)
            for value, driven in zip(queue[tile][0], self.drive[tile], strict=True):
                m.d.comb += driven.eq(value[0] & active)
                with m.If(~take & self.held & (self.bit != INPUT_BITS - 1)):
                    m.d.sync += value.eq(value >> 1)
            with m.If(~take & self.held & (self.bit == INPUT_BITS - 1)):
                m.d.sync += [first.eq(second) for first, second in pairwise(queue[tile])]

        with m.If(active):
            m.d.sync += cycle.eq(Mux(self.held, 0, cycle + 1))
        with m.If(self.held):
            m.d.sync += [self.bit.eq(self.bit + 1), self.hold.eq(~self.hold)]
            with m.If(self.bit == INPUT_BITS - 1):
                m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
            with m.If(self.last):
                m.d.sync += active.eq(0)
        with m.If(take):
            m.d.sync += active.eq(1)
        return m
