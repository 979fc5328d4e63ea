"""Vector maximum: the largest element of a vector that comes word by word, and where it stands."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["VectorMaximum"]


class _Candidate(NamedTuple):
    """An element and its lane."""

    value: Value
    lane: Value


def _winners(m: Module, candidates: list[_Candidate], level: int) -> list[_Candidate]:
    """One level of a comparison tree: of each two the larger, of equals the first."""
    winners = []
    for k, (left, right) in enumerate(zip(candidates[::2], candidates[1::2], strict=True)):
        winner = _Candidate(
            Signal.like(left.value, name=f"value_{level}_{k}"),
            Signal(level, name=f"lane_{level}_{k}"),
        )
        is_right = right.value > left.value
        m.d.comb += [
            winner.value.eq(Mux(is_right, right.value, left.value)),
            # Of 2**level lanes side by side the upper half is the right candidate's.
            winner.lane.eq(Cat(Mux(is_right, right.lane, left.lane)[: level - 1], is_right)),
        ]
        winners.append(winner)
    return winners


class VectorMaximum(wiring.Component):
    """Finds ``maximum = max(v[i])`` and ``index = min(i where v[i] == maximum)`` of a vector v.

    Element ``w * lanes + k`` is lane k of the vector's word w. Lanes beyond a vector must be zero:
    they come after its elements, and no element is less.

    A tree of log2(lanes) comparisons and one with the words before, with a register in the middle:
    for 32 lanes three comparisons on either side of it.

    **Timing**: ``LATENCY`` = 2 cycles from the last word to ``done``; one word a cycle, never
    stalls.

    Parameters
    ----------
    width : int
        Bits of an element, unsigned.
    lanes : int
        Elements of a word, a power of two.
    n_words : int
        Words of the longest vector.

    Members
    -------
    values : ``In(ArrayLayout(width, lanes))``, ``valid``, ``last`` : ``In(1)``
        A word that is transferred in this cycle; the last of its vector.
    maximum : ``Out(width)``, ``index`` : ``Out(range(n_words * lanes))``
        Valid from ``done`` to the cycle after the next vector's first word.
    done : ``Out(1)``
        Strobe.

    Raises
    ------
    ValueError
        If ``lanes`` is not a power of two.
    """

    LATENCY = 2  # from the last word to done

    def __init__(self, *, width: int, lanes: int, n_words: int) -> None:
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two, not {lanes}.")
        self.width = width
        self.lanes = lanes
        self.n_words = n_words
        super().__init__(
            {
                "values": In(data.ArrayLayout(unsigned(width), lanes)),
                "valid": In(1),
                "last": In(1),
                "maximum": Out(width),
                "index": Out(range(n_words * lanes)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n_levels = self.lanes.bit_length() - 1
        # Half of the comparisons, that with the words before counted, before the register.
        n_first = (n_levels + 1) // 2

        # Cycle 0: register the first levels' winners.
        candidates = [
            _Candidate(Value.cast(self.values[lane]), Signal(0, name=f"lane_0_{lane}"))
            for lane in range(self.lanes)
        ]
        for level in range(1, n_first + 1):
            candidates = _winners(m, candidates, level)
        valid, last = Signal(), Signal()
        held = [
            _Candidate(
                Signal.like(candidate.value, name=f"held_value_{k}"),
                Signal.like(candidate.lane, name=f"held_lane_{k}"),
            )
            for k, candidate in enumerate(candidates)
        ]
        m.d.sync += valid.eq(self.valid)
        with m.If(self.valid):
            m.d.sync += last.eq(self.last)
            for register, candidate in zip(held, candidates, strict=True):
                m.d.sync += [
                    register.value.eq(candidate.value),
                    register.lane.eq(candidate.lane),
                ]

        # Cycle 1: the word's winner against the words before; it must be larger to win.
        candidates = held
        for level in range(n_first + 1, n_levels + 1):
            candidates = _winners(m, candidates, level)
        (best,) = candidates
        word = Signal(range(self.n_words))
        m.d.sync += self.done.eq(valid & last)
        with m.If(valid):
            m.d.sync += word.eq(Mux(last, 0, word + 1))
            with m.If((word == 0) | (best.value > self.maximum)):
                m.d.sync += [self.maximum.eq(best.value), self.index.eq(Cat(best.lane, word))]
        return m
