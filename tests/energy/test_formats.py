import pytest

from energy.formats import count, percent, ratio, si


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 J"),
        (83.2e-9, "83.2 nJ"),
        (0.99996e-9, "1 nJ"),
        (62.03e-9, "62.03 nJ"),
        (14.35e-6, "14.35 uJ"),
        (2.55e-12, "2.55 pJ"),
        (1.68e-15, "1.68 fJ"),
        (3, "3 J"),
        (5000, "5000 J"),
    ],
)
def test_si(value, text):
    assert si(value, "J") == text


def test_others():
    assert ratio(None) == percent(None) == "-"
    assert ratio(172.39) == "172x"
    assert ratio(0.0871) == "0.0871x"
    assert percent(0.0252) == "2.52 %"
    assert count(1234567.8) == "1,234,568"
    assert count(0.5) == "0.5"
