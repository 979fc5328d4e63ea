"""Vectors to wires and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cocotb_tests.signals import (
    pack,
    pack_words,
    read_signed,
    read_unsigned,
    unpack_signed,
    unpack_unsigned,
)


def wires(values, bits):
    """The number on the wires, one element at a time."""
    return sum((int(value) % 2**bits) << (k * bits) for k, value in enumerate(values))


def to_bytes(number, n, bits):
    return number.to_bytes(-(-n * bits // 8), "little")


@pytest.mark.parametrize("bits", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32])
def test_extremes(bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    signed = np.array([low, high, 0, -1, min(1, high)], np.int64)
    assert pack(signed, bits) == wires(signed, bits)
    assert (
        unpack_signed(to_bytes(wires(signed, bits), 5, bits), 5, bits).tolist() == signed.tolist()
    )
    unsigned = np.array([0, 2**bits - 1, 2 ** (bits - 1), 1, 0], np.uint64)
    assert pack(unsigned, bits) == wires(unsigned, bits)
    raw = to_bytes(wires(unsigned, bits), 5, bits)
    assert unpack_unsigned(raw, 5, bits).tolist() == unsigned.tolist()


@given(st.integers(1, 32), st.data())
def test_round_trip(bits, data):
    element = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    values = np.array(data.draw(st.lists(element, max_size=40)), np.int64)
    number = pack(values, bits)
    assert number == wires(values, bits)
    words = pack_words(values, bits)
    assert words.shape == (1, -(-values.size * bits // 32))
    assert int.from_bytes(words.tobytes(), "little") == number
    raw = to_bytes(number, values.size, bits)
    assert unpack_signed(raw, values.size, bits).tolist() == values.tolist()
    assert unpack_unsigned(raw, values.size, bits).tolist() == (values % 2**bits).tolist()


@pytest.mark.parametrize(
    ("bits", "unsigned", "signed"),
    [
        (3, np.uint8, np.int8),
        (8, np.uint8, np.int8),
        (9, np.uint16, np.int16),
        (20, np.uint32, np.int32),
    ],
)
def test_dtypes(bits, unsigned, signed):
    raw = bytes(12)
    assert unpack_unsigned(raw, 4, bits).dtype == unsigned
    assert unpack_signed(raw, 4, bits).dtype == signed


@pytest.mark.parametrize(
    ("values", "bits", "message"),
    [
        (np.array([8], np.int8), 3, r"Values from 8 to 8 do not fit in 3 bits"),
        (np.array([-5, 3], np.int16), 3, r"Values from -5 to 3 do not fit in 3 bits"),
        (np.array([300], np.uint16), 8, r"Values from 300 to 300 do not fit in 8 bits"),
        (np.array([-1, 7], np.int64), 3, r"Values from -1 to 7 do not fit in 3 bits"),
        (np.array([1]), 33, r"must have 1 to 32 bits, not 33"),
        (np.array([1]), 0, r"must have 1 to 32 bits, not 0"),
    ],
)
def test_pack_wrong(values, bits, message):
    with pytest.raises(ValueError, match=message):
        pack(values, bits)


def test_unpack_too_short():
    with pytest.raises(ValueError, match=r"3 elements of 9 bits need 27 bits, not 24"):
        unpack_unsigned(bytes(3), 3, 9)


class Handle:
    """What the readers use of cocotb's handle."""

    def __init__(self, text):
        self.value = text


def test_read():
    values = np.array([-3, 2, 0, -4, 1])
    handle = Handle(f"{wires(values, 3):015b}")
    assert read_signed(handle, 5, 3).tolist() == values.tolist()
    assert read_unsigned(handle, 5, 3).tolist() == (values % 8).tolist()
