"""The two digital designs of the published comparison, from what their gateware counts.

``fixed32`` and ``mixed4`` are training engines of this project (:mod:`hw.engine`), simulated as
Verilog and equal to :mod:`model.engine`; their counters are the activity here. Costs come from the
same rows as those of the computational-memory system, so the ratios compare like with like.

What a direct engine does follows from its configuration alone; a chi engine's update is what a run
counted, or that of the in-memory system's own activity, whose update it shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from energy.activity import ACTIVATION_BITS, PHASES, Action, ActivityRecord, derive
from energy.errors import EnergyError
from energy.estimator import Estimate, charge
from energy.scaling import Node
from model import configurations
from model.activity import Activity
from model.config import Config
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig
from model.engine.cycles import chi_update_cycles, direct_update_cycles, timing

__all__ = [
    "BASELINES",
    "EngineRecord",
    "counted",
    "engine_like",
    "estimate_baseline",
    "expected",
]

BASELINES = ("fixed32", "mixed4")
"""Names of the baselines: configurations of :mod:`model.configurations`."""

STEP_BITS = 33
"""Width of a weight's step in a direct update. Source: ``step_word_layout`` of
:mod:`hw.engine.layouts`."""


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """What an engine counted."""

    config: EngineConfig
    images: int
    counters: Mapping[str, float]
    """Totals, by lower-case name of :class:`~model.engine.activity.EngineActivity`."""
    source: str
    """Who counted."""

    def __post_init__(self) -> None:
        missing = {member.name.lower() for member in EngineActivity} - self.counters.keys()
        if self.images < 1 or missing:
            raise EnergyError(
                f"An engine's record needs images and the counter {min(missing, default='images')}."
            )
        for name, value in self.counters.items():
            if not 0 <= value < float("inf"):
                raise EnergyError(f"The counter {name} must not be negative, not {value}.")

    def mean(self, counter: EngineActivity) -> float:
        """The counter's mean per image."""
        return self.counters[counter.name.lower()] / self.images


def engine_like(name: str, config: Config) -> EngineConfig:
    """A baseline with the network, lanes and clock of an in-memory system.

    Raises
    ------
    EnergyError
        If there is no such baseline.
    ConfigError
        If its sums would not fit.
    """
    if name not in BASELINES:
        raise EnergyError(f"Unknown baseline {name!r}; known: {', '.join(BASELINES)}.")
    engine = configurations.CONFIGURATIONS[name]
    assert isinstance(engine, EngineConfig)
    return replace(
        engine,
        network=config.network,
        lanes=config.update.lanes,
        clock_period_s=config.clock_period_s,
    )


def expected(
    engine: EngineConfig, *, chi_words: float = 0.0, chi_lanes: float = 0.0, steps: float = 0.0
) -> EngineRecord:
    """What a training image counts, by the engine's cycle model.

    Exact for a direct engine. Of a chi engine ``chi_words`` and ``chi_lanes`` an image are given,
    and ``steps``, the weight words that it changes.
    """
    network, times = engine.network, timing(engine)
    layers = range(network.n_layers)
    if engine.is_chi:
        update = chi_words + sum(chi_update_cycles(1, 0) - 1 for _ in layers)
    else:
        update = sum(direct_update_cycles(times, layer) for layer in layers)
        steps = float(times.words.sum())
    hidden = [layer for layer in layers if layer > 0]
    counters = {
        EngineActivity.IMAGES: 1.0,
        EngineActivity.CYCLES_FORWARD: times.load + times.words.sum() + len(layers) * times.forward,
        EngineActivity.CYCLES_ERROR: times.error,
        EngineActivity.CYCLES_BACKWARD: sum(
            times.back_words[k] + times.backward + times.scaled[k - 1] for k in hidden
        ),
        EngineActivity.CYCLES_UPDATE: update,
        EngineActivity.FORWARD_WORDS: times.words.sum(),
        EngineActivity.BACKWARD_WORDS: times.back_words.sum(),
        EngineActivity.ACTIVATIONS: sum(network.layers[1:]),
        EngineActivity.ERRORS: sum(network.layers[1:]),
        EngineActivity.STEP_WORDS: steps,
        EngineActivity.CHI_WORDS: chi_words,
        EngineActivity.CHI_LANES: chi_lanes,
    }
    return EngineRecord(
        config=engine,
        images=1,
        counters={member.name.lower(): float(value) for member, value in counters.items()},
        source="the engine's cycle model",
    )


def counted(name: str, config: Config, activity: ActivityRecord) -> EngineRecord:
    """A baseline for the network of ``config``; the update of ``mixed4`` is that of
    ``activity``."""
    engine = engine_like(name, config)
    if not engine.is_chi:
        return expected(engine)
    return expected(
        engine,
        chi_words=activity.mean(Activity.CHI_WORDS),
        chi_lanes=activity.mean(Activity.CHI_LANES),
        steps=activity.mean(Activity.PULSE_WORDS),
    )


def _seconds(record: EngineRecord) -> dict[str, float]:
    period = record.config.clock_period_s
    error = record.mean(EngineActivity.CYCLES_ERROR)
    return {
        "forward": record.mean(EngineActivity.CYCLES_FORWARD) * period,
        "backward": (record.mean(EngineActivity.CYCLES_BACKWARD) + error) * period,
        "update": record.mean(EngineActivity.CYCLES_UPDATE) * period,
    }


def _shared(record: EngineRecord) -> list[Action]:
    """The actions of the blocks that both systems have, by the in-memory system's own rules: table,
    buffers, errors, and with chi the whole update."""
    engine, network = record.config, record.config.network
    counters = dict.fromkeys((member.name.lower() for member in Activity), 0.0)
    counters |= {
        "images": 1,
        "forward_products": network.n_layers,
        "backward_products": network.n_layers - 1,
        "activations": record.mean(EngineActivity.ACTIVATIONS),
        "errors": record.mean(EngineActivity.ERRORS),
        "chi_words": record.mean(EngineActivity.CHI_WORDS),
        "chi_lanes": record.mean(EngineActivity.CHI_LANES),
    }
    activity = ActivityRecord(config=engine.name, images=1, counters=counters, source=record.source)
    return [
        action
        for action in derive(engine.unit, activity)
        if action.unit == "digital"
        and action.component != "paper"
        and action.block not in ("clock", "leakage", "read-out")
        and (action.phase != "update" or engine.is_chi)
        and action.count
    ]


def _lanes(record: EngineRecord) -> list[Action]:
    """What the multiply-accumulate lanes and their weights do."""
    engine = record.config
    lanes, bits = engine.lanes, engine.weight_bits
    bank = engine.weight_depth * bits / 8

    def action(
        component: str, name: str, phase: str, block: str, count: float, note: str
    ) -> Action:
        in_memory = component == "sram"
        return Action(
            component=component,
            action=name,
            phase=phase,
            unit="digital",
            block=block,
            count=count,
            note=note,
            n_bytes=bank if in_memory else 0.0,
            bits=bits if in_memory else 0.0,
        )

    actions = []
    for phase, counter, operand_bits in (
        ("forward", EngineActivity.FORWARD_WORDS, ACTIVATION_BITS),
        ("backward", EngineActivity.BACKWARD_WORDS, engine.error_bits),
    ):
        products = record.mean(counter) * lanes
        block = "multiply-accumulate"
        actions += [
            action("sram", "read", phase, "weight memory", products, "a weight a product"),
            action(
                "logic",
                "multiply",
                phase,
                block,
                products * bits * operand_bits,
                f"{bits} x {operand_bits} bits: what the operand has",
            ),
            action("logic", "add", phase, block, products * engine.sum_bits, "sums"),
            action(
                "register",
                "write",
                phase,
                block,
                products * (bits + engine.operand_bits) + record.mean(counter) * engine.sum_bits,
                "product registers and sums",
            ),
        ]
    steps = record.mean(EngineActivity.STEP_WORDS) * lanes
    actions += [
        action("sram", "read", "update", "weight memory", steps, "a weight a step"),
        action("sram", "write", "update", "weight memory", steps, "a weight a step"),
        action("logic", "add", "update", "steps", steps * bits, "a step added"),
    ]
    if not engine.is_chi:
        actions += [
            action(
                "logic",
                "multiply",
                "update",
                "steps",
                steps * engine.error_bits * ACTIVATION_BITS,
                "error x activation",
            ),
            action("logic", "shift", "update", "steps", steps * STEP_BITS, "the learning rate"),
            action(
                "register",
                "write",
                "update",
                "steps",
                steps * _step_registers(engine),
                "product and step",
            ),
        ]
    return actions


def _step_registers(engine: EngineConfig) -> int:
    """Flip-flops a lane of a direct update: the product of error and activation (with a sign), and
    the step."""
    return engine.error_bits + ACTIVATION_BITS + 1 + STEP_BITS


def _flip_flops(engine: EngineConfig) -> int:
    """Flip-flops clocked in every cycle, estimated: products and column sums a lane, with chi its
    three stages, else product and step; 1,000 for control and counters, assumed."""
    per_lane = engine.weight_bits + engine.operand_bits + engine.sum_bits
    per_lane += 3 * engine.unit.update.chi_bits if engine.is_chi else _step_registers(engine)
    return engine.lanes * per_lane + 1000


def _standing(record: EngineRecord) -> list[Action]:
    engine, flops = record.config, _flip_flops(record.config)
    chi_bank = engine.unit.chi_depth * engine.unit.update.chi_bits / 8 if engine.is_chi else 0.0
    actions = []
    for phase, duration in _seconds(record).items():
        actions.append(
            Action(
                component="register",
                action="clock",
                phase=phase,
                unit="digital",
                block="clock",
                count=duration / engine.clock_period_s * flops,
                note=f"cycles x {flops} flip-flops",
                basis="estimate",
            )
        )
        for n_bytes, bits in (
            (engine.weight_depth * engine.weight_bits / 8, engine.weight_bits),
            (chi_bank, engine.unit.update.chi_bits),
        ):
            if n_bytes:
                actions.append(
                    Action(
                        component="sram",
                        action="leakage",
                        phase=phase,
                        unit="digital",
                        block="leakage",
                        count=duration * 1e9 * engine.lanes,
                        note="time x banks",
                        n_bytes=n_bytes,
                        bits=bits,
                    )
                )
    return actions


def estimate_baseline(
    record: EngineRecord, *, preset: str = "bottom_up", node: Node | None = None
) -> Estimate:
    """Energy and time of a mean training image of an engine."""
    node = Node() if node is None else node
    actions = [*_lanes(record), *_shared(record), *_standing(record)]
    assert {action.phase for action in actions} <= set(PHASES)
    return Estimate(
        config=record.config.name,
        preset=preset,
        node=node,
        terms=tuple(charge(actions, preset, node, record.config.unit, {})),
        seconds=_seconds(record),
    )
