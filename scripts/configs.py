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
        rows = []
        lines = []
        for name, config in CONFIGURATIONS.items():
            layers, lanes = config.network.layers, config.update.lanes
            bits = config.converter.adc_bits
            rows.append({"config": name, "layers": list(layers), "lanes": lanes, "adc_bits": bits})
            sizes = "-".join(str(units) for units in layers)
            lines.append(f"{name:<{width}}  {sizes}, {lanes} lanes, {bits}-bit ADC")
        result.set({"configs": rows}, "\n".join(lines))
