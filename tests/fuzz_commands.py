"""Hostile command lines: any verb with any options, called as the command calls it.

Where the work of a verb begins (a training, a simulation, a synthesis, a fetch), the run is
interrupted as by the keyboard, with a file half written, so that a command line takes a tenth of a
second; all before and after is the command's own.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import tomli_w
import typer

from model import dataset_sources, datasets
from model.configurations import CONFIGURATIONS, tiny_mca
from model.device_code import ALLOWED
from model.settings import read_table, to_toml
from scripts import cli
from scripts.mixbar import app

__all__ = ["Hang", "folder_state", "hostile_words", "interrupted_work", "prepare", "run_command"]

VERBS = typer.main.get_command(app).commands

#: Longer no command line may take, compilation included, in s.
PATIENCE_S = 300

WORDS = (
    *("0", "1", "2", "3", "-1", "-0", "+1", "10", "200", "65536", "2147483648", "1" + 30 * "0"),
    *("1" + 400 * "0", "0.5", "1.5", "1e3", "1e-300", "1e300", "1e400", "nan", "inf", "-inf"),
    *("0x10", "1_000", "\u0663", "", " ", "-", "--", "=", ",", ":", "*", "'", '"', "\n", "$HOME"),
    *("true", "x" * 5000, "\udcff", "\u202e", "\x1b[2J", "../x", "a/../b", "/dev/null", "/proc/x"),
    *("30d", "1s,1h,1d", "1e9y", "9" * 400 + "y", "0s", "1.5h,", "-1d", "1 d"),
    *("0:50:5", "0,11", "0:100:1e-300", "0:100:1e-6", "50:0:5", "0:1", "nan:1:1", "0,101"),
    *("in_situ", "in_situ,float", "software,software", "best", "paper", "mnist", "mnist-sample"),
    *("tcp://127.0.0.1:1", "build", "file", "file/x", "run.npz", "mine.toml", "code.toml", "pipe"),
)

#: Values that make sense for an option, so that what comes behind it is reached.
SENSIBLE = {
    "--data": ("mnist-sample",),
    "--run": ("run.npz", "mine.toml", "pipe"),
    "--activity": ("activity.json", "mine.toml", "pipe"),
    "--out": ("build", "out", "out/a b", "\udcff", "out/\n"),
    "--from": (".", "build"),
    "--after": ("1s", "30d,1y", "0s"),
    "--stuck": ("0.5", "0,11"),
    "--kinds": ("in_situ", "float,software"),
    "--mode": ("best", "paper"),
    "--liberty": ("mine.toml", "pipe"),
    "--dont-use": ("*x1*",),
    "--node": ("14", "7", "180", "6.9"),
    "--vdd": ("0.8", "1.1"),
    "--period": ("10", "0.5"),
}

CONFIGS = (
    *(name for name in CONFIGURATIONS if name.startswith("tiny")),
    *("mine.toml", "hostile.toml", "code.toml", "folder.toml", "pipe.toml", "nope", "nope.toml"),
)

#: Where work begins: module, attribute.
WORK = (
    ("scripts.runs", "train"),
    ("model.training.Training", "run"),
    ("model.engine.training.EngineTraining", "run"),
    ("model.cnn.training.Training", "run"),
    ("model.cnn.training.Training", "train_software"),
    ("model.cnn.training.Training", "transfer"),
    ("scripts.in_situ.sweep", "_compute"),
)
EMITTERS = ("hw.verilog", "hw.cnn.verilog", "hw.in_situ.verilog", "hw.engine.verilog")


class Hang(BaseException):
    """Nothing came of a command line for too long; no Exception, so that no verb catches it."""


def prepare(place, run, rng, mutate):
    """Files that command lines name, in an empty folder: good ones, broken ones, and traps."""
    (place / "file").write_text("a file\n")
    (place / "mine.toml").write_text('extends = "tiny_mca"\nname = "mine"\n')
    (place / "code.toml").write_text('extends = "tiny_mca"\n[device]\nmodel = "trap.py:step"\n')
    (place / "trap.py").write_text("open('ran', 'w').close()\n")
    (place / "folder.toml").mkdir()
    for name in ("pipe", "pipe.toml"):
        os.mkfifo(place / name)
    (place / "run.npz").write_bytes(run)
    (place / "activity.json").write_text(
        json.dumps({"config": "tiny_mca", "images": 1, "counters": {}, "source": "x"})
    )
    folder = place / "build" / tiny_mca.name
    folder.mkdir(parents=True)
    (folder / "run.npz").write_bytes(run)
    table = read_table(to_toml(rng.choice(list(CONFIGURATIONS.values()))))
    mutate(table, rng)
    with contextlib.suppress(TypeError, ValueError):  # what TOML cannot hold
        (place / "hostile.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def hostile_words(rng):
    """A verb, mostly, with options of its own and values that are right, odd or wrong."""
    verb = rng.choice(list(VERBS)) if rng.random() < 0.97 else rng.choice(WORDS)
    words = [verb]
    parameters = list(VERBS[verb].params) if verb in VERBS else []
    options = [item for item in parameters if item.opts[0].startswith("--")]
    for item in parameters:
        if item not in options and rng.random() < 0.95:
            names = CONFIGS if item.name == "config" else ("mnist", "mnist-sample")
            words.append(rng.choice(names) if rng.random() < 0.9 else rng.choice(WORDS))
    for item in rng.sample(options, rng.randint(0, min(3, len(options)))):
        name = rng.choice([*item.opts, *item.secondary_opts])
        if item.is_flag:
            words.append(name if rng.random() < 0.9 else f"{name}=1")
            continue
        pool = SENSIBLE.get(name, ("1", "2")) if rng.random() < 0.4 else WORDS
        value = rng.choice(pool)
        words += [f"{name}={value}"] if rng.random() < 0.3 else [name, value]
    if rng.random() < 0.05:
        words.insert(rng.randrange(len(words) + 1), rng.choice((*WORDS, "--debug", "--help", "-h")))
    if rng.random() < 0.05:
        del words[rng.randrange(len(words))]
    return words


@contextlib.contextmanager
def interrupted_work():
    """Ends every verb, as the keyboard does, where its work begins or starts a program."""

    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    def emit_half(config, folder):
        if folder.name.startswith(".staged-"):  # elsewhere it writes whole files itself
            (folder / config.name).mkdir()
            (folder / config.name / "half.v").write_text("module")
        raise KeyboardInterrupt

    with contextlib.ExitStack() as stack:
        for place, name in WORK:
            stack.enter_context(mock.patch(f"{place}.{name}", interrupt))
        for place in EMITTERS:
            stack.enter_context(mock.patch(f"{place}.emit", emit_half))
        stack.enter_context(mock.patch.object(subprocess, "Popen", interrupt))
        stack.enter_context(mock.patch.object(ProcessPoolExecutor, "submit", interrupt))
        stack.enter_context(mock.patch.object(dataset_sources, "fetch", interrupt))
        none = mock.Mock(return_value=Path("no cache"))
        stack.enter_context(mock.patch.object(datasets, "cache_directory", none))
        yield


def folder_state(folder):
    """Every file of a folder with its content, every folder and pipe, by path."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else path.stat().st_mode
        for path in folder.rglob("*")
    }


def output_folder(words):
    """The folder that a command line names for its files."""
    out = "build"
    for k, word in enumerate(words):
        if word == "--out" and k + 1 < len(words):
            out = words[k + 1]
        elif word.startswith("--out="):
            out = word.removeprefix("--out=")
    return Path(out)


def run_command(words, place):
    """Calls the command in folder ``place``; checks all that holds of every call.

    Returns status, standard output and standard error.
    """
    before, cwd = folder_state(place), Path.cwd()
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()

    def expire(_number, _frame):
        raise Hang(f"{words} did nothing for {PATIENCE_S} s")

    handler = signal.signal(signal.SIGALRM, expire)
    signal.alarm(PATIENCE_S)
    os.chdir(place)
    environment = {name: value for name, value in os.environ.items() if name != ALLOWED}
    try:
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = cli.run(app, list(words))
    finally:
        os.chdir(cwd)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    out.flush()
    said, text = err.getvalue(), out.buffer.getvalue().decode()
    check_answer(words, status, text, said)
    check_files(words, before, folder_state(place))
    return status, text, said


def check_answer(words, status, text, said):
    """Status, and what standard output and standard error hold."""
    assert status in (0, 1, 2, 130), f"{words}: status {status}"
    if "--debug" not in words:
        assert "Traceback" not in said, f"{words}: {said}"
    assert "Unexpected" not in said, f"{words}: {said}"
    if status in (1, 2) and "Usage: mixbar" not in said:
        last = said.splitlines()[-1]
        assert said.endswith(f"{last}\n"), f"{words}: {said!r}"
        assert last.startswith("mixbar: "), f"{words}: {said!r}"
        assert last.endswith("."), f"{words}: {last!r}"
        assert len(last) < 2000, f"{words}: a message of {len(last)} characters"
        assert last.isprintable(), f"{words}: {last!r}"
    if status in (2, 130):
        assert text == "", f"{words}: {text!r}"
    elif "--json" in words and text and not {"--help", "-h"} & set(words):
        assert text.count("\n") == 1
        json.loads(text)


def check_files(words, before, after):
    """Nothing was written but to the output folder, and nothing there is half."""
    own = Path(os.path.normpath(output_folder(words)))
    if "--allow-code" in words:
        after.pop(Path("ran"), None)
    for path in before.keys() | after.keys():
        if path != own and own not in path.parents and path not in own.parents:
            assert before.get(path) == after.get(path), f"{words}: {path} was changed"
    for path in after.keys() - before.keys():
        name = path.name
        assert name != "half.v", f"{words} left {path}"
        assert not name.startswith((".staged-", ".run.npz.")), f"{words} left {path}"
    for path, content in before.items():
        assert path in after, f"{words} removed {path}"
        assert not content or after[path], f"{words} emptied {path}"


def fuzz_command_line(rng, run, mutate):
    """One hostile command line in a folder of its own."""
    place = Path(tempfile.mkdtemp(prefix="mixbar-fuzz-"))
    try:
        prepare(place, run, rng, mutate)
        words = hostile_words(rng)
        with interrupted_work():
            return words, run_command(words, place)[0]
    finally:
        shutil.rmtree(place)
