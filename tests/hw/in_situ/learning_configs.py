"""Configurations that make the whole in-situ learning unit do everything within a few images."""

from dataclasses import replace

from model.configurations import tiny_in_situ
from model.in_situ.config import (
    ArrayConfig,
    ConverterConfig,
    DeviceConfig,
    GateConfig,
    InSituConfig,
    NetworkConfig,
    PulseConfig,
    UpdateConfig,
)

__all__ = ["UNITS", "eager"]

eager = replace(
    tiny_in_situ,
    name="eager",
    # Two words of every vector but the outputs', none of them full.
    network=NetworkConfig(layers=(6, 5, 3)),
    array=ArrayConfig(rows=24, cols=24, settle_cycles=2, convert_cycles=1),
    # Codes of all sizes, a few of them saturated, and outputs of which some are certain.
    converter=ConverterConfig(
        hidden_full_scale_a=1e-4, output_full_scale_a=2e-5, backward_full_scale_a=2e-5
    ),
    # High rates: most gates move in every batch, some to the clamps.
    update=UpdateConfig(lanes=4, batch=4, shifts=(8, 8)),
    pulse=PulseConfig(set_cycles=3, reset_cycles=2, gap_cycles=1),
)
"""Saturation, skipped images, RESET and SET pulses, clamped gates, all within a few images."""

UNITS: dict[str, InSituConfig] = {
    config.name: config
    for config in (
        tiny_in_situ,
        eager,
        replace(
            eager,
            name="one_layer",
            network=NetworkConfig(layers=(11, 5)),
            update=replace(eager.update, shifts=(12,)),
        ),
        replace(
            eager,
            name="three_layers",
            network=NetworkConfig(layers=(9, 7, 6, 3)),
            converter=replace(eager.converter, hidden_full_scale_a=2e-5),
            update=replace(eager.update, shifts=(9, 9, 9)),
        ),
        # Every vector fills its words.
        replace(eager, name="full_words", network=NetworkConfig(layers=(8, 4, 4))),
        # More classes than lanes: the softmax sends several words.
        replace(eager, name="many_classes", network=NetworkConfig(layers=(5, 3, 9))),
        replace(eager, name="batch_of_one", update=replace(eager.update, batch=1)),
        replace(
            eager,
            name="narrow_codes",
            converter=replace(eager.converter, adc_bits=5, relu_shift=4),
        ),
        replace(
            eager,
            name="coarse_gates",
            gate=GateConfig(fraction_bits=1, code_min=95, code_max=105),
            update=replace(eager.update, shifts=(18, 18), rate_bits=9, rate_start=511),
            pulse=PulseConfig(set_cycles=1, reset_cycles=4, gap_cycles=3),
        ),
        replace(
            eager,
            name="noisy",
            device=DeviceConfig(read_noise_us=3.0, stuck_on_fraction=0.1),
        ),
    )
}
"""Units of every shape, by name."""
