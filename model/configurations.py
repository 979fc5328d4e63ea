"""The named configurations: what commands, tests, documentation and the estimator choose from."""

from dataclasses import replace
from pathlib import Path

from model.config import (
    ArrayConfig,
    Config,
    ConfigError,
    ConverterConfig,
    NetworkConfig,
    PulseConfig,
    TrainingConfig,
    UpdateConfig,
    from_table,
    from_toml,
)

__all__ = ["CONFIGURATIONS", "load", "mca_mlp", "tiny_mca"]

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

CONFIGURATIONS: dict[str, Config] = {config.name: config for config in (mca_mlp, tiny_mca)}
"""Every named configuration by its name."""


def load(source: str) -> Config:
    """A named configuration, or one from a TOML file.

    A file may start from a named configuration with the key ``extends = "mca_mlp"`` and give only
    what differs; without it the defaults of :class:`~model.config.Config` apply.

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
    return _load_file(path)


def _load_file(path: Path) -> Config:
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read configuration {path}: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return from_toml(path)  # raises with the reason
    base_name = table.pop("extends", None)
    if base_name is not None and base_name not in list(CONFIGURATIONS):
        raise ConfigError(f"extends must be one of {', '.join(CONFIGURATIONS)}, not {base_name!r}.")
    base = CONFIGURATIONS[base_name] if base_name is not None else Config()
    if "name" not in table:
        base = replace(
            base,
            name="".join(c if c.isalnum() and c.isascii() else "_" for c in path.stem) or "custom",
        )
    return from_table(table, base)
