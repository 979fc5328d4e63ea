"""Activity counters of the inference unit."""

from amaranth.hdl import Module, Signal, Value, ValueLike, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.cnn.layouts import (
    array_signature,
    n_copies,
    product_events_layout,
    program_signature,
)
from hw.counters import COUNTER_BITS, ones
from model.cnn.activity import activity_names
from model.cnn.config import CnnConfig

__all__ = ["InferenceCounters"]


class InferenceCounters(wiring.Component):
    """One counter for every name of :func:`model.cnn.activity.activity_names`.

    **Timing**: a counter shows an event from the next cycle on; counts of lines and of devices,
    which take some logic, a cycle later, those of devices two.

    Members
    -------
    layer : ``In``
        Layer under way; ``n_layers`` for none.
    image, verify_read, set_pulse, reset_pulse : ``In(1)``
        Strobes.
    mask : ``In``
        Devices of the pulse, in the cycle after its strobe.
    phase_a : ``In(1)``, drive_a : ``In``, events_a : ``In`` of \
        :func:`hw.cnn.layouts.product_events_layout`
        Of array a.
    words_l : ``In(n_copies)``
        Pooled pixels of convolution l that are written.
    counters : ``Out(ArrayLayout(64, n))``
    """

    def __init__(self, config: CnnConfig) -> None:
        self.config = config
        self.names = activity_names(config)
        self.layers = {
            config.array_index(replica, layer): layer
            for layer in range(config.n_layers)
            for replica in range(config.replicas.n)
        }
        mask = program_signature(config).members["request"].shape["mask"].shape
        super().__init__(
            {
                "layer": In(range(config.n_layers + 1)),
                "image": In(1),
                "verify_read": In(1),
                "set_pulse": In(1),
                "reset_pulse": In(1),
                "mask": In(mask),
            }
            | {f"phase_{array}": In(1) for array in self.layers}
            | {
                f"drive_{array}": In(array_signature(config, layer).members["drive"].shape)
                for array, layer in self.layers.items()
            }
            | {f"events_{array}": In(product_events_layout()) for array in self.layers}
            | {f"words_{layer}": In(n_copies(config)) for layer in range(config.n_conv)}
            | {"counters": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(self.names)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        amounts: dict[str, ValueLike] = {
            "images": self.image,
            "cycles_idle": self.layer == config.n_layers,
            "verify_reads": self.verify_read,
            "set_pulses": self.set_pulse,
            "reset_pulses": self.reset_pulse,
        }
        amounts |= {f"cycles_{k}": self.layer == k for k in range(config.n_layers)}
        for layer in range(config.n_conv):
            amounts[f"words_{layer}"] = ones(list(getattr(self, f"words_{layer}")))
        for array, layer in self.layers.items():
            events = getattr(self, f"events_{array}")
            codes = config.tiles(layer) * config.lines(layer)
            amounts[f"phases_{array}"] = getattr(self, f"phase_{array}")
            amounts[f"lines_{array}"] = self._ones_if(
                m,
                f"driven_{array}",
                getattr(self, f"phase_{array}"),
                getattr(self, f"drive_{array}"),
            )
            amounts[f"conversions_{array}"] = events.converted * codes
            amounts[f"patches_{array}"] = events.patch
            if layer < config.n_conv:
                amounts[f"pixels_{array}"] = events.pixel
        for kind in ("set", "reset"):
            began = Signal(name=f"{kind}_began")
            m.d.sync += began.eq(getattr(self, f"{kind}_pulse"))
            amounts[f"{kind}_devices"] = self._ones_if(m, f"{kind}_selected", began, self.mask)
        for index, name in enumerate(self.names):
            # A register a counter, so that those at rest cost nothing.
            amount = Value.cast(amounts[name])
            counter = Signal(COUNTER_BITS, name=name)
            with m.If(amount.any()):
                m.d.sync += counter.eq(counter + amount)
            m.d.comb += self.counters[index].eq(counter)
        return m

    @staticmethod
    def _ones_if(m: Module, name: str, strobe: Value, bits: data.View | Value) -> Signal:
        """How many bits were set in the cycle before, if there was a strobe."""
        amount = ones(list(Value.cast(bits)))
        held = Signal(len(amount), name=name)
        m.d.sync += held.eq(0)
        with m.If(strobe):
            m.d.sync += held.eq(amount)
        return held
