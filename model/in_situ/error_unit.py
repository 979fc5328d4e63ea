"""Error unit: exact integer errors of softmax with cross-entropy, and of rectified hidden units."""

from model.jit import njit

__all__ = ["drive_pass", "hidden_error", "output_error"]


@njit
def output_error(output: int, is_target: bool) -> int:
    """``y - t`` with t = 255 for the target class and 0 else: 255 times the real error. Exact,
    -255..255.

    The gradient of the cross-entropy with respect to the logits. Source: Li 2018, Methods.
    """
    return output - 255 if is_target else output


@njit
def drive_pass(error: int, backward_pass: int) -> int:
    """What pass 0 or 1 of a backward product drives a column with: ``max(error, 0)`` or
    ``max(-error, 0)``, 0..255."""
    return max(-error if backward_pass else error, 0)


@njit
def hidden_error(positive: int, negative: int, activation: int) -> int:
    """``positive - negative`` where the unit is active, else 0. Exact, -255..255.

    ``positive`` and ``negative``: backward ADC codes of the two passes; ``activation``: of the
    unit, zero where its current was not positive. Source: Li 2018, Methods.
    """
    return positive - negative if activation > 0 else 0
