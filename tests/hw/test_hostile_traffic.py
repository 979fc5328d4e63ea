"""Any traffic over the host's buses: each access is answered once, each good image is learnt from
as if nothing else had come. ``make fuzz`` goes on with it."""

from typing import Any

import pytest
from amaranth.hdl import Module
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.digital_unit import DigitalUnit
from hw.registers import register_table
from tests.hw.frame_sim import BrokenContract, random_batch
from tests.hw.hostile_host import (
    HostileUnitHost,
    RegisterAccess,
    Traffic,
    hosts,
    run_hostile,
)
from tests.hw.in_situ.learning_configs import eager
from tests.hw.unit_configs import busy, overlapped
from tests.hw.unit_sim import run_unit


@pytest.mark.parametrize("config", [overlapped, eager], ids=lambda config: config.name)
@settings(max_examples=2)
@given(rng=st.randoms(use_true_random=False))
def test_any_traffic(config: Any, rng: Any) -> None:
    run_hostile(config, rng)


class _Faulty(DigitalUnit):
    """A unit whose register bus breaks its promise."""

    def __init__(self, fault: str) -> None:
        super().__init__(busy)
        self.fault = fault

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        if self.fault == "answers twice":
            m.d.comb += self.s_axi.bvalid.eq(1)
        elif self.fault == "never answers":
            m.d.comb += self.s_axi.rvalid.eq(0)
        else:
            m.d.comb += self.s_axi.rdata.eq(0)
        return m


@pytest.mark.parametrize("fault", ["answers twice", "never answers", "forgets"])
def test_faults_are_found(fault: str) -> None:
    """The traffic sees what it is there to see."""
    table = {register.name: register.offset for register in register_table(busy)}
    coming = Traffic([], [RegisterAccess(table["ID"]), RegisterAccess(table["CONTROL"])], ["1"])
    host, _ = hosts(HostileUnitHost, coming)
    with pytest.raises(BrokenContract, match="answer|moved"):
        run_unit(busy, random_batch(busy, 1, seed=3), host=host, unit=lambda _: _Faulty(fault))
