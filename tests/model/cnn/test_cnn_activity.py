"""What images cause: counted phase by phase in the trace, and by the fast way."""

from collections import Counter

import numpy as np
import pytest

from model.cnn.activity import activity_names, unit_activity
from model.cnn.config import ReplicaMode
from model.cnn.cycles import image_cycles
from model.cnn.inference_unit import trace_image
from tests.hw.cnn.cnn_configs import VARIANTS
from tests.hw.cnn.cnn_sim import random_images, random_unit


@pytest.mark.parametrize("name", VARIANTS)
def test_as_the_trace(name: str) -> None:
    config = VARIANTS[name]
    unit, images = random_unit(config, 7), random_images(config, 7, 4)
    found = unit_activity(unit, images)
    assert list(found) == list(activity_names(config))
    whole = config.replicas.mode is ReplicaMode.IMAGES
    expected = Counter[str]()
    for k, image in enumerate(images):
        trace = trace_image(unit, image, k % config.replicas.n if whole else None)
        for layer, one in enumerate(trace.layers):
            if layer < config.n_conv:
                expected[f"words_{layer}"] += one.pooled.shape[0] * one.pooled.shape[1]
            for patch, replica in enumerate(one.replicas):
                array = config.array_index(int(replica), layer)
                expected[f"patches_{array}"] += 1
                expected[f"lines_{array}"] += int(one.drives[patch].sum())
                expected[f"phases_{array}"] += one.drives[patch].shape[0] * 8
                expected[f"conversions_{array}"] += one.codes[patch].size
    for kind in ("words", "patches", "lines", "phases", "conversions"):
        for key in (key for key in activity_names(config) if key.startswith(kind)):
            assert found[key] == expected[key], key
    cycles = image_cycles(config)
    if len(images) % cycles.images == 0:
        groups = len(images) // cycles.images
        assert sum(found[f"cycles_{k}"] for k in range(config.n_layers)) == groups * cycles.total
    assert found["images"] == 4
    assert found["set_pulses"] == 0
    assert np.all([value >= 0 for value in found.values()])
