"""Checkpoints: one file that holds a run, written whole or not at all, and read without pickles.

A checkpoint is an uncompressed NumPy archive (``.npz``): named plain arrays, each under a CRC, and
a ``header``, a text array of one JSON object. The header's ``format`` and ``version`` say what the
rest means; its ``config`` is the configuration as TOML.
"""

import dataclasses
import io
import json
import math
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from model.crossbar import Crossbar
from model.files import read_bytes
from model.settings import ConfigError, System, from_toml

__all__ = [
    "LARGEST_SEED",
    "VERSION",
    "Checkpoint",
    "CheckpointError",
    "CheckpointMismatchError",
    "check_config",
    "header_count",
    "header_number",
    "header_records",
    "read_checkpoint",
    "restore_crossbars",
    "write_checkpoint",
]

FORMAT = "mixbar checkpoint"

#: Bytes of the largest checkpoint that is read; the named configurations have 13 MB at most.
FILE_BYTES = 1 << 32

RecordT = TypeVar("RecordT")

LARGEST_SEED = 2**256 - 1
"""Of the seeds that are read; the generators take any."""

VERSION = 1
"""Raised whenever an older program could misread a newer file, or the other way round."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one sentence for the user."""


class CheckpointMismatchError(CheckpointError):
    """A sound checkpoint, but of another run than the one asked for."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds."""

    path: Path
    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def copy_into(self, targets: Mapping[str, NDArray[Any]]) -> None:
        """Copies arrays of the file into arrays of the same names.

        Raises
        ------
        CheckpointError
            If one is missing or has another shape or type; nothing was copied then.
        """
        for name, target in targets.items():
            source = self.arrays.get(name)
            if source is None:
                raise CheckpointError(f"The checkpoint {self.path} lacks {name}.")
            if source.shape != target.shape or source.dtype != target.dtype:
                raise CheckpointError(
                    f"The checkpoint {self.path} has {name} as {source.dtype} {source.shape}, not "
                    f"{target.dtype} {target.shape}."
                )
        for name, target in targets.items():
            target[...] = self.arrays[name]


def header_count(header: Mapping[str, Any], name: str, high: int) -> int:
    """A whole number of a header, from 0 to ``high``.

    Raises
    ------
    KeyError, ValueError
        If it is missing or another.
    """
    value = header[name]
    if type(value) is not int or not 0 <= value <= high:
        raise ValueError(f"{name} must be a whole number from 0 to {high}")
    return value


def header_number(value: Any) -> float:
    """A finite number of a header as it is, whole numbers as whole numbers.

    Raises
    ------
    ValueError
        If it is none.
    """
    if type(value) not in (int, float) or not abs(value) < 1e300:
        raise ValueError("not a finite number")
    number: float = value
    return number


def header_records(header: Mapping[str, Any], name: str, kind: type[RecordT]) -> list[RecordT]:
    """A list of records of numbers in a header, as dataclasses of ``kind``.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is missing, or one has other fields or values.
    """
    records = header[name]
    if not isinstance(records, list):
        raise ValueError(f"{name} is no list")
    return [
        kind(**{field: header_number(value) for field, value in dict(record).items()})
        for record in records
    ]


def write_checkpoint(
    path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Writes a checkpoint beside ``path`` and moves it there when it is whole and on the disk.

    ``header`` is any JSON object; ``format`` and ``version`` are added.

    Raises
    ------
    OSError
        If it cannot be written; a file that was there is untouched then.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **header}, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, header=np.array(text), **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint whole, every CRC checked.

    Raises
    ------
    CheckpointError
        If there is none, it is truncated or damaged, no checkpoint at all, or of another version.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, FILE_BYTES))) as archive:
            arrays = {
                entry.filename.removesuffix(".npy"): _read_array(archive, entry)
                for entry in archive.infolist()
            }
            if len(arrays) < len(archive.infolist()):
                raise ValueError("a name that occurs twice")
        header = json.loads(str(arrays.pop("header")))
        if header["format"] != FORMAT:
            raise CheckpointError(f"{path} is not a checkpoint.")
        version = header["version"]
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {path}.") from None
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"Cannot read the checkpoint {path}: {error.strerror}.") from None
    # EOFError and BadZipFile: truncated. The others: not ours, or damaged in a way that a CRC
    # lets through (the archive's directory has none).
    except (
        *(EOFError, zipfile.BadZipFile, zlib.error, struct.error),
        *(ValueError, KeyError, IndexError, TypeError, OverflowError),
        *(NotImplementedError, RecursionError),
    ):
        raise CheckpointError(f"{path} is truncated, damaged or not a checkpoint.") from None
    if version != VERSION:
        raise CheckpointError(
            f"The checkpoint {path} has version {version}; this program reads version {VERSION}."
        )
    return Checkpoint(path=path, header=header, arrays=arrays)


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of an archive, CRC checked; never larger than its bytes in the file.

    Raises
    ------
    ValueError
        If it is compressed or encrypted, which :func:`write_checkpoint` never does, holds objects,
        or has other bytes than its header says.
    """
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError("compressed or encrypted")
    data = io.BytesIO(archive.read(entry))
    version = np.lib.format.read_magic(data)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(data)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(data)
    else:
        raise ValueError("another version of the array format")
    content = data.read()
    # NumPy itself would make room for whatever the header says.
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError("not the bytes that the header says")
    if math.prod(side for side in shape if side) * max(dtype.itemsize, 1) >= 2**63:
        raise ValueError("dimensions too large")
    flat = np.frombuffer(content, dtype=dtype) if content else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _differences(saved: Any, here: Any, name: str = "") -> list[str]:
    """Settings that differ, as ``name is saved, not here``."""
    if isinstance(saved, dict) and isinstance(here, dict):
        return [
            text
            for key in here
            for text in _differences(saved[key], here[key], f"{name}.{key}".lstrip("."))
        ]
    return [] if saved == here else [f"its {name} is {saved!r}, not {here!r}"]


def check_config(checkpoint: Checkpoint, config: System) -> None:
    """Checks that a checkpoint is of this configuration, of whichever system.

    Raises
    ------
    CheckpointError
        If its header holds no valid configuration.
    CheckpointMismatchError
        If it holds another one; the message names the first difference.
    """
    try:
        saved = from_toml(str(checkpoint.header["config"]), type(config)())
    except (KeyError, ConfigError):
        raise CheckpointError(
            f"The checkpoint {checkpoint.path} holds no valid configuration."
        ) from None
    if saved != config:
        tables = [dataclasses.asdict(cast(Any, settings)) for settings in (saved, config)]
        first, *others = _differences(tables[0], tables[1])
        more = f" (and {len(others)} more)" if others else ""
        raise CheckpointMismatchError(
            f"The checkpoint {checkpoint.path} is of another configuration: {first}{more}."
        )


def restore_crossbars(checkpoint: Checkpoint, crossbars: Sequence[Crossbar]) -> None:
    """Brings crossbars of the same configuration to their saved state.

    Raises
    ------
    CheckpointError
        If the saved arrays do not fit them.
    """
    for layer, crossbar in enumerate(crossbars):
        prefix = f"array{layer}."
        saved = {
            name.removeprefix(prefix): array
            for name, array in checkpoint.arrays.items()
            if name.startswith(prefix)
        }
        try:
            crossbar.load(saved)
        except ValueError as error:
            raise CheckpointError(f"The checkpoint {checkpoint.path}: {error}") from None
