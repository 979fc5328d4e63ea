"""The test bench of the emitted inference unit, run by cocotb inside Verilator.

Arrays answer in compiled code (:mod:`cocotb_tests.cnn.array_macro`); Python wakes for results and
for programming pulses. Images and write commands are played to the unit's inputs; what passed its
blocks is compared image by image, write by write, with the model.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests import probes
from cocotb_tests.bench import Probe
from cocotb_tests.cnn.array_macro import array_name, table
from cocotb_tests.cnn.checker import (
    CnnChecker,
    ImageRecords,
    WriteCommand,
    WriteRecords,
    update_commands,
)
from cocotb_tests.cnn.unit_probes import ArrayRecords, UnitProbes, instruments
from cocotb_tests.exchange import finish, parameters
from cocotb_tests.run_record import RunRecord
from cocotb_tests.scoreboard import Mismatch
from hw.cnn.layouts import parameter_layout
from hw.layouts import PulseKind
from model.cnn.config import CnnConfig
from model.cnn.fully_connected import flatten
from model.cnn.hybrid import plan_batch
from model.cnn.inference_unit import InferenceUnit
from model.cnn.write_verify import Decision
from model.settings import from_toml

__all__ = ["CnnBench"]

IMAGES_AHEAD = 2
"""Groups of images given to the player beyond those done: one in work, one loaded."""


class CnnBench:
    """Drives the unit's host side, programs the arrays behind it, checks every image and write.

    Parameters
    ----------
    dut
        cocotb's handle of the bench module.
    checker
        The model beside it.
    unit
        The devices on the far side of the boundary, equal to the checker's.
    """

    def __init__(self, dut: Any, checker: CnnChecker, unit: InferenceUnit) -> None:
        self.dut = dut
        self.checker = checker
        self.unit = unit
        self.config: CnnConfig = unit.config
        self.unpack = UnitProbes(self.config)
        self.arrays: dict[int, ArrayRecords] = {}
        self.pooled: list[dict[int, list[Any]]] = [{} for _ in range(self.config.n_conv)]
        self.results: list[tuple[int, npt.NDArray[Any]]] = []
        self.record = RunRecord(dut, checker.compared)
        self.cycles: list[list[int]] = []

    # Host side. Signals change at falling edges, so that a handshake seen at one is a transfer at
    # the next rising edge.

    async def reset(self) -> None:
        """Holds reset for four cycles and drops what was recorded before, then sends the
        requantisation of all channels."""
        dut = self.dut
        dut.o_result__ready.value = 1
        dut.o_write__ready.value = 1
        dut.program__busy.value = 0
        dut.i_parameters__valid.value = 0
        dut.rst.value = 1
        for _ in range(4):
            await FallingEdge(dut.clk)
        for instrument in instruments(self.config):
            if isinstance(instrument, Probe):
                probes.discard(instrument.name)
        dut.rst.value = 0
        layout = parameter_layout(self.config)
        for replica, layers in enumerate(self.unit.requantisations):
            for layer, values in enumerate(layers):
                for channel in range(self.config.outs(layer)):
                    word = {
                        "array": replica * self.config.n_conv + layer,
                        "channel": channel,
                        "offset": int(values.offsets[channel]),
                        "multiplier": int(values.multipliers[channel]),
                        "shift": values.shift,
                    }
                    dut.i_parameters__payload.value = layout.const(word).as_bits()
                    dut.i_parameters__valid.value = 1
                    await FallingEdge(dut.clk)
        dut.i_parameters__valid.value = 0

    # Array side.

    def give_tables(self) -> None:
        """Hands the devices of all arrays to the compiled macros."""
        for index, arrays in enumerate(self.unit.arrays):
            probes.give(array_name(index), table(arrays))

    async def serve_pulses(self, seen: list[dict[str, Any]]) -> None:
        """Applies every programming pulse to its devices; ``seen`` receives the requests."""
        while True:
            await RisingEdge(self.dut.program__pulse)
            for request in self.unpack.pulses():
                seen.append(request)
                arrays = self.unit.arrays[request["array"]]
                steps = self.config.steps(arrays.layer)
                is_set = request["kind"] == PulseKind.SET.value
                arrays.pulse(
                    request["tile"] * steps + request["step"],
                    request["input"],
                    Decision.SET if is_set else Decision.RESET,
                    request["mask"][: self.config.lines(arrays.layer)],
                )
                probes.give(array_name(request["array"]), table(arrays))

    # Images.

    @property
    def group(self) -> int:
        """Images of a full group."""
        return self.config.replicas.n if self.checker.replica_of(0) is not None else 1

    async def classify(
        self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], done: int = 0
    ) -> list[ImageRecords]:
        """Shows images from number ``done`` on and checks each; what was seen of the last layer.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        given = done
        seen = []
        self.checker.begin()
        while done < len(images):
            until = min(len(images), done + (1 + IMAGES_AHEAD) * self.group)
            for index in range(given, until):
                last = index == len(images) - 1
                probes.give("images", self.unpack.image_records(images[index], last=last))
            given = until
            await RisingEdge(self.dut.o_result__valid)
            # The result is transferred, and so recorded, with the next edge.
            for _ in range(2):
                await FallingEdge(self.dut.clk)
            self.results += self.unpack.results()
            while self.results:
                predicted, scores = self.results.pop(0)
                records = self._records(predicted, scores)
                self.checker.check_image(images[done], records)
                seen.append(replace(records, arrays={}, pooled=records.pooled[-1:]))
                self.record.correct += int(predicted == labels[done])
                self.record.images += 1
                done += 1
            for counters in self.unpack.groups():
                n_images = (done - 1) % self.group + 1
                self.cycles.append([*self.checker.check_cycles(counters, n_images), n_images])
            self.record.advance(
                self.record.images + len(images) - done,
                is_whole=done % self.group == 0,  # a saved run goes on with a whole group
                arrays=lambda: {"cycles": np.array(self.cycles, np.int64)},
            )
        return seen

    # Learning.

    async def learn(
        self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], logit_scale: float
    ) -> None:
        """One batch of hybrid training: classifies it, plans the update on the host from the pooled
        maps and scores of the gateware, and writes its rows.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        seen = await self.classify(images, labels)
        shape = self.config.out_shape(self.config.n_conv - 1)
        features = []
        for records in seen:
            addresses, pixels = records.pooled[0]
            pooled = pixels[np.argsort(addresses, kind="stable")].reshape(shape)
            features.append(flatten(pooled.astype(np.uint8), self.config.array.n_inputs))
        scores = np.array([records.scores for records in seen], np.int32)
        targets, enables = plan_batch(self.unit, np.array(features), scores, labels, logit_scale)
        self.checker.check_update(images, labels, logit_scale, targets, enables)
        await self.write(update_commands(self.unit, targets, enables))

    def _records(self, predicted: int, scores: npt.NDArray[Any]) -> ImageRecords:
        """What has been recorded of the next image to be checked; the rest is kept."""
        config, checker = self.config, self.checker
        found = {}
        for index, patches in checker.patches_of(checker.images).items():
            layer = self.unpack.places[index][1]
            fresh = self.unpack.array(index)
            kept = self.arrays.get(index)
            have = fresh if kept is None else kept + fresh
            found[index], self.arrays[index] = have.split(
                8 * config.steps(layer) * patches, patches
            )
        copy = checker.replica_of(checker.images) or 0
        pooled = []
        for layer, kept_words in enumerate(self.pooled):
            fresh_words = self.unpack.pooled(layer, copy)
            words = (
                [np.concatenate(pair) for pair in zip(kept_words[copy], fresh_words, strict=True)]
                if copy in kept_words
                else list(fresh_words)
            )
            height, width, _ = config.out_shape(layer)
            n_words = height * width
            pooled.append((words[0][:n_words], words[1][:n_words]))
            kept_words[copy] = [part[n_words:] for part in words]
        return ImageRecords(arrays=found, pooled=pooled, predicted=predicted, scores=scores)

    # Writes.

    async def write(self, commands: list[WriteCommand]) -> None:
        """Writes rows of devices and checks each.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        pulses: list[dict[str, Any]] = []
        server = cocotb.start_soon(self.serve_pulses(pulses))
        for command in commands:
            layer = self.unpack.places[command.array][1]
            tile, step = divmod(command.chunk, self.config.steps(layer))
            word = {
                "array": command.array,
                "tile": tile,
                "step": step,
                "input": command.input,
                "targets": [int(target) for target in command.targets],
                "enables": [int(enable) for enable in command.enables],
            }
            probes.give("writes", self.unpack.write_record(word))
            await RisingEdge(self.dut.o_write__valid)
            for _ in range(2):
                await FallingEdge(self.dut.clk)
            starts, ends = self.unpack.write_cycles()
            (result,) = self.unpack.write_results()
            seen = WriteRecords(pulses=list(pulses), result=result, cycles=int(ends[0] - starts[0]))
            pulses.clear()
            self.checker.check_write(command, seen)
        server.cancel()
        self.checker.expected.forget()
        for index in self.unpack.places:
            self.unpack.array(index)  # the phases of verify reads

    def restore(self, path: Path) -> None:
        """Goes on where a run was saved; between groups of images the unit has no state."""
        checkpoint = self.record.restore(path)
        self.checker.images = self.record.images
        self.cycles = checkpoint.arrays["cycles"].tolist()


def _load_unit(config: CnnConfig, arrays: dict[str, npt.NDArray[Any]]) -> InferenceUnit:
    unit = InferenceUnit(config, np.random.default_rng(0))
    unit.load(arrays)
    return unit


def _commands(unit: InferenceUnit, stage: dict[str, npt.NDArray[Any]]) -> list[WriteCommand]:
    """The commands of a stage, each with the lines of its own array."""
    commands = []
    for (array, chunk, line), targets, enables in zip(
        stage["places"].tolist(), stage["targets"], stage["enables"].astype(bool), strict=True
    ):
        lines = unit.config.lines(unit.arrays[array].layer)
        commands.append(WriteCommand(array, chunk, line, targets[:lines], enables[:lines]))
    return commands


@cocotb.test()
async def run_stages(dut: Any) -> None:
    """Classifies, writes, classifies ... as the parameters say; reports results and, if there is
    one, the mismatch."""
    given = parameters()
    config = from_toml(given["config"], CnnConfig())
    with np.load(given["unit"], allow_pickle=False) as archive:
        saved = dict(archive)
    checker = CnnChecker(_load_unit(config, saved))
    bench = CnnBench(dut, checker, _load_unit(config, saved))
    if given["save"] is not None:
        bench.record.save_to(Path(given["save"]), given["save_s"], given["save_header"])
    if given["resume"] is not None:
        bench.restore(Path(given["resume"]))
    done = bench.record.images
    await bench.reset()
    bench.give_tables()
    bench.record.start()
    failure = None
    try:
        for number in range(given["n_stages"]):
            with np.load(given[f"stage_{number}"], allow_pickle=False) as archive:
                stage = dict(archive)
            if "places" in stage:
                await bench.write(_commands(bench.unit, stage))
            elif "logit_scale" in stage:
                await bench.learn(stage["images"], stage["labels"], float(stage["logit_scale"]))
            else:
                await bench.classify(stage["images"], stage["labels"], done)
    except Mismatch as error:
        failure = error
    finish({**bench.record.results(bench.record.spent(), failure), "cycles": bench.cycles})
