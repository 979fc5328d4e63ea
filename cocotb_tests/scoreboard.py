"""What compares a unit that takes image frames with its model: what every such unit needs."""

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.frames import Result

__all__ = ["Mismatch", "Scoreboard"]


class Mismatch(Exception):
    """The gateware and the model disagree; the message says where."""

    def __init__(self, image: int, block: str, index: str, expected: object, got: object) -> None:
        self.image, self.block, self.index = image, block, index
        self.expected, self.got = expected, got
        super().__init__(
            f"Image {image}, {block}, {index}: expected {expected} by the model, got {got} from "
            "the gateware."
        )


class Scoreboard:
    """Counts what is equal; the first difference is a :class:`Mismatch`.

    Parameters
    ----------
    lanes
        Elements of a word.
    kinds
        Of values that are compared.

    Attributes
    ----------
    images : int
        Images compared so far.
    results : deque of Result
        What the host must get for the images compared, oldest first.
    checked_results : int
        Results compared so far.
    compared : dict[str, int]
        How many values of each kind were equal so far.
    """

    def __init__(self, lanes: int, kinds: Iterable[str]) -> None:
        self.lanes = lanes
        self.images = 0
        self.results: deque[Result] = deque()
        self.checked_results = 0
        self.compared = dict.fromkeys(kinds, 0)

    def equal(self, kind: str, block: str, index: str, expected: object, got: object) -> None:
        """Compares one value of a kind; block and index say where it was."""
        if expected != got:
            raise Mismatch(self.images, block, index, expected, got)
        self.compared[kind] += 1

    def equal_arrays(
        self, kind: str, block: str, expected: npt.NDArray[Any], got: npt.NDArray[Any]
    ) -> None:
        """Compares arrays of one shape and counts their elements."""
        if expected.shape != got.shape:
            raise Mismatch(self.images, block, "shape", list(expected.shape), list(got.shape))
        wrong = expected != got
        if wrong.any():
            where = tuple(int(k) for k in np.argwhere(wrong)[0])
            raise Mismatch(
                self.images, block, f"index {list(where)}", int(expected[where]), int(got[where])
            )
        self.compared[kind] += expected.size

    def _words(self, vectors: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Vectors padded with zeros to whole words, one after the other: ``[n_words, lanes]``."""
        n_words = [-(-vector.size // self.lanes) for vector in vectors]
        words = np.zeros(sum(n_words) * self.lanes, vectors[0].dtype)
        first = 0
        for vector, n in zip(vectors, n_words, strict=True):
            words[first : first + vector.size] = vector
            first += n * self.lanes
        return words.reshape(-1, self.lanes)

    def check_result(self, result: Result) -> None:
        """Compares the next result that the host got; results come after their image's check."""
        image = self.checked_results
        want = self.results.popleft()
        for name in ("predicted", "label", "trained", "skipped"):
            expected, got = getattr(want, name), getattr(result, name)
            if expected != got:
                raise Mismatch(image, "result", name, expected, got)
        if not np.array_equal(want.outputs, result.outputs):
            raise Mismatch(image, "result", "outputs", list(want.outputs), list(result.outputs))
        self.checked_results += 1

    def equal_counters(
        self, activities: type[enum.IntEnum], expected: npt.NDArray[np.int64], got: Sequence[int]
    ) -> None:
        """Compares the totals of all activity counters, int64 ``[len(activities)]``."""
        for activity in activities:
            self.equal(
                "cycles",
                "counters",
                activity.name.lower(),
                int(expected[activity]),
                int(got[activity]),
            )
