"""Yao's benchmark: a 128 x 128 core, exactly as published, then corrected step by step, and
against a GPU.

Published arithmetic: energy of a 1-bit phase = converters + array + rest; an 8-bit product takes
eight phases and counts 2 x 128 x 128 operations. Everything here is computed from the inputs in
``data/published.csv``.
"""

from dataclasses import dataclass

from energy.cnn import CORE_GROUP, GROUPS, YAO_NODE, CnnActivity, image_groups, macs
from energy.estimator import combine
from energy.published import value
from energy.scaling import row_factors
from energy.tables import load_costs

__all__ = ["Core", "Step", "core_steps", "gpu", "network_steps", "published_core"]

SIGNED_ONCE = "signed weights once"
"""Name of the step."""

TITLES = {
    "shift_add": "shift-and-add",
    "activation": "activation, pooling",
    "buffers": "buffers",
    "routing": "routing",
    "write": "write energy",
}
"""What the groups are called in a step."""

SUM_BITS = 16
"""Bits of a sum of eight shifted 8-bit codes, rounded up for the next sum."""


def _core(unit: str, phase: str, quantity: str) -> float:
    return value("yao", "core", unit, phase, quantity)


@dataclass(frozen=True, kw_only=True)
class Core:
    """Energy, time and area of one core for one 8-bit product."""

    phase_energy_j: dict[str, float]
    """Energy of a 1-bit phase by part: ``adc``, ``array``, ``rest``."""

    area_mm2: float
    operations: float
    """Operations of a product."""

    product_s: float
    phases: float

    @property
    def product_energy_j(self) -> float:
        """Energy of a product."""
        return sum(self.phase_energy_j.values()) * self.phases

    @property
    def gops_per_w(self) -> float:
        """Energy efficiency in GOP/s/W."""
        return self.operations / self.product_energy_j / 1e9

    @property
    def gops_per_mm2(self) -> float:
        """Performance density in GOP/s/mm2."""
        return self.operations / self.product_s / 1e9 / self.area_mm2


def published_core() -> Core:
    """The core exactly from the stated inputs."""
    adc = (
        _core("adc", "count", "number")
        * _core("adc", "conversions", "number")
        * _core("adc", "conversion", "energy")
    )
    array = adc / _core("array", "ratio", "number")
    phases = _core("phase", "bits", "number")
    return Core(
        phase_energy_j={
            "adc": adc,
            "array": array,
            "rest": _core("phase", "total", "energy") - adc - array,
        },
        area_mm2=_core("core", "area", "area") / _core("core", "layout", "number") / 1e6,
        operations=2 * _core("array", "rows", "number") * _core("array", "cols", "number"),
        product_s=phases * _core("phase", "time", "time"),
        phases=phases,
    )


@dataclass(frozen=True, kw_only=True)
class Step:
    """A benchmark after one more correction."""

    name: str
    why: str
    energy_j: float
    """Of an 8-bit product of the core, or of an image."""
    gops_per_w: float
    gops_per_mm2: float | None = None


def _digital_mm2() -> float:
    """Area of an adder and a register a column, in mm2: the core's shift-and-add."""
    columns, rows = _core("array", "cols", "number"), load_costs()
    area = 0.0
    for name in ("add_aladdin", "register_aladdin"):
        row = rows[name]
        area += columns * SUM_BITS * (row.area_um2 or 0.0) * row_factors(row, YAO_NODE)[1]
    return area / 1e6


def core_steps(activity: CnnActivity) -> list[Step]:
    """The published figure, then each correction on top of the ones before.

    What the benchmark leaves out is charged as it is in our unit: every group of
    :func:`energy.cnn.image_groups`, divided by the image's conversions, times the conversions of a
    product of the core.
    """
    core = published_core()
    groups = image_groups(activity)
    conversions = sum(activity.mean(f"conversions_{a}") for a in range(activity.config.n_arrays))
    of_product = core.phases * _core("adc", "count", "number")
    of_product *= _core("adc", "conversions", "number")
    energy, operations, area = core.product_energy_j, core.operations, core.area_mm2
    steps: list[Step] = []

    def add(name: str, why: str) -> None:
        steps.append(
            Step(
                name=name,
                why=why,
                energy_j=energy,
                gops_per_w=operations / energy / 1e9,
                gops_per_mm2=operations / core.product_s / 1e9 / area,
            )
        )

    add("as published", "every device counts as a multiply-accumulate")
    operations /= 2
    add(SIGNED_ONCE, "a weight is a pair of devices: half the operations")
    area += _digital_mm2()
    for group, why in GROUPS.items():
        if group != CORE_GROUP:
            energy += combine(groups[group]).value / conversions * of_product
            add(f"+ {TITLES[group]}", why)
    return steps


def network_steps(activity: CnnActivity) -> list[Step]:
    """An image of the network: on the published core at full use, as our unit maps it, and with
    everything that the benchmark leaves out, group by group."""
    core, groups = published_core(), image_groups(activity)
    operations = 2 * macs(activity.config)
    energy = 2 * operations / (core.gops_per_w * 1e9)
    steps: list[Step] = []

    def add(name: str, why: str, counted: float) -> None:
        steps.append(Step(name=name, why=why, energy_j=energy, gops_per_w=counted / energy / 1e9))

    add("published core at full use", "every device counts as one", 2 * operations)
    add(SIGNED_ONCE, "half the operations for the same energy", operations)
    energy = combine(groups[CORE_GROUP]).value
    add(
        "as mapped, counted",
        "a phase drives 9 or 16 of an array's inputs and converts 16 to 24 of its lines",
        operations,
    )
    for group, why in GROUPS.items():
        if group != CORE_GROUP:
            energy += combine(groups[group]).value
            add(f"+ {TITLES[group]}", why, operations)
    return steps


def gpu(utilisation: float, *, rate: str = "fp16") -> dict[str, float]:
    """GOP/s/W and GOP/s/mm2 of a V100 by its data sheet, at a utilisation between 0 and 1.

    ``rate`` is ``fp16`` (tensor cores) or ``fp32``. The power is the design power whatever the
    utilisation.
    """
    gops = value("gpu", "v100", "datasheet", rate, "rate") * utilisation
    return {
        "gops_per_w": gops / value("gpu", "v100", "datasheet", "power", "power"),
        "gops_per_mm2": gops / value("gpu", "v100", "datasheet", "area", "area"),
    }
