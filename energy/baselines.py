"""The two digital designs of the published comparison, as configurations of the same estimator.

Both are described by a schedule: what a plain engine of ``lanes`` multiply-accumulate lanes must
read, compute and write for one training image, and how many cycles that takes. Costs come from the
same rows as those of the computational-memory system, so the ratios compare like with like.

32-bit fixed point (``fixed32``)
    forward   every weight is read once and multiplied; one activation feeds all lanes in a cycle
    backward  the same over the upper layers, transposed update    every weight is read, a product
    is added, it is written back: two cycles a word, since a
              memory of this size has one port

Mixed precision, digital (``mixed4``)
    forward, backward   as above with ``weight_bits`` = 4 and 8-bit activations update
    the outer product, chi memory and threshold of the computational-memory system,
                        charged at that system's own activity; a programmed pulse becomes a weight
                        write
"""

from dataclasses import dataclass

from energy.activity import Action, ActivityRecord, derive
from energy.activity import seconds as activity_seconds
from energy.estimator import Estimate, charge
from energy.scaling import Node
from model.activity import Activity
from model.config import Config

__all__ = ["FIXED32", "MIXED4", "Baseline", "estimate_baseline"]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A digital training engine."""

    name: str
    weight_bits: int
    data_bits: int
    """Width of activations and errors."""
    sum_bits: int
    """Width of an accumulator."""
    chi_update: bool
    """Whether the update is that of the mixed-precision system."""
    lanes: int = 32
    """Multiply-accumulate lanes. Inferred from the published times: 32 at 1 GHz or 64 at 500 MHz.
    """
    clock_period_s: float = 1e-9


FIXED32 = Baseline(name="fixed32", weight_bits=32, data_bits=32, sum_bits=64, chi_update=False)
"""32-bit fixed-point training engine."""

MIXED4 = Baseline(name="mixed4", weight_bits=4, data_bits=8, sum_bits=24, chi_update=True)
"""4-bit weights, 8-bit activations and errors, the update of the computational-memory system."""


def _cycles(baseline: Baseline, config: Config) -> dict[str, int]:
    network, lanes = config.network, baseline.lanes
    layers = range(network.n_layers)
    forward = sum(network.n_rows(k) * -(-network.n_cols(k) // lanes) for k in layers)
    # One activation at a time through the one table: what the published times suggest as well.
    forward += sum(network.n_cols(k) for k in layers)
    hidden = [k for k in layers if k > 0]
    backward = sum(network.n_cols(k) * -(-network.layers[k] // lanes) for k in hidden)
    backward += sum(network.layers[k] for k in hidden)
    update = 2 * sum(network.n_rows(k) * -(-network.n_cols(k) // lanes) for k in layers)
    return {"forward": forward, "backward": backward, "update": update}


def _engine(
    baseline: Baseline, config: Config, phase: str, macs: int, cycles: float
) -> list[Action]:
    """A phase of ``macs`` multiply-accumulates, each with a weight read."""
    network = config.network
    weights = sum(network.n_rows(k) * network.n_cols(k) for k in range(network.n_layers))
    bank = weights * baseline.weight_bits / 8 / baseline.lanes
    flops = (
        baseline.lanes * (baseline.weight_bits + baseline.data_bits + 2 * baseline.sum_bits) + 1000
    )

    def action(
        component: str, name: str, block: str, count: float, note: str, basis: str = "configuration"
    ) -> Action:
        return Action(
            component=component,
            action=name,
            phase=phase,
            unit="digital",
            block=block,
            count=count,
            note=note,
            basis=basis,
            n_bytes=bank if component == "sram" else 0.0,
            bits=baseline.weight_bits if component == "sram" else 0.0,
        )

    product_bits = baseline.weight_bits * baseline.data_bits
    return [
        action("sram", "read", "weight memory", macs, "a weight a multiply-accumulate"),
        action("logic", "multiply", "multiply-accumulate", macs * product_bits, "full products"),
        action("logic", "add", "multiply-accumulate", macs * baseline.sum_bits, "accumulation"),
        action(
            "register",
            "write",
            "multiply-accumulate",
            macs * (baseline.weight_bits + baseline.sum_bits),
            "weight and accumulator registers",
        ),
        action(
            "register",
            "clock",
            "clock",
            cycles * flops,
            f"cycles x {flops} flip-flops",
            basis="estimate",
        ),
        action(
            "sram",
            "leakage",
            "leakage",
            cycles * baseline.clock_period_s * 1e9 * baseline.lanes,
            "time x banks",
        ),
    ]


def estimate_baseline(
    baseline: Baseline,
    config: Config,
    activity: ActivityRecord,
    *,
    preset: str = "bottom_up",
    node: Node | None = None,
) -> Estimate:
    """Estimates a training image of a baseline for the network of ``config``; see the module's
    text."""
    network = config.network
    layers = range(network.n_layers)
    node = Node() if node is None else node
    cycles: dict[str, float] = dict(_cycles(baseline, config))
    macs = {
        "forward": sum(network.n_rows(k) * network.n_cols(k) for k in layers),
        "backward": sum(network.layers[k] * network.n_cols(k) for k in layers if k > 0),
        "update": sum(network.n_rows(k) * network.n_cols(k) for k in layers),
    }
    if baseline.chi_update:
        cycles["update"] = activity_seconds(config, activity)["update"] / baseline.clock_period_s
        macs["update"] = 0
    actions = [
        action
        for phase in cycles
        for action in _engine(baseline, config, phase, macs[phase], cycles[phase])
    ]
    if baseline.chi_update:
        actions += [
            action
            for action in derive(config, activity)
            if action.phase == "update" and action.unit == "digital" and action.component != "paper"
        ]
        writes = activity.mean(Activity.SET_PULSES)
    else:
        writes = macs["update"]
    bank = next(action for action in actions if action.component == "sram")
    actions.append(
        Action(
            component="sram",
            action="write",
            phase="update",
            unit="digital",
            block="weight memory",
            count=writes,
            note="weights written back" if not baseline.chi_update else "a weight write per pulse",
            basis="configuration" if not baseline.chi_update else "counters",
            n_bytes=bank.n_bytes,
            bits=bank.bits,
        )
    )
    return Estimate(
        config=baseline.name,
        preset=preset,
        node=node,
        terms=tuple(charge(actions, preset, node, config, {})),
        seconds={phase: n * baseline.clock_period_s for phase, n in cycles.items()},
    )
