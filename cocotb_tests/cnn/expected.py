"""What the model expects of one image: :func:`model.cnn.inference_unit.trace_image`, fast.

The codes of a phase depend on the bits driven alone. So the answers of
:meth:`model.cnn.crossbar.LayerArrays.phase` are kept: of narrow arrays for all bits there are, of
wide ones as they come.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.cnn.bit_serial import bit_plane
from model.cnn.config import INPUT_BITS, Band, ReplicaMode
from model.cnn.crossbar import LayerArrays
from model.cnn.fully_connected import classify, flatten
from model.cnn.inference_unit import InferenceUnit, LayerTrace, Trace
from model.cnn.line_buffer import patches
from model.cnn.pooling import max_pool
from model.cnn.product_tables import NARROW_INPUTS
from model.cnn.read_out import accumulate, shift_add
from model.cnn.requantiser import requantise

__all__ = ["Answers", "ExpectedUnit"]


class Answers:
    """Codes of one layer's arrays by the bits driven; of the devices as they are now."""

    def __init__(self, arrays: LayerArrays) -> None:
        self.arrays = arrays
        config, layer = arrays.config, arrays.layer
        inputs = config.chunk_inputs(layer)
        self.shape = (config.tiles(layer), config.lines(layer))
        self.known: dict[tuple[int, bytes], NDArray[np.uint16]] = {}
        self.table = np.zeros((0, 0, *self.shape), np.uint16)
        self.weights = np.zeros(0, np.int64)
        if inputs <= NARROW_INPUTS:
            self.weights = 1 << np.arange(inputs)
            bits = (np.arange(2**inputs)[:, None] >> np.arange(inputs) & 1).astype(np.uint8)
            self.table = np.array(
                [
                    [
                        arrays.phase(step, np.broadcast_to(one, (self.shape[0], inputs)))
                        for one in bits
                    ]
                    for step in range(config.steps(layer))
                ]
            )

    def codes(self, drives: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Codes ``[patches, steps, 8, tiles, lines]`` of bits ``[patches, steps, 8, tiles,
        inputs]``."""
        if len(self.weights):
            steps = np.arange(drives.shape[1])[:, None, None]
            tiles = np.arange(self.shape[0])
            return np.asarray(self.table[steps, drives @ self.weights, tiles])
        codes = np.empty((*drives.shape[:4], self.shape[1]), np.uint16)
        for place in np.ndindex(*drives.shape[:3]):
            drive = drives[place]
            key = place[1], drive.tobytes()
            if key not in self.known:
                self.known[key] = self.arrays.phase(place[1], drive)
            codes[place] = self.known[key]
        return codes


class ExpectedUnit:
    """The model's unit with the answers of its arrays; :meth:`forget` after they were written."""

    def __init__(self, unit: InferenceUnit) -> None:
        self.unit = unit
        self.forget()

    def forget(self) -> None:
        """Takes the devices as they are now."""
        self.replicas = [[Answers(arrays) for arrays in layers] for layers in self.unit.replicas]
        self.fully_connected = Answers(self.unit.fully_connected)

    def trace(self, image: NDArray[np.uint8], replica: int | None) -> Trace:
        """As :func:`model.cnn.inference_unit.trace_image`."""
        unit, config = self.unit, self.unit.config
        network = config.network
        features = unit.as_maps(image[None])[0]
        layers = []
        for layer in range(config.n_conv):
            vectors = patches(features, network.kernels[layer], network.strides[layer])
            shares = [
                (
                    r,
                    self.replicas[r][layer],
                    vectors[band.conv_first : band.conv_end].reshape(-1, *vectors.shape[2:]),
                )
                for r, band in self._shares(layer, replica)
            ]
            values = self._products(layer, shares)
            activations = np.empty(values["accumulators"].shape, np.uint8)
            for patch, r in enumerate(values["replicas"]):
                offsets, multipliers, shift = unit.requantisations[r][layer]
                requantise(
                    values["accumulators"][patch], offsets, multipliers, shift, activations[patch]
                )
            features = max_pool(activations.reshape(config.conv_shape(layer)), network.pools[layer])
            layers.append(LayerTrace(**values, activations=activations, pooled=features))
        vector = flatten(features, config.array.n_inputs)[None]
        values = self._products(config.n_conv, [(0, self.fully_connected, vector)])
        none, empty = np.zeros((0, 0), np.uint8), np.zeros((0, 0, 0), np.uint8)
        layers.append(LayerTrace(**values, activations=none, pooled=empty))
        return Trace(tuple(layers), classify(values["accumulators"][0]))

    def _shares(self, layer: int, replica: int | None) -> list[tuple[int, Band]]:
        bands = self.unit.config.bands(layer)
        if self.unit.config.replicas.mode is ReplicaMode.IMAGES:
            return [(replica or 0, bands[0])]
        return list(enumerate(bands))

    def _products(
        self, layer: int, shares: Sequence[tuple[int, Answers, NDArray[np.uint8]]]
    ) -> dict[str, NDArray]:
        """Fields of a :class:`~model.cnn.inference_unit.LayerTrace` up to the accumulators."""
        config = self.unit.config
        steps, tiles = config.steps(layer), config.tiles(layer)
        drives, codes = [], []
        for _, answers, chunks in shares:
            n, n_chunks, inputs = chunks.shape
            padded = np.zeros((n, tiles * steps, inputs), np.uint8)
            padded[:, :n_chunks] = chunks
            by_step = padded.reshape(n, tiles, steps, inputs).swapaxes(1, 2)
            drives.append(np.stack([bit_plane(by_step, bit) for bit in range(INPUT_BITS)], axis=2))
            codes.append(answers.codes(drives[-1]))
        all_codes = np.concatenate(codes)
        psums = shift_add(all_codes.swapaxes(2, 3))
        return {
            "replicas": np.concatenate([np.full(len(chunks), r) for r, _, chunks in shares]),
            "drives": np.concatenate(drives),
            "codes": all_codes,
            "psums": psums,
            "accumulators": accumulate(psums.transpose(1, 2, 0, 3)),
        }
