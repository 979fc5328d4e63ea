"""Priority selection without ripple: the lowest bit of a vector, and what lies at it.

Functions on values, for use inside ``elaborate``. They are written with whole-vector operations
(two's complement, masks, OR reductions) so that synthesis makes trees of logarithmic depth of them
and a simulator a handful of machine instructions a word.
"""

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

__all__ = ["encode", "lowest", "select", "without_lowest"]


def lowest(requests: Value) -> Value:
    """Only the lowest set bit of ``requests``, so one-hot; zero where nothing is requested.

    ``requests & -requests``, as wide as ``requests``, which must be unsigned.
    """
    return (requests & -requests)[: len(requests)]


def without_lowest(requests: Value) -> Value:
    """``requests`` with its lowest set bit cleared: ``requests & (requests - 1)``."""
    return (requests & (requests - 1))[: len(requests)]


def encode(onehot: Value) -> Value:
    """Index of the only set bit of ``onehot``; 0 where none is set.

    Bit b of the index is the OR of all bits whose index has bit b.
    """
    n_bits = max(1, (len(onehot) - 1).bit_length())
    masks = [
        sum(1 << index for index in range(len(onehot)) if index >> bit & 1) for bit in range(n_bits)
    ]
    return Cat((onehot & Const(mask, len(onehot))).any() for mask in masks)


def select(onehot: Value, values: data.View) -> Value:
    """``values[index of the set bit of onehot]``, unsigned; 0 where none is set.

    AND-OR by bit planes: bit b of the result is the OR over k of ``onehot[k] & values[k][b]``.
    ``values``: an array of as many elements as ``onehot`` has bits.
    """
    columns = [Value.cast(values[index]) for index in range(len(onehot))]
    return Cat(
        (onehot & Cat(column[bit] for column in columns)).any() for bit in range(len(columns[0]))
    )
