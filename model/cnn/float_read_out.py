"""The same conductances read without converters: what the bit-serial integers are compared with."""

import numpy as np
from numpy.typing import NDArray

from model.cnn.config import CnnConfig
from model.cnn.inference_unit import InferenceUnit
from model.cnn.software import SoftwareCnn

__all__ = ["FloatReadOut"]


class FloatReadOut:
    """A unit's network in float32: its conductances, offsets and multipliers, no ADC, no rounding,
    no saturation. Replica ``replica`` computes all rows.

    ``activation = max(0, (sum_i x_i (g+ - g-) / lsb + offset) multiplier / 2**shift)``.
    """

    def __init__(self, unit: InferenceUnit, replica: int = 0) -> None:
        self.config: CnnConfig = unit.config
        self.network = SoftwareCnn(unit.config, seed=0)
        self.requantisations = unit.requantisations[replica]
        for layer, arrays in enumerate([*unit.replicas[replica], unit.fully_connected]):
            codes = arrays.conductance_us * 1024 / arrays.lsb
            pairs = (codes[..., 0::2] - codes[..., 1::2]).reshape(-1, unit.config.outs(layer))
            shape = self.network.weights[layer].shape
            self.network.weights[layer] = pairs[: shape[0]].astype(np.float32)

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Classes int64 ``[n]``."""
        parts = [
            self._classify(images[first : first + 200]) for first in range(0, len(images), 200)
        ]
        return np.concatenate(parts)

    def _classify(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        network = self.config.network
        shape = (len(images), network.height, network.width, network.channels)
        maps = images.reshape(shape).astype(np.float32)
        for layer, (offsets, multipliers, shift) in enumerate(self.requantisations):
            sums = self.network.sums(layer, maps)
            gains = (multipliers * 2.0**-shift).astype(np.float32)
            active = np.maximum((sums + offsets.astype(np.float32)) * gains, np.float32(0))
            rows, cols, outs = self.config.out_shape(layer)
            pool = network.pools[layer]
            padded = np.zeros((len(images), rows * pool, cols * pool, outs), np.float32)
            padded[:, : active.shape[1], : active.shape[2]] = active
            maps = padded.reshape(len(images), rows, pool, cols, pool, outs).max(axis=(2, 4))
        logits = maps.reshape(len(images), -1) @ self.network.weights[-1]
        return np.asarray(logits.argmax(axis=1))
