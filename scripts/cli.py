"""What all verbs of the command share: options, messages, results, files, errors.

The contract of every verb:

- Standard output carries the result: a few lines for a person, or with ``--json`` exactly one JSON
  object and nothing else, whatever a library prints meanwhile.
- Standard error carries progress and messages. An error is one sentence.
- Exit status 0: done. 1: it failed. 2: the request was wrong. 130: interrupted from the keyboard.
- A file appears whole or not at all.

A verb is a function in a module of its own, registered in :mod:`scripts.mixbar`::

    def emit(
        config: cli.ConfigArgument,
        out: cli.OutOption = cli.OUT,
        json: cli.JsonOption = False,
    ) -> None:
        with cli.result(json) as result, cli.staged(out) as stage:
            settings = cli.load_config(config)
            from hw import verilog           # heavy imports stay inside the verb

            emitted = verilog.emit(settings, stage)
            result.set({"config": settings.name}, f"Wrote {emitted.path.name}.")
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from types import ModuleType

    from model.config import Config
    from model.settings import System

__all__ = [
    "OUT",
    "AllowCodeOption",
    "ConfigArgument",
    "FailureError",
    "JsonOption",
    "OutOption",
    "RequestError",
    "Result",
    "SeedOption",
    "between_marks",
    "json_text",
    "load_config",
    "load_mca_config",
    "locked",
    "of_system",
    "own_options",
    "progress",
    "result",
    "run",
    "say",
    "staged",
    "write",
]

#: Packages whose errors are sentences written for the user.
OWN_PACKAGES = frozenset({"model", "hw", "energy", "cocotb_tests", "scripts"})

#: Age from which a staging directory that nobody holds is left over, in s: one is locked at once.
ABANDONED_S = 60.0

#: How long a set of files waits for another to be moved to the same directory, in s.
MOVING_S = 60.0

#: Where a verb puts its files unless told otherwise.
OUT = Path("build")

ConfigArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG", help="A named configuration (see 'mixbar configs') or a TOML file."
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of everything random; the same seed replays.")
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Directory that the files go to.")
]
AllowCodeOption = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Run the Python code that device.model of CONFIG names; refused unless given.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object to standard output, nothing else.")
]


class RequestError(Exception):
    """A request that cannot be carried out as asked, in one sentence: exit status 2."""


class FailureError(Exception):
    """A failure in carrying out a right request, in one sentence: exit status 1."""


def say(message: str) -> None:
    """Prints a line to standard error."""
    print(message, file=sys.stderr, flush=True)


class Result:
    """What a verb hands to its user, see :func:`result`."""

    def __init__(self) -> None:
        self.data: dict[str, Any] | None = None
        self.text = ""
        self.failure: str | None = None

    def set(self, data: Mapping[str, Any], text: str) -> None:
        """The result as an object for ``--json``, and as lines for a person."""
        self.data = dict(data)
        self.text = text

    def fail(self, sentence: str) -> None:
        """The verb has a result, a mismatch say, but failed: it is printed, then this is said."""
        self.failure = sentence


@contextlib.contextmanager
def result(as_json: bool) -> Iterator[Result]:
    """Prints the result of the block to standard output when the block ends without an error.

    With ``as_json`` everything that the block or a process it starts writes to standard output goes
    to standard error, and the object is printed in one line of its own at the end.

    Parameters
    ----------
    as_json
        Whether ``--json`` was given.

    Yields
    ------
    Result
        To be set by the block.

    Raises
    ------
    FailureError
        After the result was printed, if the block called :meth:`Result.fail`.
    """
    outcome = Result()
    if as_json:
        with _output_to_error():
            yield outcome
        # allow_nan=False: NaN is not JSON; a verb that has no number says null.
        print(json.dumps(outcome.data, allow_nan=False, default=_to_plain))
    else:
        yield outcome
        if outcome.text:
            print(outcome.text)
    if outcome.failure is not None:
        raise FailureError(outcome.failure)


@contextlib.contextmanager
def _output_to_error() -> Iterator[None]:
    """What this process and those it starts write to standard output goes to standard error."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 1)
        os.close(saved)


def json_text(content: Any) -> str:
    """An object as the text of a JSON file; a number that is none is refused."""
    return json.dumps(content, allow_nan=False, indent=1, default=_to_plain) + "\n"


def _to_plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form.")


@contextlib.contextmanager
def progress(total: float, title: str, done: float = 0) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error while the block runs; silent where that is no terminal.

    Parameters
    ----------
    total
        What the whole work amounts to, in any unit (images, bytes).
    title
        What is being done, in a few words.
    done
        What was done before.

    Yields
    ------
    Callable[..., None]
        To be called with the amount done since the last call and, if the title changed, the new
        title.
    """
    if not sys.stderr.isatty():
        yield lambda _amount, _title=None: None
        return
    from rich import progress as bars
    from rich.console import Console

    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=total, completed=int(done))
        yield lambda amount, title=None: bar.update(task, advance=amount, description=title)


def _make_directory(directory: Path, what: str) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RequestError(f"{what} must be a directory, but {directory} is a file.") from None
    except NotADirectoryError:
        raise RequestError(f"{what} cannot be {directory}: a part of it is a file.") from None
    except OSError as error:
        raise RequestError(f"Cannot make the directory {directory}: {error.strerror}.") from None


def _lock(directory: Path) -> int | None:
    """Locks a directory until the descriptor is closed or the process ends; none if it is taken.

    The lock is the system's on the directory itself: no file is left by a process that was killed.
    """
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps the folder of a run, made if missing, for this process alone.

    Raises
    ------
    FailureError
        If another process has it.
    """
    _make_directory(folder, "--out")
    handle = _lock(folder)
    if handle is None:
        raise FailureError(
            f"Another process is writing to {folder}: wait for it, or give another --out DIR."
        )
    try:
        yield
    finally:
        os.close(handle)


def _remove_abandoned(out: Path) -> None:
    """Removes staging directories of processes that were killed: old, and locked by nobody."""
    for stage in out.glob(".staged-*"):
        with contextlib.suppress(OSError):
            if time.time() - stage.stat().st_mtime < ABANDONED_S or stage.is_symlink():
                continue
            handle = _lock(stage)
            if handle is not None:
                shutil.rmtree(stage, ignore_errors=True)
                os.close(handle)


@contextlib.contextmanager
def _moving(out: Path) -> Iterator[None]:
    """Waits until no other process moves files to a directory, and keeps it meanwhile."""
    end = time.monotonic() + MOVING_S
    while (handle := _lock(out)) is None:
        if time.monotonic() > end:
            raise FailureError(f"Another process is writing to {out}: give another --out DIR.")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A fresh directory whose files move to ``out`` when the block ends without an error.

    Files of the same name in ``out`` are replaced, one atomic move each; other files there stay.
    Of two processes that end at once one moves all its files after the other, so that sets of
    files do not mix. After an error or an interrupt nothing of the block is left.

    Parameters
    ----------
    out
        The directory of ``--out``; made if missing.

    Yields
    ------
    Path
        The staging directory, on the same file system as ``out``.
    """
    _make_directory(out, "--out")
    try:
        stage = Path(tempfile.mkdtemp(dir=out, prefix=".staged-"))
    except OSError as error:
        raise RequestError(f"Cannot write to {out}: {error.strerror}.") from None
    handle = _lock(stage)
    try:
        _remove_abandoned(out)
        yield stage
        for path in stage.rglob("*"):
            target = out / path.relative_to(stage)
            if path.is_file() and target.is_dir():
                raise RequestError(f"{target} must be a file, but is a directory.")
        made = sorted(stage.rglob("*"))
        several = sum(path.is_file() for path in made) > 1
        with _moving(out) if several else contextlib.nullcontext():
            for path in made:
                target = out / path.relative_to(stage)
                if path.is_dir():
                    _make_directory(target, f"The output {target.name}")
                else:
                    path.replace(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def write(path: Path, content: str | bytes) -> Path:
    """Writes one file whole or not at all, and its directory if missing; returns ``path``."""
    with staged(path.parent) as stage:
        data = content.encode() if isinstance(content, str) else content
        (stage / path.name).write_bytes(data)
    return path


def between_marks(text: str, begin: str, end: str, made: str) -> str:
    """A page with what stands between two marks made anew.

    Raises
    ------
    FailureError
        If a mark is missing.
    """
    before, first, rest = text.partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise FailureError(f"The page must hold the marks {begin} and {end}.")
    return f"{before}{begin}\n{made}\n{end}{after}"


def load_config(source: str, allow_code: bool | None = None) -> "System":
    """The configuration that a user named, of any system: a known name or the path of a TOML file.

    ``allow_code``, of a verb that makes devices: whether ``--allow-code`` was given.

    Raises
    ------
    model.config.ConfigError
        If there is none such, or it cannot work, or its devices are code that is not allowed.
    """
    from model import configurations, device_code
    from model.config import Config

    settings = configurations.load(source)
    if allow_code:
        device_code.allow()
    # At once: minutes may pass until a device is made, in another process perhaps.
    if allow_code is not None and isinstance(settings, Config):
        device_code.require_allowed(settings.device.model)
    return settings


def load_mca_config(
    source: str, command: str, kinds: str = "mca alone", allow_code: bool | None = None
) -> "Config":
    """As :func:`load_config`, for what works on systems with a chi memory alone.

    ``kinds``: those that ``command`` as a whole takes, for the message.

    Raises
    ------
    RequestError
        If the configuration is of another system.
    """
    from model.config import Config

    settings = load_config(source, allow_code)
    if not isinstance(settings, Config):
        raise RequestError(_not_for(settings, command, f"it is for those of the kind {kinds}"))
    return settings


def of_system(settings: "System", verb: str) -> "ModuleType":
    """The module that carries out a verb for a system of its own: ``scripts/<system>/<verb>.py``.

    Raises
    ------
    RequestError
        If the system has no such verb.
    """
    import importlib

    name = f"scripts.{settings.system}.{verb}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        hint = f"see 'mixbar {verb} --help'"
        raise RequestError(_not_for(settings, f"mixbar {verb}", hint)) from None


def own_options(settings: "System", system: str, **options: Any) -> dict[str, Any]:
    """Options that only one system has: as they are for that system, none for the others.

    Raises
    ------
    RequestError
        If one was given, so is not None, for another system.
    """
    if settings.system == system:
        return options
    for name, value in options.items():
        if value is not None:
            option = name.replace("_", "-")
            raise RequestError(
                f"--{option} is no option of {settings.name}, a system of the kind "
                f"{settings.system}."
            )
    return {}


def _not_for(settings: "System", command: str, hint: str) -> str:
    kind = settings.system
    return f"'{command}' does not take {settings.name}, a system of the kind {kind}: {hint}."


def _is_request_error(error: BaseException) -> bool:
    """Whether the user asked for what cannot be; imported here, so that a start stays fast."""
    from model.config import ConfigError
    from model.datasets import DatasetRequestError

    return isinstance(error, RequestError | ConfigError | DatasetRequestError)


def _describe_usage(error: typer.TyperException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{message}."
    if message.startswith("No such command"):
        message += f", known: {', '.join(context.command.list_commands(context))}"
    return f"{message}; see '{context.command_path} --help'."


def describe(error: BaseException) -> tuple[str, int]:
    """The sentence for the user, and the exit status, of an error that ended a verb."""
    if isinstance(error, typer.TyperException):  # the command line itself
        return _describe_usage(error), 2
    if _is_request_error(error):
        return str(error), 2
    if isinstance(error, FailureError) or type(error).__module__.split(".")[0] in OWN_PACKAGES:
        return str(error), 1
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}.", 1
    if isinstance(error, MemoryError):
        return "Not enough memory.", 1
    if isinstance(error, ImportError) and error.name:
        return f"The Python package {error.name} is missing: run 'make setup'.", 1
    reason = " ".join(str(error).split())
    return f"Unexpected {type(error).__name__}: {reason} (--debug shows where).", 1


def _printable(sentence: str) -> str:
    """In one line, and nothing in it that a terminal would obey: names of files may hold it."""
    words = " ".join(sentence.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def run(app: typer.Typer, arguments: list[str]) -> int:
    """Runs the command and returns its exit status; errors become one sentence on standard error.

    ``--debug`` anywhere before a ``--`` shows the traceback too.
    """
    limit = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:limit]
    arguments = [word for word in arguments[:limit] if word != "--debug"] + arguments[limit:]
    try:
        status = app(arguments, prog_name="mixbar", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (mixbar configs | head -1): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        sentence, status = describe(error)
        say(f"mixbar: {_printable(sentence)}")
        return status
    return status if isinstance(status, int) else 0
