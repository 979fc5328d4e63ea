"""Takes the records of a bench's probes from inside the simulation, and gives records to its
players, loaders and latches."""

import ctypes
import functools
from typing import Any

import numpy as np

__all__ = ["discard", "give", "take"]


@functools.cache
def _program() -> Any:
    """The running simulator's own functions."""
    program = ctypes.CDLL(None)
    program.mixbar_probe_find.argtypes = [ctypes.c_char_p]
    program.mixbar_probe_find.restype = ctypes.c_int
    for name, result in (
        ("words", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
        ("clear", None),
    ):
        function = getattr(program, f"mixbar_probe_{name}")
        function.argtypes = [ctypes.c_int]
        function.restype = result
    give = program.mixbar_probe_give
    give.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64]
    give.restype = None
    return program


@functools.cache
def _find(name: str) -> tuple[int, int]:
    index = _program().mixbar_probe_find(name.encode())
    if index < 0 or not name:
        raise KeyError(f"The bench has no probe {name!r}.")
    return index, _program().mixbar_probe_words(index)


def take(name: str) -> np.ndarray:
    """All records of a probe since the last call, oldest first.

    Parameters
    ----------
    name
        The probe's name.

    Returns
    -------
    np.ndarray
        uint32 ``[n_records, n_words]``: the fields one after the other, each in whole words, low
        word first. A signed 32-bit field is ``[:, k].view(np.int32)``; vectors of other widths
        are for :mod:`cocotb_tests.signals`.

    Raises
    ------
    KeyError
        If the bench was built without this probe.
    """
    program = _program()
    index, n_words = _find(name)
    size = program.mixbar_probe_size(index)
    if size == 0:
        return np.zeros((0, n_words), np.uint32)
    # One copy in C; wrapping the simulator's memory as an array would cost more than that.
    raw = bytearray(ctypes.string_at(program.mixbar_probe_data(index), 4 * size))
    program.mixbar_probe_clear(index)
    return np.frombuffer(raw, np.uint32).reshape(-1, n_words)


def discard(name: str) -> None:
    """Forgets all records of a probe, or what a player has not played yet.

    Raises
    ------
    KeyError
        If the bench was built without it.
    """
    index, _ = _find(name)
    _program().mixbar_probe_clear(index)


def give(name: str, records: np.ndarray) -> None:
    """Adds records to what a player will play, a loader load or a latch hold.

    Parameters
    ----------
    name
        The player's, loader's or latch's name.
    records
        uint32 ``[n_records, n_words]``: each field in whole words, low word first.

    Raises
    ------
    KeyError
        If the bench was built without it.
    ValueError
        If a record has another number of words.
    """
    index, n_words = _find(name)
    if records.ndim != 2 or records.shape[1] != n_words:
        raise ValueError(f"A record of {name!r} has {n_words} words, not shape {records.shape}.")
    words = np.ascontiguousarray(records, dtype=np.uint32)
    _program().mixbar_probe_give(index, words.ctypes.data, words.size)
