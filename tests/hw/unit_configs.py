"""Configurations that make the whole unit do everything within a few images."""

from dataclasses import replace

from model.config import (
    ArrayConfig,
    Config,
    ConverterConfig,
    NetworkConfig,
    PulseConfig,
    RefreshConfig,
    ScalePolicy,
    SkipPolicy,
    UpdateConfig,
)
from model.configurations import tiny_mca

__all__ = ["UNITS", "busy", "overlapped"]

busy = replace(
    tiny_mca,
    name="busy",
    # Two words of every activation vector, none of them full. So few rows that refresh reaches
    # the second layer with the eighth image.
    network=NetworkConfig(layers=(6, 5, 3)),
    # 2 x 2 tiles in the first layer, 2 x 1 in the second.
    array=ArrayConfig(max_rows=4, max_cols=3, integration_cycles=6, read_integration_cycles=4),
    # Strong weights: the sums of tiles saturate, and so do the outputs, so that errors vanish.
    converter=ConverterConfig(weight_us=2.0, forward_full_scale=16.0),
    # A high rate: many updates cross the threshold at once, in both directions.
    update=UpdateConfig(
        lanes=4,
        learning_rate_log2=3,
        decay_log2=2,
        crowded_codes=2,
        skip_policy=SkipPolicy.ZERO_CODES,
    ),
    # Two slots: the update stalls.
    pulse=PulseConfig(set_cycles=2, reset_cycles=3, gap_cycles=1, queue_depth=2),
    # Devices count as saturated from their initial values on, some pairs with a difference.
    refresh=RefreshConfig(saturated_us=2.0, difference_us=3.0),
)
"""Tiles, saturation, stalls, pulses, refresh and skipping, all within a few images."""


def _overlapped(config: Config) -> Config:
    update = replace(config.update, overlap=True)
    return replace(config, name=f"{config.name}_overlapped", update=update)


overlapped = _overlapped(busy)
"""The same with each update beside the next forward pass."""

_PLAIN: dict[str, Config] = {
    config.name: config
    for config in (
        tiny_mca,
        busy,
        replace(
            busy,
            name="one_layer",
            network=NetworkConfig(layers=(11, 5)),
            converter=ConverterConfig(forward_full_scale=2.0),
        ),
        replace(
            busy,
            name="three_layers",
            network=NetworkConfig(layers=(11, 9, 6, 3)),
            converter=ConverterConfig(forward_full_scale=2.0, backward_full_scale=0.5),
        ),
        # Both input vectors fill their words: the bias has a word of its own.
        replace(busy, name="full_words", network=NetworkConfig(layers=(8, 4, 3))),
        replace(busy, name="adc_6", converter=replace(busy.converter, adc_bits=6)),
        # The scale falls only, and fast.
        replace(
            busy, name="fast_decay", update=replace(busy.update, decay_log2=1, crowded_codes=0)
        ),
        replace(busy, name="own_scale", update=replace(busy.update, scale_policy=ScalePolicy.OWN)),
        replace(
            busy, name="never_skips", update=replace(busy.update, skip_policy=SkipPolicy.NEVER)
        ),
        replace(
            busy,
            name="zero_error",
            converter=replace(busy.converter, weight_us=0.5),
            update=replace(busy.update, skip_policy=SkipPolicy.ZERO_ERROR),
        ),
        replace(busy, name="no_refresh", refresh=RefreshConfig(interval=0)),
        replace(busy, name="every_third", refresh=replace(busy.refresh, interval=3)),
        replace(busy, name="periodic", refresh=replace(busy.refresh, interval=2, rows=0)),
        # A coarse chi of 12 bits: small updates are dropped, the others clamped.
        replace(
            busy,
            name="narrow_chi",
            update=replace(busy.update, chi_bits=12, epsilon_log2=8, learning_rate_log2=1),
        ),
        # Every product is longer than any update: pulses wait for the window.
        replace(
            busy, name="slow_array", array=ArrayConfig(integration_cycles=60, columns_per_adc=4)
        ),
    )
}

_WITH_OVERLAP = (
    "tiny_mca",
    "busy",
    "one_layer",
    "three_layers",
    "never_skips",
    "periodic",
    "slow_array",
)

UNITS: dict[str, Config] = _PLAIN | {
    config.name: config for config in (_overlapped(_PLAIN[name]) for name in _WITH_OVERLAP)
}
"""Units of every shape and policy, by name."""
