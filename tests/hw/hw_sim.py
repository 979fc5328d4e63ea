"""Shared helpers of the gateware tests: clocked simulation, stalling streams, stream rules.

A test is a producer, a consumer and a golden function::

    trace = simulate(dut, lambda ctx: put(ctx, dut.i, words, idle), consumer)
    assert trace["o"][0].offered == trace["i"][0].cycle + dut.LATENCY

Cycle ``k`` is the time before clock edge ``k``, counted from 0: what a register samples at edge
``k`` was on the wires in cycle ``k``. :func:`simulate` watches every stream port of the component
by itself and fails on a broken rule.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import data, stream, wiring
from amaranth.sim import Simulator

__all__ = [
    "PATTERNS",
    "STALLS",
    "Trace",
    "Transfer",
    "get",
    "plain",
    "put",
    "simulate",
]

PATTERNS = ("1", "10", "110100")
"""When a producer offers or a consumer accepts: one character a cycle, repeated; ``1`` is yes."""

STALLS = tuple(itertools.product(PATTERNS, (*PATTERNS, "w", "0001")))
"""The product idle x back-pressure, for ``pytest.mark.parametrize(("idle", "stall"), STALLS)``."""

Testbench = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Transfer:
    """One payload that crossed a stream."""

    cycle: int
    """Cycle of the transfer: valid and ready both high."""
    offered: int
    """First cycle in which this payload was valid; equals ``cycle`` if it was never stalled."""
    payload: Any
    """The payload as plain Python, see :func:`plain`."""


@dataclass
class Trace:
    """What a simulation saw: ``trace["i_words"]`` lists the transfers of a stream port, by path.

    A broken stream rule or an exception in a testbench ends the simulation instead.
    """

    streams: dict[str, list[Transfer]] = field(default_factory=dict)
    history: dict[str, list[int]] = field(default_factory=dict)
    """Value of each watched port in every cycle."""

    def __getitem__(self, path: str) -> list[Transfer]:
        return self.streams[path]

    def payloads(self, path: str) -> list[Any]:
        """Everything that crossed a stream, in order."""
        return [transfer.payload for transfer in self.streams[path]]

    def cycles(self, path: str) -> list[int]:
        """The cycles in which a watched port was not zero."""
        return [cycle for cycle, value in enumerate(self.history[path]) if value]


def plain(value: Any) -> Any:
    """A sampled value as plain Python: structures become dicts, arrays lists, the rest stays."""
    if isinstance(value, data.Const):
        layout = value.shape()
        if isinstance(layout, data.ArrayLayout):
            return [plain(value[index]) for index in range(layout.length)]
        return {name: plain(value[name]) for name, _ in layout}
    return value


def simulate(
    dut: wiring.Component,
    *testbenches: Testbench,
    max_cycles: int = 20_000,
    settle: int = 4,
    watch: Iterable[str] = (),
    background: Iterable[Testbench] = (),
    waves: Path | None = None,
) -> Trace:
    """Runs the testbenches on one clock until all have returned, then ``settle`` cycles more.

    Parameters
    ----------
    dut:
        The component; clocked or combinational.
    testbenches:
        ``async def bench(ctx)``, all started in cycle 0.
    max_cycles:
        Fails with AssertionError when the testbenches have not returned by then.
    settle:
        Cycles simulated after the last testbench returned, to show what comes too late.
    watch:
        Paths of ports (``"busy"``, ``"array.start"``) whose values go to ``Trace.history``.
    background:
        Testbenches that never return, such as the model of an array.
    waves:
        Where to write a VCD; none by default.
    """
    trace = Trace()
    top = Module()
    top.domains.sync = ClockDomain()  # a purely combinational component brings none
    top.submodules.dut = dut
    sim = Simulator(top)
    sim.add_clock(1e-6)

    failures: list[BaseException] = []
    running = len(testbenches)

    def guarded(body: Testbench) -> Testbench:
        # A failure ends the simulation at the next clock edge, with nothing left half run.
        async def run(ctx: Any) -> None:
            try:
                await body(ctx)
            except Exception as failure:
                failures.append(failure)

        return run

    def counted(testbench: Testbench) -> Testbench:
        async def run(ctx: Any) -> None:
            nonlocal running
            await testbench(ctx)
            running -= 1

        return run

    async def limit(ctx: Any) -> None:
        for _ in range(max_cycles):
            if not running or failures:
                break
            await ctx.tick()
        assert not running or failures, f"{running} testbenches still run after {max_cycles} cycles"
        for _ in range(settle):
            await ctx.tick()

    for path, port in _streams(dut.signature, dut):
        trace.streams[path] = []
        sim.add_process(guarded(_monitor(path, port, trace.streams[path])))
    for path in watch:
        trace.history[path] = []
        sim.add_process(_watcher(_resolve(dut, path), trace.history[path]))
    for testbench in testbenches:
        sim.add_testbench(guarded(counted(testbench)), background=True)
    for testbench in background:
        sim.add_testbench(guarded(testbench), background=True)
    sim.add_testbench(guarded(limit))
    if waves is None:
        sim.run()
    else:
        with sim.write_vcd(str(waves)):
            sim.run()
    if failures:
        raise failures[0]
    return trace


async def put(ctx: Any, port: Any, payloads: Iterable[Any], pattern: str = "1") -> None:
    """Transfers the payloads in order, offering by ``pattern``; an offer stays until it is taken.

    Between offers the payload is all ones: a block that forgets to look at ``valid`` is caught.
    """
    offers = _stalls(pattern)
    bits = Value.cast(port.payload)
    for payload in payloads:
        while next(offers) == "0":
            ctx.set(bits, -1)
            ctx.set(port.valid, 0)
            await ctx.tick()
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        while not (await ctx.tick().sample(port.ready))[-1]:
            pass
    ctx.set(bits, -1)
    ctx.set(port.valid, 0)


async def get(ctx: Any, port: Any, count: int, pattern: str = "1", extra: int = 12) -> list[Any]:
    """Takes ``count`` payloads, accepting by ``pattern``; then none may come for ``extra`` cycles.

    In a pattern ``w`` waits: ready stays low until the cycle after valid was seen, so a producer
    that waits for ready never gets there.
    """
    accepts = _stalls(pattern)
    taken: list[Any] = []
    while len(taken) < count:
        accept = next(accepts)
        if accept == "w":
            ctx.set(port.ready, 0)
            while not (await ctx.tick().sample(port.valid))[-1]:
                pass
        ctx.set(port.ready, accept != "0")
        _, _, valid, ready, payload = await ctx.tick().sample(port.valid, port.ready, port.payload)
        if valid and ready:
            taken.append(plain(payload))
    for _ in range(extra):
        ctx.set(port.ready, next(accepts) == "1")
        _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
        assert not valid, f"one payload too many after {count}: {plain(payload)}"
    ctx.set(port.ready, 0)
    return taken


def _stalls(pattern: str) -> Iterator[str]:
    if not pattern or set(pattern) - set("01w") or set(pattern) == {"0"}:
        raise ValueError(f"A pattern is made of 0, 1 and w, not only of 0; not {pattern!r}.")
    return itertools.cycle(pattern)


def _streams(
    signature: wiring.Signature, interface: Any, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, member in signature.members.items():
        if member.is_signature and not member.dimensions:
            port = getattr(interface, name)
            if isinstance(member.signature, stream.Signature) or isinstance(
                getattr(member.signature, "flip", lambda: None)(), stream.Signature
            ):
                yield prefix + name, port
            else:
                yield from _streams(member.signature, port, f"{prefix}{name}.")


def _resolve(dut: Any, path: str) -> Any:
    for name in path.split("."):
        dut = getattr(dut, name)
    return dut


def _monitor(path: str, port: Any, transfers: list[Transfer]) -> Testbench:
    """Records transfers; asserts that an offer stays, unchanged, until it is taken."""

    async def run(ctx: Any) -> None:
        offered: int | None = None
        pending: Any = None
        bits = Value.cast(port.payload)
        # Not `async for`: a simulation that a failed assertion ends could not close the iterator.
        for cycle in itertools.count():
            sampled = await ctx.tick().sample(port.valid, port.ready, bits, port.payload)
            _, reset, valid, ready, now, payload = sampled
            if reset:
                offered = None
            else:
                if offered is not None:
                    assert valid, f"{path}: valid fell in cycle {cycle} before the transfer"
                    assert now == pending, f"{path}: payload changed in cycle {cycle} while stalled"
                elif valid:
                    offered, pending = cycle, now
                if valid and ready:
                    assert offered is not None
                    transfers.append(Transfer(cycle, offered, plain(payload)))
                    offered = None

    return run


def _watcher(port: Any, values: list[int]) -> Testbench:
    async def run(ctx: Any) -> None:
        while True:
            values.append(plain((await ctx.tick().sample(port))[-1]))

    return run
