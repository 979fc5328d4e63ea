import pytest

from energy.errors import EnergyError
from energy.expressions import assignments, evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 ** 2", -4),
        ("3.06e-3 / 1.2e9 * 1e15", 2550),
        ("sqrt(16) + +1", 5),
        ("a / 4", 2),
    ],
)
def test_evaluate(text, value):
    assert evaluate(text, {"a": 8}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "b",
        "1 / 0",
        "9 ** 9 ** 9",
        "1e308 * 10",
        "True",
        "'a'",
        "1 if 2 else 3",
        "__import__('os')",
        "(1).real",
        "sqrt(1, 2)",
        "[1][0]",
    ],
)
def test_evaluate_refuses(text):
    with pytest.raises(EnergyError, match=r"expression|evaluated"):
        evaluate(text)


def test_assignments():
    assert assignments(" a = 1 + 2; b = 3 ;") == {"a": "1 + 2", "b": "3"}
    assert assignments("") == {}
    with pytest.raises(EnergyError, match="name = expression"):
        assignments("1 + 2")
