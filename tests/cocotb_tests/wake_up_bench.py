"""Test bench that looks at a unit as it wakes up, before any reset."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from cocotb_tests import probes
from cocotb_tests.exchange import finish


@cocotb.test()
async def wake_up(dut: Any) -> None:
    """Reports what the counters held after two clock edges without reset, in hexadecimal."""
    dut.rst.value = 0
    for _ in range(2):
        await FallingEdge(dut.clk)
    probes.discard("wake_up")
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    ((*words,),) = probes.take("wake_up").tolist()
    finish({"counters": "".join(f"{word:08x}" for word in words)})
