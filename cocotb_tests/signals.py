"""Vectors on wide signals as NumPy arrays, inside a cocotb test.

A vector of n elements of b bits is one signal of n*b bits, element 0 lowest: an ``ArrayLayout``
port of the gateware.
"""

from typing import Any

import numpy as np

__all__ = [
    "pack",
    "pack_words",
    "read_signed",
    "read_unsigned",
    "unpack_signed",
    "unpack_unsigned",
    "write",
]


def unpack_unsigned(raw: bytes, n: int, bits: int) -> np.ndarray:
    """The first ``n`` unsigned elements of ``bits`` bits in little-endian bytes.

    Parameters
    ----------
    raw
        At least ``ceil(n * bits / 8)`` bytes.
    n
        Elements.
    bits
        Bits of one, 1 to 32.

    Returns
    -------
    np.ndarray
        ``[n]``, uint8 up to 8 bits, uint16 up to 16, else uint32; not to be written to.

    Raises
    ------
    ValueError
        If ``bits`` is out of range or ``raw`` is too short.
    """
    dtype = _dtype(bits, signed=False)
    if len(raw) * 8 < n * bits:
        raise ValueError(f"{n} elements of {bits} bits need {n * bits} bits, not {len(raw) * 8}.")
    if dtype.itemsize * 8 == bits:
        return np.frombuffer(raw, dtype, n)
    planes = np.unpackbits(np.frombuffer(raw, np.uint8), count=n * bits, bitorder="little")
    # Each element's bits padded to whole bytes: packing them again gives the elements.
    padded = np.zeros((n, dtype.itemsize * 8), np.uint8)
    padded[:, :bits] = planes.reshape(n, bits)
    return np.packbits(padded, bitorder="little").view(dtype)


def unpack_signed(raw: bytes, n: int, bits: int) -> np.ndarray:
    """As :func:`unpack_unsigned` for two's complement: ``[n]``, int8 up to 8 bits, int16 up to
    16, else int32."""
    dtype = _dtype(bits, signed=True)
    unsigned = unpack_unsigned(raw, n, bits)
    spare = dtype.itemsize * 8 - bits
    shifted: np.ndarray = (unsigned << spare).view(dtype)
    return shifted >> spare if spare else shifted


def pack(values: np.ndarray, bits: int) -> int:
    """A vector as the number on the wires; the reverse of the unpacking functions.

    Parameters
    ----------
    values
        Integers ``[n]``, signed or not.
    bits
        Bits of one, 1 to 32.

    Raises
    ------
    ValueError
        If ``bits`` is out of range or a value does not fit in ``bits`` bits, signed or unsigned.
    """
    return int.from_bytes(_pack_bytes(values, bits), "little")


def pack_words(values: np.ndarray, bits: int) -> np.ndarray:
    """A vector as one record of a bench's instrument: uint32 ``[1, ceil(n * bits / 32)]``; see
    :func:`pack`."""
    raw = _pack_bytes(values, bits)
    return np.frombuffer(raw + bytes(-len(raw) % 4), np.uint32).reshape(1, -1)


def _pack_bytes(values: np.ndarray, bits: int) -> bytes:
    values = np.ascontiguousarray(values)
    itemsize = _dtype(bits, signed=False).itemsize
    if values.size == 0:
        return b""
    if values.dtype.itemsize * 8 > bits or values.dtype.kind == "u":
        low, high = int(values.min()), int(values.max())
        limit = 2**bits if low >= 0 else 2 ** (bits - 1)
        if low < -(2 ** (bits - 1)) or high >= limit:
            raise ValueError(f"Values from {low} to {high} do not fit in {bits} bits.")
    kind = "i" if values.dtype.kind == "i" else "u"
    narrow = values.astype(f"<{kind}{itemsize}", copy=False)
    if itemsize * 8 == bits:
        return narrow.tobytes()
    octets = narrow.view(np.uint8).reshape(values.size, itemsize)
    planes = np.unpackbits(octets, axis=1, bitorder="little")
    return np.packbits(planes[:, :bits], bitorder="little").tobytes()


def read_unsigned(handle: Any, n: int, bits: int) -> np.ndarray:
    """The unsigned vector on a signal now; see :func:`unpack_unsigned`.

    Parameters
    ----------
    handle
        cocotb's handle of a signal of at least ``n * bits`` bits.
    """
    return unpack_unsigned(_read(handle), n, bits)


def read_signed(handle: Any, n: int, bits: int) -> np.ndarray:
    """The signed vector on a signal now; see :func:`unpack_signed` and :func:`read_unsigned`."""
    return unpack_signed(_read(handle), n, bits)


def write(handle: Any, values: np.ndarray, bits: int) -> None:
    """Puts a vector on an input, as cocotb does: from the next evaluation of the design on; see
    :func:`pack`."""
    handle.value = pack(values, bits)


def _read(handle: Any) -> bytes:
    value = handle.value
    # Through the text of the bits: half the time of LogicArray.to_bytes, which looks at each of
    # them.
    return int(str(value), 2).to_bytes(-(-len(value) // 8), "little")


def _dtype(bits: int, *, signed: bool) -> np.dtype[Any]:
    if not 1 <= bits <= 32:
        raise ValueError(f"An element must have 1 to 32 bits, not {bits}.")
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    return np.dtype(f"<{'i' if signed else 'u'}{size}")
