"""Quantiser: a vector of exact errors coded twice, each time with one shared power-of-two scale."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import error_word_layout, scaled_word_layout
from hw.priority import encode, lowest
from hw.rounding import shift_round
from hw.vector_maximum import VectorMaximum
from model.config import Config
from model.quantiser import DRIVE_CODE_MAX, UPDATE_CODE_MAX

__all__ = ["Quantiser", "ScaleExponent"]


class ScaleExponent(wiring.Component):
    """Finds the smallest k with ``round(maximum / 2**k) <= code_max``. Combinational.

    The gateware of :func:`model.quantiser.scale_exponent` for ``code_max = 2**n - 1``: of a
    maximum of length > n bits the n leading bits remain, and one bit less where rounding would
    carry out of them, that is where the n + 1 leading bits are all ones.

    Parameters
    ----------
    width : int
        Bits of the maximum.
    code_max : int
        Largest code, ``2**n - 1``.

    Members
    -------
    maximum : ``In(width)``
    exponent : ``Out(range(width + 1))``
    length : ``Out(range(width + 1))``
        Bits of the maximum without leading zeros.

    Raises
    ------
    ValueError
        If ``code_max`` is not ``2**n - 1`` with n >= 1.
    """

    def __init__(self, *, width: int, code_max: int) -> None:
        if code_max < 1 or code_max & (code_max + 1):
            raise ValueError(f"code_max must be 2**n - 1 with n >= 1, not {code_max}.")
        self.width = width
        self.code_max = code_max
        super().__init__(
            {
                "maximum": In(width),
                "exponent": Out(range(width + 1)),
                "length": Out(range(width + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        code_bits = self.code_max.bit_length()
        # The leading one is the lowest one of the reversed bits: no ripple, no priority chain.
        leading = Signal(self.width)
        m.d.comb += leading.eq(Cat(*reversed(lowest(Cat(*reversed(self.maximum))))))
        with m.If(self.maximum.any()):
            m.d.comb += self.length.eq(encode(leading) + 1)
        carries = [
            leading[length - 1] & self.maximum[length - code_bits - 1 : length].all()
            for length in range(code_bits + 1, self.width + 1)
        ]
        with m.If(self.length > code_bits):
            m.d.comb += self.exponent.eq(self.length - code_bits + Cat(carries).any())
        return m


class Quantiser(wiring.Component):
    """Stores a vector of errors, finds its scales, then sends it coded with both.

    With m the largest magnitude of the vector, e its elements, and E the sum of the drive
    exponents of the layers above (0 for the output layer), in this order::

        s = scale_exponent(m, 127)                  drive_exponent
        drives = shift_round(e, s)
        M = running_maximum(M, m << E, decay_log2)  policy running; M = m << E for policy own
        k = max(scale_exponent(M, 3), E)            update_exponent
        codes = shift_round(e, k - E)
        M = crowded_maximum(M, n, ...)              n non-zero codes
        E = E + s                                   for the layer below

    with the functions of :mod:`model.quantiser` and :mod:`model.rounding`; M is kept for each
    layer, 0 after reset. Vectors come from the output layer downwards; the output layer's sets E
    to 0 again.

    **Timing**: with the last word of a vector transferred in cycle 0, the exponents are valid and
    ``scaled`` is high from cycle ``SCALE_LATENCY`` = 5 on; if ``emit`` is high in that cycle, word
    k is valid in cycle ``OUTPUT_LATENCY`` + k = 7 + k unless stalled. A later ``emit`` delays the
    words by as much. One word a cycle both ways. ``i`` does not accept from the last word on until
    ``scaled``, nor from ``emit`` on until the last scaled word is in the output register. A vector
    that is never emitted is dropped by the first word of the next. The running maximum has grown
    ``CROWD_LATENCY`` = 3 cycles after the last word came to the output register; the next vector of
    the same layer begins later, as a product lies between.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream)`` of :func:`hw.layouts.error_word_layout`
        Errors above ``-2**(error_bits - 1)``, the code without a positive counterpart.
    o : ``Out(stream)`` of :func:`hw.layouts.scaled_word_layout`
    layer : ``In(range(max(2, n_layers)))``
        Whose units the errors belong to; stable from the transfer of the last word to ``scaled``.
    scale_policy : ``In(1)``
        0: the vector's own maximum, 1: the running maximum; as ``layer``.
    emit : ``In(1, init=1)``
        Send the vector; looked at while ``scaled`` is high and the vector was not sent yet. Left
        alone it is high: every vector is sent.
    decay : ``In(1)``
        Strobe: no vectors come for the layers below the output layer in this image; their running
        maxima decay.
    scaled : ``Out(1)``
        The status below is valid: from ``SCALE_LATENCY`` on to the next vector's first word.
    drive_exponent, update_exponent : ``Out``
        s and k.
    zero_error, zero_codes : ``Out(1)``
        All errors are zero; all update codes are zero.
    """

    # From the transfer of the last error word to scaled: the maximum, the carry of its two's
    # complement, two cycles of _Scales.
    SCALE_LATENCY = VectorMaximum.LATENCY + 3
    # To the first scaled word: the memory's register and the output's.
    OUTPUT_LATENCY = SCALE_LATENCY + 2
    CROWD_LATENCY = 3  # from the last word in the output register to the running maximum

    def __init__(self, config: Config) -> None:
        self.config = config
        n_layers = config.network.n_layers
        #: Words of the longest vector.
        self.n_words = max(
            config.rows_to_words(config.network.n_cols(layer)) for layer in range(n_layers)
        )
        super().__init__(
            {
                "i": In(stream.Signature(error_word_layout(config))),
                "o": Out(stream.Signature(scaled_word_layout(config))),
                "layer": In(range(max(2, n_layers))),
                "scale_policy": In(1),
                "emit": In(1, init=1),
                "decay": In(1),
                "scaled": Out(1),
                "drive_exponent": Out(range(config.error_exponent_max + 1)),
                "update_exponent": Out(range(config.scale_bits + 1)),
                "zero_error": Out(1),
                "zero_codes": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = memory.Memory(
            shape=data.ArrayLayout(self.i.p.errors.shape().elem_shape, self.config.update.lanes),
            depth=self.n_words,
            init=[],
        )
        m.submodules.scales = scales = _Scales(self.config)
        m.submodules.coder = coder = _Coder(self.config)
        write, read = store.write_port(), store.read_port()

        # Load: store the word, look for the largest magnitude. The magnitude of an error e is that
        # of its one's complement, and 1 if e is negative; where the former are equal the latter
        # decides. So side by side they are in the order of the magnitudes, before any carry.
        word, last_word = Signal(range(self.n_words)), Signal(range(self.n_words))
        transfer = Signal()
        magnitude_bits = self.config.error_bits - 1
        m.submodules.widest = widest = VectorMaximum(
            width=magnitude_bits + 1, lanes=self.config.update.lanes, n_words=self.n_words
        )
        m.d.comb += [
            transfer.eq(self.i.valid & self.i.ready),
            write.en.eq(transfer),
            write.addr.eq(word),
            write.data.eq(self.i.p.errors),
            widest.valid.eq(transfer),
            widest.last.eq(self.i.p.last),
        ]
        for value, error in zip(widest.values, self.i.p.errors, strict=True):
            negative = error < 0
            m.d.comb += value.eq(Cat(negative, error[:-1] ^ negative.replicate(magnitude_bits)))
        maximum = Signal(magnitude_bits)
        with m.If(widest.done):
            m.d.sync += maximum.eq(widest.maximum[1:] + widest.maximum[0])
        with m.If(transfer):
            m.d.sync += [self.scaled.eq(0), word.eq(word + 1), last_word.eq(word)]

        # Scale, between load and send.
        m.d.comb += [
            scales.maximum.eq(maximum),
            scales.layer.eq(self.layer),
            scales.scale_policy.eq(self.scale_policy),
            scales.decay.eq(self.decay),
            self.drive_exponent.eq(scales.drive_exponent),
            self.update_exponent.eq(scales.update_exponent),
            self.zero_error.eq(scales.zero_error),
            self.zero_codes.eq(scales.zero_codes),
        ]

        # Send: read the memory, then code into the output register.
        fetch = Signal()
        fetched, fetched_last = Signal(), Signal()
        advance = Signal()  # the output register takes what was fetched
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            read.addr.eq(word),
            read.en.eq(fetch & (advance | ~fetched)),
            coder.errors.eq(read.data),
            coder.drive_shift.eq(scales.drive_exponent),
            coder.code_shift.eq(scales.code_shift),
        ]
        with m.If(advance):
            m.d.sync += [self.o.valid.eq(fetched), fetched.eq(0)]
            with m.If(fetched):
                m.d.sync += [
                    self.o.p.drives.eq(coder.drives),
                    self.o.p.codes.eq(coder.codes),
                    self.o.p.last.eq(fetched_last),
                ]
        with m.If(read.en):
            m.d.sync += [
                fetched.eq(1),
                fetched_last.eq(word == last_word),
                word.eq(word + 1),
            ]

        if self.config.update.crowded_codes:
            m.submodules.crowd = crowd = _Crowd(self.config)
            m.d.sync += crowd.valid.eq(advance & fetched)
            m.d.comb += [
                crowd.codes.eq(self.o.p.codes),
                crowd.last.eq(self.o.p.last),
                scales.crowded.eq(crowd.crowded),
            ]

        def load() -> None:
            m.d.comb += self.i.ready.eq(1)
            with m.If(self.i.valid):
                m.next = "LOAD"
                with m.If(self.i.p.last):
                    m.d.sync += word.eq(0)
                    m.next = "MAXIMUM"

        with m.FSM():
            # The vector comes in.
            with m.State("LOAD"):
                load()
            # The largest magnitude of all words is on its way.
            with m.State("MAXIMUM"):
                with m.If(widest.done):
                    m.next = "DRIVE SCALE"
            # The maximum is complete: exponent of the drives, running maximum.
            with m.State("DRIVE SCALE"):
                m.d.comb += scales.update.eq(1)
                m.next = "CODE SCALE"
            # The running maximum is complete: exponent of the codes.
            with m.State("CODE SCALE"):
                m.d.comb += scales.finish.eq(1)
                m.d.sync += self.scaled.eq(1)
                m.next = "SCALED"
            # Wait for leave to send; another vector may come instead.
            with m.State("SCALED"):
                with m.If(self.emit):
                    m.d.comb += fetch.eq(1)
                    m.next = "SEND"
                with m.Else():
                    load()
            # Send word after word, then take the next vector.
            with m.State("SEND"):
                m.d.comb += fetch.eq(~(fetched & fetched_last))
                with m.If(fetched & fetched_last & advance):
                    m.d.sync += word.eq(0)
                    m.next = "LOAD"
        return m


class _Scales(wiring.Component):
    """Exponents of one vector after the other; see :class:`Quantiser` for the formulas.

    ``update`` registers drive exponent and running maximum, ``finish`` in the cycle after it the
    update exponent; outputs are valid from the cycle after ``finish`` to the next ``update``.
    ``layer`` is stable from two cycles before ``update``. ``crowded`` lets the running maximum of
    the last vector grow, ``decay`` lets those of all layers but the output layer decay.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "maximum": In(config.error_bits - 1),
                "layer": In(range(max(2, config.network.n_layers))),
                "scale_policy": In(1),
                "update": In(1),
                "finish": In(1),
                "crowded": In(1),
                "decay": In(1),
                "drive_exponent": Out(range(config.error_exponent_max + 1)),
                "update_exponent": Out(range(config.scale_bits + 1)),
                # update_exponent less the exponents above: the shift of this vector's codes.
                "code_shift": Out(range(config.scale_bits + 1)),
                "zero_error": Out(1),
                "zero_codes": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, n_layers = self.config, self.config.network.n_layers
        exponents = range(config.error_exponent_max * (n_layers - 1) + 1)
        maxima = [Signal(config.scale_bits, name=f"maximum_{k}") for k in range(n_layers)]

        # Before: the layer's running maximum, decayed, and in units of the maximum to come. With
        # E = above, decayed >= maximum << E just where decayed >> E >= maximum, so that the
        # comparison does not wait for the shift of the maximum.
        above_next = Signal(exponents)  # E of the next vector, unless of the output layer
        above = Signal(exponents)
        decayed, decayed_shifted = Signal(config.scale_bits), Signal(config.scale_bits)
        m.d.comb += above.eq(Mux(self.layer == n_layers - 1, 0, above_next))
        m.d.sync += decayed_shifted.eq(decayed >> above)
        less = [previous - (previous >> config.update.decay_log2) for previous in maxima]
        with m.Switch(self.layer):
            for index, value in enumerate(less):
                with m.Case(index):
                    m.d.sync += decayed.eq(value)
        with m.If(self.decay):
            m.d.sync += [maxima[index].eq(less[index]) for index in range(n_layers - 1)]

        # First cycle: drive exponent from the maximum, and the maximum that the codes go by.
        m.submodules.drive = drive = ScaleExponent(
            width=config.error_bits - 1, code_max=DRIVE_CODE_MAX
        )
        running = Signal(config.scale_bits)
        m.d.comb += [
            drive.maximum.eq(self.maximum),
            running.eq(self.maximum << above),
        ]
        with m.If(self.scale_policy & (decayed_shifted >= self.maximum)):
            m.d.comb += running.eq(decayed)

        chosen, held = Signal.like(running), Signal.like(above)
        length = Signal(range(config.scale_bits + 1))  # of maximum << above
        with m.If(self.update):
            m.d.sync += [
                self.drive_exponent.eq(drive.exponent),
                self.zero_error.eq(self.maximum == 0),
                above_next.eq(above + drive.exponent),
                held.eq(above),
                length.eq(drive.length + above),
                chosen.eq(running),
            ]
            with m.Switch(self.layer):
                for index, previous in enumerate(maxima):
                    with m.Case(index):
                        m.d.sync += previous.eq(running)

        # Second cycle: exponent of the codes. They are all zero if the maximum rounds to zero, that
        # is if it is below half an LSB: shorter than the shift. Where `held` is the exponent, the
        # shift is 0, and nothing is shorter.
        m.submodules.code = code = ScaleExponent(width=config.scale_bits, code_max=UPDATE_CODE_MAX)
        m.d.comb += code.maximum.eq(chosen)
        exponent, shift = Signal.like(self.update_exponent), Signal.like(self.code_shift)
        m.d.comb += [
            exponent.eq(Mux(code.exponent > held, code.exponent, held)),
            shift.eq(exponent - held),
        ]
        if config.update.crowded_codes:
            scaled_layer = Signal.like(self.layer)  # of the last vector
            with m.If(self.update):
                m.d.sync += scaled_layer.eq(self.layer)
            with m.If(self.crowded):
                with m.Switch(scaled_layer):
                    for index, maximum in enumerate(maxima):
                        with m.Case(index):
                            more = maximum >> (config.update.decay_log2 - 2)
                            m.d.sync += maximum.eq(maximum + Mux(maximum[-1], 0, more))

        with m.If(self.finish):
            m.d.sync += [
                self.update_exponent.eq(exponent),
                self.code_shift.eq(shift),
                self.zero_codes.eq(self.zero_error | (length < code.exponent)),
            ]
        return m


class _Crowd(wiring.Component):
    """Counts the non-zero codes of a vector; ``crowded`` strobes, two cycles after the word with
    ``last``, where they are more than ``update.crowded_codes``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "codes": In(scaled_word_layout(config).members["codes"]),
                "last": In(1),
                "valid": In(1),
                "crowded": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network, limit = self.config.network, self.config.update.crowded_codes
        n_units = max(network.n_cols(layer) for layer in range(network.n_layers))

        # Cycle 0: codes of the word.
        of_word = Signal(range(self.config.update.lanes + 1))
        counted, counted_last = Signal(), Signal()
        m.d.sync += [
            of_word.eq(sum(code.any() for code in self.codes)),
            counted.eq(self.valid),
            counted_last.eq(self.last),
        ]

        # Cycle 1: codes of the vector.
        before, total = Signal(range(n_units + 1)), Signal(range(n_units + 1))
        m.d.comb += total.eq(before + of_word)
        m.d.sync += self.crowded.eq(counted & counted_last & (total > limit))
        with m.If(counted):
            m.d.sync += before.eq(Mux(counted_last, 0, total))
        return m


class _Coder(wiring.Component):
    """Codes a word twice: ``shift_round`` by either shift. Combinational."""

    def __init__(self, config: Config) -> None:
        self.config = config
        scaled = scaled_word_layout(config).members
        super().__init__(
            {
                "errors": In(error_word_layout(config).members["errors"]),
                "drive_shift": In(range(config.error_exponent_max + 1)),
                "code_shift": In(range(config.scale_bits + 1)),
                "drives": Out(scaled["drives"]),
                "codes": Out(scaled["codes"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for error, drive, code in zip(self.errors, self.drives, self.codes, strict=True):
            m.d.comb += [
                drive.eq(shift_round(error, self.drive_shift, 8)),
                code.eq(shift_round(error, self.code_shift, 3)),
            ]
        return m
