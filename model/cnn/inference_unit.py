"""The whole inference path: replicas of the convolver, the shared fully connected layer.

:class:`InferenceUnit` owns arrays and requantisation. Its methods are fast (tables, compiled);
:func:`trace_image` computes the same, transaction by transaction, and returns everything that
crosses a boundary: what a co-simulation compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cnn.bit_serial import bit_plane
from model.cnn.config import INPUT_BITS, Band, CnnConfig, ReplicaMode
from model.cnn.convolver import Requantisation, convolve
from model.cnn.crossbar import LayerArrays
from model.cnn.fully_connected import classify, flatten
from model.cnn.line_buffer import patches
from model.cnn.pooling import max_pool
from model.cnn.product_tables import ProductTables, add_chunk, product_tables, spread
from model.cnn.read_out import accumulate, shift_add
from model.cnn.requantiser import requantise
from model.jit import njit

__all__ = ["InferenceUnit", "LayerTrace", "Trace", "trace_image"]


@njit
def _convolve_images(
    tables: ProductTables,
    requantisation: Requantisation,
    features: NDArray[np.uint8],
    kernel: int,
    stride: int,
    pool: int,
    first: int,
    end: int,
    pooled: NDArray[np.uint8],
) -> None:
    for image in range(features.shape[0]):
        convolve(
            tables,
            requantisation,
            features[image],
            kernel,
            stride,
            pool,
            first,
            end,
            pooled[image],
        )


@njit
def _multiply_images(
    tables: ProductTables, chunks: NDArray[np.uint8], accumulators: NDArray[np.int32]
) -> None:
    planes = np.empty((chunks.shape[2] + 7) // 8, np.uint64)
    for image in range(chunks.shape[0]):
        accumulators[image] = 0
        if tables.narrow:
            accumulators[image] += tables.dark
        for chunk in range(chunks.shape[1]):
            spread(chunks[image, chunk], planes)
            add_chunk(tables, chunk, planes, accumulators[image])


class InferenceUnit:
    """Arrays of all replicas, their requantisation, and what they compute.

    Parameters
    ----------
    config
        The system.
    rng
        Of the devices; every array gets a child of its own.

    Attributes
    ----------
    replicas
        For each replica the :class:`~model.cnn.crossbar.LayerArrays` of each convolution.
    fully_connected
        The arrays of the last layer.
    requantisations
        For each replica the parameters of each convolution; all pass nothing until set.
    """

    def __init__(self, config: CnnConfig, rng: np.random.Generator) -> None:
        self.config = config
        n_conv, n = config.n_conv, config.replicas.n
        # The shared layer first: its devices do not depend on the number of replicas.
        last, *others = rng.spawn(1 + n * n_conv)
        self.fully_connected = LayerArrays(config, n_conv, last)
        self.replicas = [
            [LayerArrays(config, layer, others[r * n_conv + layer]) for layer in range(n_conv)]
            for r in range(n)
        ]
        self.requantisations = [
            [
                Requantisation(
                    np.zeros(config.outs(layer), np.int32),
                    np.zeros(config.outs(layer), np.int32),
                    0,
                )
                for layer in range(n_conv)
            ]
            for _ in range(n)
        ]

    @property
    def arrays(self) -> list[LayerArrays]:
        """All arrays: replica by replica its convolutions, then the fully connected layer."""
        return [*(arrays for replica in self.replicas for arrays in replica), self.fully_connected]

    def _shares(self, layer: int, replica: int | None) -> list[tuple[int, Band]]:
        """Who computes which rows: (replica, band)."""
        bands = self.config.bands(layer)
        if replica is None:
            return list(enumerate(bands))
        whole = Band(
            conv_first=0,
            conv_end=bands[-1].conv_end,
            pool_first=0,
            pool_end=bands[-1].pool_end,
            in_first=0,
            in_end=bands[-1].in_end,
        )
        return [(replica, whole)]

    def convolve(
        self, layer: int, features: NDArray[np.uint8], replica: int | None = None
    ) -> NDArray[np.uint8]:
        """Pooled outputs uint8 ``[n, h, w, outs]`` of a convolution of ``[n, h, w, c]``.

        ``replica``: which one computes all rows; None for every one its band.
        """
        network = self.config.network
        pooled = np.empty((len(features), *self.config.out_shape(layer)), np.uint8)
        for r, band in self._shares(layer, replica):
            _convolve_images(
                product_tables(self.replicas[r][layer]),
                self.requantisations[r][layer],
                features,
                network.kernels[layer],
                network.strides[layer],
                network.pools[layer],
                band.conv_first,
                band.conv_end,
                pooled,
            )
        return pooled

    def as_maps(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Images uint8 ``[n, ...]`` as feature maps ``[n, height, width, channels]``."""
        network = self.config.network
        return np.ascontiguousarray(images).reshape(
            len(images), network.height, network.width, network.channels
        )

    def features(self, images: NDArray[np.uint8], replica: int | None = None) -> NDArray[np.uint8]:
        """Inputs of the fully connected layer, uint8 ``[n, chunks, n_inputs]``.

        ``replica``: which one computes; None follows ``replicas.mode``: every one its band, or
        image i on replica ``i % n``.
        """
        config = self.config
        maps = self.as_maps(images)
        if replica is None and config.replicas.mode is ReplicaMode.IMAGES:
            n = config.replicas.n
            parts = [self.features(maps[r::n], r) for r in range(n)]
            chunks = np.empty(
                (len(maps), config.chunks(config.n_conv), config.array.n_inputs), np.uint8
            )
            for r, part in enumerate(parts):
                chunks[r::n] = part
            return chunks
        for layer in range(config.n_conv):
            maps = self.convolve(layer, maps, replica)
        chunks = np.zeros(
            (len(maps), config.chunks(config.n_conv) * config.array.n_inputs), np.uint8
        )
        chunks[:, : config.flat_inputs] = maps.reshape(len(maps), -1)
        return chunks.reshape(len(maps), -1, config.array.n_inputs)

    def accumulators(self, features: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Sums of the fully connected layer, int32 ``[n, classes]``, of :meth:`features`."""
        sums = np.empty((len(features), self.config.network.classes), np.int32)
        _multiply_images(product_tables(self.fully_connected), features, sums)
        return sums

    def classify(self, images: NDArray[np.uint8], replica: int | None = None) -> NDArray[np.int64]:
        """Classes int64 ``[n]``; of equal sums the first."""
        return np.asarray(self.accumulators(self.features(images, replica)).argmax(axis=1))

    def accuracy(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        replica: int | None = None,
    ) -> float:
        """Accuracy, 0..1."""
        return float(np.mean(self.classify(images, replica) == labels))

    def age(self, seconds: float) -> None:
        """Lets all arrays lie for a time."""
        for arrays in self.arrays:
            arrays.age(seconds)

    # State

    def save(self) -> dict[str, NDArray[Any]]:
        """Plain arrays from which :meth:`load` goes on bit for bit."""
        saved = {
            f"array{k}.{name}": value
            for k, arrays in enumerate(self.arrays)
            for name, value in arrays.save().items()
        }
        for r, replica in enumerate(self.requantisations):
            for layer, parameters in enumerate(replica):
                for name, value in parameters._asdict().items():
                    saved[f"requantiser{r}.{layer}.{name}"] = np.array(value)
        return saved

    def load(self, saved: dict[str, NDArray[Any]]) -> None:
        """Takes over what :meth:`save` gave, of the same configuration.

        Raises
        ------
        ValueError
            If something is missing or does not fit.
        """
        try:
            for k, arrays in enumerate(self.arrays):
                prefix = f"array{k}."
                arrays.load(
                    {
                        name.removeprefix(prefix): value
                        for name, value in saved.items()
                        if name.startswith(prefix)
                    }
                )
            for r, replica in enumerate(self.requantisations):
                for layer in range(len(replica)):
                    prefix = f"requantiser{r}.{layer}."
                    replica[layer] = Requantisation(
                        saved[prefix + "offsets"].astype(np.int32),
                        saved[prefix + "multipliers"].astype(np.int32),
                        int(saved[prefix + "shift"]),
                    )
        except KeyError as error:
            raise ValueError(f"The saved arrays lack {error.args[0]}.") from None


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """All transactions of one layer for one image; patches in raster order."""

    replicas: NDArray[np.int64]
    """int64 ``[patches]``: which replica computed a patch (0 for the fully connected layer)."""
    drives: NDArray[np.uint8]
    """Bits uint8 ``[patches, steps, 8, tiles, inputs]``."""
    codes: NDArray[np.uint16]
    """ADC codes ``[patches, steps, 8, tiles, lines]``."""
    psums: NDArray[np.int32]
    """int32 ``[patches, steps, tiles, outs]``."""
    accumulators: NDArray[np.int32]
    """int32 ``[patches, outs]``."""
    activations: NDArray[np.uint8]
    """uint8 ``[patches, outs]``; empty for the fully connected layer."""
    pooled: NDArray[np.uint8]
    """uint8 ``[rows, cols, outs]``; empty for the fully connected layer."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything that one image causes."""

    layers: tuple[LayerTrace, ...]
    """Layer by layer, the fully connected one last."""
    label: int
    """The class."""


def _transactions(
    config: CnnConfig, layer: int, arrays: LayerArrays, chunks: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Drives and codes of vectors ``[patches, chunks, inputs]``, phase by phase."""
    steps, tiles = config.steps(layer), config.tiles(layer)
    n, _, inputs = chunks.shape
    padded = np.zeros((n, tiles * steps, inputs), np.uint8)
    padded[:, : chunks.shape[1]] = chunks
    by_step = padded.reshape(n, tiles, steps, inputs).swapaxes(1, 2)
    drives = np.stack([bit_plane(by_step, bit) for bit in range(INPUT_BITS)], axis=2)
    codes = np.empty((n, steps, INPUT_BITS, tiles, config.lines(layer)), np.uint16)
    for patch in range(n):
        for step in range(steps):
            for bit in range(INPUT_BITS):
                codes[patch, step, bit] = arrays.phase(step, drives[patch, step, bit])
    return drives, codes


def _layer_trace(
    config: CnnConfig,
    layer: int,
    shares: Sequence[tuple[int, LayerArrays, NDArray[np.uint8]]],
) -> LayerTrace:
    """A layer without activations; ``shares``: replica, its arrays, its vectors."""
    parts = [_transactions(config, layer, arrays, chunks) for _, arrays, chunks in shares]
    codes = np.concatenate([part[1] for part in parts])
    psums = shift_add(codes.swapaxes(2, 3))
    return LayerTrace(
        replicas=np.concatenate([np.full(len(chunks), r) for r, _, chunks in shares]),
        drives=np.concatenate([part[0] for part in parts]),
        codes=codes,
        psums=psums,
        accumulators=np.array([accumulate(psum) for psum in psums]),
        activations=np.zeros((0, 0), np.uint8),
        pooled=np.zeros((0, 0, 0), np.uint8),
    )


def trace_image(unit: InferenceUnit, image: NDArray[np.uint8], replica: int | None = None) -> Trace:
    """What the unit does with one image, transaction by transaction.

    ``image``: uint8, ``height * width * channels`` pixels; ``replica``: the one that computes all
    rows, None for every one its band.
    """
    config, network = unit.config, unit.config.network
    features = unit.as_maps(image[None])[0]
    layers = []
    for layer in range(config.n_conv):
        vectors = patches(features, network.kernels[layer], network.strides[layer])
        shares = [
            (
                r,
                unit.replicas[r][layer],
                vectors[band.conv_first : band.conv_end].reshape(-1, *vectors.shape[2:]),
            )
            for r, band in unit._shares(layer, replica)
        ]
        trace = _layer_trace(config, layer, shares)
        activations = np.empty(trace.accumulators.shape, np.uint8)
        for patch, r in enumerate(trace.replicas):
            offsets, multipliers, shift = unit.requantisations[r][layer]
            requantise(trace.accumulators[patch], offsets, multipliers, shift, activations[patch])
        features = max_pool(activations.reshape(config.conv_shape(layer)), network.pools[layer])
        layers.append(LayerTrace(**{**vars(trace), "activations": activations, "pooled": features}))
    chunks = flatten(features, config.array.n_inputs)
    last = _layer_trace(config, config.n_conv, [(0, unit.fully_connected, chunks[None])])
    return Trace(layers=(*layers, last), label=classify(last.accumulators[0]))
