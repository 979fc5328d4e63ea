"""Frames: how an image and its label travel to the unit, and how its result comes back.

A frame is a sequence of beats of ``lanes`` bytes; the last beat has TLAST. Both kinds end in one
beat that is not data:

- image: ``ceil(n_inputs / lanes)`` beats of pixels, zero padded, then the label in byte 0;
- result: ``ceil(n_outputs / lanes)`` beats of output activations, zero padded, then predicted
  class, label and flags in bytes 0, 1 and 2.
"""

import enum
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "FrameError",
    "Result",
    "UnitSizes",
    "frame_error",
    "image_frame",
    "parse_result",
    "predicted_class",
    "result_frame",
]


class NetworkSizes(Protocol):
    """The network's part of :class:`UnitSizes`."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Units per layer, inputs first."""


class UpdateSizes(Protocol):
    """The update's part of :class:`UnitSizes`."""

    @property
    def lanes(self) -> int:
        """Elements of a word."""


class ConverterSizes(Protocol):
    """The converter's part of :class:`UnitSizes`."""

    @property
    def adc_bits(self) -> int:
        """Bits of a code."""


class UnitSizes(Protocol):
    """What blocks that several systems share ask of a configuration."""

    @property
    def network(self) -> NetworkSizes:
        """Layers."""

    @property
    def update(self) -> UpdateSizes:
        """Lanes."""

    @property
    def converter(self) -> ConverterSizes:
        """Codes."""

    def rows_to_words(self, n_rows: int, /) -> int:
        """Words of ``lanes`` that hold this many values."""


class FrameError(enum.IntEnum):
    """Why an image frame is dropped, by its bit in the error register."""

    SHORT_FRAME = 0
    LONG_FRAME = 1
    BAD_LABEL = 2

    @property
    def meaning(self) -> str:
        """A few words for the documentation."""
        return {
            FrameError.SHORT_FRAME: "TLAST before the label's beat",
            FrameError.LONG_FRAME: "no TLAST on the label's beat",
            FrameError.BAD_LABEL: "label not below the number of classes",
        }[self]


@dataclass(frozen=True)
class Result:
    """What the unit says about one image."""

    outputs: npt.NDArray[np.uint8]
    """Output activations, uint8 ``[n_outputs]``."""

    predicted: int
    """The class with the largest output, the lowest among equals."""

    label: int
    """The image's label, as it came."""

    trained: bool
    """The image was a training image."""

    skipped: bool
    """Its backward products and update were skipped."""


def _beats(values: npt.NDArray[np.uint8], trailer: list[int], lanes: int) -> npt.NDArray[np.uint8]:
    n_beats = -(-values.shape[0] // lanes)
    beats = np.zeros((n_beats + 1, lanes), np.uint8)
    beats[:n_beats].flat[: values.shape[0]] = values
    beats[n_beats, : len(trailer)] = trailer
    return beats


def image_frame(
    pixels: npt.NDArray[np.uint8], label: int, config: UnitSizes
) -> npt.NDArray[np.uint8]:
    """The beats of one image.

    ``pixels``: uint8 ``[n_inputs]``; ``label``: below the number of classes; returns uint8
    ``[n_beats, lanes]``.

    Raises
    ------
    ValueError
        If the number of pixels or the label does not fit the network.
    """
    n_inputs, n_classes = config.network.layers[0], config.network.layers[-1]
    if pixels.shape != (n_inputs,):
        raise ValueError(f"An image must have {n_inputs} pixels, not shape {pixels.shape}.")
    if not 0 <= label < n_classes:
        raise ValueError(f"A label must be between 0 and {n_classes - 1}, not {label}.")
    return _beats(pixels, [label], config.update.lanes)


def frame_error(beats: npt.NDArray[np.uint8], config: UnitSizes) -> FrameError | None:
    """Why the unit drops a frame, or None if it takes it.

    ``beats``: uint8 ``[n_beats, lanes]``, at least one, TLAST on the last. The number of beats is
    judged before the label, so that a frame has at most one error.
    """
    n_beats = config.rows_to_words(config.network.layers[0]) + 1
    if beats.shape[0] < n_beats:
        return FrameError.SHORT_FRAME
    if beats.shape[0] > n_beats:
        return FrameError.LONG_FRAME
    return FrameError.BAD_LABEL if beats[-1, 0] >= config.network.layers[-1] else None


def predicted_class(outputs: npt.NDArray[np.uint8]) -> int:
    """``argmax(outputs)``, the lowest index among equals. ``outputs``: uint8 ``[n_outputs]``."""
    return int(np.argmax(outputs))


def result_frame(
    outputs: npt.NDArray[np.uint8], label: int, config: UnitSizes, *, trained: bool, skipped: bool
) -> npt.NDArray[np.uint8]:
    """The beats of one result; the inverse of :func:`parse_result`.

    ``outputs``: uint8 ``[n_outputs]``; returns uint8 ``[n_beats, lanes]``.
    """
    trailer = [predicted_class(outputs), label, trained | skipped << 1]
    return _beats(outputs, trailer, config.update.lanes)


def parse_result(beats: npt.NDArray[np.uint8], config: UnitSizes) -> Result:
    """The fields of one result frame.

    ``beats``: uint8 ``[n_beats, lanes]``, TLAST on the last.

    Raises
    ------
    ValueError
        If the number of beats is not that of a result of this network.
    """
    n_outputs, lanes = config.network.layers[-1], config.update.lanes
    n_beats = config.rows_to_words(n_outputs) + 1
    if beats.shape != (n_beats, lanes):
        raise ValueError(f"A result must have {n_beats} beats of {lanes} bytes, not {beats.shape}.")
    predicted, label, flags = (int(value) for value in beats[-1, :3])
    return Result(
        outputs=beats[:-1].reshape(-1)[:n_outputs].copy(),
        predicted=predicted,
        label=label,
        trained=bool(flags & 1),
        skipped=bool(flags & 2),
    )
