"""``mixbar data``."""

import hashlib
import json

import pytest

from model import dataset_sources, datasets
from scripts import cli
from scripts.mixbar import app


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))
    return datasets.cache_directory()


def mixbar(*arguments):
    return cli.run(app, list(arguments))


def test_sample(capsys):
    assert mixbar("data", "mnist-sample", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    payloads = datasets.read_directory(datasets.SAMPLE_DIRECTORY, datasets.SAMPLE)
    assert data["path"] == str(datasets.SAMPLE_DIRECTORY)
    assert data["sha256"] == hashlib.sha256(b"".join(payloads.values())).hexdigest()
    assert data["files"].keys() == payloads.keys()
    assert (data["train_images"], data["test_images"]) == (2500, 500)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cifar"], "Unknown data set 'cifar'; known: mnist-sample, mnist."),
        (["mnist", "--from", "no/such"], "no/such is not a directory."),
        (["mnist-sample", "--from", "."], "--from goes with mnist"),
        (["mnist", "--from", "{empty}"], "has no train-images-idx3-ubyte"),
    ],
)
def test_wrong_request(arguments, sentence, cache, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = [word.format(empty=tmp_path / "empty") for word in arguments]
    assert mixbar("data", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert not cache.exists()


def test_corrupt_file(cache, tmp_path, capsys):
    for idx in datasets.MNIST:
        (tmp_path / idx.stem).write_bytes(b"corrupt")
    assert mixbar("data", "mnist", "--from", str(tmp_path)) == 1
    assert "train-images-idx3-ubyte is damaged or another file" in capsys.readouterr().err
    assert not cache.exists()


def test_no_source(cache, monkeypatch, capsys):
    def refuse(*_arguments):
        raise datasets.DatasetError("Nothing here.")

    monkeypatch.setattr(dataset_sources, "from_mirror", refuse)
    monkeypatch.setattr(dataset_sources, "from_wheel", refuse)
    assert mixbar("data", "mnist", "--json") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("mixbar: No source gave the MNIST set")


def test_broken_cache_is_fetched_again(cache, monkeypatch, capsys):
    cache.mkdir(parents=True)
    (cache / "train-images-idx3-ubyte").write_bytes(b"half")
    monkeypatch.setattr(
        dataset_sources, "fetch", lambda _source, report: (datasets.SAMPLE_DIRECTORY, "a test")
    )
    monkeypatch.setattr(datasets, "MNIST", datasets.SAMPLE)
    assert mixbar("data", "mnist", "--json") == 0
    out, err = capsys.readouterr()
    assert "cannot be used and is fetched again" in err
    assert json.loads(out)["source"] == "a test"
