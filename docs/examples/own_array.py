"""The emitted digital unit around arrays of one's own: ideal devices, in Verilator.

    python docs/examples/own_array.py

The arrays here are a few lines of NumPy: a SET pulse moves a device by exactly one step, nothing
drifts, reads have no noise. The unit trains on them without knowing.
"""

# ruff: noqa: D102  (the four methods are documented in cocotb_tests.boundary)

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cocotb
import numpy as np

from cocotb_tests import simulator
from cocotb_tests.checker import Checker
from cocotb_tests.exchange import finish, parameters
from cocotb_tests.unit_bench import UnitBench
from cocotb_tests.unit_probes import probes
from hw.verilog import emit
from model import datasets
from model.config import NetworkConfig
from model.configurations import tiny_mca
from model.inputs import adapt

CONFIG = replace(
    tiny_mca,
    name="ideal",
    network=NetworkConfig(layers=(64, 24, 10)),
    update=replace(tiny_mca.update, learning_rate_log2=0),
)


class IdealArray:
    """One layer of ideal device pairs; see cocotb_tests.boundary.ArrayModel."""

    def __init__(self, config, layer, rng):
        self.config = config
        shape = (2, config.network.n_rows(layer), config.network.n_cols(layer))
        self.devices_us = rng.uniform(0.0, 2.0, shape)

    @property
    def weights(self):
        plus, minus = self.devices_us
        return (plus - minus) / self.config.converter.weight_us

    def codes(self, values):
        limit = self.config.converter.code_max
        return np.clip(np.rint(values), -limit - 1, limit).astype(np.int16)

    def forward(self, drive, time_s):
        sums = (drive / 255) @ self.weights
        return self.codes(sums / self.config.converter.forward_lsb)[None]

    def backward(self, drive, time_s):
        sums = self.weights @ drive.astype(float)
        return self.codes(sums / 2.0**self.config.converter.backward_lsb_log2)[None]

    def read(self, row, device, time_s):
        return self.codes(self.devices_us[device, row] / self.config.converter.read_lsb_us)

    def program(self, row, col, device, kind, time_s):
        if kind == 0:  # SET
            self.devices_us[device, row, col] += 0.768
        else:
            self.devices_us[device, row, col] = 0.1


class Onlooker(Checker):
    """Compares nothing, for the model knows nothing of these arrays; keeps what the host gets."""

    def __init__(self, config, seed):
        super().__init__(config, seed)
        self.correct, self.pulses = [], 0

    def check(self, image, label, run, seen):
        self.pulses += len(seen.pulses)

    def check_result(self, result):
        self.correct.append(result.predicted == result.label)

    def check_chi(self, rows):
        pass

    def check_counters(self, counters):
        pass


@cocotb.test()
async def train(dut):
    """Runs inside the simulator."""
    given = parameters()
    config = CONFIG
    rng = np.random.default_rng(given["seed"])
    arrays = tuple(IdealArray(config, k, rng) for k in range(config.network.n_layers))
    onlooker = Onlooker(config, given["seed"])
    bench = UnitBench(dut, config, onlooker, arrays)
    data = adapt(config, datasets.load("mnist-sample"))
    n = given["images"]
    order = rng.permutation(len(data.train_labels))[:n]
    bench.images, bench.labels = data.train_images[order], data.train_labels[order]
    await bench.run()
    late = onlooker.correct[n // 2 :]
    finish({"images": n, "pulses": onlooker.pulses, "accuracy": sum(late) / len(late)})


def main(images=2500, seed=1):
    """Emits, builds and runs; returns what the test inside reported."""
    with TemporaryDirectory() as folder:
        unit = emit(CONFIG, Path(folder))
        simulation = simulator.build(unit, probes=probes(CONFIG), quick=True)
        return simulator.run(
            simulation,
            Path(__file__).stem,
            {"images": images, "seed": seed},
            python_path=[Path(__file__).parent.resolve()],
        )


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])))
