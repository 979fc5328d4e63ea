"""``mixbar configs``: the named configurations."""

from scripts import cli

__all__ = ["configs"]


def configs(json: cli.JsonOption = False) -> None:
    """List the named configurations.

    \b
    Examples:
      mixbar configs
      mixbar configs --json
    """
    with cli.result(json) as result:
        from model.configurations import CONFIGURATIONS

        width = max(len(name) for name in CONFIGURATIONS)
        rows = [
            {"config": name, "system": config.system, "description": config.description}
            for name, config in CONFIGURATIONS.items()
        ]
        lines = [f"{row['config']:<{width}}  {row['description']}" for row in rows]
        result.set({"configs": rows}, "\n".join(lines))
