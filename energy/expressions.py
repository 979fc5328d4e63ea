"""Arithmetic written in a table, evaluated without giving the table any other power.

A derivation is text such as ``energy_fj = 3.06e-3 / 1.2e9 * 1e15; area_um2 = 0.0015e6``: the path
from the published figures to the stated value, which a test walks again.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping

from energy.errors import EnergyError

__all__ = ["assignments", "evaluate"]

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def evaluate(text: str, names: Mapping[str, float] | None = None) -> float:
    """The value of an arithmetic expression: numbers, names, ``+ - * / **``, parentheses and
    ``sqrt``.

    Raises
    ------
    EnergyError
        If ``text`` is anything else, names something unknown, or divides by zero.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        value = _walk(tree.body, names or {})
    except (SyntaxError, ZeroDivisionError, OverflowError) as error:
        raise EnergyError(f"The expression {text!r} cannot be evaluated: {error}.") from None
    if not math.isfinite(value):
        raise EnergyError(f"The expression {text!r} is not finite.")
    return value


def assignments(text: str) -> dict[str, str]:
    """Splits ``a = 1 + 2; b = 3`` into ``{"a": "1 + 2", "b": "3"}``; empty text gives an empty
    dictionary."""
    parts = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, separator, expression = part.partition("=")
        if not separator or not name.strip().isidentifier():
            raise EnergyError(f"A derivation must read `name = expression`, not {part!r}.")
        parts[name.strip()] = expression.strip()
    return parts


def _walk(node: ast.expr, names: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_walk(left, names), _walk(right, names))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_walk(operand, names))
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return _walk(argument, names) ** 0.5
    raise EnergyError(f"An expression may not contain {ast.unparse(node)!r}.")
