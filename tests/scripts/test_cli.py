"""What all verbs share: one JSON object, one sentence, whole files."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from model.config import ConfigError
from model.datasets import DatasetError, DatasetRequestError
from scripts import cli


def run(verb, *arguments):
    """Runs a command made of one verb function; its exit status."""
    app = typer.Typer(rich_markup_mode=None)
    app.command("verb")(verb)
    app.callback()(lambda: None)
    return cli.run(app, ["verb", *arguments])


def test_result_text(capsys):
    def verb():
        with cli.result(False) as result:
            result.set({"a": 1}, "two\nlines")

    assert run(verb) == 0
    assert capsys.readouterr() == ("two\nlines\n", "")


def test_result_json_is_alone_on_standard_output(capfd):
    def verb():
        with cli.result(True) as result:
            print("from Python")
            os.write(1, b"from a library\n")
            subprocess.run(["echo", "from a process"], check=True)
            result.set({"path": Path("x"), "n": np.int64(3), "v": np.arange(2)}, "unseen")

    assert run(verb) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == {"path": "x", "n": 3, "v": [0, 1]}
    assert out.count("\n") == 1
    for line in ("from Python", "from a library", "from a process"):
        assert line in err
    assert "unseen" not in err


def test_no_json_after_an_error(capfd):
    def verb():
        with cli.result(True) as result:
            result.set({"a": 1}, "")
            raise cli.FailureError("It broke.")

    assert run(verb) == 1
    print("back")  # standard output is what it was before
    assert capfd.readouterr() == ("back\n", "mixbar: It broke.\n")


@pytest.mark.parametrize(("as_json", "out"), [(False, "text\n"), (True, '{"a": 1}\n')])
def test_result_of_a_failure(as_json, out, capfd):
    def verb():
        with cli.result(as_json) as result:
            result.set({"a": 1}, "text")
            result.fail("They differ.")

    assert run(verb) == 1
    assert capfd.readouterr() == (out, "mixbar: They differ.\n")


class OwnError(Exception):
    """Stands for an error class of model, hw or energy."""


OwnError.__module__ = "hw.something"


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (cli.RequestError("Give more."), 2, "Give more."),
        (cli.FailureError("It broke."), 1, "It broke."),
        (ConfigError("update.lanes must be 32."), 2, "update.lanes must be 32."),
        (DatasetRequestError("Unknown."), 2, "Unknown."),
        (DatasetError("Damaged."), 1, "Damaged."),
        (OwnError("No compiler."), 1, "No compiler."),
        (
            FileNotFoundError(2, "No such file or directory", "a b"),
            1,
            "No such file or directory (a",
        ),
        (MemoryError(), 1, "Not enough memory."),
        (ModuleNotFoundError("", name="numba"), 1, "package numba is missing: run 'make setup'"),
        (KeyError("x\ny"), 1, "Unexpected KeyError: 'x\\ny' (--debug shows where)."),
    ],
)
def test_errors(error, status, sentence, capsys):
    def verb():
        raise error

    assert run(verb) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.startswith("mixbar: ")
    assert err.count("\n") == 1


def test_debug_shows_the_traceback(capsys):
    def verb():
        raise cli.FailureError("It broke.")

    assert run(verb, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_is_quiet(tmp_path, capsys):
    def verb():
        with cli.staged(tmp_path / "out") as stage:
            (stage / "half").write_text("half")
            raise KeyboardInterrupt

    assert run(verb) == 130
    assert capsys.readouterr() == ("", "")
    assert list((tmp_path / "out").iterdir()) == []


def test_staged_moves_everything_at_the_end(tmp_path):
    out = tmp_path / "new" / "out"
    out.mkdir(parents=True)
    (out / "kept").write_text("kept")
    (out / "a").write_text("old")
    with cli.staged(out) as stage:
        (stage / "a").write_text("new")
        (stage / "deep").mkdir()
        (stage / "deep" / "b").write_text("b")
        assert (out / "a").read_text() == "old"
    names = {str(path.relative_to(out)) for path in out.rglob("*")}
    assert names == {"kept", "a", "deep", "deep/b"}
    assert (out / "a").read_text() == "new"


def test_staged_leaves_nothing_after_an_error(tmp_path):
    def fail():
        with cli.staged(tmp_path) as stage:
            (stage / "a").write_text("half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_staged_out_is_a_file(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cli.RequestError, match="--out"), cli.staged(tmp_path / path):
        pass


def test_write(tmp_path):
    path = cli.write(tmp_path / "a" / "b.txt", "text")
    assert path.read_text() == "text"
    assert cli.write(path, b"bytes").read_bytes() == b"bytes"
    assert [entry.name for entry in path.parent.iterdir()] == ["b.txt"]


def test_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    path = cli.write(tmp_path / "written", "")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_progress_is_silent_without_a_terminal(capsys):
    with cli.progress(3, "counting") as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_terminated_process_leaves_nothing(tmp_path):
    program = (
        "import signal, sys, time, pathlib\n"
        "from scripts import cli, mixbar\n"
        "signal.signal(signal.SIGTERM, mixbar._terminate)\n"
        f"with cli.staged(pathlib.Path({str(tmp_path)!r})) as stage:\n"
        "    (stage / 'half').write_text('half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_start_is_fast():
    # The best of three, against a loaded machine; heavy packages must not come in with --help.
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "scripts.mixbar", "--help"], check=True, stdout=-3)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 2.0
    program = (
        "import sys, scripts.mixbar; print([m for m in ('numpy', 'numba') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    assert run.stdout == b"[]\n"


def test_a_terminal_is_given_no_orders(capsys):
    def verb():
        raise cli.FailureError("Cannot read \x1b[2J\u202ename.\n")

    assert run(verb) == 1
    assert capsys.readouterr().err == "mixbar: Cannot read \\x1b[2J\\u202ename.\n"
