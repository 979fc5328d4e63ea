"""Checkpoints: one file that holds a run, written whole or not at all, and read without pickles.

A checkpoint is an uncompressed NumPy archive (``.npz``): named plain arrays, each under a CRC, and
a ``header``, a text array of one JSON object. The header's ``format`` and ``version`` say what the
rest means; its ``config`` is the configuration as TOML.
"""

import dataclasses
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from model.crossbar import Crossbar
from model.settings import ConfigError, System, from_toml

__all__ = [
    "VERSION",
    "Checkpoint",
    "CheckpointError",
    "CheckpointMismatchError",
    "check_config",
    "read_checkpoint",
    "restore_crossbars",
    "write_checkpoint",
]

FORMAT = "mixbar checkpoint"

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
        # Through memory: NumPy leaves the file open when it finds no archive in it.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CheckpointError(f"{path} is not a checkpoint.")
            arrays = {name: archive[name] for name in archive.files}
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
    except (EOFError, zipfile.BadZipFile, ValueError, KeyError, TypeError, NotImplementedError):
        raise CheckpointError(f"{path} is truncated, damaged or not a checkpoint.") from None
    if version != VERSION:
        raise CheckpointError(
            f"The checkpoint {path} has version {version}; this program reads version {VERSION}."
        )
    return Checkpoint(path=path, header=header, arrays=arrays)


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
