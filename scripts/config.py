"""``mixbar config``: one configuration as TOML."""

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
        from model.settings import read_table, to_toml

        settings = cli.load_config(config)
        text = to_toml(settings)
        result.set({"config": settings.name, "settings": read_table(text)}, text.rstrip())
