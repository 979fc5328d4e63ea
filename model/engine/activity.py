"""What an engine counts while it works: one list for gateware, model and estimator."""

import enum

__all__ = ["ACTIVITY_DOC", "PHASES", "EngineActivity"]


class EngineActivity(enum.IntEnum):
    """Index of each activity counter; all are totals since reset."""

    IMAGES = 0
    CYCLES_FORWARD = 1
    CYCLES_ERROR = 2
    CYCLES_BACKWARD = 3
    CYCLES_UPDATE = 4
    FORWARD_WORDS = 5
    BACKWARD_WORDS = 6
    ACTIVATIONS = 7
    ERRORS = 8
    STEP_WORDS = 9
    CHI_WORDS = 10
    CHI_LANES = 11


PHASES = ("forward", "error", "backward", "update")
"""The phases of an image, in the order of their counters; their cycles add up to the image's."""

ACTIVITY_DOC: dict[EngineActivity, str] = {
    EngineActivity.IMAGES: "images trained or classified",
    EngineActivity.CYCLES_FORWARD: "cycles of forward products and activations",
    EngineActivity.CYCLES_ERROR: "cycles of the output error, and its scaling",
    EngineActivity.CYCLES_BACKWARD: "cycles of backward products and hidden errors",
    EngineActivity.CYCLES_UPDATE: "cycles of the update",
    EngineActivity.FORWARD_WORDS: "weight words read and multiplied in forward products",
    EngineActivity.BACKWARD_WORDS: "weight words read and multiplied in backward products",
    EngineActivity.ACTIVATIONS: "activations looked up",
    EngineActivity.ERRORS: "errors computed, output and hidden",
    EngineActivity.STEP_WORDS: "weight words read, changed and written back",
    EngineActivity.CHI_WORDS: "read-modify-writes of a chi word",
    EngineActivity.CHI_LANES: "accumulators changed: non-zero entries of the outer products",
}
"""What each counter counts."""
