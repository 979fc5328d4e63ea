"""What the verbs of all systems share about training runs: going on, stopping, saving, files.

A verb brings a :class:`Run` and a few functions that say how far it is; what is decided, in which
order, and what the user is told, is the same for every system.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from scripts import cli

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from model.settings import System

__all__ = [
    "CHECKPOINT_FILE",
    "Run",
    "accuracy_figure",
    "held",
    "reading",
    "restore",
    "stop_requests",
    "train",
    "write_files",
]

#: The run itself; see :mod:`model.checkpoint`.
CHECKPOINT_FILE = "run.npz"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps a run's folder for this process alone, and clears what a killed one left half-written.

    Raises
    ------
    FailureError
        If another process trains there.
    """
    with cli.locked(folder):
        for left in folder.glob(f".{CHECKPOINT_FILE}.*"):
            left.unlink()
        yield


class Run(Protocol):
    """A training run that can be stopped, saved and gone on with, of any system."""

    @property
    def config(self) -> "System":
        """What is trained."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""

    def run(self) -> Iterator[bool]:
        """Trains to the end, step by step; whether the step completed a point: an epoch, say."""

    def save(self, path: Path) -> None:
        """Writes the run, whole or not at all."""

    def restore(self, path: Path) -> None:
        """Goes on where the saved run was; a CheckpointError if it cannot."""


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int | None]]:
    """Ctrl-C and SIGTERM become a number to ask for, so that they never cut an image in two.

    A second one acts at once, as if this were not here.
    """
    requests: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if not requests:
            cli.say("stopping, and saving the run ...")
        requests.append(number)
        for other, handler in before.items():
            signal.signal(other, handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: requests[0] if requests else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def restore(
    run: Run,
    path: Path,
    resume: bool | None,
    *,
    is_finished: Callable[[Mapping[str, Any]], bool],
    position: Callable[[], str],
) -> bool:
    """Goes on with the saved run if ``--resume`` and ``--fresh`` let it; whether it does.

    ``is_finished`` tells by a checkpoint's header whether its run had come to its end; ``position``
    says where the restored run is, as ``after 1 of 3 epochs``.

    Raises
    ------
    RequestError
        If the saved run is another one.
    FailureError
        If it cannot be read.
    """
    from model.checkpoint import CheckpointMismatchError, check_config, read_checkpoint

    if resume is False or (resume is None and not path.exists()):
        return False
    advice = "--fresh starts over, --out DIR keeps both"
    try:
        if resume is None:
            # A finished run of this configuration is a result, to be replaced by a new one.
            saved = read_checkpoint(path)
            check_config(saved, run.config)
            if is_finished(saved.header):
                return False
        run.restore(path)
    except CheckpointMismatchError as error:
        raise cli.RequestError(f"{str(error).rstrip('.')}: {advice}.") from None
    except ValueError as error:
        raise cli.FailureError(f"{str(error).rstrip('.')}: {advice}.") from None
    cli.say(f"{path}: going on {position()}")
    return True


def train(
    run: Run,
    path: Path,
    *,
    total: int,
    done: Callable[[], int],
    title: Callable[[], str],
    line: Callable[[], str],
    prepare: Callable[[], object] = lambda: None,
    stops_anywhere: bool = True,
) -> None:
    """Trains to the end, saving at every point; a stop request saves and ends the process.

    Parameters
    ----------
    run, path
        The run, and where it is saved.
    total, done
        The whole work and how much of it is done, in any unit.
    title
        What the progress bar says after a step.
    line
        What is said at a point, after it was saved.
    prepare
        Called first if anything is left to do; compiles.
    stops_anywhere
        Whether the run may be saved after any step; else a stop request waits for the next point.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        As the request to stop would have raised without a run to save.
    """
    before = done()
    with (
        stop_requests() as stopped,
        cli.progress(total, f"training {run.config.name}", done=before) as advance,
    ):
        if not run.finished:
            prepare()
        for complete in run.run():
            now = done()
            advance(now - before, title())
            before = now
            if complete:
                run.save(path)
                cli.say(line())
            number = stopped()
            if number is None or run.finished or not (complete or stops_anywhere):
                continue
            if not complete:
                run.save(path)
            cli.say(f"wrote {path}: the same command goes on with it")
            if number == signal.SIGTERM:
                raise SystemExit(128 + number)
            raise KeyboardInterrupt


def write_files(
    config: "System",
    summary: Mapping[str, Any],
    counters: Mapping[str, int],
    out: Path,
    *,
    source: str = "model",
    plot: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes what a finished run leaves beside itself, all or nothing; returns the files.

    activity.json: the counters, for the energy estimate; training.json: ``summary``, the JSON
    object of the verb; training.png: what ``plot`` draws. ``source`` says who counted.
    """
    from model.settings import to_toml

    shared = ("config", "images", "test_accuracy", "train_accuracy")
    record = {
        **{key: summary[key] for key in shared},
        "source": source,
        "counters": counters,
        "toml": to_toml(config),
    }
    with cli.staged(out) as stage:
        folder = stage / config.name
        folder.mkdir()
        for name, content in (("activity.json", record), ("training.json", summary)):
            (folder / name).write_text(cli.json_text(content), encoding="utf-8")
        if plot is not None:
            plot(folder / "training.png")
        return [out / path.relative_to(stage) for path in sorted(folder.iterdir())]


def accuracy_figure(
    title: str, x: Sequence[int], curve: Sequence[Any]
) -> "tuple[Figure, Axes, Axes]":
    """A figure with the accuracies of a training curve in its upper axes, and its lower axes.

    ``x``: epochs or images; ``curve``: points with ``test_accuracy`` and ``train_accuracy``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for label, field in (("test", "test_accuracy"), ("training", "train_accuracy")):
        values = [100 * getattr(point, field) for point in curve]
        above.plot(x, values, marker=".", label=f"{label}, last {values[-1]:.2f} %")
    above.set_ylabel("accuracy, %")
    above.set_title(title)
    above.legend(loc="lower right")
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.3)
    return figure, above, below


@contextlib.contextmanager
def reading(path: Path, training: str) -> Iterator[None]:
    """Turns what goes wrong in reading the saved run ``path`` into advice.

    ``training``: the command that makes the run.

    Raises
    ------
    RequestError
        If there is no such run, or it is of another configuration.
    CheckpointError
        If it cannot be used.
    """
    from model.checkpoint import CheckpointError, CheckpointMismatchError

    try:
        yield
    except CheckpointMismatchError as error:
        raise cli.RequestError(str(error)) from None
    except CheckpointError as error:
        if path.exists():
            raise
        raise cli.RequestError(f"{str(error).rstrip('.')}: run {training} first.") from None
