"""Labelled images: the sample that ships with the project, and full sets from the user's cache.

A data set is four IDX files (LeCun's format: two zero bytes, a type code, the number of
dimensions, each dimension as a big-endian 32-bit word, then the items). Every payload is checked
against a digest each time it is read, so that a truncated or foreign file is an error and never a
smaller set.
:mod:`model.dataset_sources` fills the cache.
"""

import gzip
import hashlib
import io
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from model.files import read_bytes
from model.settings import shown

__all__ = [
    "MNIST",
    "NAMES",
    "SAMPLE",
    "Dataset",
    "DatasetError",
    "DatasetRequestError",
    "Idx",
    "cache_directory",
    "decompress",
    "default",
    "install",
    "load",
    "parse_idx",
    "read_directory",
    "to_idx",
    "verify",
]


class DatasetError(ValueError):
    """A data set that cannot be had or is damaged; the message is one sentence for the user."""


class DatasetRequestError(DatasetError):
    """A request that names what does not exist: an unknown set, or a missing file or directory."""


@dataclass(frozen=True)
class Idx:
    """One IDX file of a set: what it is called, what it must hold."""

    stem: str
    """File name without ``.gz``."""
    shape: tuple[int, ...]
    """Dimensions, items first."""
    md5: str
    """MD5 of the uncompressed file, header included."""

    @property
    def n_bytes(self) -> int:
        """Size of the uncompressed file: 4 bytes, 4 more a dimension, 1 an item."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


#: The full MNIST set. Digests: as published with the set and repeated by its common readers.
MNIST = (
    Idx("train-images-idx3-ubyte", (60000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    Idx("train-labels-idx1-ubyte", (60000,), "a25bea736e30d166cdddb491f175f624"),
    Idx("t10k-images-idx3-ubyte", (10000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    Idx("t10k-labels-idx1-ubyte", (10000,), "27ae3e4e09519cfbb04c329615203637"),
)

#: The shipped sample, 250 training and 50 test images of each digit; made by
#: ``scripts/make_mnist_sample.py``, which prints these digests.
SAMPLE = (
    Idx("train-images-idx3-ubyte", (2500, 28, 28), "16674af5a07b7991ae5153e8eb8602c5"),
    Idx("train-labels-idx1-ubyte", (2500,), "201322cef9d03f48a0333120b93fd8e6"),
    Idx("t10k-images-idx3-ubyte", (500, 28, 28), "973e95971f7114aae1a4a250f181d4a1"),
    Idx("t10k-labels-idx1-ubyte", (500,), "23790253b2fe2e8a5cc9f3661588d4ea"),
)

SAMPLE_DIRECTORY = Path(__file__).parent / "data" / "mnist-sample"

#: Dimensions of an IDX file that is read: items, and at most three of each.
MOST_DIMENSIONS = 4

#: What :func:`load` knows.
NAMES = ("mnist-sample", "mnist")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training and for the test; the arrays belong to the caller."""

    name: str
    """The name that :func:`load` knows it by."""
    train_images: NDArray[np.uint8]
    """uint8 ``[n, 784]``, row by row from the top left pixel, 0 is background."""
    train_labels: NDArray[np.uint8]
    """uint8 ``[n]``, 0..9."""
    test_images: NDArray[np.uint8]
    """uint8 ``[m, 784]``."""
    test_labels: NDArray[np.uint8]
    """uint8 ``[m]``."""


def cache_directory() -> Path:
    """Where the full MNIST set is kept: under the platform's cache directory of this user."""
    return platformdirs.user_cache_path("mixbar", appauthor=False) / "mnist"


def parse_idx(payload: bytes, source: str) -> NDArray[np.uint8]:
    """The array in an uncompressed IDX file of unsigned bytes, in the file's own shape.

    Parameters
    ----------
    payload
        The file, header included.
    source
        What to call it in an error.

    Raises
    ------
    DatasetError
        If the header is not that of unsigned bytes, or the length is not what the header says.
    """
    if len(payload) < 4 or payload[:3] != b"\x00\x00\x08":
        raise DatasetError(f"{source} is not an IDX file of unsigned bytes.")
    n_dims = payload[3]
    if n_dims > MOST_DIMENSIONS:
        raise DatasetError(
            f"{source} has {n_dims} dimensions; at most {MOST_DIMENSIONS} are allowed."
        )
    header = 4 + 4 * n_dims
    if len(payload) < header:
        raise DatasetError(f"{source} ends within its header.")
    shape = struct.unpack(f">{n_dims}I", payload[4:header])
    if len(payload) - header != math.prod(shape):
        raise DatasetError(
            f"{source} holds {len(payload) - header} bytes after its header, which says "
            f"{math.prod(shape)}."
        )
    # An empty array may still have sides whose product no memory holds.
    if math.prod(side for side in shape if side) >= 2**63:
        raise DatasetError(f"{source} has dimensions too large for any array.")
    return np.frombuffer(payload, dtype=np.uint8, offset=header).reshape(shape).copy()


def to_idx(items: NDArray[np.uint8]) -> bytes:
    """The uncompressed IDX file of an array of unsigned bytes, inverse of :func:`parse_idx`."""
    header = struct.pack(f">HBB{items.ndim}I", 0, 8, items.ndim, *items.shape)
    return header + items.astype(np.uint8).tobytes()


def verify(idx: Idx, payload: bytes, source: str) -> bytes:
    """``payload`` itself if it is the file that ``idx`` describes.

    Raises
    ------
    DatasetError
        If its size or its MD5 is another; the message names ``source``.
    """
    if len(payload) != idx.n_bytes:
        raise DatasetError(
            f"{source} is damaged or another file: {len(payload)} bytes uncompressed, "
            f"{idx.n_bytes} expected."
        )
    digest = hashlib.md5(payload, usedforsecurity=False).hexdigest()
    if digest != idx.md5:
        raise DatasetError(
            f"{source} is damaged or another file: its MD5 is {digest}, {idx.md5} expected."
        )
    return payload


def decompress(payload: bytes, n_bytes: int, source: str) -> bytes:
    """A gzip payload uncompressed, at most one byte more than ``n_bytes``.

    The limit keeps a foreign file from filling the memory; :func:`verify` refuses the extra byte.

    Raises
    ------
    DatasetError
        If it is not gzip, or ends early.
    """
    try:
        with gzip.open(io.BytesIO(payload)) as stream:
            return stream.read(n_bytes + 1)
    except (OSError, EOFError, zlib.error):
        raise DatasetError(f"{source} is not a complete gzip file.") from None


def read_directory(directory: Path, files: tuple[Idx, ...] = MNIST) -> dict[str, bytes]:
    """The verified, uncompressed IDX files of a directory, by stem.

    Each may lie there plain or as ``.gz``, with ``-idx3-ubyte`` or ``.idx3-ubyte`` in its name.

    Raises
    ------
    DatasetRequestError
        If the directory or one of the files is missing.
    DatasetError
        If one cannot be read or is not the file expected.
    """
    if not directory.is_dir():
        raise DatasetRequestError(f"{directory} is not a directory.")
    payloads = {}
    for idx in files:
        dotted = ".idx".join(idx.stem.rsplit("-idx", 1))
        names = [idx.stem, dotted, f"{idx.stem}.gz", f"{dotted}.gz"]
        path = next((directory / name for name in names if (directory / name).is_file()), None)
        if path is None:
            raise DatasetRequestError(f"{directory} has no {idx.stem}, plain or as .gz.")
        try:
            # Compressed is hardly larger than plain at worst.
            payload = read_bytes(path, idx.n_bytes + idx.n_bytes // 100 + 1024)
        except OSError as error:
            raise DatasetError(f"Cannot read {path}: {error.strerror}.") from None
        if path.suffix == ".gz":
            payload = decompress(payload, idx.n_bytes, str(path))
        payloads[idx.stem] = verify(idx, payload, str(path))
    return payloads


def install(payloads: Mapping[str, bytes], directory: Path | None = None) -> Path:
    """Writes the full MNIST set into the cache and returns the directory it lies in.

    Every payload is verified before the first is written; each file appears whole or not at all,
    and a set of which only some have appeared does not load.

    Parameters
    ----------
    payloads
        Uncompressed IDX files by stem, all four.
    directory
        Another place than :func:`cache_directory`.

    Raises
    ------
    DatasetError
        If a payload is not the file expected, or the directory cannot be written.
    """
    target = cache_directory() if directory is None else directory
    for idx in MNIST:
        verify(idx, payloads[idx.stem], idx.stem)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for idx in MNIST:
            handle, temporary = tempfile.mkstemp(dir=target, prefix=f".{idx.stem}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(payloads[idx.stem])
                Path(temporary).chmod(0o644)
                Path(temporary).replace(target / idx.stem)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise DatasetError(f"Cannot write the data set to {target}: {error.strerror}.") from None
    return target


def load(name: str, directory: Path | None = None) -> Dataset:
    """The data set of a name: ``"mnist-sample"``, shipped, or ``"mnist"``, from the user's cache.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    directory
        Where the files lie, if not in their usual place.

    Raises
    ------
    DatasetRequestError
        If the name is unknown.
    DatasetError
        If the set is not in the cache, or a file of it is missing or damaged.
    """
    if name == "mnist-sample":
        files, place, advice = (
            SAMPLE,
            directory or SAMPLE_DIRECTORY,
            "restore it from the repository",
        )
    elif name == "mnist":
        files, place, advice = (
            MNIST,
            directory or cache_directory(),
            "get it by 'mixbar data mnist'",
        )
    else:
        raise DatasetRequestError(f"Unknown data set {shown(name)}; known: {', '.join(NAMES)}.")
    if not place.is_dir():
        raise DatasetError(f"The data set {name} is not in {place}: {advice}.")
    try:
        payloads = read_directory(place, files)
    except DatasetError as error:
        reason = str(error).removesuffix(".")
        raise DatasetError(f"The data set {name} cannot be used ({reason}): {advice}.") from None
    train_images, train_labels, test_images, test_labels = (
        parse_idx(payloads[idx.stem], idx.stem) for idx in files
    )
    return Dataset(
        name=name,
        train_images=train_images.reshape(len(train_images), -1),
        train_labels=train_labels,
        test_images=test_images.reshape(len(test_images), -1),
        test_labels=test_labels,
    )


def default() -> Dataset:
    """The full MNIST set if this user has it, the sample if not; ``.name`` says which.

    Raises
    ------
    DatasetError
        If the cached set is there but damaged: it is never replaced by the sample in silence.
    """
    return load("mnist" if cache_directory().is_dir() else "mnist-sample")
