"""``mixbar config``: one configuration as TOML."""

import dataclasses

from scripts import cli

__all__ = ["config"]


def config(config: cli.ConfigArgument, json: cli.JsonOption = False) -> None:
    """Print a configuration as TOML, to be changed and used as CONFIG.

    \b
    Examples:
      mixbar config mca_mlp
      mixbar config tiny_mca > mine.toml
    """
    with cli.result(json) as result:
        from model.config import to_toml

        settings = cli.load_config(config)
        text = to_toml(settings)
        result.set(
            {"config": settings.name, "settings": dataclasses.asdict(settings)}, text.rstrip()
        )
