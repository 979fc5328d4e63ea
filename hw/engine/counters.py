"""Activity counters of a training engine."""

from amaranth.hdl import Array, Const, Module, Mux, ValueLike, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.counters import COUNTER_BITS
from hw.engine.layouts import layer_shape
from hw.engine.sequencer import EnginePhase
from model.engine.activity import EngineActivity
from model.engine.config import EngineConfig

__all__ = ["EngineCounters"]

PHASE_ORDER = (
    EnginePhase.FORWARD,
    EnginePhase.ERROR,
    EnginePhase.BACKWARD,
    EnginePhase.UPDATE,
)
"""The phases in the order of their counters."""


class EngineCounters(wiring.Component):
    """One counter for every member of :class:`model.engine.activity.EngineActivity`.

    **Timing**: a counter shows an event from the next cycle on.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    phase : In(EnginePhase), image_word, done : In(1)
        An image word counts as a cycle of the forward phase.
    product_word, product_backward : In(1)
    activated, errors_computed : In(1), layer, error_layer : In
        Strobes at the end of a layer's activations and of its errors.
    step : In(1)
    products : In(ArrayLayout(signed(5), lanes)), product_valid : In(1)
        A chi word that is updated.
    counters : Out(ArrayLayout(unsigned(64), len(EngineActivity)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "phase": In(EnginePhase),
                "image_word": In(1),
                "done": In(1),
                "product_word": In(1),
                "product_backward": In(1),
                "activated": In(1),
                "layer": In(layer_shape(config)),
                "errors_computed": In(1),
                "error_layer": In(layer_shape(config)),
                "step": In(1),
                "products": In(data.ArrayLayout(signed(5), config.lanes)),
                "product_valid": In(1),
                "counters": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(EngineActivity))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network = self.config.network
        units = Array(Const(network.n_cols(k)) for k in range(network.n_layers))

        def count(activity: EngineActivity, amount: ValueLike) -> None:
            m.d.sync += self.counters[activity].eq(self.counters[activity] + amount)

        count(EngineActivity.IMAGES, self.done)
        for index, phase in enumerate(PHASE_ORDER):
            in_phase = self.phase == phase
            if phase is EnginePhase.FORWARD:
                in_phase = in_phase | self.image_word
            count(EngineActivity(EngineActivity.CYCLES_FORWARD + index), in_phase)
        count(EngineActivity.FORWARD_WORDS, self.product_word & ~self.product_backward)
        count(EngineActivity.BACKWARD_WORDS, self.product_word & self.product_backward)
        count(EngineActivity.ACTIVATIONS, Mux(self.activated, units[self.layer], 0))
        count(EngineActivity.ERRORS, Mux(self.errors_computed, units[self.error_layer], 0))
        count(EngineActivity.STEP_WORDS, self.step)
        count(EngineActivity.CHI_WORDS, self.product_valid)
        lanes = sum((product != 0 for product in self.products), start=Const(0))
        count(EngineActivity.CHI_LANES, Mux(self.product_valid, lanes, 0))
        return m
