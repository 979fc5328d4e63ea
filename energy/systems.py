"""Inference energy of the two published systems whose activity is not counted by this project's
unit.

Yao's network as the paper maps it on its 128 x 16 arrays, phase by phase
(``data/yao_mapping.csv``, inferred from the layer shapes), and Li's perceptron. Both are charged
with the same cost rows as everything else.
"""

from dataclasses import dataclass

from energy.activity import Action
from energy.estimator import FEMTO, Figure, Term, combine
from energy.scaling import Node, row_factors
from energy.tables import DATA, load_costs, read_csv

__all__ = ["System", "li", "yao"]

YAO_NODE = Node(tech_nm=65, vdd_v=1.1)
"""Yao's periphery is simulated at 65 nm. Source: Yao 2020, Methods."""

COLUMNS = ["layer", "phases", "inputs", "lines", "note"]

SUM_BITS = 16
"""Width of a sum of eight shifted 8-bit codes: 8 + 8 - 1, rounded up for the next sum."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A mean inference of a system."""

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


def _term(row_id: str, count: float, block: str, note: str, node: Node) -> Term:
    row = load_costs()[row_id]
    action = Action(
        component=row.component,
        action=row.action,
        phase="forward",
        unit="digital" if row.scaling == "digital" else "analog",
        block=block,
        count=count,
        note=note,
        basis="configuration",
    )
    energy_j = (row.energy_fj or 0.0) * FEMTO * row_factors(row, node)[0]
    return Term(action=action, row=row, unit_energy_j=energy_j, marks=())


def yao() -> System:
    """The five-layer network on 128 x 16 arrays, one convolver, lines without a kernel not
    converted."""
    layers = [
        {name: int(cell[name]) for name in ("phases", "inputs", "lines")}
        for cell in read_csv(DATA / "yao_mapping.csv", COLUMNS)
    ]
    conversions = sum(layer["phases"] * layer["lines"] for layer in layers)
    cells = sum(layer["phases"] * layer["lines"] * layer["inputs"] for layer in layers)
    macs = cells // 16  # eight phases, two devices a weight
    terms = (
        _term("adc_kull2013", conversions, "converters", "phases x lines in use", YAO_NODE),
        _term("periphery_yao", conversions, "periphery", "one share a conversion", YAO_NODE),
        _term("cell_yao_inference", cells, "crossbar", "phases x lines x inputs", YAO_NODE),
        _term(
            "shift_isaac",
            conversions * SUM_BITS,
            "read-out",
            "a shift a conversion, charged on the bits of the sum",
            YAO_NODE,
        ),
        _term(
            "add_horowitz",
            conversions * SUM_BITS + conversions / 16 * SUM_BITS,
            "read-out",
            "an addition a conversion, a subtraction a pair of sums",
            YAO_NODE,
        ),
    )
    return System(
        name="yao_cnn",
        terms=terms,
        macs=macs,
        note="as mapped: 9 of 16 inputs and 16 to 24 of 128 lines work in a phase, so that "
        "converters take nearly all; buffers, pooling and writes not included",
    )


def li() -> System:
    """The 64-54-10 perceptron: one product a layer, amplitude-coded inputs, one conversion a
    column."""
    inputs, outputs = (64, 54), (54, 10)
    macs = sum(n_in * n_out for n_in, n_out in zip(inputs, outputs, strict=True))
    node = Node()
    terms = (
        _term("adc_kull2013", sum(outputs), "converters", "one a column", node),
        _term("driver_dac_chen2018", 2 * sum(inputs), "line drivers", "two signs an input", node),
        _term("cell_li", 2 * macs, "crossbar", "two devices a weight, one product", node),
    )
    return System(
        name="li_mlp",
        terms=terms,
        macs=macs,
        note="the paper gives neither energy nor speed: converters of the tables around an array "
        "whose read time is assumed",
    )
