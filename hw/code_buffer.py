"""Code buffer: the 3-bit update codes of one layer's activations, until their update."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import activation_word_layout
from model.activation_unit import BIAS
from model.config import Config
from model.quantiser import ACTIVATION_EXPONENT, activation_code

__all__ = ["CodeBuffer"]


class CodeBuffer(wiring.Component):
    """Quantises a layer's activations as they are written and gives their codes to the update.

    ``codes[k] = activation_code(activations[word * lanes + k])``, that is ``round(a / 2**7)``, half
    away from zero: 0, 1 or 2. The bias row, the last, is not streamed: its code is the constant
    ``activation_code(255) = 2``, also where it has a word of its own. Lanes beyond it are 0.

    Layer 0 has two banks, so that an image may load while the one before is still used; with
    ``update.overlap`` three, as the one before that may still be updated. The other layers have
    one.

    **Timing**: ``i`` is always ready. ``codes`` belong to the ``address`` of the cycle before
    (``LATENCY`` = 1); a word written in cycle t is readable, and its flag valid, from t + 1. After
    ``swap`` in cycle t ``nonzero``, and ``codes`` of addresses given from t + 1 on, are those of
    the bank just loaded, but with overlap the ``codes`` stay those of the bank that was the current
    one at the last ``select``. Memory contents are undefined until written.

    Parameters
    ----------
    config : Config
    layer : int
        Weight layer whose rows the activations drive.

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.activation_word_layout`
        The vector without the bias, from word 0; the word after ``last`` is word 0 again.
    address : ``In(range(n_words))``
    codes : ``Out(ArrayLayout(signed(3), lanes))``
    nonzero : ``Out(n_words)``
        Bit w: word w of the current bank has a non-zero code. The bias word's bit is always 1.
    swap : ``In(1)``, layer 0 only
        Strobe: the loaded bank becomes the current one. No word is transferred in this cycle.
    rewind : ``In(1)``, layer 0 only
        Strobe: loading starts again at word 0; wins over a word transferred in the same cycle.
    select : ``In(1)``, layer 0 with overlap only
        Strobe: from the next cycle on ``codes`` are those of the current bank.

    Raises
    ------
    ValueError
        If the network has no such layer.
    """

    LATENCY = 1  # from address to codes

    def __init__(self, config: Config, layer: int) -> None:
        if layer not in range(config.network.n_layers):
            raise ValueError(
                f"layer must be between 0 and {config.network.n_layers - 1}, not {layer!r}."
            )
        self.config = config
        self.layer = layer
        self.n_words = config.n_words(layer)
        self.n_banks = 1 if layer else 3 if config.update.overlap else 2
        ports = {
            "i": In(stream.Signature(activation_word_layout(config), always_ready=True)),
            "address": In(range(self.n_words)),
            "codes": Out(data.ArrayLayout(signed(3), config.update.lanes)),
            "nonzero": Out(self.n_words),
        }
        if layer == 0:
            ports |= {"swap": In(1), "rewind": In(1)}
        if self.n_banks == 3:
            ports |= {"select": In(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.update.lanes
        bias_word, bias_lane = divmod(self.config.network.n_rows(self.layer) - 1, lanes)
        bank_stride = 1 << self.address.shape().width  # the bank is the upper address bits

        # 0, 1 or 2 in two bits: the sign of an activation's code is always plus.
        row_layout = data.ArrayLayout(unsigned(2), lanes)
        m.submodules.memory = codes_memory = memory.Memory(
            shape=row_layout, depth=bank_stride * (self.n_banks - 1) + self.n_words, init=[]
        )
        write, read = codes_memory.write_port(), codes_memory.read_port()
        current_bank = Signal(range(self.n_banks))
        load_bank = Signal(range(self.n_banks), init=self.n_banks - 1)
        read_bank = Signal(range(self.n_banks))
        word = Signal(range(self.n_words))
        written = Signal(row_layout)
        some = Signal()

        # Write: round(a / 2**7) is the upper bit, incremented by the bit below.
        for lane in range(lanes):
            activation = Value.cast(self.i.p.activations[lane])
            m.d.comb += written[lane].eq(
                activation[ACTIVATION_EXPONENT:] + activation[ACTIVATION_EXPONENT - 1]
            )
        m.d.comb += [
            some.eq(written.as_value().any()),
            write.en.eq(self.i.valid),
            write.data.eq(written),
            write.addr.eq(load_bank * bank_stride + word),
            read.addr.eq(read_bank * bank_stride + self.address),
        ]
        loaded = Signal(self.n_words)  # flags of the bank being loaded
        with m.If(self.i.valid):
            m.d.sync += word.eq(Mux(self.i.p.last, 0, word + 1))
            with m.Switch(word):
                for index in range(self.n_words):
                    with m.Case(index):
                        m.d.sync += loaded[index].eq(some)

        # Read: the bias lane is a constant and nothing lies beyond it.
        bias_read = Signal()
        m.d.sync += bias_read.eq(self.address == bias_word)
        for lane in range(lanes):
            m.d.comb += self.codes[lane].eq(read.data[lane])
            if lane >= bias_lane:
                with m.If(bias_read):
                    code = activation_code(BIAS) if lane == bias_lane else 0
                    m.d.comb += self.codes[lane].eq(code)

        current = loaded if self.layer else Signal(self.n_words)
        m.d.comb += self.nonzero.eq(current | (1 << bias_word))
        if self.layer == 0:
            free_bank = current_bank if self.n_banks == 2 else 3 - load_bank - current_bank
            with m.If(self.swap):
                m.d.sync += [
                    current_bank.eq(load_bank),
                    load_bank.eq(free_bank),
                    current.eq(loaded),
                ]
            with m.If(self.rewind):
                m.d.sync += word.eq(0)
        if self.n_banks == 3:
            with m.If(self.select):
                m.d.sync += read_bank.eq(current_bank)
        else:
            m.d.comb += read_bank.eq(current_bank)
        return m
