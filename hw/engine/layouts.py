"""Payloads that cross between the components of a training engine, each field documented once."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from model.engine.config import EngineConfig

__all__ = [
    "column_word_layout",
    "error_vector_layout",
    "image_word_layout",
    "layer_shape",
    "step_word_layout",
    "sum_layout",
    "unit_shape",
    "walk_command_layout",
    "walk_layout",
    "weight_word_layout",
    "word_shape",
]


def layer_shape(config: EngineConfig) -> range:
    """Index of a weight layer."""
    return range(max(2, config.network.n_layers))


def unit_shape(config: EngineConfig) -> range:
    """Index of a unit in its layer."""
    return range(max(config.network.n_cols(k) for k in range(config.network.n_layers)))


def word_shape(config: EngineConfig) -> range:
    """Index of a word in a vector of inputs."""
    return range(max(2, max(config.n_words(k) for k in range(config.network.n_layers))))


def image_word_layout(config: EngineConfig) -> data.StructLayout:
    """``lanes`` pixels from the host."""
    return data.StructLayout(
        {
            "pixels": data.ArrayLayout(unsigned(8), config.lanes),
            # Class of the image; looked at with `last`.
            "label": range(config.network.layers[-1]),
            "last": unsigned(1),
        }
    )


def weight_word_layout(config: EngineConfig) -> data.ArrayLayout:
    """``lanes`` weights of one unit."""
    return data.ArrayLayout(signed(config.weight_bits), config.lanes)


def walk_command_layout(config: EngineConfig) -> data.StructLayout:
    """Which weights to walk, and in which order."""
    return data.StructLayout(
        {
            "layer": layer_shape(config),
            # Word by word over all units, instead of unit by unit over all words.
            "backward": unsigned(1),
        }
    )


def walk_layout(config: EngineConfig) -> data.StructLayout:
    """One weight word on a walk."""
    return data.StructLayout(
        {
            "layer": layer_shape(config),
            "unit": unit_shape(config),
            "word": word_shape(config),
            # weight_base(layer) + unit * n_words(layer) + word.
            "address": range(config.weight_depth),
            # First and last step of the inner loop; `end` is the last of all.
            "first": unsigned(1),
            "last": unsigned(1),
            "end": unsigned(1),
        }
    )


def sum_layout(config: EngineConfig) -> data.StructLayout:
    """A unit's pre-activation."""
    return data.StructLayout({"sum": signed(config.sum_bits), "last": unsigned(1)})


def column_word_layout(config: EngineConfig) -> data.StructLayout:
    """Back-propagated sums of ``lanes`` inputs."""
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(signed(config.sum_bits), config.lanes),
            "last": unsigned(1),
        }
    )


def error_vector_layout(config: EngineConfig) -> data.StructLayout:
    """``lanes`` errors, as weights are multiplied with them backwards."""
    return data.StructLayout(
        {
            "errors": data.ArrayLayout(signed(config.error_bits), config.lanes),
            "last": unsigned(1),
        }
    )


def step_word_layout(config: EngineConfig) -> data.StructLayout:
    """Changes of the weights of one word."""
    # A pulse count of chi, or an error times an activation shifted by 8 at least.
    bits = 4 if config.is_chi else 33
    return data.StructLayout(
        {
            "address": range(config.weight_depth),
            "steps": data.ArrayLayout(signed(bits), config.lanes),
        }
    )
