"""Configuration: what is refused and why, derived numbers by hand, TOML there and back."""

import dataclasses
import math
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import (
    ArrayConfig,
    ChiProtection,
    Config,
    ConfigError,
    ConverterConfig,
    DeviceConfig,
    NetworkConfig,
    PulseConfig,
    RefreshConfig,
    ScalePolicy,
    SkipPolicy,
    TrainingConfig,
    UpdateConfig,
    from_toml,
    to_toml,
)
from model.configurations import CONFIGURATIONS, mca_mlp, of_system, parse, tiny_mca
from model.settings import System

WRONG: list[tuple[type, str, Any, str]] = [
    (NetworkConfig, "layers", (5,), r"network\.layers must name 2 to 4 .* not 1\."),
    (NetworkConfig, "layers", (5, 4, 3, 2, 2), r"network\.layers must name 2 to 4 .* not 5\."),
    (NetworkConfig, "layers", (0, 4), r"between 1 and 4096, not 0\."),
    (NetworkConfig, "layers", (4, -1, 4), r"between 1 and 4096, not -1\."),
    (NetworkConfig, "layers", (4097, 4), r"between 1 and 4096, not 4097\."),
    (NetworkConfig, "layers", (4, 1), r"\(classes\) must be between 2 and 256, not 1\."),
    (NetworkConfig, "layers", (4, 257), r"\(classes\) must be between 2 and 256, not 257\."),
    (ArrayConfig, "max_rows", 1, r"array\.max_rows must be between 2 and 4096, not 1\."),
    (ArrayConfig, "max_cols", 4097, r"array\.max_cols must be between 2 and 4096, not 4097\."),
    (ArrayConfig, "integration_cycles", 0, r"array\.integration_cycles .* not 0\."),
    (ArrayConfig, "conversion_cycles", 0, r"array\.conversion_cycles .* not 0\."),
    (ArrayConfig, "columns_per_adc", 65, r"array\.columns_per_adc .* not 65\."),
    (ArrayConfig, "read_integration_cycles", 0, r"array\.read_integration_cycles .* not 0\."),
    (ConverterConfig, "adc_bits", 2, r"converter\.adc_bits must be between 3 and 12, not 2\."),
    (ConverterConfig, "adc_bits", 13, r"converter\.adc_bits must be between 3 and 12, not 13\."),
    (ConverterConfig, "weight_us", 0.0, r"converter\.weight_us must be positive, not 0\.0\."),
    (ConverterConfig, "forward_full_scale", -1.0, r"forward_full_scale must be positive"),
    (ConverterConfig, "read_full_scale_us", math.inf, r"read_full_scale_us must be positive"),
    (ConverterConfig, "backward_full_scale", math.nan, r"backward_full_scale must be positive"),
    (ConverterConfig, "backward_full_scale", 3.0, r"power of two between 0\.25 and 64, not 3\.0"),
    (ConverterConfig, "backward_full_scale", 128.0, r"power of two .* not 128\.0\."),
    (UpdateConfig, "lanes", 12, r"update\.lanes must be a power of two .* not 12\."),
    (UpdateConfig, "lanes", 2, r"update\.lanes must be a power of two .* not 2\."),
    (UpdateConfig, "lanes", 256, r"update\.lanes must be a power of two .* not 256\."),
    (UpdateConfig, "lanes", 0, r"update\.lanes must be a power of two .* not 0\."),
    (UpdateConfig, "lanes", -8, r"update\.lanes must be a power of two .* not -8\."),
    (UpdateConfig, "chi_bits", 7, r"update\.chi_bits must be between 8 and 32, not 7\."),
    (UpdateConfig, "chi_bits", 33, r"update\.chi_bits must be between 8 and 32, not 33\."),
    (UpdateConfig, "epsilon_log2", -1, r"update\.epsilon_log2 must be between 2 and 28, not -1\."),
    (UpdateConfig, "epsilon_log2", 29, r"update\.epsilon_log2 must be between 2 and 28, not 29\."),
    (UpdateConfig, "epsilon_weight", -0.1, r"update\.epsilon_weight must be positive, not -0\.1\."),
    (UpdateConfig, "epsilon_weight", math.nan, r"update\.epsilon_weight must be positive"),
    (UpdateConfig, "learning_rate_log2", 9, r"update\.learning_rate_log2 .* not 9\."),
    (UpdateConfig, "decay_log2", 0, r"update\.decay_log2 .* not 0\."),
    (UpdateConfig, "strip_columns", -1, r"update\.strip_columns .* not -1\."),
    (UpdateConfig, "crowded_codes", -1, r"update\.crowded_codes .* not -1\."),
    (PulseConfig, "set_cycles", 0, r"pulse\.set_cycles .* not 0\."),
    (PulseConfig, "reset_cycles", 65536, r"pulse\.reset_cycles .* not 65536\."),
    (PulseConfig, "gap_cycles", 0, r"pulse\.gap_cycles .* not 0\."),
    (PulseConfig, "timeout_cycles", 1, "between 2 and"),
    (PulseConfig, "queue_depth", 1, r"pulse\.queue_depth must be between 2 and 1024, not 1\."),
    (RefreshConfig, "interval", -1, r"refresh\.interval .* not -1\."),
    (RefreshConfig, "rows", 2, r"refresh\.rows must be between 0 and 1, not 2\."),
    (RefreshConfig, "saturated_us", -1.0, r"refresh\.saturated_us .* not -1\.0\."),
    (RefreshConfig, "difference_us", math.nan, r"refresh\.difference_us .* not nan\."),
    (RefreshConfig, "max_set_pulses", 8, r"refresh\.max_set_pulses .* not 8\."),
    (RefreshConfig, "set_step_us", 0.0, r"refresh\.set_step_us must be positive, not 0\.0\."),
    (RefreshConfig, "set_step_us", math.inf, r"refresh\.set_step_us must be positive, not inf\."),
    (DeviceConfig, "mean_slope", math.inf, r"device\.mean_slope must be finite, not inf\."),
    (DeviceConfig, "history_pulses", 0.0, r"device\.history_pulses must be positive, not 0\.0\."),
    (DeviceConfig, "initial_age_s", 0.0, r"device\.initial_age_s must be positive, not 0\.0\."),
    (DeviceConfig, "drift_t0_s", -1.0, r"device\.drift_t0_s must be positive, not -1\.0\."),
    (DeviceConfig, "g_min_us", -0.1, r"device\.g_min_us must be at least 0 and below"),
    (DeviceConfig, "g_max_us", 0.1, r"device\.g_min_us must be at least 0 and below"),
    (DeviceConfig, "stuck_fraction", 1.1, r"device\.stuck_fraction .* not 1\.1\."),
    (DeviceConfig, "drift_nu", 1.5, r"device\.drift_nu .* not 1\.5\."),
    (DeviceConfig, "noise_slope", -0.1, r"device\.noise_slope must not be negative, not -0\.1\."),
    (DeviceConfig, "noise_offset_us", -0.1, r"device\.noise_offset_us must not be negative"),
    (DeviceConfig, "reset_mean_us", -0.1, r"device\.reset_mean_us must not be negative"),
    (DeviceConfig, "reset_std_us", -0.1, r"device\.reset_std_us must not be negative"),
    (DeviceConfig, "reset_min_us", -0.1, r"device\.reset_min_us must not be negative"),
    (DeviceConfig, "initial_std_us", -0.1, r"device\.initial_std_us must not be negative"),
    (DeviceConfig, "stuck_us", -0.1, r"device\.stuck_us must not be negative"),
    (DeviceConfig, "seconds_per_image", -1.0, r"device\.seconds_per_image must not be negative"),
    (TrainingConfig, "epochs", 0, r"training\.epochs .* not 0\."),
    (TrainingConfig, "rate_drops", (0.5, 1.5), r"training\.rate_drops .* not 1\.5\."),
    (Config, "name", "", r"name must be letters, digits and underscores, not ''\."),
    (Config, "name", "a b", r"name must be letters, digits and underscores, not 'a b'\."),
    (Config, "name", "../x", r"name must be letters, digits and underscores"),
    (Config, "name", "größe", r"name must be letters, digits and underscores"),
    (Config, "clock_period_s", 0.0, r"clock_period_s must be positive, not 0\.0\."),
    (Config, "clock_period_s", math.inf, r"clock_period_s must be positive, not inf\."),
]


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"), WRONG, ids=lambda v: getattr(v, "__name__", str(v))[:40]
)
def test_wrong_value(kind: type, name: str, value: Any, message: str) -> None:
    """One sentence, with what is allowed and what came."""
    with pytest.raises(ConfigError, match=message) as caught:
        kind(**{name: value})
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_every_number_is_validated() -> None:
    """A field that no case above touches must be named here, with its reason."""
    free = {
        # Any finite number is a device: `finite` is checked for all of them in one loop.
        *("mean_offset_us", "mean_history_us", "std_slope", "std_offset_us", "std_history_us"),
        "initial_mean_us",
        # Checked where it is used: the file may come later than the configuration.
        "model",
        # A flag: either value is right.
        "overlap",
    }
    touched = {(kind, name) for kind, name, _, _ in WRONG}
    for section in dataclasses.fields(Config):
        kind = typing.get_type_hints(Config)[section.name]
        if dataclasses.is_dataclass(kind):
            for item in dataclasses.fields(kind):
                is_enum = isinstance(item.default, ChiProtection | ScalePolicy | SkipPolicy)
                assert (kind, item.name) in touched or item.name in free or is_enum, item.name


def test_too_many_words() -> None:
    config = replace(tiny_mca, network=NetworkConfig(layers=(2046, 4)))
    assert config.n_words(0) == 256
    with pytest.raises(ConfigError, match=r"lanes = 8 is too few for the 2049 rows of layer 0"):
        replace(tiny_mca, network=NetworkConfig(layers=(2048, 4)))


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        mca_mlp.name = "other"  # type: ignore[misc]


def test_keyword_only() -> None:
    with pytest.raises(TypeError):
        NetworkConfig((784, 10))  # type: ignore[misc]


def test_derived_sizes_of_mca_mlp() -> None:
    """785-250-10 in words of 32: 25 words a hidden unit, 8 an output unit."""
    assert [mca_mlp.network.n_rows(k) for k in range(2)] == [785, 251]
    assert [mca_mlp.network.n_cols(k) for k in range(2)] == [250, 10]
    assert [mca_mlp.n_words(k) for k in range(2)] == [25, 8]
    assert [mca_mlp.chi_base(k) for k in range(3)] == [0, 6250, 6330]
    assert mca_mlp.chi_depth == 6330
    assert mca_mlp.pulse_queue_depth == 16 + 80
    assert [mca_mlp.activation_base(k) for k in range(2)] == [0, 25]
    assert (mca_mlp.row_tiles(0), mca_mlp.col_tiles(0)) == (1, 1)
    assert mca_mlp.array.mvm_cycles == 130
    assert mca_mlp.array.read_cycles == 64
    assert mca_mlp.converter.code_max == 127
    assert mca_mlp.converter.forward_lsb == 1 / 16
    assert mca_mlp.converter.backward_lsb_log2 == 2  # 512 / 128
    assert mca_mlp.update.shift_max == 19


def test_words_and_tiles() -> None:
    config = replace(
        tiny_mca,
        network=NetworkConfig(layers=(15, 16, 8)),
        array=replace(tiny_mca.array, max_rows=7, max_cols=8),
    )
    assert [config.rows_to_words(n) for n in (1, 7, 8, 9, 16, 17)] == [1, 1, 1, 2, 2, 3]
    assert [config.n_words(k) for k in range(2)] == [2, 3]  # 16 rows, 17 rows
    assert [config.row_tiles(k) for k in range(2)] == [3, 3]
    assert [config.col_tiles(k) for k in range(2)] == [2, 1]


@pytest.mark.parametrize("config", of_system(Config).values(), ids=of_system(Config))
def test_error_bounds(config: Config) -> None:
    """The widths hold the largest magnitudes, and no bit is wasted on either."""
    largest = max(config.output_error_max, config.hidden_error_max)
    assert 2 ** (config.error_bits - 2) <= largest < 2 ** (config.error_bits - 1)
    scaled = largest << config.error_exponent_max * (config.network.n_layers - 1)
    assert scaled < 2 ** (config.scale_bits - 1)
    assert config.scale_bits < 63  # the model computes in int64


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("rate_log2", [None, 0, -3])
def test_learning_rate(layer: int, rate_log2: int | None) -> None:
    """One update by real numbers: codes, scales and shift give rate x error x activation."""
    config = mca_mlp
    exponent = config.update.learning_rate_log2 if rate_log2 is None else rate_log2
    # A code of 1 with scale 2**ke is an error of 2**ke / 255**3 in the output layer; below, the
    # backward code multiplies it by its LSB and the derivative by 255**2 more.
    hops = config.network.n_layers - 1 - layer
    error = 2.0 ** (config.converter.backward_lsb_log2 * hops) / 255.0 ** (3 + 2 * hops)
    activation = 1 / 255
    step_lsb = 2.0 ** (config.update_exponent(layer) + exponent)
    step_weight = step_lsb * config.update.epsilon_weight / 2**config.update.epsilon_log2
    rate = config.learning_rate(layer, rate_log2)
    assert step_weight == pytest.approx(rate * error * activation)
    # The constant part is rounded to a power of two, so by half a binary order at most.
    assert 2**-0.5 <= rate / 2.0**exponent <= 2**0.5


# TOML


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_toml_there_and_back(config: System) -> None:
    assert parse(to_toml(config)) == config


@given(
    st.sampled_from([4, 8, 16, 32, 64, 128]),
    st.lists(st.integers(2, 200), min_size=2, max_size=4),
    st.floats(1e-12, 1e3),
    st.sampled_from(ScalePolicy),
    st.sampled_from(SkipPolicy),
    st.lists(st.floats(0, 1), max_size=5),
)
def test_toml_keeps_every_bit(
    lanes: int,
    layers: list[int],
    number: float,
    scale_policy: ScalePolicy,
    skip_policy: SkipPolicy,
    rate_drops: list[float],
) -> None:
    config = Config(
        name="a_1",
        clock_period_s=number,
        network=NetworkConfig(layers=tuple(layers)),
        update=UpdateConfig(
            lanes=lanes,
            epsilon_weight=number,
            scale_policy=scale_policy,
            skip_policy=skip_policy,
        ),
        training=TrainingConfig(rate_drops=tuple(rate_drops)),
    )
    assert from_toml(to_toml(config)) == config


def test_toml_changes_only_what_it_names() -> None:
    text = 'name = "mine"\n[update]\nlanes = 16\nscale_policy = "own"\n[device]\ndrift_nu = 0\n'
    config = from_toml(text, base=mca_mlp)
    expected = replace(
        mca_mlp,
        name="mine",
        update=replace(mca_mlp.update, lanes=16, scale_policy=ScalePolicy.OWN),
        device=replace(mca_mlp.device, drift_nu=0.0),
    )
    assert config == expected
    assert type(config.device.drift_nu) is float
    assert from_toml(text).training == Config().training


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lanes = 8", r"Unknown setting lanes; allowed here: name, clock_period_s, network"),
        ("[update]\nlane = 8", r"Unknown setting update\.lane; allowed here: lanes, strip_columns"),
        ("update = 3", r"update must be a table, not 3\."),
        ("[update]\nlanes = 8.0", r"update\.lanes must be a whole number, not 8\.0\."),
        ("[update]\nlanes = true", r"update\.lanes must be a whole number, not True\."),
        ('[update]\nlanes = "8"', r"update\.lanes must be a whole number, not '8'\."),
        ('[update]\nepsilon_weight = "x"', r"update\.epsilon_weight must be a number, not 'x'\."),
        ("[update]\nepsilon_weight = false", r"update\.epsilon_weight must be a number"),
        ("name = 3", r"name must be a text, not 3\."),
        ("[network]\nlayers = 5", r"network\.layers must be a list, not 5\."),
        ("[network]\nlayers = [5, 4.5]", r"network\.layers\[1\] must be a whole number, not 4\.5"),
        ('[update]\nscale_policy = "mine"', r"must be one of own, running, not 'mine'\."),
        ('[update]\nskip_policy = ""', r"must be one of never, zero_error, zero_codes, not ''\."),
        ("[update]\nlanes = 12", r"update\.lanes must be a power of two"),
        ("[update]\nepsilon_log2 = -3", r"update\.epsilon_log2 must be between 2 and 28, not -3"),
        ("[pulse]\ngap_cycles = nan", r"pulse\.gap_cycles must be a whole number, not nan\."),
        ("name = ", r"The configuration is not valid TOML: "),
    ],
)
def test_wrong_toml(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_toml(text)


def test_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read .*none\.toml: No such file or directory\."):
        from_toml(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"Cannot read .*: it is not UTF-8 text\."):
        from_toml(binary)
    with pytest.raises(ConfigError, match=r"Cannot read .*: Is a directory\."):
        from_toml(tmp_path)
