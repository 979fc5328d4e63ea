"""Configurations that put every corner of the sizes in front of the tests of the CNN's gateware."""

from dataclasses import replace

from model.cnn.config import (
    CnnArrayConfig,
    CnnConfig,
    CnnNetworkConfig,
    ReplicaConfig,
    ReplicaMode,
    RequantiserConfig,
    WriteConfig,
)
from model.configurations import tiny_cnn

__all__ = ["VARIANTS"]

# An ADC a line: plus and minus are sampled in the same cycle. One chunk: a product takes
# eight cycles.
adc_a_line = replace(
    tiny_cnn,
    name="adc_a_line",
    network=CnnNetworkConfig(
        height=6,
        width=5,
        channels=1,
        kernels=(3,),
        outputs=(3,),
        strides=(2,),
        pools=(2,),
        classes=3,
    ),
    array=CnnArrayConfig(n_inputs=12, n_lines=6, lines_per_adc=1, adc_bits=6),
    write=WriteConfig(margin_us=1.25),
)
bands = replace(adc_a_line.network, pools=(1,))

VARIANTS: dict[str, CnnConfig] = {
    config.name: config
    for config in (
        tiny_cnn,
        adc_a_line,
        # Three lines an ADC, slow conversions, wide codes, kernel of one pixel, a last step that
        # only some tiles need.
        replace(
            tiny_cnn,
            name="odd",
            network=CnnNetworkConfig(
                height=5,
                width=6,
                channels=5,
                kernels=(2, 1),
                outputs=(5, 3),
                strides=(1, 2),
                pools=(1, 3),
                classes=2,
            ),
            array=CnnArrayConfig(
                n_inputs=4, n_lines=20, lines_per_adc=3, conversion_cycles=2, adc_bits=10
            ),
            requantiser=RequantiserConfig(multiplier_bits=11),
            write=WriteConfig(set_cycles=1, reset_cycles=3, gap_cycles=2, max_pulses=3),
        ),
        replace(adc_a_line, name="two_bands", network=bands, replicas=ReplicaConfig(n=2)),
        replace(
            adc_a_line,
            name="two_images",
            replicas=ReplicaConfig(n=2, mode=ReplicaMode.IMAGES),
        ),
    )
}
