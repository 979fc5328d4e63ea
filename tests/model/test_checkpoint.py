"""model.checkpoint: the file."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from model.arrays import new_arrays
from model.checkpoint import (
    VERSION,
    CheckpointError,
    CheckpointMismatchError,
    check_config,
    read_checkpoint,
    restore_crossbars,
    write_checkpoint,
)
from model.config import to_toml
from model.configurations import mca_mlp, tiny_mca


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a folder" / "run.npz"
    write_checkpoint(
        path, {"config": to_toml(tiny_mca), "n": 3}, {"x": np.arange(1000, dtype=np.int32)}
    )
    return path


def test_there_and_back(path):
    checkpoint = read_checkpoint(path)
    assert checkpoint.header["n"] == 3
    assert checkpoint.header["version"] == VERSION
    assert np.array_equal(checkpoint.arrays["x"], np.arange(1000))
    assert checkpoint.arrays.keys() == {"x"}
    check_config(checkpoint, tiny_mca)
    assert [entry.name for entry in path.parent.iterdir()] == ["run.npz"]


def test_no_pickles(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="allow_pickle"):
        write_checkpoint(path, {}, {"x": np.array([object()])})
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1
    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, header=np.array([object()], dtype=object))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)


def test_failed_write_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_checkpoint(path, {"loss": float("nan")}, {})
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("kept", [0, 1, 100, 1000, -1000, -22, -1])
def test_truncated(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"run\.npz is truncated, damaged or not"):
        read_checkpoint(path)


def test_every_damaged_byte_is_noticed_or_harmless(path):
    """One byte changed: an error of ours, or the same contents."""
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            checkpoint = read_checkpoint(path)
            checkpoint.copy_into({"x": (target := np.zeros(1000, np.int32))})
        except CheckpointError:
            continue
        assert np.array_equal(target, np.arange(1000))


@pytest.mark.parametrize("content", [b"", b"corrupt", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_other_file(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)


def test_other_archives(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)
    np.save(path.with_suffix(".npy"), np.arange(3))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path.with_suffix(".npy"))
    for header in ('{"format": "other", "version": 1}', "[1]", "no JSON"):
        buffer = io.BytesIO()
        np.savez(buffer, header=np.array(header))
        path.write_bytes(buffer.getvalue())
        with pytest.raises(CheckpointError, match="not a checkpoint"):
            read_checkpoint(path)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*none\.npz\."):
        read_checkpoint(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match="Cannot read the checkpoint"):
        read_checkpoint(tmp_path)


def test_other_version(path):
    header = json.dumps({"format": "mixbar checkpoint", "version": VERSION + 1})
    with path.open("wb") as file:
        np.savez(file, header=np.array(header))
    with pytest.raises(CheckpointError, match=rf"has version {VERSION + 1}; .* version {VERSION}"):
        read_checkpoint(path)


def test_check_config(path):
    checkpoint = read_checkpoint(path)
    other = replace(tiny_mca, update=replace(tiny_mca.update, decay_log2=9))
    with pytest.raises(CheckpointMismatchError, match=r"its update\.decay_log2 is \d, not 9\.$"):
        check_config(checkpoint, other)
    with pytest.raises(CheckpointMismatchError, match=r"\(and \d+ more\)"):
        check_config(checkpoint, mca_mlp)
    broken = replace(checkpoint, header={"config": "name = 3"})
    with pytest.raises(CheckpointError, match="no valid configuration"):
        check_config(broken, tiny_mca)


def test_copy_into(path):
    checkpoint = read_checkpoint(path)
    for target in (np.zeros(999, np.int32), np.zeros(1000)):
        with pytest.raises(CheckpointError, match="has x as int32"):
            checkpoint.copy_into({"x": target})
    with pytest.raises(CheckpointError, match="lacks y"):
        checkpoint.copy_into({"y": np.zeros(1)})


def test_restore_crossbars_missing(path):
    with pytest.raises(CheckpointError, match=r"saved array of layer 0 lacks conductance_us"):
        restore_crossbars(read_checkpoint(path), new_arrays(tiny_mca, 1))
