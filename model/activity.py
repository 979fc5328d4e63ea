"""What the unit counts while it works: the counters of the gateware, of the trainer and of the
estimator.

One list of names, in the order of the gateware's counter registers. Every counter is a total since
reset; the trainer keeps them as one int64 vector in this order.
"""

import enum

__all__ = ["ACTIVITY_DOC", "PHASES", "Activity"]


class Activity(enum.IntEnum):
    """Index of each activity counter."""

    IMAGES = 0
    SKIPPED_IMAGES = 1
    CYCLES_FORWARD = 2
    CYCLES_ERROR = 3
    CYCLES_BACKWARD = 4
    CYCLES_UPDATE = 5
    FORWARD_PRODUCTS = 6
    BACKWARD_PRODUCTS = 7
    ROW_READS = 8
    DRIVEN_LINES = 9
    DRIVE_CYCLES = 10
    CONVERSIONS = 11
    ACTIVATIONS = 12
    ERRORS = 13
    CHI_WORDS = 14
    CHI_LANES = 15
    PULSE_WORDS = 16
    SET_PULSES = 17
    RESET_PULSES = 18
    REFRESHED_PAIRS = 19


PHASES = ("forward", "error", "backward", "update")
"""Phases of one image, in order; their cycles add up to the cycles of the image."""

ACTIVITY_DOC: dict[Activity, str] = {
    Activity.IMAGES: "images processed, trained or classified",
    Activity.SKIPPED_IMAGES: "training images whose backward products and update were skipped",
    Activity.CYCLES_FORWARD: "cycles of forward products, read-out and activation",
    Activity.CYCLES_ERROR: "cycles of the output error and its scaling",
    Activity.CYCLES_BACKWARD: "cycles of backward products and hidden errors",
    Activity.CYCLES_UPDATE: "cycles of the update that no other phase hides, pulses included",
    Activity.FORWARD_PRODUCTS: "forward products, one a layer",
    Activity.BACKWARD_PRODUCTS: "backward products, one a layer",
    Activity.ROW_READS: "reads of one device of every pair in a row (refresh)",
    Activity.DRIVEN_LINES: "lines driven with a non-zero code in products and reads",
    Activity.DRIVE_CYCLES: "sum of the magnitudes of all drive codes: cycles of on-time",
    Activity.CONVERSIONS: "ADC conversions of products and reads",
    Activity.ACTIVATIONS: "activations looked up",
    Activity.ERRORS: "exact errors computed, output and hidden",
    Activity.CHI_WORDS: "read-modify-writes of a chi word of `lanes` accumulators",
    Activity.CHI_LANES: "accumulators changed: non-zero entries of the outer products",
    Activity.PULSE_WORDS: "chi words that produced pulses",
    Activity.SET_PULSES: "SET pulses issued, update and refresh",
    Activity.RESET_PULSES: "RESET pulses issued",
    Activity.REFRESHED_PAIRS: "device pairs that refresh wrote again",
}
"""What each counter counts."""
