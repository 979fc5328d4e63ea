"""Configurations that put every corner of the sizes in front of the gateware tests."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from model.config import ArrayConfig, Config, ConverterConfig, NetworkConfig
from model.configurations import tiny_mca

__all__ = ["VARIANTS", "words"]

VARIANTS: dict[str, Config] = {
    config.name: config
    for config in (
        tiny_mca,
        # Both input vectors fill their words: the bias has a word of its own.
        replace(tiny_mca, name="full_words", network=NetworkConfig(layers=(16, 8, 3))),
        # 3 x 3 tiles in the first layer, none a divisor of the width.
        replace(
            tiny_mca,
            name="tiled",
            array=ArrayConfig(
                max_rows=8, max_cols=4, integration_cycles=3, read_integration_cycles=2
            ),
        ),
        replace(tiny_mca, name="adc_10", converter=ConverterConfig(adc_bits=10)),
        replace(tiny_mca, name="adc_5", converter=ConverterConfig(adc_bits=5)),
        replace(tiny_mca, name="three_layers", network=NetworkConfig(layers=(11, 17, 7, 5))),
    )
}


def words(values: Iterable[Any], lanes: int, field: str) -> list[dict[str, Any]]:
    """A vector as stream payloads ``{field: [lanes values], "last": 0 or 1}``, zero padded."""
    vector = [int(value) for value in values]
    vector += [0] * (-len(vector) % lanes)
    count = len(vector) // lanes
    return [
        {field: vector[k * lanes : (k + 1) * lanes], "last": int(k == count - 1)}
        for k in range(count)
    ]
