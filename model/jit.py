"""The one way functions of model/ are compiled: numba, cached on disk, no fast-math.

Without fast-math and without parallel loops a compiled function gives the same bits wherever it is
called from, so the trainer, a test bench and a plain Python call agree exactly.

numba's own cache asks of a function only whether its own file has changed, not the files of the
functions that it calls. So the cache lies in the user's cache folder under a hash of all sources of
model/: after any edit everything is compiled anew, once.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
import platformdirs

__all__ = ["njit"]

F = TypeVar("F", bound=Callable[..., Any])

CACHES_KEPT = 4
"""Caches of as many states of the sources are kept, the latest used."""


def _cache_folder() -> Path:
    """The folder for the sources as they are; those of older sources are removed."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    caches = platformdirs.user_cache_path("mixbar") / "compiled"
    folder = caches / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()
    by_age = sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[CACHES_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


# Without a writable cache folder numba looks for a place of its own.
with contextlib.suppress(OSError):
    setattr(numba.core.config, "CACHE_DIR", str(_cache_folder()))  # noqa: B010 (untyped module)


def njit(function: F) -> F:
    """Compiles ``function`` with numba on first call; the result behaves as the function itself."""
    return cast(F, numba.njit(cache=True)(function))
