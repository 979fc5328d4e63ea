"""Error unit: exact integer errors, output and hidden, with the sigmoid's derivative taken from the
activation."""

from model.jit import njit

__all__ = ["derivative", "hidden_error", "output_error"]


@njit
def derivative(activation: int) -> int:
    """``a (255 - a)``: 255**2 times the sigmoid's derivative at activation ``a``, 0..16256."""
    return activation * (255 - activation)


@njit
def output_error(activation: int, is_target: bool) -> int:
    """``(y - t) y (255 - y)`` with t = 255 for the target class and 0 else: 255**3 times the real
    error. Exact.

    The gradient of the mean-square error through a sigmoid output; magnitude at most 2,456,500.
    """
    return (activation - (255 if is_target else 0)) * derivative(activation)


@njit
def hidden_error(code: int, activation: int) -> int:
    """``code * h (255 - h)`` with the backward ADC code: the hidden error in units of the drive's
    scale. Exact."""
    return code * derivative(activation)
