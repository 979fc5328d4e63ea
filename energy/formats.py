"""Numbers as a reader of a report wants them."""

__all__ = ["count", "percent", "ratio", "si"]

PREFIXES = ((1e-15, "f"), (1e-12, "p"), (1e-9, "n"), (1e-6, "u"), (1e-3, "m"), (1.0, ""))


def si(value: float | None, unit: str) -> str:
    """A value with an SI prefix and at most four digits; a dash for None."""
    if value is None:
        return "-"
    rounded = float(f"{value:.4g}")
    fitting = (pair for pair in PREFIXES if abs(rounded) < 1000 * pair[0])
    factor, prefix = next(fitting, PREFIXES[-1]) if rounded else PREFIXES[-1]
    return f"{rounded / factor:.4g} {prefix}{unit}"


def ratio(value: float | None) -> str:
    """A ratio with three digits; a dash for None."""
    if value is None:
        return "-"
    return f"{value:.0f}x" if value >= 100 else f"{value:.3g}x"


def percent(value: float | None) -> str:
    """A share as per cent; a dash for None."""
    return "-" if value is None else f"{value * 100:.3g} %"


def count(value: float) -> str:
    """A mean count: whole numbers with thousands, small ones with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
