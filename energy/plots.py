"""Charts as SVG text: no script, no font, no colour of their own; the page's style sheet gives
those.

Shapes carry classes (``c0`` to ``c8`` for series, ``axis``, ``grid``, ``label``), so that one
drawing serves a light and a dark page.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "Point", "bars", "ladder", "scatter"]

WIDTH = 680


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stacked bar: parts as (name, value, series)."""

    label: str
    parts: Sequence[tuple[str, float, int]]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a scatter plot."""

    x: float
    y: float
    label: str
    series: int = 0


def _svg(height: float, title: str, body: list[str]) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "label") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _nice_step(span: float, count: int = 5) -> float:
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)


def _number(value: float) -> str:
    return f"{value:.4g}"


def bars(rows: Sequence[Bar], unit: str, title: str) -> str:
    """Horizontal stacked bars on a linear axis from zero; values in ``unit``."""
    left, right, step = 168, 74, 38
    totals = [sum(value for _, value, _ in row.parts) for row in rows]
    top = max([*totals, 1e-30])
    scale = (WIDTH - left - right) / top
    height = 14 + step * len(rows) + 34
    body = []
    tick = _nice_step(top)
    for index in range(int(top / tick + 1e-9) + 1):
        x = left + index * tick * scale
        body.append(_line(x, 8, x, height - 28))
        body.append(_text(x, height - 12, _number(index * tick), "middle", "axis"))
    body.append(_text(WIDTH - 2, height - 12, unit, "end", "axis"))
    for index, (row, total) in enumerate(zip(rows, totals, strict=True)):
        y = 14 + index * step
        body.append(_text(left - 10, y + 17, row.label, "end"))
        x = float(left)
        for name, value, series in row.parts:
            width = value * scale
            if width <= 0:
                continue
            tip = f"{row.label}: {name} {_number(value)} {unit}"
            body.append(
                f'<rect class="c{series}" x="{x:.2f}" y="{y}" width="{max(width - 0.8, 0.4):.2f}" '
                f'height="24" rx="2"><title>{escape(tip)}</title></rect>'
            )
            x += width
        body.append(_text(x + 6, y + 17, f"{_number(total)}{row.note}", kind="label strong"))
    return _svg(height, title, body)


def ladder(rows: Sequence[tuple[str, float, float]], centre: float, unit: str, title: str) -> str:
    """A tornado: each row (label, low, high) about a common centre, on a linear axis."""
    left, right, step = 190, 30, 30
    low = min([centre, *(row[1] for row in rows)])
    high = max([centre, *(row[2] for row in rows)])
    span = max(high - low, 1e-30)
    low, high = low - 0.04 * span, high + 0.04 * span
    scale = (WIDTH - left - right) / (high - low)
    height = 12 + step * len(rows) + 34
    body = []
    tick = _nice_step(high - low)
    value = math.ceil(low / tick) * tick
    while value <= high:
        x = left + (value - low) * scale
        body.append(_line(x, 6, x, height - 28))
        body.append(_text(x, height - 12, _number(value), "middle", "axis"))
        value += tick
    body.append(_text(WIDTH - 2, height - 12, unit, "end", "axis"))
    middle = left + (centre - low) * scale
    for index, (label, below, above) in enumerate(rows):
        y = 10 + index * step
        body.append(_text(left - 10, y + 15, label, "end"))
        for start, end, series in ((below, centre, 6), (centre, above, 2)):
            x, width = left + (start - low) * scale, (end - start) * scale
            tip = f"{label}: {_number(below)} to {_number(above)} {unit}"
            body.append(
                f'<rect class="c{series}" x="{x:.2f}" y="{y}" width="{max(width, 0.5):.2f}" '
                f'height="20"><title>{escape(tip)}</title></rect>'
            )
    body.append(_line(middle, 4, middle, height - 28, "centre"))
    return _svg(height, title, body)


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    title: str,
    *,
    x_mark: float | None = None,
    y_mark: float | None = None,
) -> str:
    """Labelled points on linear axes, with optional target lines."""
    left, right, top, bottom, height = 62, 24, 16, 46, 330
    xs = [point.x for point in points] + ([x_mark] if x_mark is not None else [])
    ys = [point.y for point in points] + ([y_mark] if y_mark is not None else [])

    def axis(values: Sequence[float]) -> tuple[float, float]:
        low, high = min(values), max(values)
        margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
        return low - margin, high + margin

    (x_low, x_high), (y_low, y_high) = axis(xs), axis(ys)
    x_scale = (WIDTH - left - right) / (x_high - x_low)
    y_scale = (height - top - bottom) / (y_high - y_low)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (x - x_low) * x_scale, height - bottom - (y - y_low) * y_scale

    body = []
    for low, high, horizontal in ((x_low, x_high, False), (y_low, y_high, True)):
        tick = _nice_step(high - low)
        value = math.ceil(low / tick) * tick
        while value <= high:
            if horizontal:
                _, y = at(x_low, value)
                body.append(_line(left, y, WIDTH - right, y))
                body.append(_text(left - 8, y + 4, _number(value), "end", "axis"))
            else:
                x, _ = at(value, y_low)
                body.append(_line(x, top, x, height - bottom))
                body.append(_text(x, height - bottom + 17, _number(value), "middle", "axis"))
            value += tick
    body.append(_text((left + WIDTH - right) / 2, height - 8, x_label, "middle", "axis"))
    body.append(_text(left, 11, y_label, "start", "axis"))
    if x_mark is not None:
        x, _ = at(x_mark, y_low)
        body.append(_line(x, top, x, height - bottom, "centre"))
    if y_mark is not None:
        _, y = at(x_low, y_mark)
        body.append(_line(left, y, WIDTH - right, y, "centre"))
    for point in points:
        x, y = at(point.x, point.y)
        tip = f"{point.label}: {_number(point.x)}, {_number(point.y)}"
        body.append(
            f'<circle class="c{point.series}" cx="{x:.1f}" cy="{y:.1f}" r="6">'
            f"<title>{escape(tip)}</title></circle>"
        )
        end = x > WIDTH - 170
        body.append(_text(x + (-10 if end else 10), y + 4, point.label, "end" if end else "start"))
    return _svg(height, title, body)
