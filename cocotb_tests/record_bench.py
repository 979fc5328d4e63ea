"""Test bench that trains an emitted unit and keeps what passes its ports in every cycle."""

from typing import Any

import cocotb
import numpy as np

from cocotb_tests import probes
from cocotb_tests.checker import Checker
from cocotb_tests.exchange import finish, parameters
from cocotb_tests.unit_bench import UnitBench
from model.arrays import new_arrays
from model.config import from_toml


@cocotb.test()
async def record_images(dut: Any) -> None:
    """Trains on the images of the parameters; writes the ports' values to the file named there."""
    given = parameters()
    config = from_toml(given["config"])
    checker = Checker(config, given["seed"])
    checker.warm_up()
    bench = UnitBench(dut, config, checker, new_arrays(config, given["seed"]))
    with np.load(given["images"], allow_pickle=False) as archive:
        bench.images, bench.labels = archive["images"], archive["labels"]
    bench.train = True
    found = await bench.run(None)
    np.save(given["record"], probes.take("ports"))
    finish(found)
