"""Files that a user was given may be anything: what tests/fuzz.py found, and a few hundred more."""

import io
import json
import os
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model import datasets, device_code
from model.arrays import new_arrays
from model.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from model.config import DeviceConfig
from model.configurations import load, tiny_mca
from model.crossbar import LATEST_S
from model.device_table import read_device_table
from model.devices import N_AGE_CLASSES, class_starts, find_age_class, step_table
from model.files import read_bytes
from model.settings import ConfigError, read_table
from scripts import cli
from scripts.mixbar import app
from tests import fuzz


@pytest.mark.parametrize(
    ("target", "n"), [("config", 300), ("checkpoint", 200), ("idx", 200), ("device_table", 500)]
)
def test_fuzz(target, n, tmp_path):
    for seed in range(n):
        fuzz.run(target, seed, tmp_path)


def loaded(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"clock_period_s = 1{'0' * 400}",
            r"clock_period_s must be a finite number, not 0x.*\.\.\.",
        ),
        (f"clock_period_s = 1{'0' * 5000}", "a number that is too long"),
        (f"a = {'[' * 100_000}", "nests too deeply"),
        (f"name = '{'x' * 65}'", "at most 64 characters, not 65"),
        ("name = '../../x'", "letters, digits and underscores"),
        (f"name = '{'/' * 5000}'", r"underscores, not '/+\.\.\.\.$"),
        ('"\\u001b[2J" = 1', r"Unknown setting '\\x1b\[2J'"),
        ("[device]\ninitial_age_s = 1e300", "initial_age_s must be between 0.0 and"),
        ("[device]\nseconds_per_image = 1e300", "seconds_per_image must be between 0.0 and"),
        ("extends = 'yao_cnn'\n[device]\nreset_step_us = 0.0", r"must be positive, not 0\.0\.$"),
        ("name = 'a'\nname = 'b'", "not valid TOML"),
    ],
)
def test_config(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, text)


def test_large_config(tmp_path):
    with pytest.raises(ConfigError, match="Larger than 1,048,576 bytes"):
        loaded(tmp_path, "#" * (1 << 20) + "\n")


def test_only_regular_files(tmp_path):
    """A pipe would wait for ever, a device never end."""
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    link = tmp_path / "zero.toml"
    link.symlink_to("/dev/zero")
    for path in (pipe, link):
        for read, error in (
            (read_table, ConfigError),
            (read_device_table, ConfigError),
            (read_checkpoint, CheckpointError),
        ):
            with pytest.raises(error, match="Not a regular file"):
                read(path)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path, 1)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def archive(path, compression=zipfile.ZIP_STORED, names=("header.npy",), content=b""):
    with zipfile.ZipFile(path, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that occurs twice
        for name in names:
            file.writestr(name, content)
    return path


def npy(shape, dtype="|u1", content=b""):
    header = (
        repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


@pytest.mark.parametrize(
    "content",
    [
        npy((1 << 40,)),
        npy((1 << 62, 1 << 62, 0)),
        npy((-1,)),
        npy((1,), "|O", b"cos\nsystem\n(S'false'\ntR."),
        npy((1,), "|V2147483647"),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_checkpoint_arrays(content, tmp_path):
    with pytest.raises(CheckpointError, match="truncated, damaged or not"):
        read_checkpoint(archive(tmp_path / "run.npz", content=content))


def test_checkpoint_bomb(tmp_path):
    """100 MB of zeros in 100 kB: compressed archives are not ours, and are not unpacked."""
    path = archive(tmp_path / "run.npz", zipfile.ZIP_DEFLATED, content=bytes(100_000_000))
    assert path.stat().st_size < 200_000
    with pytest.raises(CheckpointError, match="truncated, damaged or not"):
        read_checkpoint(path)


def test_checkpoint_names_twice(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array("{}"))
    path = archive(tmp_path / "run.npz", names=("header.npy",) * 2, content=buffer.getvalue())
    with pytest.raises(CheckpointError, match="truncated, damaged or not"):
        read_checkpoint(path)


def test_checkpoint_encrypted_or_nested(tmp_path):
    path = archive(tmp_path / "run.npz", content=npy((1,), content=b"x"))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of encryption, in the member's header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="truncated, damaged or not"):
        read_checkpoint(path)
    np.savez(path, header=np.array("[" * 100_000))
    with pytest.raises(CheckpointError, match="truncated, damaged or not"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epoch", 1), ("epoch", -1), ("epoch", True), ("epoch", 10**30), ("position", 2500)),
        *(("correct", 1), ("seconds", 1e301), ("seconds", "1"), ("curve", {}), ("curve", [3])),
    ],
)
def test_run_header(key, value, tmp_path):
    training, whole = fuzz.saved_run()
    path = tmp_path / "run.npz"
    path.write_bytes(whole)
    saved = read_checkpoint(path)
    write_checkpoint(path, {**saved.header, key: value}, saved.arrays)
    with pytest.raises(CheckpointError, match="incomplete header"):
        training.restore(path)


@pytest.mark.parametrize(
    ("name", "value"), [("time_s", np.inf), ("time_s", 1e300), ("pulse_time_s", -1e300)]
)
def test_saved_times(name, value):
    """Times without end used to send compiled code beyond the last age class."""
    (crossbar, *_) = new_arrays(tiny_mca, 1)
    saved = crossbar.save()
    saved[name] = np.full_like(saved[name], value)
    with pytest.raises(ValueError, match="a time without end|older than any"):
        crossbar.load(saved)


def test_last_age_class_is_open():
    starts = class_starts()
    for elapsed in (1e299, 1e301, np.inf, 2 * LATEST_S):
        assert find_age_class(elapsed, starts) == N_AGE_CLASSES - 1
    assert find_age_class(-np.inf, starts) == 0
    assert DeviceConfig(initial_age_s=1e15).initial_age_s < LATEST_S


def test_idx_empty_but_too_large():
    shape = (2**32 - 1, 2**32 - 1, 2**32 - 1, 0)
    with pytest.raises(datasets.DatasetError, match="too large"):
        datasets.parse_idx(struct.pack(">HBB4I", 0, 8, 4, *shape), "x")


def test_idx_dimensions():
    data = struct.pack(">HBB65I", 0, 8, 65, *[1] * 65) + b"x"
    with pytest.raises(datasets.DatasetError, match="65 dimensions; at most 4"):
        datasets.parse_idx(data, "x")


def test_device_table(tmp_path):
    path = tmp_path / "table.csv"
    header = "conductance_us,mean_step_us,std_step_us\n"
    path.write_text(f'{header}"{"x" * 200_000}",1,1\n')
    with pytest.raises(ConfigError, match="is not CSV"):
        read_device_table(path)
    path.write_text(f"{header}0,1e308,1\n")
    with pytest.raises(ConfigError, match=r"within 1e\+09 uS of zero"):
        read_device_table(path)
    path.write_text(f"{header}{'9' * 5000}x,1,1\n")
    with pytest.raises(ConfigError, match=r"finite number, not '9+\.\.\.\.$"):
        read_device_table(path)


def test_broken_activity(tmp_path):
    from energy import activity
    from energy.errors import EnergyError

    path = tmp_path / "activity.json"
    path.write_text("[" * 100_000)
    with pytest.raises(EnergyError, match="is not JSON"):
        activity.load(path)
    path.write_text(json.dumps({"config": "x", "images": 1e400, "counters": {}, "source": ""}))
    with pytest.raises(EnergyError, match="must hold"):
        activity.load(path)


@pytest.fixture
def with_code(tmp_path, monkeypatch):
    """A configuration whose device is a program that leaves ``ran``; back to asking at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(device_code.ALLOWED, "")
    program = "open('ran', 'w').close()\ndef step(g, p):\n    return 0 * g + 1, 0 * g\n"
    (tmp_path / "device.py").write_text(program)
    text = 'extends = "tiny_mca"\n[device]\nmodel = "device.py:step"\n'
    (tmp_path / "code.toml").write_text(text)
    return "code.toml"


REFUSAL = (
    "mixbar: device.model 'device.py:step' is Python code, which is not run unasked: read it, then "
    "give --allow-code (in Python: model.device_code.allow()).\n"
)


@pytest.mark.parametrize("verb", ["train", "infer", "cosim", "bench", "power", "report"])
def test_code_is_refused(verb, with_code, tmp_path, capsys):
    given = () if verb in ("bench", "power", "report") else ("--data", "mnist-sample")
    assert cli.run(app, [verb, with_code, *given]) == 2
    assert capsys.readouterr() == ("", REFUSAL)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("verb", ["config", "emit"])
def test_code_is_not_needed(verb, with_code, tmp_path):
    assert cli.run(app, [verb, with_code]) == 0
    assert not (tmp_path / "ran").exists()


def test_code_is_allowed(with_code, tmp_path, capsys):
    """On the command line; the permission holds in processes that are started from there on."""
    assert cli.run(app, ["infer", with_code, "--allow-code"]) == 2
    assert "run 'mixbar train code.toml' first" in capsys.readouterr().err
    program = (
        "from model.configurations import load\n"
        "from model.devices import step_table\n"
        "print(step_table(load('code.toml').device).mean_us.max())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    line = [sys.executable, "-c", program]
    assert subprocess.check_output(line, env=environment) == b"1.0\n"
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("model", ["device.py:step", "os:system", "a.py:b:c", ":", "x.csv:step"])
def test_code_is_refused_in_python(model, with_code, tmp_path):
    with pytest.raises(ConfigError, match="is Python code, which is not run unasked"):
        step_table(DeviceConfig(model=model))
    assert not (tmp_path / "ran").exists()
