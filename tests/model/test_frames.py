"""Frames: what goes out comes back, and what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest

from model.config import Config, NetworkConfig
from model.configurations import mca_mlp, tiny_mca
from model.frames import (
    FrameError,
    frame_error,
    image_frame,
    parse_result,
    predicted_class,
    result_frame,
)


def sized(*layers: int) -> Config:
    return replace(tiny_mca, network=NetworkConfig(layers=layers))


@pytest.mark.parametrize(
    ("config", "n_beats"),
    [(mca_mlp, 26), (tiny_mca, 4), (sized(16, 4), 3), (sized(1, 2), 2), (sized(17, 4), 4)],
)
def test_image_frame(config: Config, n_beats: int) -> None:
    n_inputs = config.network.layers[0]
    pixels = np.random.default_rng(1).integers(1, 256, n_inputs).astype(np.uint8)
    frame = image_frame(pixels, 1, config)
    assert frame.shape == (n_beats, config.update.lanes)
    assert frame.dtype == np.uint8
    flat = frame[:-1].reshape(-1)
    assert np.array_equal(flat[:n_inputs], pixels)
    assert not flat[n_inputs:].any()
    assert frame[-1].tolist() == [1] + [0] * (config.update.lanes - 1)
    assert frame_error(frame, config) is None


def test_image_frame_wrong() -> None:
    with pytest.raises(ValueError, match="An image must have 20 pixels, not shape"):
        image_frame(np.zeros(21, np.uint8), 0, tiny_mca)
    for label in (-1, 4):
        with pytest.raises(ValueError, match=f"between 0 and 3, not {label}"):
            image_frame(np.zeros(20, np.uint8), label, tiny_mca)


def test_frame_error_judges_length_before_label() -> None:
    frame = image_frame(np.zeros(20, np.uint8), 3, tiny_mca)
    assert frame_error(frame[:-1], tiny_mca) is FrameError.SHORT_FRAME
    assert frame_error(frame[:1], tiny_mca) is FrameError.SHORT_FRAME
    assert frame_error(np.concatenate([frame, frame]), tiny_mca) is FrameError.LONG_FRAME
    frame[-1, 0] = 4
    assert frame_error(frame, tiny_mca) is FrameError.BAD_LABEL
    assert frame_error(frame[1:], tiny_mca) is FrameError.SHORT_FRAME
    assert frame_error(np.concatenate([frame, frame]), tiny_mca) is FrameError.LONG_FRAME


@pytest.mark.parametrize("config", [mca_mlp, tiny_mca, sized(5, 8), sized(5, 200)])
@pytest.mark.parametrize(("trained", "skipped"), [(False, False), (True, False), (True, True)])
def test_result_round_trip(config: Config, trained: bool, skipped: bool) -> None:
    n_outputs = config.network.layers[-1]
    outputs = np.random.default_rng(2).integers(0, 256, n_outputs).astype(np.uint8)
    frame = result_frame(outputs, n_outputs - 1, config, trained=trained, skipped=skipped)
    result = parse_result(frame, config)
    assert np.array_equal(result.outputs, outputs)
    assert result.predicted == outputs.tolist().index(max(outputs.tolist()))
    assert (result.label, result.trained, result.skipped) == (n_outputs - 1, trained, skipped)


def test_predicted_class_is_the_lowest_of_equals() -> None:
    assert predicted_class(np.array([1, 9, 9, 3], np.uint8)) == 1
    assert predicted_class(np.zeros(4, np.uint8)) == 0


def test_parse_result_wrong_size() -> None:
    with pytest.raises(ValueError, match="A result must have 2 beats of 8 bytes"):
        parse_result(np.zeros((3, 8), np.uint8), tiny_mca)
