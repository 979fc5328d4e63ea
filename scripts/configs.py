"""``mixbar configs``: the named configurations."""

from scripts import cli

__all__ = ["configs"]


def configs(json: cli.JsonOption = False) -> None:
    """List the named configurations: name, kind of system, main sizes.

    \b
    Examples:
      mixbar configs
      mixbar configs --json
    """
    with cli.result(json) as result:
        from model.configurations import CONFIGURATIONS, SYSTEMS

        width = max(len(name) for name in CONFIGURATIONS)
        rows = [
            {"config": name, "system": config.system, "description": config.description}
            for name, config in CONFIGURATIONS.items()
        ]
        kinds = max(len(kind) for kind in SYSTEMS)
        lines = [
            f"{row['config']:<{width}}  {row['system']:<{kinds}}  {row['description']}"
            for row in rows
        ]
        result.set({"configs": rows}, "\n".join(lines))
