"""What the in-situ learning unit counts while it works: one list of names for gateware, trainer and
estimator.

Every counter is a total since reset; the trainer keeps them as one int64 vector in this order.
"""

import enum

__all__ = ["ACTIVITY_DOC", "PHASES", "Activity"]


class Activity(enum.IntEnum):
    """Index of each activity counter."""

    IMAGES = 0
    SKIPPED_IMAGES = 1
    BATCHES = 2
    CYCLES_FORWARD = 3
    CYCLES_ERROR = 4
    CYCLES_BACKWARD = 5
    CYCLES_UPDATE = 6
    CYCLES_WRITE = 7
    FORWARD_PRODUCTS = 8
    BACKWARD_PRODUCTS = 9
    DRIVEN_LINES = 10
    DRIVE_SUM = 11
    CONVERSIONS = 12
    ACTIVATIONS = 13
    ERRORS = 14
    GRADIENT_WORDS = 15
    GRADIENT_LANES = 16
    GATE_WORDS = 17
    SET_PULSES = 18
    RESET_PULSES = 19
    SET_DEVICES = 20
    RESET_DEVICES = 21


PHASES = ("forward", "error", "backward", "update", "write")
"""Phases of one image, in order; their cycles add up to the cycles of the image."""

ACTIVITY_DOC: dict[Activity, str] = {
    Activity.IMAGES: "images processed, trained or classified",
    Activity.SKIPPED_IMAGES: "training images without an output error: no backward pass, no "
    "accumulation",
    Activity.BATCHES: "write phases: batches completed",
    Activity.CYCLES_FORWARD: "cycles of forward products, read-out and activation",
    Activity.CYCLES_ERROR: "cycles of softmax and output error",
    Activity.CYCLES_BACKWARD: "cycles of backward products and hidden errors",
    Activity.CYCLES_UPDATE: "cycles of the accumulation of gradients",
    Activity.CYCLES_WRITE: "cycles of write phases, pulses included",
    Activity.FORWARD_PRODUCTS: "forward products, one a layer",
    Activity.BACKWARD_PRODUCTS: "passes of backward products, two a layer",
    Activity.DRIVEN_LINES: "lines driven with a non-zero code in products (a pair of rows is one)",
    Activity.DRIVE_SUM: "sum of all drive codes",
    Activity.CONVERSIONS: "ADC conversions of products",
    Activity.ACTIVATIONS: "hidden activations computed",
    Activity.ERRORS: "errors computed, output and hidden",
    Activity.GRADIENT_WORDS: "read-modify-writes of a gradient word of `lanes` sums",
    Activity.GRADIENT_LANES: "gradient sums changed: non-zero entries of the outer products",
    Activity.GATE_WORDS: "gate words updated in write phases",
    Activity.SET_PULSES: "row-parallel SET pulses issued",
    Activity.RESET_PULSES: "row-parallel RESET pulses issued",
    Activity.SET_DEVICES: "devices selected in SET pulses",
    Activity.RESET_DEVICES: "devices selected in RESET pulses",
}
"""One line a counter, for the register map and the documentation."""
