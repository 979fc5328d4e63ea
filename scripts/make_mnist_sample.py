"""Remakes the MNIST sample that ships with the project from the full set in the cache.

    .venv/bin/python -m scripts.make_mnist_sample

Writes the four IDX files of ``model/data/mnist-sample`` and ``indices.csv``, byte-identical from
run to run, and prints the MD5 of each uncompressed file for ``model.datasets.SAMPLE``.
"""

import gzip
import hashlib

import numpy as np
from numpy.typing import NDArray

from model import datasets

#: Images of each digit, so that 3,000 in all and some 480 kB.
TRAIN_PER_DIGIT = 250
TEST_PER_DIGIT = 50
#: Any number would do; this one is recorded in the note beside the files.
SEED = 20200507


def draw(
    labels: NDArray[np.uint8], per_digit: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of ``per_digit`` images of each digit, int64 ascending, without repetition."""
    chosen = [
        generator.permutation(np.flatnonzero(labels == digit))[:per_digit] for digit in range(10)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def main() -> None:
    """Draws, writes and prints."""
    full = datasets.load("mnist")
    generator = np.random.default_rng(SEED)
    train = draw(full.train_labels, TRAIN_PER_DIGIT, generator)
    test = draw(full.test_labels, TEST_PER_DIGIT, generator)
    arrays = (
        full.train_images[train].reshape(-1, 28, 28),
        full.train_labels[train],
        full.test_images[test].reshape(-1, 28, 28),
        full.test_labels[test],
    )
    for idx, items in zip(datasets.SAMPLE, arrays, strict=True):
        payload = datasets.to_idx(items)
        # No time stamp and no name in the header: the same bytes every time.
        packed = gzip.compress(payload, compresslevel=9, mtime=0)
        (datasets.SAMPLE_DIRECTORY / f"{idx.stem}.gz").write_bytes(packed)
        print(hashlib.md5(payload, usedforsecurity=False).hexdigest(), len(packed), idx.stem)
    lines = ["set,index"]
    lines += [f"train,{index}" for index in train] + [f"test,{index}" for index in test]
    (datasets.SAMPLE_DIRECTORY / "indices.csv").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
