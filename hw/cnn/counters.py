"""Activity counters of the inference unit."""

from amaranth.hdl import Module, Signal, ValueLike, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import n_arrays
from hw.counters import COUNTER_BITS
from model.cnn.config import CnnConfig

__all__ = ["InferenceCounters", "counter_names"]


def counter_names(config: CnnConfig) -> tuple[str, ...]:
    """Names of the counters in their order."""
    layers = range(config.n_layers)
    return (
        "images",
        *(f"cycles_{layer}" for layer in layers),
        "cycles_idle",
        *(f"phases_{array}" for array in range(n_arrays(config))),
        "verify_reads",
        "set_pulses",
        "reset_pulses",
    )


class InferenceCounters(wiring.Component):
    """One counter for every name of :func:`counter_names`.

    ``images`` classified; ``cycles_l`` in layer l, and idle; ``phases_a``: one-bit phases of array
    a (see :func:`hw.cnn.layouts.array_index`), verify reads among them; reads and pulses of
    writing, each on many devices at once.

    **Timing**: a counter shows an event from the next cycle on.

    Members
    -------
    layer : ``In``
        Layer under way; ``n_layers`` for none.
    image, verify_read, set_pulse, reset_pulse : ``In(1)``
        Strobes.
    phases : ``In(n_arrays)``
        Strobes.
    counters : ``Out(ArrayLayout(64, n))``
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.names = counter_names(config)
        super().__init__(
            {
                "layer": In(range(config.n_layers + 1)),
                "image": In(1),
                "verify_read": In(1),
                "set_pulse": In(1),
                "reset_pulse": In(1),
                "phases": In(n_arrays(config)),
                "counters": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(self.names))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        events: dict[str, ValueLike] = {
            "images": self.image,
            "cycles_idle": self.layer == self.config.n_layers,
            "verify_reads": self.verify_read,
            "set_pulses": self.set_pulse,
            "reset_pulses": self.reset_pulse,
        }
        events |= {f"cycles_{k}": self.layer == k for k in range(self.config.n_layers)}
        events |= {f"phases_{k}": self.phases[k] for k in range(len(self.phases))}
        for index, name in enumerate(self.names):
            # A register a counter, so that those at rest cost nothing.
            counter = Signal(COUNTER_BITS, name=name)
            with m.If(events[name]):
                m.d.sync += counter.eq(counter + 1)
            m.d.comb += self.counters[index].eq(counter)
        return m
