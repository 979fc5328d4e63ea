"""Memories that become modules, and those that do not."""

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

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
        super().__init__({"i": In(self.shape), "en": In(2), "o": Out(self.shape), "at": In(3)})

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
    [{"init": [[1, 0]]}, {"domain": "comb"}, {"bypass": True}, {"depth": 1}],
    ids=lambda options: next(iter(options)),
)
def test_other_memories_stay(options, tmp_path):
    assert "unit_ram" not in emitted(tmp_path, **options)


def test_zeros_are_no_contents(tmp_path):
    assert "unit_ram_6x18" in emitted(tmp_path, init=[[0, 0], [0, 0]])
