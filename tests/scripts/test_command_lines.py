"""Command lines of any words: done, failed or refused in a sentence, with nothing left half."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.crossbar import LATEST_S
from scripts.infer import parse_duration
from tests import fuzz, fuzz_commands

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path):
    run = fuzz.saved_run()[1]
    fuzz_commands.prepare(tmp_path, run, random.Random(1), fuzz.mutate)
    return tmp_path


def call(place, *words):
    with fuzz_commands.interrupted_work():
        return fuzz_commands.run_command(words, place)


@settings(max_examples=80)
@given(st.randoms(use_true_random=False))
def test_any_words(rng):
    fuzz.fuzz_command_line(rng, None)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        # Found by the fuzzer: lists of all images and runs were made before anything was refused.
        ("cosim tiny_mca --images 2147483648", "less than or equal to 2000000"),
        ("bench tiny_mca --cosim-images 2147483648", "less than or equal to 2000000"),
        ("power tiny_mca --images 2147483648", "less than or equal to 10000"),
        ("sweep tiny_in_situ --seeds 1000000000000000000000000000000", "less than or equal to"),
        ("sweep tiny_in_situ --stuck 0:100:1e-300", "at most 1001 of them"),
        ("sweep tiny_in_situ --stuck 0:100:0.1 --seeds 10000", "at most 100,000 runs, not 30,030,"),
        # A time without end, in compiled code.
        (f"infer tiny_mca --after {'9' * 400}y", "--after takes at most 1e+09 years."),
        (f"infer tiny_mca --after 1s,{'9' * 400}", r"units us, ms, s, min, h, d, y), not '999"),
        # A pipe that nobody writes to.
        ("synth tiny_mca --liberty pipe", "Cannot read the library pipe: Not a regular file."),
        ("power tiny_mca --liberty folder.toml", "library folder.toml: Is a directory."),
        # Words repeated at full length.
        (f"train tiny_mca --data {'x' * 5000}", "Unknown data set 'xxx"),
        (f"train tiny_cnn --mode {'x' * 5000}", "must be one of paper, best, not 'xxx"),
        (f"sweep tiny_in_situ --kinds {'x' * 5000}", "software, not 'xxx"),
        (f"data {'x' * 5000}", "Unknown data set 'xxx"),
    ],
    ids=lambda text: text[:40],
)
def test_refused(line, sentence, place):
    status, text, said = call(place, *line.split())
    assert (status, text) == (2, "")
    assert sentence in said


def test_longest_time():
    """The longest --after is far from the end of the devices' time."""
    assert parse_duration("1000000000y") < LATEST_S / 10


def test_work_is_reached(place):
    """What the fuzzer cuts short is there to be cut short."""
    for words in (
        ("train", "tiny_mca"),
        ("train", "tiny_mixed4", "--data", "mnist-sample"),
        ("emit", "tiny_cnn", "--out", "out"),
        ("cosim", "tiny_in_situ", "--images", "3"),
        ("report", "tiny_mca"),
        ("bench", "tiny_mca"),
        ("synth", "tiny_mca"),
        ("sweep", "tiny_in_situ"),
        ("data", "mnist"),
    ):
        assert call(place, *words)[0] == 130, words


def test_checks_can_fail(place):
    """A file beside the output folder, a half file in it, a message that is none."""
    before = fuzz_commands.folder_state(place)
    for path in ("elsewhere", "build/.staged-1", "build/tiny_mca/.run.npz.1"):
        after = {**before, Path(path): b"x"}
        with pytest.raises(AssertionError):
            fuzz_commands.check_files(["emit", "tiny_mca"], before, after)
    with pytest.raises(AssertionError):
        fuzz_commands.check_files(["emit", "x"], before, {**before, Path("mine.toml"): b"x"})
    for status, text, said in (
        (3, "", "mixbar: x.\n"),
        (1, "", "Traceback\nmixbar: x.\n"),
        (1, "", "mixbar: Unexpected KeyError: x (--debug shows where).\n"),
        (2, "half", "mixbar: x.\n"),
        (2, "", "mixbar: x\n"),
    ):
        with pytest.raises(AssertionError):
            fuzz_commands.check_answer(["emit"], status, text, said)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["emit", "tiny_mca", "--out", "file"], 2),
        (["report", "tiny_mca", "--node=nan"], 2),
        (["infer", "tiny_mca", "--run", "pipe", "--json"], 1),
    ],
)
def test_as_a_process(words, status, place):
    """As a user would start it; the same answer as in this process."""
    before = fuzz_commands.folder_state(place)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.mixbar", *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    fuzz_commands.check_answer(words, done.returncode, done.stdout, done.stderr)
    assert done.returncode == status
    assert call(place, *words)[0] == status
    fuzz_commands.check_files(words, before, fuzz_commands.folder_state(place))
