"""Configuration of in-situ learning systems."""

from dataclasses import replace

import pytest

from model.configurations import li_mlp, li_mlp_large, tiny_in_situ
from model.in_situ.config import (
    ArrayConfig,
    ConverterConfig,
    DeviceConfig,
    GateConfig,
    InSituConfig,
    NetworkConfig,
    TrainingConfig,
    UpdateConfig,
)
from model.settings import ConfigError


def test_paper():
    assert li_mlp.network.layers == (64, 54, 10)
    assert (li_mlp.array.rows, li_mlp.array.cols) == (128, 64)
    # 7,992 of the array's 8,192 devices: Li 2018, Methods.
    layers = range(li_mlp.network.n_layers)
    assert sum(li_mlp.network.n_rows(k) * li_mlp.network.n_cols(k) for k in layers) == 7992
    layers = range(li_mlp_large.network.n_layers)
    large = li_mlp_large.network
    assert sum(large.n_rows(k) * large.n_cols(k) for k in layers) == 495_976
    assert li_mlp.training.images // li_mlp.update.batch == 1600


def test_addresses():
    assert (li_mlp.unit_words(0), li_mlp.unit_words(1)) == (2, 1)
    assert (li_mlp.input_words(0), li_mlp.input_words(1)) == (2, 2)
    assert li_mlp.gradient_base(1) == 128
    assert li_mlp.gradient_depth == 128 + 54
    assert tiny_in_situ.unit_words(0) == 3


def test_gradient_bits_hold_a_batch():
    largest = 255 * 255 * li_mlp.update.batch
    assert li_mlp.gradient_bits == 23
    assert largest < 2 ** (li_mlp.gradient_bits - 1)
    # Gradient times mantissa stays within the 64 bits of the model, and 31 bits and sign here.
    assert largest * 255 < 2**31


def test_gate_fixed_point():
    gate = GateConfig()
    assert (gate.low, gate.initial, gate.high) == (60 * 256, 100 * 256, 170 * 256)
    assert gate.word_bits == 16


def test_rate_falls_to_zero():
    n_updates = li_mlp.training.images // li_mlp.update.batch
    left = li_mlp.update.rate_start - n_updates * li_mlp.rate_decay(n_updates)
    assert 0 <= left < n_updates
    assert li_mlp.rate_decay(0) == li_mlp.update.rate_start


def test_volts_per_gradient():
    config = replace(li_mlp, update=replace(li_mlp.update, rate_start=2**24 - 1, shifts=(10, 9)))
    # 255 * 255 * 50 * 255 / 2**10 / 256 steps of 10 mV.
    assert config.volts_per_gradient(0) == pytest.approx(31.63, abs=0.01)
    assert config.volts_per_gradient(1) == 2 * config.volts_per_gradient(0)


def test_softmax_lsb():
    assert ConverterConfig(output_full_scale_a=64e-6).softmax_lsb == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: NetworkConfig(layers=(5,)), "must name 2 to 4"),
        (lambda: NetworkConfig(layers=(5, 0, 2)), "between 1 and 2048, not 0"),
        (lambda: NetworkConfig(layers=(5, 300)), r"\(classes\) must be between 2 and 256"),
        (lambda: ArrayConfig(segment_ohm=-1.0), "segment_ohm must be between"),
        (lambda: ArrayConfig(read_voltage_v=0.0), "read_voltage_v must be positive"),
        (lambda: ConverterConfig(adc_bits=9), "adc_bits must be between 3 and 8"),
        (lambda: ConverterConfig(output_full_scale_a=float("nan")), "must be positive, not nan"),
        (lambda: UpdateConfig(lanes=12), "must be a power of two"),
        (lambda: UpdateConfig(rate_start=2**24), "rate_start must be between"),
        (lambda: UpdateConfig(shifts=(32, 1)), "shifts must be between 0 and 31"),
        (lambda: GateConfig(code_max=255), "code_max must be between 60 and 254"),
        (lambda: GateConfig(code_initial=59), "code_initial must be between 60 and 170"),
        (lambda: GateConfig(fraction_bits=0), "fraction_bits must be between 1"),
        (lambda: DeviceConfig(stuck_off_fraction=0.6, stuck_on_fraction=0.5), "at most 1, not 1.1"),
        (lambda: DeviceConfig(reset_us=2001.0), "reset_us must be between"),
        (lambda: TrainingConfig(crop=29), "crop must be between 1 and 28"),
    ],
)
def test_wrong_section(change, message):
    with pytest.raises(ConfigError, match=message):
        change()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array": ArrayConfig(rows=127)}, "needs 128 rows and 64 columns"),
        ({"array": ArrayConfig(cols=63)}, "needs 128 rows and 64 columns"),
        ({"update": UpdateConfig(shifts=(1,))}, "one entry for each of the 2 weight layers, not 1"),
        ({"training": TrainingConfig(images=75)}, "images must be a multiple of update.batch = 50"),
        ({"training": TrainingConfig(curve_images=75)}, "curve_images must be a multiple"),
        ({"name": "a b"}, "name must be letters"),
        ({"clock_period_s": 0.0}, "clock_period_s must be positive"),
    ],
)
def test_wrong_whole(changes, message):
    with pytest.raises(ConfigError, match=message):
        InSituConfig(**changes)


def test_too_many_words():
    with pytest.raises(ConfigError, match="at most 256 words"):
        InSituConfig(
            network=NetworkConfig(layers=(2048, 10)),
            array=ArrayConfig(rows=4096),
            update=UpdateConfig(lanes=4, shifts=(1,)),
        )
