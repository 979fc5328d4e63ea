"""Memories that become modules, and those that do not."""

import random

import pytest
from amaranth.hdl import Fragment, Module, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.ram import RamPlatform
from hw.synthesis import synthesise
from hw.verilog import emit_component


class Store(wiring.Component):
    """Memories of one size, with what the keyword arguments of their ports say."""

    def __init__(self, *, n=1, depth=6, init=(), granularity=None, domain="sync", bypass=False):
        self.n = n
        self.depth = depth
        self.init = init
        self.granularity = granularity
        self.domain = domain
        self.bypass = bypass
        self.shape = data.ArrayLayout(signed(9), 2)
        super().__init__({"i": In(self.shape), "en": In(3), "o": Out(self.shape), "at": In(3)})

    def elaborate(self, platform):
        m = Module()
        total = self.i.as_value()
        for k in range(self.n):
            store = memory.Memory(shape=self.shape, depth=self.depth, init=self.init)
            m.submodules[f"store_{k}"] = store
            write = store.write_port(granularity=self.granularity)
            transparent = [write] if self.bypass else []
            read = store.read_port(domain=self.domain, transparent_for=transparent)
            m.d.comb += [write.addr.eq(self.at), read.addr.eq(self.at), write.en.eq(self.en)]
            m.d.comb += write.data.eq(self.i)
            if self.domain == "sync":
                m.d.comb += read.en.eq(self.en[2])
            total = total ^ read.data.as_value()
        m.d.comb += self.o.eq(total)
        return m


def emitted(tmp_path, **options):
    return emit_component(Store(**options), top="unit", path=tmp_path / "unit.v").path.read_text()


@pytest.mark.parametrize("granularity", [None, 1])
def test_module(granularity, tmp_path):
    text = emitted(tmp_path, granularity=granularity)
    module = text[text.index("module unit_ram_6x18 (") :]
    lanes = 2 if granularity else 1
    assert f"input [{lanes - 1}:0] w0_en" in module
    assert module.count("if (w0_en[") == lanes
    assert ("{{9{w0_en[1]}}, {9{w0_en[0]}}}" in module) == (lanes == 2)
    assert "reg [17:0] mem [0:5];" in module
    assert "initial" not in module
    assert "unit_ram_6x18 store_0" in text or "unit_ram_6x18 \\" in text


def test_equal_memories_share_a_module(tmp_path):
    text = emitted(tmp_path, n=3)
    assert text.count("\nmodule unit_ram_6x18 (") == 1
    assert text.count("unit_ram_6x18") == 4


@pytest.mark.parametrize(
    "options",
    [{"init": [[1, 0]]}, {"domain": "comb"}, {"bypass": True}, {"depth": 1, "init": [[1, 0]]}],
    ids=lambda options: next(iter(options)),
)
def test_other_memories_stay(options, tmp_path):
    assert "unit_ram" not in emitted(tmp_path, **options)


def test_zeros_are_no_contents(tmp_path):
    assert "unit_ram_6x18" in emitted(tmp_path, init=[[0, 0], [0, 0]])


def shown(store, platform):
    """What a store shows, cycle by cycle, with random inputs."""
    draw, values = random.Random(1), []
    simulator = Simulator(Fragment.get(store, platform))
    simulator.add_clock(1e-6)

    async def bench(ctx):
        for _ in range(200):
            ctx.set(store.i.as_value(), draw.getrandbits(18))
            ctx.set(store.en, draw.getrandbits(3))
            values.append(ctx.get(store.o.as_value()))
            await ctx.tick()

    simulator.add_testbench(bench)
    simulator.run()
    return values


@pytest.mark.parametrize(
    "options",
    [{}, {"granularity": 1}, {"domain": "comb"}, {"bypass": True}],
    ids=lambda options: next(iter(options), "plain"),
)
def test_one_row_is_a_register(options):
    """It shows what the memory shows."""
    memory_shows = shown(Store(depth=1, **options), None)
    assert shown(Store(depth=1, **options), RamPlatform("unit")) == memory_shows
    assert len(set(memory_shows)) > 50


def test_one_row_is_synthesised(tmp_path):
    """Yosys would warn of a memory that it takes for registers."""
    unit = emit_component(Store(depth=1), top="unit", path=tmp_path / "unit.v")
    found = synthesise(unit.path, top="unit", library=None, period_ns=10, folder=tmp_path)
    assert found.memories == ()
    assert found.flip_flops == 36
