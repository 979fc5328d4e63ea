"""A netlist as tables, and the small Verilog module that evaluates them.

Compiled one by one, the gates of a unit take a simulator far longer than its training does. Here
the gates are data: truth tables and net numbers in a file, in an order in which each gate comes
after its inputs. One loop of Verilog evaluates all of them whenever an input or a register has
changed, so that the program is as small for 240,000 gates as for two, whatever the library.

::

    netlists of the blocks ─► joined to one ─► levelised ─► tables ──$readmemh──┐
                                                                                ▼
              inputs, registers, memories ─► value of every net ─► outputs, d of registers

Gates have no delay. Registers and memories have no initial value, or random ones. Memories stay
modules.
"""

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.errors import LibertyError, SynthesisError
from hw.liberty_power import CellPower, to_expression
from hw.netlist import Netlist, read_netlist
from hw.saif import Instance
from hw.synthesis import Synthesis
from hw.timing import Macro
from hw.verilog import Port

__all__ = ["GateTables", "gate_tables", "memory_modules", "read_netlists", "truth_table"]

WORD_BITS = 32
"""Nets of a traced word."""

_Key = tuple[str, str]
"""Block and net; constants are of no block."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """An instance of a memory, by the numbers of its nets."""

    path: str
    """Its name behind those of its blocks, joined by points."""
    macro: Macro
    inputs: Mapping[str, tuple[int, ...]]
    """Of each port but the clock, lowest bit first."""
    outputs: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class GateTables:
    """The gates of a unit. Nets are numbers: 0 and 1 are the constants."""

    n_nets: int
    nets: Mapping[str, Mapping[str, int]]
    """By block and name in it."""
    clock: int
    gates: tuple[tuple[int, str, tuple[int, ...]], ...]
    """Output, truth table and inputs of each, in order. The table's letter at place k, of ``0`` and
    ``1``, is the output for inputs that read k in binary, the first the highest bit."""
    registers: tuple[tuple[int, int], ...]
    """Nets of what each will hold and of what it holds."""
    memories: tuple[Memory, ...]

    def port(self, block: str, port: Port) -> list[int | None]:
        """Nets of a block's port, lowest bit first; None where it is not connected inside."""
        nets = self.nets.get(block, {})
        names = [port.name] if port.width == 1 and port.name in nets else _names(port)
        return [nets.get(name) for name in names]

    def activity(self, top: Instance) -> dict[str, Instance]:
        """What the nets of each block did, from that of an instance of :meth:`verilog`."""
        word = re.compile(r"word\[(\d+)\]\[(\d+)\]")
        seen = {
            WORD_BITS * int(match[1]) + int(match[2]): activity
            for name, activity in top.nets.items()
            if (match := word.fullmatch(name))
        }
        seen[self.clock] = top.nets["clk"]
        return {
            block: Instance(nets={name: seen[net] for name, net in nets.items() if net in seen})
            for block, nets in self.nets.items()
        }

    def verilog(
        self,
        top: str,
        ports: Sequence[Port],
        block: str,
        *,
        watched: Mapping[str, int] | None = None,
    ) -> str:
        """The module that evaluates the gates; it reads :meth:`numbers` from the file that the
        simulation's argument ``+gates=FILE`` names.

        Parameters
        ----------
        top
            Name of the module.
        ports
            Its ports beside ``clk`` and ``rst``.
        block
            The block that they are of.
        watched
            Width in bits of each net that can be read as ``BLOCK.NAME``, its path as in the
            Verilog that was synthesised; ports of memories can be read so in any case. Registers
            and memories wake up random, by the simulation's seed. Without, an array ``word`` shows
            all nets to a trace, 32 in each element.

        Raises
        ------
        SynthesisError
            If synthesis has left a net out that is watched.
        """
        return _Writer(self, ports, block, watched).verilog(top)

    def numbers(
        self, ports: Sequence[Port], block: str, *, watched: Mapping[str, int] | None = None
    ) -> str:
        """The file of numbers for ``$readmemh``; its parameters are those of :meth:`verilog`."""
        return "".join(f"{number:x}\n" for number in _Writer(self, ports, block, watched).table)

    def watched(self, block: str, path: str, width: int) -> list[int]:
        """Nets of a path as in the Verilog that was synthesised, lowest bit first; ``block`` is
        that of the top.

        Raises
        ------
        SynthesisError
            If one was left out.
        """
        owner, _, name = path.partition(".")
        if owner not in self.nets or not name:
            owner, name = block, path
        found = self.port(owner, Port(name=name, width=width, is_input=False))
        if None in found:
            raise SynthesisError(f"Synthesis left bit {found.index(None)} of {path} out.")
        return [net for net in found if net is not None]


def _names(port: Port) -> list[str]:
    return [f"{port.name}[{k}]" for k in range(port.width)]


def truth_table(function: str, pins: Sequence[str]) -> str:
    """``0`` or ``1`` of a Liberty function for each combination of its pins, the first the highest
    bit.

    Raises
    ------
    LibertyError
        If it reads anything else.
    """
    tree = compile(ast.parse(to_expression(function), mode="eval"), function, "eval")
    unknown = set(tree.co_names) - set(pins)
    if unknown:
        raise LibertyError(f"The function {function} reads {min(unknown)}, which is no pin.")
    return "".join(
        str(eval(tree, {"__builtins__": {}}, dict(zip(pins, values, strict=True))) & 1)
        for values in itertools.product((0, 1), repeat=len(pins))
    )


def _reads(function: str) -> list[str]:
    return sorted(set(re.findall(r"[A-Za-z_]\w*", function)))


def gate_tables(
    netlists: Mapping[str, Netlist],
    top: str,
    cells: Mapping[str, CellPower],
    memories: Sequence[Macro],
) -> GateTables:
    """Joins the netlists of a unit, and orders its gates.

    Parameters
    ----------
    netlists
        By name of the block, as it is instantiated; that of ``top`` instantiates the others.
    cells
        The library's.
    memories
        What else the netlists may instantiate.

    Raises
    ------
    LibertyError
        If a cell has an output without function, or stores a bit in a way that is not modelled.
    SynthesisError
        If there is an instance of anything else, gates form a loop, or a register is not clocked by
        the rising edge of the top's ``clk``.
    """
    joined = _Joined()
    macros = {macro.name: macro for macro in memories}
    blocks = {netlist.name: name for name, netlist in netlists.items() if name != top}
    gates: list[tuple[_Key, str, list[_Key]]] = []
    registers: list[tuple[_Key, _Key, _Key]] = []
    places: list[tuple[str, Macro, dict[str, list[_Key]], dict[str, list[_Key]]]] = []
    known: dict[tuple[str, tuple[str, ...]], str] = {}

    def gate(output: _Key, function: str, pins: Mapping[str, _Key]) -> None:
        reads = tuple(_reads(function))
        if (function, reads) not in known:
            known[function, reads] = truth_table(function, [pin for pin in reads if pin in pins])
        gates.append((output, known[function, reads], [pins[pin] for pin in reads]))

    for block, netlist in netlists.items():
        for name, net in netlist.aliases.items():
            joined.join(_key(block, name), _key(block, net))
        for index, cell in enumerate(netlist.cells):
            pins = {pin: _key(block, net) for pin, net in cell.pins.items()}
            if cell.kind in blocks:
                for pin, key in pins.items():
                    joined.join(key, (blocks[cell.kind], pin))
            elif cell.kind in macros:
                macro = macros[cell.kind]
                path = cell.name if block == top else f"{block}.{cell.name}"
                places.append((path, macro, _bits(macro.inputs, pins), _bits(macro.outputs, pins)))
            elif cell.kind in cells:
                kind = cells[cell.kind]
                pins = dict.fromkeys(kind.inputs, ("", "0")) | pins
                if kind.register:
                    state, following = (block, f"\\{index} q"), (block, f"\\{index} d")
                    clock = _clock(cell.kind, kind.register)
                    pins[kind.register["state"]] = state
                    gate(following, kind.register["next_state"], pins)
                    registers.append((following, state, pins[clock]))
                for pin, function in kind.outputs.items():
                    if pin not in cell.pins:
                        continue
                    if not function:
                        raise LibertyError(f"The output {pin} of {cell.kind} states no function.")
                    if kind.register:
                        # The inverse is no pin of its own.
                        function = re.sub(
                            rf"\b{kind.register['inverse']}\b",
                            f"(!{kind.register['state']})",
                            function,
                        )
                    gate(pins[pin], function, pins)
            else:
                raise SynthesisError(f"The netlist of {block} holds {cell.kind}, which is unknown.")
    number = _Numbers()

    def of(key: _Key) -> int:
        return number[joined.find(key)]

    clock_net = of((top, "clk"))
    if any(of(clock_key) != clock_net for _, _, clock_key in registers):
        raise SynthesisError("A register is not clocked by the clock of the unit.")
    ordered = _levelised(
        [(of(out), table, tuple(of(pin) for pin in pins)) for out, table, pins in gates]
    )
    found = tuple((of(following), of(state)) for following, state, _ in registers)
    instances = tuple(
        Memory(
            path=path,
            macro=macro,
            inputs={port: tuple(map(of, keys)) for port, keys in inputs.items()},
            outputs={port: tuple(map(of, keys)) for port, keys in outputs.items()},
        )
        for path, macro, inputs, outputs in places
    )
    nets: dict[str, dict[str, int]] = defaultdict(dict)
    for block, name in list(joined.parent):
        nets[block][name] = of((block, name))
    return GateTables(
        n_nets=len(number),
        nets=dict(nets),
        clock=clock_net,
        gates=ordered,
        registers=found,
        memories=instances,
    )


class _Joined:
    """Nets under several names, in several blocks."""

    def __init__(self) -> None:
        self.parent: dict[_Key, _Key] = {("", "0"): ("", "0"), ("", "1"): ("", "1")}

    def find(self, key: _Key) -> _Key:
        path = []
        while self.parent.setdefault(key, key) != key:
            path.append(key)
            key = self.parent[key]
        for passed in path:
            self.parent[passed] = key
        return key

    def join(self, one: _Key, other: _Key) -> None:
        # Constants stay roots.
        first, second = sorted((self.find(one), self.find(other)), reverse=True)
        self.parent[first] = second


class _Numbers(dict[_Key, int]):
    """Of the roots of joined nets, as they are asked for; constants first."""

    def __init__(self) -> None:
        super().__init__({("", "0"): 0, ("", "1"): 1})

    def __missing__(self, key: _Key) -> int:
        self[key] = len(self)
        return self[key]


def _key(block: str, net: str) -> _Key:
    return ("", net) if net in ("0", "1") else (block, net)


def _bits(ports: Mapping[str, int], pins: Mapping[str, _Key]) -> dict[str, list[_Key]]:
    """Nets of each port but the clock; of a port that is not connected, none."""
    found = {}
    for port, width in ports.items():
        names = [f"{port}[{k}]" for k in range(width)]
        keys = [pins[port]] if port in pins else [pins[name] for name in names if name in pins]
        if port != "clk" and keys:
            found[port] = keys
    return found


def _clock(kind: str, register: Mapping[str, str]) -> str:
    if "preset" in register or "clear" in register:
        raise LibertyError(f"{kind} has a preset or a clear, which is not modelled.")
    clock = register["clocked_on"].strip(" ()")
    if not re.fullmatch(r"\w+", clock):
        raise LibertyError(f"{kind} is clocked by {clock}; only rising edges are modelled.")
    return clock


def _levelised(
    gates: Sequence[tuple[int, str, tuple[int, ...]]],
) -> tuple[tuple[int, str, tuple[int, ...]], ...]:
    """Each gate behind those that drive it."""
    driven = {out for out, _, _ in gates}
    missing, waiting, ready = [], defaultdict(list), []
    for index, (_, _, pins) in enumerate(gates):
        awaited = set(pins) & driven
        missing.append(len(awaited))
        for net in awaited:
            waiting[net].append(index)
        if not awaited:
            ready.append(index)
    order = []
    for index in ready:  # grows
        order.append(gates[index])
        for follower in waiting[gates[index][0]]:
            missing[follower] -= 1
            if missing[follower] == 0:
                ready.append(follower)
    if len(order) < len(gates):
        raise SynthesisError("Gates of the netlist form a loop.")
    return tuple(order)


class _Writer:
    """Lays the tables out one behind the other, and writes the loops that read them."""

    def __init__(
        self,
        tables: GateTables,
        ports: Sequence[Port],
        block: str,
        watched: Mapping[str, int] | None,
    ) -> None:
        self.tables = tables
        self.ports = (Port(name="rst", width=1, is_input=True), *ports)
        self.watched = watched
        self.table: list[int] = []
        gates, registers = tables.gates, tables.registers
        truths: dict[str, int] = {}
        letters = 0
        for _, truth, _ in gates:
            if truth not in truths:
                truths[truth] = letters
                letters += len(truth)
        firsts = itertools.accumulate((len(pins) for _, _, pins in gates), initial=0)
        self.first = self._add(firsts)
        self.pins = self._add(pin for _, _, pins in gates for pin in pins)
        self.outs = self._add(out for out, _, _ in gates)
        self.truth_of = self._add(truths[truth] for _, truth, _ in gates)
        self.truth = self._add(int(letter) for truth in truths for letter in truth)
        self.following = self._add(following for following, _ in registers)
        self.state = self._add(state for _, state in registers)
        unread = tables.n_nets  # a net for inputs that nobody reads
        self.places = {
            port.name: self._add(
                (unread if port.is_input else 0) if net is None else net
                for net in tables.port(block, port)
            )
            for port in self.ports
        }
        self.memory_places = [
            {port: self._add(nets) for port, nets in {**memory.inputs, **memory.outputs}.items()}
            for memory in tables.memories
        ]
        self.watched_places = {
            path: self._add(tables.watched(block, path, width))
            for path, width in (watched or {}).items()
        }

    def _add(self, numbers: Iterable[int]) -> int:
        begin = len(self.table)
        self.table += numbers
        return begin

    def verilog(self, top: str) -> str:
        tables = self.tables
        sides = [port.name for port in self.ports if port.is_input]
        declared, read, write = [], [], []
        scopes: _Scopes = {}
        for port in self.ports:
            place = self.places[port.name]
            if port.is_input:
                read.append(_take(port.name, port.width, place))
            else:
                write.append(_give(port.name, port.width, place))
        for index, (memory, places) in enumerate(
            zip(tables.memories, self.memory_places, strict=True)
        ):
            pins = [".clk(clk)"]
            for ports, is_input in ((memory.inputs, True), (memory.outputs, False)):
                for pin, nets in ports.items():
                    name = f"memory_{index}_{pin}"
                    kind = "reg" if is_input else "wire"
                    declared.append(f"  {kind} [{len(nets) - 1}:0] {name};")
                    pins.append(f".{pin}({name})")
                    if is_input:
                        write.append(_give(name, len(nets), places[pin]))
                    else:
                        read.append(_take(name, len(nets), places[pin]))
                        sides.append(name)
            name = memory.path.rpartition(".")[2]
            _put(scopes, memory.path, f"{memory.macro.name} {name} ({', '.join(pins)});")
        for path, width in (self.watched or {}).items():
            _put(scopes, path, f"reg [{width - 1}:0] {path.rpartition('.')[2]};")
            write.append(_give(path, width, self.watched_places[path]))
        words, wake_up = [], []
        if self.watched is not None:
            # A simulator starts all elements of an array with the same bits.
            wake_up = [
                f"    for (r = 0; r < {len(tables.registers)}; r = r + 1)",
                "      held[r] = 1'($urandom);",
            ]
            for memory in tables.memories:
                wake_up += [
                    f"    for (r = 0; r < {memory.macro.depth}; r = r + 1)",
                    f"      for (k = 0; k < {memory.macro.width}; k = k + 1)",
                    f"        {memory.path}.mem[r][k] = 1'($urandom);",
                ]
        else:
            n_words = tables.n_nets // WORD_BITS + 1
            words = [
                "  /*verilator tracing_on*/",
                f"  reg [{WORD_BITS - 1}:0] word [0:{n_words - 1}];",
            ]
            write += [
                f"    for (g = 0; g < {tables.n_nets}; g = g + 1)",
                "      word[g >> 5][g & 31] = value[g];",
            ]
        heads = [
            f"  {'input' if port.is_input else 'output reg'} [{port.width - 1}:0] {port.name}"
            for port in self.ports
        ]
        return "\n".join(
            [
                f"module {top} (",
                ",\n".join(["  input clk", *heads]),
                ");",
                "  /*verilator tracing_off*/",
                f"  reg [31:0] t [0:{len(self.table) - 1}];",
                f"  reg value [0:{tables.n_nets}];",
                f"  reg held [0:{max(len(tables.registers), 1) - 1}];",
                "  reg [31:0] edges, r, g, p, k;",
                *declared,
                *_scoped(scopes),
                *words,
                "  initial begin : load_tables",
                "    string file;",
                '    if (!$value$plusargs("gates=%s", file)) $fatal(1, "no +gates=FILE");',
                "    $readmemh(file, t);",
                *wake_up,
                "  end",
                "  always @(posedge clk) begin",
                f"    for (r = 0; r < {len(tables.registers)}; r = r + 1)",
                f"      held[r] = value[t[{self.following} + r]];",
                "    edges <= edges + 1;",
                "  end",
                f"  always @({' or '.join(['edges', *sides])}) begin",
                "    value[0] = 1'b0;",
                "    value[1] = 1'b1;",
                *read,
                f"    for (g = 0; g < {len(tables.registers)}; g = g + 1)",
                f"      value[t[{self.state} + g]] = held[g];",
                f"    for (g = 0; g < {len(tables.gates)}; g = g + 1) begin",
                "      k = 0;",
                f"      for (p = t[{self.first} + g]; p < t[{self.first + 1} + g]; p = p + 1)",
                f"        k = {{k[30:0], value[t[{self.pins} + p]]}};",
                f"      k = {self.truth} + t[{self.truth_of} + g] + k;",
                f"      value[t[{self.outs} + g]] = t[k][0];",
                "    end",
                *write,
                "  end",
                "endmodule\n",
            ]
        )


_Scopes = dict[str, "_Scopes | str"]
"""What is declared in each named scope; scopes nest."""


def _put(scopes: _Scopes, path: str, declaration: str) -> None:
    *owners, name = path.split(".")
    for owner in owners:
        inner = scopes.setdefault(owner, {})
        assert isinstance(inner, dict), "a block is no net"
        scopes = inner
    scopes[name] = declaration


def _scoped(scopes: _Scopes, indent: str = "  ") -> list[str]:
    lines = []
    for name, inside in scopes.items():
        if isinstance(inside, str):
            lines.append(indent + inside)
        else:
            inner = _scoped(inside, indent + "  ")
            lines += [f"{indent}if (1) begin : {name}", *inner, f"{indent}end"]
    return lines


def _take(name: str, width: int, place: int) -> str:
    return f"    for (k = 0; k < {width}; k = k + 1) value[t[{place} + k]] = {name}[k];"


def _give(name: str, width: int, place: int) -> str:
    return f"    for (k = 0; k < {width}; k = k + 1) {name}[k] = value[t[{place} + k]];"


def read_netlists(found: Synthesis, folder: Path) -> dict[str, Netlist]:
    """The netlists that synthesis left in a folder, by block, for :func:`gate_tables`."""
    return {
        block.name: read_netlist((folder / f"{block.name}.v").read_text(encoding="utf-8"))
        for block in found.blocks
    }


def memory_modules(verilog: Path) -> list[str]:
    """The modules of the memories in emitted Verilog, as text."""
    modules = verilog.read_text(encoding="utf-8").split("\nmodule ")
    return [f"module {text}" for text in modules if "_ram_" in text.split(maxsplit=1)[0]]
