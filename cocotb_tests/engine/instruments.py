"""What the bench records inside an emitted training engine, and gives to it."""

import numpy as np
from numpy.typing import NDArray

from cocotb_tests.bench import Field, Instrument, MemoryProbe, Player, Probe
from hw.engine.layouts import image_word_layout
from hw.layouts import activation_word_layout
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig

__all__ = ["image_records", "instruments"]

COUNTER_BITS = 64


def instruments(config: EngineConfig) -> list[Instrument]:
    """Outputs and counters of every image; images to be played; weights and chi out."""
    found: list[Instrument] = [
        Probe(
            name="outputs",
            strobe="outputs__valid",
            fields=(
                Field(
                    expression="outputs__payload", width=activation_word_layout(config.unit).size
                ),
            ),
        ),
        Probe(
            name="counters",
            strobe="done",
            fields=(Field(expression="counters", width=COUNTER_BITS * len(EngineActivity)),),
        ),
        Player(name="images", valid="image__valid", ready="image__ready", data=("image__payload",)),
        MemoryProbe(
            name="weights",
            memory="dut.array.weights.mem",
            depth=config.weight_depth,
            width=config.weight_bits * config.lanes,
        ),
    ]
    if config.is_chi:
        unit = config.unit
        found.append(
            MemoryProbe(
                name="chi",
                memory="dut.chi_memory.rows.mem",
                depth=unit.chi_depth,
                width=unit.update.chi_bits * config.lanes,
            )
        )
    return found


def image_records(
    config: EngineConfig, images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> NDArray[np.uint32]:
    """All words of all images, for the player of images."""
    layout, lanes = image_word_layout(config), config.lanes
    n_words = -(-images.shape[1] // lanes)
    padded = np.zeros((len(images), n_words * lanes), np.uint8)
    padded[:, : images.shape[1]] = images
    n_bytes = 4 * -(-layout.size // 32)
    label_at, last_at = layout["label"].offset, layout["last"].offset
    raw = b"".join(
        (
            int.from_bytes(word.tobytes(), "little")
            | int(label) << label_at
            | (index == n_words - 1) << last_at
        ).to_bytes(n_bytes, "little")
        for image, label in zip(padded, labels, strict=True)
        for index, word in enumerate(image.reshape(n_words, lanes))
    )
    return np.frombuffer(raw, np.uint32).reshape(-1, n_bytes // 4)
