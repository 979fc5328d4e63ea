"""The named configurations: what commands, tests, documentation and the estimator choose from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from model.cnn.config import CnnArrayConfig, CnnConfig, CnnNetworkConfig, CnnTrainingConfig
from model.config import (
    ArrayConfig,
    Config,
    ConverterConfig,
    NetworkConfig,
    PulseConfig,
    SkipPolicy,
    TrainingConfig,
    UpdateConfig,
)
from model.engine.config import EngineConfig, UpdateRule
from model.in_situ import config as in_situ
from model.settings import ConfigError, System, SystemT, from_table, read_table, require, shown

__all__ = [
    "CONFIGURATIONS",
    "SYSTEMS",
    "fixed32",
    "li_mlp",
    "li_mlp_large",
    "load",
    "mca_mlp",
    "mixed4",
    "of_system",
    "parse",
    "tiny_cnn",
    "tiny_fixed32",
    "tiny_in_situ",
    "tiny_mca",
    "tiny_mixed4",
    "yao_cnn",
]

mca_mlp = Config(
    name="mca_mlp",
    converter=ConverterConfig(weight_us=12.0),
    update=UpdateConfig(strip_columns=6, crowded_codes=8, skip_policy=SkipPolicy.ZERO_CODES),
    training=TrainingConfig(rate_drops=(0.6, 0.8, 0.93)),
)
"""Nandakumar et al., Front. Neurosci. 14:406 (2020): 785-250-10 on PCM, chi accumulator, blind
single pulses.

At the unit's own pace conductances are read microseconds to seconds after their pulses, 1.2 to 2
times as high as the 38.6 s after which the paper's 8 uS a unit of weight was read. With 12 uS a
pulse is worth the paper's epsilon again. Strips, crowded codes and skipped images keep the update
short; all were chosen on held-out training images (docs/training.md).
"""

tiny_mca = Config(
    name="tiny_mca",
    network=NetworkConfig(layers=(20, 9, 4)),
    array=ArrayConfig(integration_cycles=16, read_integration_cycles=8),
    update=UpdateConfig(lanes=8),
    pulse=PulseConfig(set_cycles=5, reset_cycles=7, queue_depth=4),
    training=TrainingConfig(epochs=2),
)
"""The same system, small enough that a test simulates hundreds of images in seconds."""

yao_cnn = CnnConfig(name="yao_cnn")
"""Yao et al., Nature 577, 641 (2020): a five-layer CNN on eight 128 x 16 arrays of TaOx/HfOx RRAM,
15-level weights, replicated convolvers, hybrid training."""

tiny_cnn = CnnConfig(
    name="tiny_cnn",
    network=CnnNetworkConfig(
        height=9,
        width=7,
        channels=2,
        kernels=(2, 3),
        outputs=(3, 5),
        strides=(1, 1),
        pools=(2, 1),
        classes=4,
    ),
    array=CnnArrayConfig(n_inputs=9, n_lines=24),
    training=CnnTrainingConfig(epochs=1, batch=20, held_out=0, hybrid_iterations=4),
)
"""The same system, small, with several chunks, tiles and steps and a partial pooling window."""

li_mlp = in_situ.InSituConfig(name="li_mlp")
"""Li et al., Nat. Commun. 9, 2385 (2018): 64-54-10 on a 128 x 64 array of Ta/HfO2 devices behind
transistors, in-situ gradient descent with the two-pulse gate-voltage write, 11 % of the devices
stuck."""

li_mlp_large = in_situ.InSituConfig(
    name="li_mlp_large",
    network=in_situ.NetworkConfig(layers=(484, 502, 10)),
    array=in_situ.ArrayConfig(rows=1024, cols=512),
    converter=in_situ.ConverterConfig(hidden_full_scale_a=2e-3, output_full_scale_a=256e-6),
    update=in_situ.UpdateConfig(shifts=(14, 11)),
    training=in_situ.TrainingConfig(images=1_200_000, curve_images=60_000, crop=22),
)
"""The paper's simulated larger network: 484-502-10 on a 1024 x 512 array, 22 x 22 pixels, 1.2
million images. Full scales and rates are chosen on held-out training images, as for li_mlp."""

tiny_in_situ = in_situ.InSituConfig(
    name="tiny_in_situ",
    network=in_situ.NetworkConfig(layers=(16, 9, 4)),
    array=in_situ.ArrayConfig(rows=32, cols=16, settle_cycles=3, convert_cycles=1),
    converter=in_situ.ConverterConfig(hidden_full_scale_a=0.2e-3),
    update=in_situ.UpdateConfig(lanes=4, batch=5, shifts=(14, 8)),
    pulse=in_situ.PulseConfig(set_cycles=5, reset_cycles=7),
    training=in_situ.TrainingConfig(images=6_000, curve_images=2_000),
)
"""The same system, small enough that a test simulates hundreds of images in seconds."""

fixed32 = EngineConfig(name="fixed32")
"""The 32-bit fixed-point training engine that Nandakumar 2020 compares with, Table 1: 785-250-10,
all digital. Clock and lanes are inferred from its times, the rest is ours."""

mixed4 = EngineConfig(
    name="mixed4",
    update=UpdateRule.CHI,
    weight_bits=4,
    weight_lsb_log2=-3,
    single_port=False,
)
"""The all-digital mixed-precision engine of the same table: 4-bit weights, 8-bit activations and
errors, the update of the in-memory system. A weight's LSB is 1/8, near the paper's epsilon of
0.096; the learning rate is the best of three by the accuracy on training images before their
update."""

tiny_fixed32 = replace(
    fixed32, name="tiny_fixed32", network=NetworkConfig(layers=(20, 9, 4)), lanes=8, epochs=2
)
"""The same engine, small enough for a fast test."""

tiny_mixed4 = replace(
    mixed4, name="tiny_mixed4", network=NetworkConfig(layers=(20, 9, 4)), lanes=8, epochs=2
)
"""The same engine, small enough for a fast test."""

SYSTEMS: dict[str, type[System]] = {
    kind.system: kind for kind in (Config, CnnConfig, in_situ.InSituConfig, EngineConfig)
}
"""The class of the configurations of each system."""

CONFIGURATIONS: dict[str, System] = {
    config.name: config
    for config in (
        mca_mlp,
        tiny_mca,
        yao_cnn,
        tiny_cnn,
        li_mlp,
        li_mlp_large,
        tiny_in_situ,
        fixed32,
        tiny_fixed32,
        mixed4,
        tiny_mixed4,
    )
}
"""Every named configuration by its name."""


def of_system(kind: type[SystemT]) -> dict[str, SystemT]:
    """The named configurations of one system, by name."""
    return {name: config for name, config in CONFIGURATIONS.items() if isinstance(config, kind)}


def load(source: str) -> System:
    """A named configuration, or one from a TOML file.

    A file may start from a named configuration with the key ``extends = "mca_mlp"`` and give only
    what differs. Without it the defaults of its system apply: ``system = "mca"`` unless it says
    otherwise.

    Raises
    ------
    ConfigError
        If ``source`` is neither a known name nor a readable, valid file.
    """
    if source in CONFIGURATIONS:
        return CONFIGURATIONS[source]
    path = Path(source)
    if path.suffix != ".toml":
        raise ConfigError(
            f"Unknown configuration {shown(source)}; known: {', '.join(CONFIGURATIONS)}, "
            "or the path of a .toml file."
        )
    table = read_table(path)
    base = _base(table)
    table.setdefault(
        "name", "".join(c if c.isalnum() and c.isascii() else "_" for c in path.stem) or "custom"
    )
    return from_table(table, base)


def parse(text: str) -> System:
    """The configuration of which :func:`~model.settings.to_toml` made the text.

    Raises
    ------
    ConfigError
        If the text is none.
    """
    table = read_table(text)
    return from_table(table, _base(table))


def _base(table: dict[str, Any]) -> System:
    """Takes ``extends`` out of a file's table; what the file starts from."""
    name = table.pop("extends", None)
    if name is not None:
        known = ", ".join(CONFIGURATIONS)
        require(name in list(CONFIGURATIONS), f"extends must be one of {known}, not {shown(name)}.")
        return CONFIGURATIONS[name]
    system = table.get("system", Config.system)
    known = ", ".join(SYSTEMS)
    require(system in list(SYSTEMS), f"system must be one of {known}, not {shown(system)}.")
    return SYSTEMS[system]()
