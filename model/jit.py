"""The one way functions of model/ are compiled: numba, cached on disk, no fast-math.

Without fast-math and without parallel loops a compiled function gives the same bits wherever it is
called from, so the trainer, a test bench and a plain Python call agree exactly.

numba's own cache asks of a function only whether its own file has changed, not the files of the
functions that it calls. So the cache lies in the user's cache folder under a hash of all sources
that the function may call: those of model/ itself and of the function's own subpackage (a system
does not call another). After an edit of these everything is compiled anew, once.
"""

import contextlib
import functools
import hashlib
import inspect
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
import platformdirs

__all__ = ["compiled_mark", "njit", "njit_inner"]

F = TypeVar("F", bound=Callable[..., Any])

MODEL = Path(__file__).parent

CACHES_KEPT = 12
"""Caches of as many states of the sources are kept, the latest used."""


@functools.cache
def _cache_folder(package: Path) -> Path | None:
    """The folder for the sources of a package as they are; the oldest others are removed. None if
    there is no writable cache folder."""
    digest = hashlib.sha256()
    for folder in sorted({MODEL, package}):
        for source in sorted(folder.glob("*.py")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    caches = platformdirs.user_cache_path("mixbar") / "compiled"
    folder = caches / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        by_age = sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return None
    for old in by_age[CACHES_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def njit(function: F) -> F:
    """Compiles ``function`` with numba on first call, once for each combination of argument types;
    the result behaves as the function itself."""
    return _compiled(function)


def njit_inner(function: F) -> F:
    """As :func:`njit`, for a function that compiled functions alone call.

    The wrapper that takes Python's arguments apart is left out: of the compilation of a training
    step, whose functions take the whole unit, a fifth.
    """
    return _compiled(function, no_cpython_wrapper=True)


def _compiled(function: F, **more_options: Any) -> F:
    """The function by numba, with the options of all and ``more_options``."""
    folder = _cache_folder(Path(inspect.getfile(function)).parent)
    if folder is not None:  # else numba looks for a place of its own
        setattr(numba.core.config, "CACHE_DIR", str(folder))  # noqa: B010 (untyped module)
    # Nothing here calls through C: without that wrapper a tenth of the compilation is saved.
    options: dict[str, Any] = {"cache": True, "no_cfunc_wrapper": True, **more_options}
    compiled: Any = numba.njit(**options)(function)
    if compiled is function:  # NUMBA_DISABLE_JIT
        return function
    save = compiled._cache.save_overload

    def save_if_there_is_room(signature: Any, data: Any) -> None:
        # The result is here; a full disk costs no more than compiling again next time.
        with contextlib.suppress(OSError):
            save(signature, data)

    compiled._cache.save_overload = save_if_there_is_room
    resolve = compiled.get_call_template

    def resolve_types(arguments: Iterable[Any], keywords: Mapping[str, Any]) -> Any:
        # Called with a constant from compiled code, numba would compile for that value alone.
        unliteral = numba.types.unliteral
        return resolve(
            tuple(unliteral(argument) for argument in arguments),
            {name: unliteral(argument) for name, argument in keywords.items()},
        )

    compiled.get_call_template = resolve_types
    return cast(F, compiled)


def compiled_mark(name: str) -> Path | None:
    """A file that says, by being there, that what ``name`` stands for has been compiled.

    Whoever compiled it creates the file. It lies beside the compiled functions of model/, so it
    goes with them when a source changes. None if there is no writable cache folder.
    """
    folder = _cache_folder(MODEL)
    return None if folder is None else folder / f"{name}.compiled"
