"""Data sets: the sample, IDX files, the cache, and every way in which they can be broken."""

import gzip
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from model import datasets
from model.datasets import DatasetError, DatasetRequestError, Idx


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory of this test's own; not made yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))
    return datasets.cache_directory()


@pytest.fixture
def small(monkeypatch):
    """A full set of a few images in place of MNIST: its payloads by stem."""
    generator = np.random.default_rng(5)
    payloads, files = {}, []
    for idx, n in zip(datasets.MNIST, (6, 6, 3, 3), strict=True):
        shape = (n, *idx.shape[1:])
        payload = datasets.to_idx(generator.integers(0, 10, shape, dtype=np.uint8))
        digest = hashlib.md5(payload, usedforsecurity=False).hexdigest()
        files.append(replace(idx, shape=shape, md5=digest))
        payloads[idx.stem] = payload
    monkeypatch.setattr(datasets, "MNIST", tuple(files))
    monkeypatch.setattr(datasets.read_directory, "__defaults__", (tuple(files),))
    return payloads


def write_all(directory, payloads):
    directory.mkdir(parents=True, exist_ok=True)
    for stem, payload in payloads.items():
        (directory / stem).write_bytes(payload)


def test_sample():
    sample = datasets.load("mnist-sample")
    assert sample.name == "mnist-sample"
    assert sample.train_images.shape == (2500, 784)
    assert sample.test_images.shape == (500, 784)
    assert sample.train_images.dtype == sample.train_labels.dtype == np.uint8
    assert np.bincount(sample.train_labels).tolist() == [250] * 10
    assert np.bincount(sample.test_labels).tolist() == [50] * 10
    assert sample.train_images.max() == 255
    assert sample.train_images.flags.writeable  # the caller's own
    assert sample.train_images.flags.c_contiguous


def test_sample_is_small():
    files = datasets.SAMPLE_DIRECTORY.glob("*.gz")
    assert sum(path.stat().st_size for path in files) <= 700_000


def test_sample_is_part_of_the_full_set():
    if not datasets.cache_directory().is_dir():
        pytest.skip("the full MNIST set is not on this machine: mixbar data mnist")
    full, sample = datasets.load("mnist"), datasets.load("mnist-sample")
    rows = (datasets.SAMPLE_DIRECTORY / "indices.csv").read_text("utf-8").splitlines()[1:]
    pairs = [row.split(",") for row in rows]
    train = [int(index) for name, index in pairs if name == "train"]
    test = [int(index) for name, index in pairs if name == "test"]
    assert np.array_equal(full.train_images[train], sample.train_images)
    assert np.array_equal(full.train_labels[train], sample.train_labels)
    assert np.array_equal(full.test_images[test], sample.test_images)
    assert np.array_equal(full.test_labels[test], sample.test_labels)


@pytest.mark.parametrize("shape", [(0,), (1,), (5,), (2, 3), (2, 3, 4)])
def test_idx_round_trip(shape):
    items = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    payload = datasets.to_idx(items)
    assert payload[:4] == bytes([0, 0, 8, len(shape)])
    assert len(payload) == Idx("", shape, "").n_bytes
    assert np.array_equal(datasets.parse_idx(payload, "test"), items)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00", "not an IDX file of unsigned bytes"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x01", "ends within its header"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x02\x07", "holds 1 bytes after its header, which says 2"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01\x07\x07", "holds 2 bytes"),
    ],
)
def test_parse_idx_wrong(payload, message):
    with pytest.raises(DatasetError, match=message):
        datasets.parse_idx(payload, "labels")


def test_load_unknown():
    with pytest.raises(DatasetRequestError, match=r"'cifar'; known: mnist-sample, mnist\."):
        datasets.load("cifar")


def test_load_without_cache(cache):
    with pytest.raises(DatasetError, match="get it by 'mixbar data mnist'"):
        datasets.load("mnist")
    assert datasets.default().name == "mnist-sample"


def test_install_and_load(cache, small):
    assert datasets.install(small) == cache
    full = datasets.default()
    assert full.name == "mnist"
    assert full.train_images.shape == (6, 784)
    assert full.test_labels.shape == (3,)
    assert sorted(path.name for path in cache.iterdir()) == sorted(small)


@pytest.mark.parametrize("name", ["{}", "{}.gz", ".idx"])
def test_read_directory_names(tmp_path, small, name):
    for stem, payload in small.items():
        if name == ".idx":
            (tmp_path / stem.replace("-idx", ".idx")).write_bytes(payload)
        else:
            packed = gzip.compress(payload) if name.endswith(".gz") else payload
            (tmp_path / name.format(stem)).write_bytes(packed)
    assert datasets.read_directory(tmp_path) == small


def test_read_directory_missing(tmp_path, small):
    with pytest.raises(DatasetRequestError, match="is not a directory"):
        datasets.read_directory(tmp_path / "nowhere")
    write_all(tmp_path, small)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetRequestError, match="has no t10k-labels-idx1-ubyte, plain or as"):
        datasets.read_directory(tmp_path)


def test_read_directory_wrong_gzip(tmp_path, small):
    write_all(tmp_path, small)
    payload = (tmp_path / "t10k-labels-idx1-ubyte").read_bytes()
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    for packed in (b"no gzip", gzip.compress(payload)[:-9], b""):
        (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(packed)
        with pytest.raises(DatasetError, match="not a complete gzip|damaged"):
            datasets.read_directory(tmp_path)


@pytest.mark.parametrize("stem", [idx.stem for idx in datasets.MNIST])
@pytest.mark.parametrize("damage", ["short", "long", "flipped", "missing"])
def test_damaged_cache_is_an_error(cache, small, stem, damage):
    write_all(cache, small)
    path, payload = cache / stem, small[stem]
    if damage == "missing":
        path.unlink()
    else:
        flipped = payload[:-1] + bytes([payload[-1] ^ 1])
        broken = {"short": payload[:-1], "long": payload + b"\0", "flipped": flipped}
        path.write_bytes(broken[damage])
    for read in (datasets.default, lambda: datasets.load("mnist")):
        with pytest.raises(DatasetError, match="cannot be used .*get it by 'mixbar data mnist'"):
            read()


def test_install_wrong_writes_nothing(cache, small):
    small["t10k-labels-idx1-ubyte"] = small["t10k-labels-idx1-ubyte"][:-1] + b"\xff"
    with pytest.raises(DatasetError, match="t10k-labels-idx1-ubyte is damaged"):
        datasets.install(small)
    assert not cache.exists()


def test_install_in_a_file(tmp_path, small):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DatasetError, match="Cannot write the data set"):
        datasets.install(small, tmp_path / "taken")
