"""Refresh controller: reads rows of device pairs and writes saturated pairs again."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import (
    Device,
    Direction,
    PulseKind,
    code_word_layout,
    pulse_request_layout,
    read_command_layout,
)
from hw.priority import encode, lowest, select, without_lowest
from model.config import Config
from model.refresh_controller import RefreshThresholds, refresh_thresholds

__all__ = ["PairTest", "RefreshController", "refresh_command_layout"]


def refresh_command_layout(config: Config) -> data.StructLayout:
    """A row read and the layer whose array is to do it."""
    return data.StructLayout(
        {
            "layer": range(max(2, config.network.n_layers)),
            "command": read_command_layout(config),
        }
    )


class PairTest(wiring.Component):
    """Compares the read codes of one pair with the thresholds. Combinational.

    ``saturated = max(plus, minus) >= high and abs(plus - minus) < small``: the gateware of
    :func:`model.refresh_controller.saturated`.

    Parameters
    ----------
    code_bits : int
        Bits of a code, sign included.
    thresholds : RefreshThresholds

    Members
    -------
    plus, minus : ``In(signed(code_bits))``
    saturated : ``Out(1)``
    difference : ``Out(signed(code_bits + 1))``
        ``plus - minus``.
    """

    def __init__(self, *, code_bits: int, thresholds: RefreshThresholds) -> None:
        self.code_bits = code_bits
        self.thresholds = thresholds
        super().__init__(
            {
                "plus": In(signed(code_bits)),
                "minus": In(signed(code_bits)),
                "saturated": Out(1),
                "difference": Out(signed(code_bits + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        high, small = self.thresholds.saturated, self.thresholds.difference
        m.d.comb += [
            self.difference.eq(self.plus - self.minus),
            self.saturated.eq(
                ((self.plus >= high) | (self.minus >= high))
                & (self.difference < small)
                & (self.difference > -small)
            ),
        ]
        return m


class RefreshController(wiring.Component):
    """Refreshes rows of device pairs, one after the other over all layers, again and again.

    A row is read twice, its plus and its minus devices. Every saturated pair, columns rising, gets
    a RESET on the plus device, a RESET on the minus device and
    n = ``refresh_pulses(plus, minus)`` SET pulses, on the plus device if n > 0, else on the minus
    device: :mod:`model.refresh_controller`. Nothing is verified.

    The pointer (layer, row) begins at (0, 0), moves on by a row after each refreshed row, and
    wraps after the last row of the last layer. A ``start`` refreshes the row at the pointer if
    ``due`` is high and its layer is in ``layers_mask``; otherwise it does nothing. With
    ``refresh.rows`` = 0 it goes on with the following rows until their layer is not in the mask or
    the pointer has wrapped.

    ::

        o_commands ──► read-out ──► i_words ──► plus: row store ─────┐
                                            └─► minus: pair tests ◄──┘ ──► o_requests

    **Timing**: ``busy`` is high from the cycle after an effective ``start`` on. With R =
    ``read_cycles``, W words a row, P saturated pairs and read-outs that accept and answer at once
    a row takes::

        2 (R + W) + ROW_CYCLES + sum over its pairs (T + PAIR_CYCLES)

    cycles, ROW_CYCLES = 3 and PAIR_CYCLES = 2, where T is the sum of its pulses' times at
    ``o_requests``, each from the transfer of the request until the consumer is ready again: for
    the pulse scheduler, pulse width plus gap. ``busy`` falls in the cycle after, when the last
    pulse and its gap are over: the scan of a row waits for the pulses of each pair, so that the
    time does not depend on where in the row they are.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : ``In(1)``
        Strobe; ignored while busy.
    due : ``In(1)``
        Whether a start counts; looked at in its cycle.
    layers_mask : ``In(n_layers)``
        Bit l: the array of layer l is free; sampled at ``start``.
    busy : ``Out(1)``
    complete : ``Out(1)``
        Strobe in the last busy cycle: a refresh interval is over. After every row, or with
        ``refresh.rows`` = 0 when the pointer has wrapped.
    refreshed_pair : ``Out(1)``
        Strobe for each pair, with the transfer of its first request.
    o_commands : ``Out(stream)`` of :func:`refresh_command_layout`
        To the read-out of ``layer``.
    i_words : ``In(stream)`` of :func:`hw.layouts.code_word_layout`
        From that read-out; one vector a command.
    o_requests : ``Out(stream)`` of :func:`hw.layouts.pulse_request_layout`
        To the pulse scheduler, whose ``ready`` must not depend on ``valid``.
    layer, row : ``Out``
        The pointer: the row under refresh or next to be.

    Source
    ------
    Nandakumar 2020, refresh of saturated differential pairs; the distribution over images and the
    thresholds are those of :class:`model.config.RefreshConfig`.
    """

    ROW_CYCLES = 3  # of a row besides reads, words and pairs
    PAIR_CYCLES = 2  # of a pair besides its pulses

    def __init__(self, config: Config) -> None:
        self.config = config
        n_layers = config.network.n_layers
        request = pulse_request_layout(config)
        super().__init__(
            {
                "start": In(1),
                "due": In(1),
                "layers_mask": In(n_layers),
                "busy": Out(1),
                "complete": Out(1),
                "refreshed_pair": Out(1),
                "o_commands": Out(stream.Signature(refresh_command_layout(config))),
                "i_words": In(stream.Signature(code_word_layout(config))),
                "o_requests": Out(stream.Signature(request)),
                "layer": Out(request["layer"].shape),
                "row": Out(request["row"].shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scan = scan = _RowScan(self.config)
        m.submodules.writer = writer = _PairWriter(self.config)
        device = Signal(Device)
        wiring.connect(m, scan.o_pairs, writer.i)
        wiring.connect(m, wiring.flipped(self.i_words), scan.i)

        # The row after this one.
        network = self.config.network
        last_row, wraps = Signal(), Signal()
        next_layer, next_row = Signal.like(self.layer), Signal.like(self.row)
        with m.Switch(self.layer):
            for index in range(network.n_layers):
                with m.Case(index):
                    m.d.comb += last_row.eq(self.row == network.n_rows(index) - 1)
        m.d.comb += [
            wraps.eq(last_row & (self.layer == network.n_layers - 1)),
            next_row.eq(Mux(last_row, 0, self.row + 1)),
            next_layer.eq(Mux(wraps, 0, self.layer + last_row)),
        ]
        mask = Signal.like(self.layers_mask)
        if self.config.refresh.rows:
            goes_on = complete = None
        else:
            # A bit of a vector as wide as there are layers: a shift is a multiplexer of three.
            goes_on, complete = ~wraps & (mask >> next_layer)[0], wraps

        m.d.comb += [
            self.o_commands.p.layer.eq(self.layer),
            self.o_commands.p.command.direction.eq(Direction.READ),
            self.o_commands.p.command.row.eq(self.row),
            self.o_commands.p.command.device.eq(device),
            scan.layer.eq(self.layer),
            scan.minus.eq(device == Device.MINUS),
            self.o_requests.valid.eq(writer.o.valid),
            self.o_requests.p.layer.eq(self.layer),
            self.o_requests.p.row.eq(self.row),
            self.o_requests.p.col.eq(writer.o.p.col),
            self.o_requests.p.device.eq(writer.o.p.device),
            self.o_requests.p.kind.eq(writer.o.p.kind),
            writer.o.ready.eq(self.o_requests.ready),
            self.refreshed_pair.eq(writer.first),
        ]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            # Wait until the pointer's array is free and its turn has come.
            with m.State("IDLE"):
                m.d.sync += [mask.eq(self.layers_mask), device.eq(Device.PLUS)]
                with m.If(self.start & self.due & (self.layers_mask >> self.layer)[0]):
                    m.next = "COMMAND"
            # Ask for one device of every pair in the row.
            with m.State("COMMAND"):
                m.d.comb += self.o_commands.valid.eq(1)
                with m.If(self.o_commands.ready):
                    m.next = "SCAN"
            # Store the plus codes; test the minus codes against them and write pairs again.
            with m.State("SCAN"):
                m.d.comb += scan.enable.eq(1)
                with m.If(scan.done & (device == Device.PLUS)):
                    m.d.sync += device.eq(Device.MINUS)
                    m.next = "COMMAND"
                with m.Elif(scan.done):
                    m.d.sync += [
                        self.row.eq(next_row),
                        self.layer.eq(next_layer),
                        device.eq(Device.PLUS),
                    ]
                    m.d.comb += self.complete.eq(1 if complete is None else complete)
                    m.next = "IDLE"
                    if goes_on is not None:
                        with m.If(goes_on):
                            m.next = "COMMAND"
        return m


def _pair_layout(config: Config) -> data.StructLayout:
    """A saturated pair."""
    return data.StructLayout(
        {
            "col": pulse_request_layout(config)["col"].shape,
            # Read code of the plus device less that of the minus device.
            "difference": signed(config.converter.adc_bits + 1),
        }
    )


def _pulse_layout(config: Config) -> data.StructLayout:
    """A pulse request of the row under refresh."""
    request = pulse_request_layout(config).members
    return data.StructLayout({name: request[name] for name in ("col", "device", "kind")})


class _RowScan(wiring.Component):
    """Takes the words of a row's two reads and gives its saturated pairs, columns rising.

    ``minus`` low: the words of a vector are stored, and ``done`` is high with the transfer of the
    last. ``minus`` high: a word is taken, its saturated pairs leave at ``o_pairs`` one by one, and
    once the consumer is ready for more the next word is taken; ``done`` is high in the first cycle
    after the last word in which all of that has happened. Only while ``enable`` is high.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "enable": In(1),
                "minus": In(1),
                "layer": In(range(max(2, config.network.n_layers))),
                "i": In(stream.Signature(code_word_layout(config))),
                "o_pairs": Out(stream.Signature(_pair_layout(config))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, network, lanes = self.config, self.config.network, self.config.update.lanes
        code_bits = config.converter.adc_bits
        widths = [network.n_cols(layer) for layer in range(network.n_layers)]
        m.submodules.store = store = memory.Memory(
            shape=data.ArrayLayout(signed(code_bits), lanes),
            depth=config.rows_to_words(max(widths)),
            init=[],
        )
        write, read = store.write_port(), store.read_port()

        # Words of either read; the next word's plus codes are fetched a cycle ahead.
        transfer = Signal()
        word, next_word = Signal(write.addr.shape()), Signal(write.addr.shape())
        ended = Signal()  # the last minus word is in the pair tests
        pending = Signal(lanes)  # saturated pairs of this word that have not left
        settled = Signal()  # all pairs so far have left and are written
        m.d.comb += [
            settled.eq(~pending.any() & self.o_pairs.ready),
            self.i.ready.eq(self.enable & (~self.minus | (settled & ~ended))),
            transfer.eq(self.i.valid & self.i.ready),
            next_word.eq(word),
            write.en.eq(transfer & ~self.minus),
            write.addr.eq(word),
            write.data.eq(self.i.p.codes),
            read.addr.eq(next_word),
        ]
        with m.If(transfer):
            m.d.comb += next_word.eq(Mux(self.i.p.last, 0, word + 1))
        m.d.sync += word.eq(next_word)

        # Test all lanes of a minus word at once; lanes beyond the row are never saturated.
        thresholds = refresh_thresholds(config)
        valid = Signal(lanes, init=-1)
        with m.If(self.i.p.last):
            with m.Switch(self.layer):
                for layer, width in enumerate(widths):
                    with m.Case(layer):
                        m.d.comb += valid.eq((1 << ((width - 1) % lanes + 1)) - 1)
        saturated = Signal(lanes)
        differences = Signal(data.ArrayLayout(signed(code_bits + 1), lanes))
        tested_word = Signal.like(word)
        for lane in range(lanes):
            test = PairTest(code_bits=code_bits, thresholds=thresholds)
            m.submodules[f"test_{lane}"] = test
            m.d.comb += [
                test.plus.eq(read.data[lane]),
                test.minus.eq(self.i.p.codes[lane]),
                saturated[lane].eq(test.saturated),
            ]
            with m.If(transfer & self.minus):
                m.d.sync += differences[lane].eq(test.difference)
        with m.If(transfer & self.minus):
            m.d.sync += [
                pending.eq(saturated & valid),
                tested_word.eq(word),
                ended.eq(self.i.p.last),
            ]

        # The lowest pair first. `lanes` is a power of two: a column is word and lane side by side.
        lane = Signal(lanes)
        m.d.comb += [
            lane.eq(lowest(pending)),
            self.o_pairs.valid.eq(pending.any()),
            self.o_pairs.p.col.eq(Cat(encode(lane), tested_word)),
            self.o_pairs.p.difference.eq(select(lane, differences)),
            self.done.eq(Mux(self.minus, ended & settled, transfer & self.i.p.last)),
        ]
        with m.If(self.o_pairs.valid & self.o_pairs.ready):
            m.d.sync += pending.eq(without_lowest(pending))
        with m.If(self.done):
            m.d.sync += ended.eq(0)
        return m


class _PairWriter(wiring.Component):
    """Turns a pair into its pulses: RESET plus, RESET minus, then SET pulses on one device.

    A pair is taken when the pulses of the one before are over: the consumer is ready again.
    ``first`` is high with the transfer of a pair's first request.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(_pair_layout(config))),
                "o": Out(stream.Signature(_pulse_layout(config))),
                "first": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pair = Signal(_pair_layout(self.config))
        difference = Signal.like(Value.cast(pair.difference))
        magnitude = Signal(self.config.converter.adc_bits + 1)
        steps = refresh_thresholds(self.config).steps
        resets = 2
        count = Signal(range(resets + len(steps) + 1))  # requests of this pair
        index = Signal.like(count)
        m.d.comb += [
            difference.eq(pair.difference),
            magnitude.eq(abs(difference)),
            count.eq(resets + sum((magnitude >= step for step in steps), start=Value.cast(0))),
            self.o.p.col.eq(pair.col),
            self.o.p.kind.eq(Mux(index < resets, PulseKind.RESET, PulseKind.SET)),
            self.o.p.device.eq(Mux(difference < 0, Device.MINUS, Device.PLUS)),
        ]
        with m.If(index < resets):
            m.d.comb += self.o.p.device.eq(Mux(index[0], Device.MINUS, Device.PLUS))

        with m.FSM():
            # No pulse is running: take a pair.
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [pair.eq(self.i.p), index.eq(0)]
                with m.If(self.i.valid):
                    m.next = "WRITE"
            # One request after the other.
            with m.State("WRITE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.comb += self.first.eq(index == 0)
                    m.d.sync += index.eq(index + 1)
                    with m.If(index + 1 == count):
                        m.next = "WAIT"
            # The last pulse is running until the consumer would take another.
            with m.State("WAIT"):
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
