"""The toy's test bench, run in the simulator: plays the array and checks the toy's rows."""

import time

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests import exchange, probes, signals


async def reset(dut):
    dut.rst.value = 1
    dut.go.value = 0
    if not exchange.parameters()["latched"]:
        dut.codes.value = 0
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0


@cocotb.test()
async def products(dut):
    p = exchange.parameters()
    n_drive, n_codes, bits, depth = p["n_drive"], p["n_codes"], p["code_bits"], p["depth"]
    rng = np.random.default_rng(p["seed"])
    await reset(dut)
    rows = np.zeros((depth, n_codes), np.int64)
    dut.go.value = 1
    starts = []
    written = []
    begin = time.perf_counter()
    for product in range(p["products"]):
        await RisingEdge(dut.start)
        starts.append(int(dut.cycle.value))
        if p["latched"]:
            drive = probes.take("drives")[0].view(np.uint8)[:n_drive]
        else:
            drive = signals.read_unsigned(dut.drive, n_drive, 8)
        expected = (product + np.arange(n_drive)) % 256
        assert np.array_equal(drive, expected), (
            f"product {product}: drive {drive} is not {expected}"
        )
        codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), n_codes, dtype=np.int16)
        if p["latched"]:
            probes.give("codes", signals.pack_words(codes, bits))
        else:
            signals.write(dut.codes, codes, bits)
        rows[product % depth] += codes
        written.append(rows[product % depth].copy())
        if product % 50 == 49:
            exchange.report(products=product + 1)
    await ClockCycles(dut.clk, p["period"] - 1)
    seconds = time.perf_counter() - begin
    records = probes.take("writes")
    cycles = records[:, 0]
    assert np.array_equal(np.diff(cycles), np.full(p["products"] - 1, p["period"]))
    assert np.array_equal(records[:, 2], np.arange(p["products"]) % depth)
    actual = records[:, 3:].view(np.int32)
    assert np.array_equal(actual, np.array(written)), "a written row differs"
    assert probes.take("writes").shape == (0, 3 + n_codes)
    dut.dump_rows.value = 1
    await ClockCycles(dut.clk, 1)
    assert np.array_equal(probes.take("rows").view(np.int32), rows)
    exchange.finish(
        {
            "products": p["products"],
            "starts": starts,
            "checksum": int(rows.sum()),
            "seconds": seconds,
        }
    )
