"""Compares what the inference unit did with one image, or one write, with what the model does."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cocotb_tests.cnn.expected import ExpectedUnit
from cocotb_tests.cnn.unit_probes import ArrayRecords, array_places
from cocotb_tests.scoreboard import Mismatch
from hw.layouts import PulseKind
from model.cnn.activity import activity_names, map_activity
from model.cnn.config import CnnConfig, ReplicaMode
from model.cnn.cycles import convolution_cycles, fully_connected_cycles, write_cycles
from model.cnn.hybrid import plan_batch
from model.cnn.inference_unit import InferenceUnit
from model.cnn.write_verify import Decision

__all__ = ["CnnChecker", "ImageRecords", "WriteCommand", "WriteRecords", "update_commands"]

WRITE_START = 1
"""From the transfer of a write command to its first read, or to the result of an empty one."""


@dataclass(frozen=True)
class ImageRecords:
    """What a bench saw of one image."""

    arrays: dict[int, ArrayRecords]
    """By number; only those that worked on the image."""
    pooled: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    """For each convolution addresses and pixels."""
    predicted: int
    scores: npt.NDArray[Any]


@dataclass(frozen=True)
class WriteCommand:
    """A row of devices to be written."""

    array: int
    chunk: int
    input: int
    targets: npt.NDArray[Any]
    enables: npt.NDArray[np.bool_]


def update_commands(
    unit: InferenceUnit, targets: npt.NDArray[np.int32], enables: npt.NDArray[np.bool_]
) -> list[WriteCommand]:
    """A command for every row of the fully connected layer with a device to be changed."""
    return [
        WriteCommand(
            array=unit.config.n_arrays - 1,
            chunk=int(chunk),
            input=int(line),
            targets=targets[chunk, line],
            enables=enables[chunk, line],
        )
        for chunk, line in zip(*np.nonzero(enables.any(axis=2)), strict=True)
    ]


@dataclass(frozen=True)
class WriteRecords:
    """What a bench saw of one write command."""

    pulses: list[dict[str, Any]]
    """Requests, in order."""
    result: dict[str, Any]
    cycles: int
    """From the command's transfer to the result's."""


class CnnChecker:
    """The model beside the gateware.

    Parameters
    ----------
    unit
        Model of the same devices as on the far side of the boundary; writes change it.

    Attributes
    ----------
    compared : dict[str, int]
        How many values of each kind were equal so far.
    """

    def __init__(self, unit: InferenceUnit) -> None:
        self.unit = unit
        self.config: CnnConfig = unit.config
        self.expected = ExpectedUnit(unit)
        self.places = array_places(self.config)
        self.images = 0
        self.first = 0  # image of the stage under way
        self.writes = 0
        self.activity = Counter[str]()  # since the last group of images
        self.counters: npt.NDArray[np.int64] | None = None
        self.compared = dict.fromkeys(
            (
                "adc_codes",
                "partial_sums",
                "activations",
                "classes",
                "cycles",
                "counters",
                "pulses",
                "update_targets",
                "written_rows",
            ),
            0,
        )

    def _equal(self, block: str, expected: Any, got: Any, kind: str | None = None) -> None:
        expected, got = np.asarray(expected), np.asarray(got)
        if expected.shape != got.shape:
            raise Mismatch(self.images, block, "number of values", expected.shape, got.shape)
        if not np.array_equal(expected, got):
            place = tuple(int(k) for k in np.argwhere(expected != got)[0])
            raise Mismatch(
                self.images, block, f"value {place}", expected[place].item(), got[place].item()
            )
        if kind is not None:
            self.compared[kind] += expected.size

    def begin(self) -> None:
        """The next image is the first of a group."""
        self.first = self.images

    def replica_of(self, image: int) -> int | None:
        """Which replica computes an image; None for all."""
        if self.config.replicas.mode is ReplicaMode.IMAGES:
            return (image - self.first) % self.config.replicas.n
        return None

    def patches_of(self, image: int) -> dict[int, int]:
        """How many patches an image has at each array that works on it."""
        config, own = self.config, self.replica_of(image)
        counts = {}
        for index, (replica, layer) in self.places.items():
            if layer == config.n_conv:
                counts[index] = 1
                continue
            width = config.conv_shape(layer)[1]
            if own is None:
                counts[index] = config.bands(layer)[replica].conv_rows * width
            elif replica == own:
                counts[index] = config.bands(layer)[0].conv_rows * width
        return counts

    def check_image(self, image: npt.NDArray[np.uint8], seen: ImageRecords) -> None:
        """Compares everything of the next image.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        config = self.config
        own = self.replica_of(self.images)
        trace = self.expected.trace(image, own)
        for index, records in seen.arrays.items():
            replica, layer = self.places[index]
            whole = trace.layers[layer]
            mine = whole.replicas == (replica if layer < config.n_conv else 0)
            name = f"array {index} (replica {replica}, layer {layer})"
            shape = whole.drives[mine].shape
            steps = np.broadcast_to(np.arange(shape[1])[:, None], shape[:3])
            self._equal(f"{name}, step", steps.reshape(-1), records.steps)
            drives = whole.drives[mine].reshape(-1, *shape[3:])
            self._equal(f"{name}, drive", drives, records.drives)
            codes = whole.codes[mine]
            codes = codes.reshape(-1, *codes.shape[3:])
            self._equal(f"{name}, codes", codes, records.codes, "adc_codes")
            sums = whole.accumulators[mine]
            self._equal(f"{name}, sums", sums, records.sums, "partial_sums")
            if layer < config.n_conv:
                activations = whole.activations[mine]
                self._equal(f"{name}, activations", activations, records.activations, "activations")
        for layer, (addresses, pixels) in enumerate(seen.pooled):
            expected = trace.layers[layer].pooled
            order = np.argsort(addresses, kind="stable")
            self._equal(f"pooled map {layer}, addresses", np.arange(len(order)), addresses[order])
            flat = expected.reshape(-1, expected.shape[2])
            self._equal(f"pooled map {layer}", flat, pixels[order], "activations")
        scores = trace.layers[-1].accumulators[0]
        self._equal("result, scores", scores, seen.scores)
        self._equal("result, class", trace.label, seen.predicted, "classes")
        maps = [self.unit.as_maps(image[None])]
        maps += [layer.pooled[None] for layer in trace.layers[:-1]]
        self.activity += map_activity(config, maps, own)
        self.images += 1

    def check_cycles(self, counters: npt.NDArray[np.int64], n_images: int) -> list[int]:
        """Compares the cycles of a group of images; returns them, layer by layer.

        ``counters``: as they stood after the group.
        """
        names = activity_names(self.config)
        before = self.counters if self.counters is not None else np.zeros_like(counters)
        self.counters = counters
        places = [names.index(f"cycles_{layer}") for layer in range(self.config.n_layers)]
        cycles = (counters - before)[places]
        expected = [
            convolution_cycles(self.config, layer) for layer in range(self.config.n_conv)
        ] + [n_images * fully_connected_cycles(self.config)]
        self._equal("cycles", expected, cycles, "cycles")
        activity, self.activity = self.activity, Counter()
        activity["images"] = n_images
        for name, got in zip(names, counters - before, strict=True):
            if not name.startswith("cycles"):
                self._equal(f"counter {name}", activity[name], got, "counters")
        return [int(value) for value in cycles]

    def check_update(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.uint8],
        logit_scale: float,
        targets: npt.NDArray[np.int32],
        enables: npt.NDArray[np.bool_],
    ) -> None:
        """Compares the update that follows from what the gateware classified with the model's.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        features = self.unit.features(images)
        own_targets, own_enables = plan_batch(
            self.unit, features, self.unit.accumulators(features), labels, logit_scale
        )
        self._equal("update, devices", own_enables, enables)
        self._equal("update, targets", own_targets, targets, "update_targets")

    def check_write(self, command: WriteCommand, seen: WriteRecords) -> None:
        """Writes the row on the model and compares pulses, result and cycles.

        Raises
        ------
        Mismatch
            At the first difference.
        """
        config = self.config
        arrays = self.unit.arrays[command.array]
        layer = arrays.layer
        lines, steps = config.lines(layer), config.steps(layer)
        tile, step = divmod(command.chunk, steps)
        watched = _Watched(arrays.pulse)
        arrays.pulse = watched  # type: ignore[method-assign]
        try:
            result = arrays.write_row(
                command.chunk, command.input, command.targets, command.enables
            )
        finally:
            del arrays.pulse  # the class's own again
        name = f"write {self.writes} (array {command.array})"
        place = {"array": command.array, "tile": tile, "step": step, "input": command.input}
        self._equal(f"{name}, pulses", len(watched.seen), len(seen.pulses))
        for (decision, mask), request in zip(watched.seen, seen.pulses, strict=True):
            kind = PulseKind.SET if decision is Decision.SET else PulseKind.RESET
            self._equal(f"{name}, kind of pulse", kind.value, request["kind"])
            self._equal(f"{name}, mask", mask, request["mask"][:lines])
            self._equal(f"{name}, mask beyond the lines", False, request["mask"][lines:].any())
            for key, value in place.items():
                self._equal(f"{name}, {key} of a pulse", value, request[key])
            self.activity[f"{kind.name.lower()}_devices"] += int(mask.sum())
            self.compared["pulses"] += 1
        for key, value in place.items():
            self._equal(f"{name}, {key} of the result", value, seen.result[key])
        self._equal(f"{name}, failed", result.failed, seen.result["failed"][:lines])
        self._equal(f"{name}, reads", result.iterations, seen.result["iterations"])
        self._equal(f"{name}, cycles", WRITE_START + write_cycles(config, result), seen.cycles)
        self.activity["verify_reads"] += result.iterations
        self.activity[f"phases_{command.array}"] += result.iterations
        self.activity[f"lines_{command.array}"] += result.iterations
        self.activity["set_pulses"] += result.set_pulses
        self.activity["reset_pulses"] += result.reset_pulses
        self.compared["cycles"] += 1
        self.compared["written_rows"] += 1
        self.writes += 1


class _Watched:
    """A method that remembers with which decisions and masks it was called."""

    def __init__(self, method: Any) -> None:
        self.method = method
        self.seen: list[tuple[Decision, npt.NDArray[np.bool_]]] = []

    def __call__(self, chunk: int, line_in: int, decision: Decision, mask: Any) -> None:
        self.seen.append((decision, np.array(mask)))
        self.method(chunk, line_in, decision, mask)
