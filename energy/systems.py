"""Energy of the two other published systems, charged with the same cost rows as everything else.

Yao's network by what its unit counts: an inference. Li's perceptron: an inference by its
configuration, and a training image by what a run of its unit counted.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from energy.cnn import CnnActivity, image_groups, macs, nominal
from energy.errors import EnergyError
from energy.estimator import Figure, Term, combine, row_term
from energy.scaling import Node
from model.configurations import li_mlp, yao_cnn
from model.in_situ.activity import Activity
from model.in_situ.config import InSituConfig

__all__ = ["System", "li", "li_training", "yao"]


@dataclass(frozen=True, kw_only=True)
class System:
    """A mean inference or training image of a system."""

    name: str
    terms: tuple[Term, ...]
    macs: int
    """Multiply-accumulates of an image, every signed weight counted once."""
    note: str

    @property
    def energy(self) -> Figure:
        """Energy of an image, in joules."""
        return combine(self.terms)

    @property
    def gops_per_w(self) -> float:
        """Two operations a multiply-accumulate, over the energy."""
        return 2 * self.macs / self.energy.value / 1e9


def yao(activity: CnnActivity | None = None) -> System:
    """The five-layer network on 128 x 16 arrays, one convolver, lines without a kernel not
    converted; by default of :func:`energy.cnn.nominal`."""
    activity = nominal(yao_cnn) if activity is None else activity
    return System(
        name=activity.config.name,
        terms=tuple(term for group in image_groups(activity).values() for term in group),
        macs=macs(activity.config),
        note="as mapped: 9 of 16 inputs and 16 to 24 of 128 lines work in a phase, so that "
        f"converters take nearly all; {activity.source}",
    )


def li() -> System:
    """The 64-54-10 perceptron: one product a layer, amplitude-coded inputs, one conversion a
    column."""
    inputs, outputs = li_mlp.network.layers[:-1], li_mlp.network.layers[1:]
    macs = sum(n_in * n_out for n_in, n_out in zip(inputs, outputs, strict=True))
    node = Node()
    terms = (
        row_term("adc_kull2013", sum(outputs), "converters", "one a column", node),
        row_term(
            "driver_dac_chen2018", 2 * sum(inputs), "line drivers", "two signs an input", node
        ),
        row_term("cell_li", 2 * macs, "crossbar", "two devices a weight, one product", node),
    )
    return System(
        name="li_mlp",
        terms=terms,
        macs=macs,
        note="the paper gives neither energy nor speed: converters of the tables around an array "
        "whose read time is assumed",
    )


def li_training(config: InSituConfig, counters: Mapping[str, float]) -> System:
    """A mean training image of Li's unit: products, gradients and gates in memory, write phases and
    pulses.

    ``counters``: totals of a run, by lower-case name of :class:`model.in_situ.activity.Activity`.

    Raises
    ------
    EnergyError
        If a counter is missing, or no image was counted.
    """
    missing = {member.name.lower() for member in Activity} - counters.keys()
    if missing or counters["images"] < 1:
        raise EnergyError(
            f"The run of {config.name} lacks the counter {min(missing, default='images')}."
        )

    def mean(member: Activity) -> float:
        return counters[member.name.lower()] / counters["images"]

    node, layers = Node(), config.network.layers
    weights = sum(n_in * n_out for n_in, n_out in itertools.pairwise(layers))
    products = mean(Activity.FORWARD_PRODUCTS) / (len(layers) - 1)
    upper = sum(n_in * n_out for n_in, n_out in itertools.pairwise(layers[1:]))
    passes = mean(Activity.BACKWARD_PRODUCTS) / max(1, len(layers) - 2)
    lanes, clock_ns = config.update.lanes, config.clock_period_s * 1e9
    sums = mean(Activity.GRADIENT_WORDS) * lanes
    changed, pairs = mean(Activity.GRADIENT_LANES), mean(Activity.GATE_WORDS) * lanes

    def memory(block: str, bits: int, access: str, count: float, note: str) -> Term:
        return row_term(
            "sram_cacti",
            count,
            block,
            note,
            node,
            phase="update",
            access=access,
            n_bytes=weights / lanes * bits / 8,
            bits=bits,
        )

    gradient = ("gradient memory", config.gradient_bits)
    gate = ("gate memory", 2 * config.gate.word_bits)

    terms = (
        row_term("adc_kull2013", mean(Activity.CONVERSIONS), "converters", "counted", node),
        row_term(
            "driver_dac_chen2018",
            2 * mean(Activity.DRIVEN_LINES),
            "line drivers",
            "two signs a driven line",
            node,
        ),
        row_term(
            "cell_li",
            2 * (products * weights + passes * upper),
            "crossbar",
            "two devices a weight and product, all driven: an upper bound",
            node,
        ),
        memory(*gradient, "read", sums + pairs, "words of updates and write phases, all lanes"),
        memory(*gradient, "write", changed + pairs, "changed lanes, and cleared ones"),
        memory(*gate, "read", pairs, "pairs of gates of a write phase"),
        memory(*gate, "write", pairs, "pairs of gates of a write phase"),
        row_term(
            "add_horowitz",
            changed * config.gradient_bits + pairs * 2 * config.gate.word_bits,
            "gradient and gate memory",
            "an addition a changed sum, two a pair of gates",
            node,
            phase="update",
        ),
        row_term(
            "set_li",
            mean(Activity.SET_DEVICES) * config.pulse.set_cycles * clock_ns,
            "programming",
            "devices in SET pulses x nanoseconds",
            node,
            phase="update",
        ),
        row_term(
            "reset_li",
            mean(Activity.RESET_DEVICES) * config.pulse.reset_cycles * clock_ns,
            "programming",
            "devices in RESET pulses x nanoseconds",
            node,
            phase="update",
        ),
    )
    return System(
        name=config.name,
        terms=terms,
        macs=weights,
        note="a training image of a run; pulse widths, read time and currents are assumed; gate "
        "lines of 1T1R cells, softmax, the rate's multiplier, registers and clock not included",
    )
