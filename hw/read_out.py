"""Column read-out: one transaction of an array, its codes summed over tiles and sent as words."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Direction, array_signature, code_layout, read_command_layout
from model.config import Config

__all__ = ["CodeReader", "ReadOut", "partial_sum"]


def partial_sum(tile_codes: Sequence[Value], code_bits: int) -> Value:
    """``saturate(sum_k tile_codes[k])`` to ``code_bits`` signed bits, combinational.

    The gateware of :func:`model.read_out.partial_sum` for one read line: the sum is exact, only the
    result saturates; one tile passes unchanged.
    """
    if len(tile_codes) == 1:
        return tile_codes[0]
    total = sum(tile_codes[1:], start=tile_codes[0])
    low = Const(-(2 ** (code_bits - 1)), signed(code_bits))
    high = Const(2 ** (code_bits - 1) - 1, signed(code_bits))
    return Mux(total > high, high, Mux(total < low, low, total))


class CodeReader(wiring.Component):
    """Runs one array transaction a command and sends the codes of the read lines as words.

    The part of :class:`ReadOut` that knows no configuration: function and timing are described
    there.

    Parameters
    ----------
    command : data.StructLayout
        ``direction`` and whatever else the array needs to know in the same cycles.
    lanes : int
        Codes a word.
    code_bits : int
        Bits of a code.
    n_cols : int
        Columns.
    n_rows : int
        Rows whose codes are sent after BACKWARD; 0 if the array is never driven backwards.
    mvm_cycles, read_cycles : int
        Cycles of a product, and of a READ.
    array : Mapping
        Members ``start``, ``col_codes``, ``row_codes`` and one for every field of the command.

    Members
    -------
    i_command : ``In(stream of command)``
    o_words : ``Out(stream of {codes, last})``
    start, col_codes, row_codes, and the fields of the command
        As of :class:`ReadOut`.
    """

    OUTPUT_LATENCY = 1  # from the first cycle of valid codes to the first valid word

    def __init__(
        self,
        *,
        command: data.StructLayout,
        lanes: int,
        code_bits: int,
        n_cols: int,
        n_rows: int,
        mvm_cycles: int,
        read_cycles: int,
        array: Mapping[str, wiring.Member],
    ) -> None:
        self.command = command
        self.lanes = lanes
        self.code_bits = code_bits
        self.n_cols = n_cols
        self.n_rows = n_rows
        self.mvm_cycles = mvm_cycles
        self.read_cycles = read_cycles
        self.word_layout = code_layout(lanes=lanes, bits=code_bits)
        names = ("start", "col_codes", "row_codes", *command.members)
        super().__init__(
            {
                "i_command": In(stream.Signature(command)),
                "o_words": Out(stream.Signature(self.word_layout)),
            }
            | {name: array[name] for name in names}
        )

    def _n_words(self, n_lines: int) -> int:
        return -(-n_lines // self.lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        backward = self.n_rows > 0
        words = self._n_words(max(self.n_cols, self.n_rows))

        accept = Signal()
        command = self.i_command.p
        running = Signal(self.command)
        m.d.comb += [accept.eq(self.i_command.valid & self.i_command.ready), self.start.eq(accept)]
        with m.If(accept):
            m.d.sync += running.eq(command)
        for name in self.command.members:
            now, held = Value.cast(command[name]), Value.cast(running[name])
            m.d.comb += getattr(self, name).eq(Mux(accept, now, held))
        is_backward = Signal()
        m.d.comb += is_backward.eq((running.direction == Direction.BACKWARD) & int(backward))

        # The word under way: a case per word, each a constant slice of the array's codes.
        word = Signal(range(words))
        word_codes = Signal(self.word_layout)
        if backward:
            with m.If(is_backward):
                self._select(m, word_codes, word, self.row_codes, self.n_rows)
        with m.If(~is_backward):
            self._select(m, word_codes, word, self.col_codes, self.n_cols)

        free = Signal()  # the output register takes a word in this cycle
        m.d.comb += free.eq(self.o_words.ready | ~self.o_words.valid)
        with m.If(self.o_words.ready):
            m.d.sync += self.o_words.valid.eq(0)

        # Codes are valid M cycles after `start`; WAIT ends one cycle before.
        longest = max(self.mvm_cycles, self.read_cycles)
        remaining = Signal(range(longest))
        with m.FSM():
            # No transaction: a command starts one at once.
            with m.State("IDLE"):
                m.d.comb += self.i_command.ready.eq(1)
                m.d.sync += [
                    word.eq(0),
                    remaining.eq(
                        Mux(
                            command.direction == Direction.READ,
                            self.read_cycles - 1,
                            self.mvm_cycles - 1,
                        )
                    ),
                ]
                with m.If(accept):
                    m.next = "WAIT"
            # The array integrates and converts.
            with m.State("WAIT"):
                m.d.sync += remaining.eq(remaining - 1)
                with m.If(remaining == 1):
                    m.next = "SEND"
            # One word a cycle into the output register.
            with m.State("SEND"):
                with m.If(free):
                    m.d.sync += [
                        self.o_words.payload.eq(word_codes),
                        self.o_words.valid.eq(1),
                        word.eq(word + 1),
                    ]
                    with m.If(word_codes.last):
                        m.next = "DRAIN"
            # The last word waits to be taken.
            with m.State("DRAIN"):
                with m.If(self.o_words.ready):
                    m.next = "IDLE"
        return m

    def _select(
        self, m: Module, target: data.View, word: Signal, tile_codes: data.View, n_lines: int
    ) -> None:
        """Puts word ``word`` of ``n_lines`` summed codes on ``target``."""
        lanes, code_bits = self.lanes, self.code_bits
        n_words = self._n_words(n_lines)
        # Select first, add behind: one adder a lane and tile, whatever the number of lines.
        tiles = []
        for tile in range(tile_codes.shape().length):
            codes = tile_codes[tile].as_value()[: n_lines * code_bits]
            selected = Signal(data.ArrayLayout(signed(code_bits), lanes))
            with m.Switch(word):
                for index in range(n_words):
                    with m.Case(index):
                        first = index * lanes * code_bits
                        m.d.comb += selected.as_value().eq(
                            codes[first : first + len(selected.as_value())]
                        )
            tiles.append(selected)
        m.d.comb += target.last.eq(word == n_words - 1)
        for lane in range(lanes):
            m.d.comb += target.codes[lane].eq(partial_sum([t[lane] for t in tiles], code_bits))


class ReadOut(CodeReader):
    """Runs one array transaction a command and sends the codes of the read lines as words.

    Word k holds ``codes[k * lanes + lane] = saturate(sum over tiles)`` for every read line; lanes
    beyond the lines are 0. FORWARD and READ read the columns, BACKWARD the rows without the last:
    the bias line has no error to receive. Values are held by the array, not here, so a stalled
    consumer costs no memory.

    **Timing**: a command transferred in cycle 0 raises ``start`` in cycle 0. With
    M = ``mvm_cycles`` (``read_cycles`` for READ) codes are sampled from cycle M on, and word k is
    valid in cycle M + 1 + k (``OUTPUT_LATENCY`` = 1) if never stalled. The next command is
    accepted from the cycle after the transfer of the last word. The drives of the array must stay
    until then. Reset drops a running transaction.

    Parameters
    ----------
    config : Config
    layer : int
        Weight layer whose array this is.

    Members
    -------
    i_command : ``In(stream)`` of :func:`hw.layouts.read_command_layout`
        A first layer is never asked for BACKWARD.
    o_words : ``Out(stream)`` of :func:`hw.layouts.code_word_layout`
    start : ``Out(1)``
        To the array: strobe that begins a transaction.
    direction, row, device : ``Out``
        To the array: of the command in the cycle of ``start``, then held until the next;
        ``direction`` also tells where ``o_words`` belongs.
    col_codes, row_codes : ``In``
        From the array, see :func:`hw.layouts.array_signature`.

    Raises
    ------
    ValueError
        If the network has no such layer.
    """

    def __init__(self, config: Config, layer: int) -> None:
        if layer not in range(config.network.n_layers):
            raise ValueError(
                f"layer must be between 0 and {config.network.n_layers - 1}, not {layer!r}."
            )
        self.config = config
        self.layer = layer
        super().__init__(
            command=read_command_layout(config),
            lanes=config.update.lanes,
            code_bits=config.converter.adc_bits,
            n_cols=config.network.n_cols(layer),
            n_rows=config.network.n_rows(layer) - 1 if layer else 0,
            mvm_cycles=config.array.mvm_cycles,
            read_cycles=config.array.read_cycles,
            array=array_signature(config, layer).members,
        )
