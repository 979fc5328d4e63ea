"""Frames at the edge of a unit: what plays images to it and records its results, as records."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.bench import Field, Player, Probe
from cocotb_tests.signals import unpack_signed, unpack_unsigned

__all__ = ["IMAGE_PLAYER", "FrameProbes", "result_probe"]

IMAGE_PLAYER = Player(
    name="images",
    valid="s_axis_image__tvalid",
    ready="s_axis_image__tready",
    data=("s_axis_image__tdata", "s_axis_image__tlast"),
)


def result_probe(lanes: int) -> Probe:
    """Records the beats of results."""
    return Probe(
        name="results",
        strobe="m_axis_result__tvalid & m_axis_result__tready",
        fields=(Field(expression="m_axis_result__tdata", width=8 * lanes),),
    )


class FrameProbes:
    """Packs and unpacks the records of words of ``lanes`` elements, and of frames."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes

    def activations(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
        """uint8 ``[n_words, lanes]``."""
        return self.vectors(records, 8, signed=False)

    def results(self, records: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """uint8 ``[n_beats, lanes]``."""
        return np.ascontiguousarray(records).view(np.uint8)[:, : self.lanes]

    def image_records(self, beats: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
        """An image frame, uint8 ``[n_beats, lanes]``, for the player of images."""
        n_words = -(-self.lanes // 4)
        records = np.zeros((len(beats), n_words + 1), np.uint32)
        records[:, :n_words].view(np.uint8)[:, : self.lanes] = beats
        records[-1, n_words] = 1
        return records

    def vectors(
        self,
        records: npt.NDArray[np.uint32],
        bits: int,
        *,
        signed: bool,
        n: int | None = None,
        first_bit: int = 0,
    ) -> npt.NDArray[Any]:
        """The vectors of ``n`` elements, ``lanes`` if not given, that begin at a bit of each
        record: ``[n_records, n]``."""
        n = self.lanes if n is None else n
        raw = np.ascontiguousarray(records).view(np.uint8)
        if first_bit % 8 == 0 and bits == 8:
            vectors = raw[:, first_bit // 8 : first_bit // 8 + n]
            return vectors.view(np.int8) if signed else vectors
        planes = np.unpackbits(raw, axis=1, bitorder="little")
        planes = planes[:, first_bit : first_bit + bits * n]
        packed = np.packbits(planes.reshape(-1), bitorder="little").tobytes()
        unpack = unpack_signed if signed else unpack_unsigned
        return unpack(packed, len(records) * n, bits).reshape(len(records), n)
