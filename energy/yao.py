"""Yao's benchmark: a 128 x 128 core, exactly as published, then corrected step by step, and
against a GPU.

Published arithmetic: energy of a 1-bit phase = converters + array + rest; an 8-bit product takes
eight phases and counts 2 x 128 x 128 operations. Everything here is computed from the inputs in
``data/published.csv``.
"""

from dataclasses import dataclass

from energy.published import value

__all__ = ["Core", "Step", "corrections", "gpu", "published_core"]


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
    """The benchmark after one more correction."""

    name: str
    why: str
    gops_per_w: float
    gops_per_mm2: float


def corrections(
    *, shift_add_j: float, buffers_j: float, write_j: float, digital_mm2: float
) -> list[Step]:
    """The published figure, then each honest correction on top of the ones before.

    Parameters
    ----------
    shift_add_j
        Shift-and-add and subtraction of a product, in joules.
    buffers_j
        Moving a product's inputs and outputs through buffers, pooling and activation included.
    write_j
        Write energy per product: weights written, over the products between two writes.
    digital_mm2
        Area of that digital logic, per core.
    """
    core = published_core()
    energy, area, operations = core.product_energy_j, core.area_mm2, core.operations
    seconds = core.product_s
    steps = [
        Step(
            name="as published",
            why="every device counts as a multiply-accumulate",
            gops_per_w=core.gops_per_w,
            gops_per_mm2=core.gops_per_mm2,
        )
    ]

    def add(name: str, why: str) -> None:
        steps.append(
            Step(
                name=name,
                why=why,
                gops_per_w=operations / energy / 1e9,
                gops_per_mm2=operations / seconds / 1e9 / area,
            )
        )

    operations /= 2
    add("signed weights once", "a weight is a pair of devices: half the operations")
    energy, area = energy + shift_add_j, area + digital_mm2
    add(
        "+ shift-and-add",
        "joining eight phases and subtracting the pair is not among the core's blocks",
    )
    energy += buffers_j
    add(
        "+ buffers, activation, pooling", "inputs and outputs pass through registers once a product"
    )
    energy += write_j
    add("+ write energy", "hybrid training writes the fully connected layer once a batch")
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
