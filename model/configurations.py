"""The named configurations: what commands, tests, documentation and the estimator choose from."""

from pathlib import Path
from typing import Any

from model.config import (
    ArrayConfig,
    Config,
    ConverterConfig,
    NetworkConfig,
    PulseConfig,
    TrainingConfig,
    UpdateConfig,
)
from model.settings import ConfigError, System, SystemT, from_table, read_table, require

__all__ = [
    "CONFIGURATIONS",
    "SYSTEMS",
    "load",
    "mca_mlp",
    "of_system",
    "parse",
    "tiny_mca",
]

mca_mlp = Config(
    name="mca_mlp",
    converter=ConverterConfig(weight_us=12.0),
    update=UpdateConfig(learning_rate_log2=-2),
)
"""Nandakumar et al., Front. Neurosci. 14:406 (2020): 785-250-10 on PCM, chi accumulator, blind
single pulses.

At the unit's own pace conductances are read microseconds to seconds after their pulses, 1.2 to 2
times as high as the 38.6 s after which the paper's 8 uS a unit of weight was read. With 12 uS a
pulse is worth the paper's epsilon again; learning rate and decay are chosen with it, on held-out
training images (docs/training.md).
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

SYSTEMS: dict[str, type[System]] = {kind.system: kind for kind in (Config,)}
"""The class of the configurations of each system."""

CONFIGURATIONS: dict[str, System] = {config.name: config for config in (mca_mlp, tiny_mca)}
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
            f"Unknown configuration {source!r}; known: {', '.join(CONFIGURATIONS)}, "
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
        require(name in list(CONFIGURATIONS), f"extends must be one of {known}, not {name!r}.")
        return CONFIGURATIONS[name]
    system = table.get("system", Config.system)
    known = ", ".join(SYSTEMS)
    require(system in list(SYSTEMS), f"system must be one of {known}, not {system!r}.")
    return SYSTEMS[system]()
