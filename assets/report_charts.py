"""Charts of the report site as inline SVG: pure functions from numbers to markup, readable without colour or script.

Add a chart here when a page needs a picture of figures it already has. Legends and captions are HTML beside the chart,
because they follow the page's language; inside a chart stand numbers and dates only. Every chart has a `<title>` and a
`<desc>` that says its last value, and every mark a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from markupsafe import Markup, escape

WIDTH, LEFT, RIGHT = 480, 46, 12  # units of the view box: drawn at up to 1.5 times that on a desk, 0.75 on a phone


def trend(days: Sequence[date], values: Sequence[int], *, title: str, unit: str) -> Markup:
    """A line with a mark for each day, from zero."""
    height, top, bottom = 150, 12, 24
    limit = _nice(max(values, default=0))
    points = [(_x(i, len(days)), _y(v, limit, top, height - bottom)) for i, v in enumerate(values)]
    line = " ".join(f"{x},{y}" for x, y in points)
    marks = "".join(
        f'<circle class="dot" cx="{x}" cy="{y}" r="3"><title>{day}: {value:,} {escape(unit)}</title></circle>'
        for (x, y), day, value in zip(points, days, values, strict=True)
    )
    area = ""
    if len(points) > 1:
        floor = height - bottom
        area = f'<polygon class="area" points="{points[0][0]},{floor} {line} {points[-1][0]},{floor}"/>'
    body = _grid([0, limit / 2, limit], limit, top, height - bottom) + area + f'<polyline class="line" points="{line}"/>'
    return _svg(height, body + marks + _dates(days, height), title, _last(days, values, unit))


def up_and_down(days: Sequence[date], up: Sequence[int], down: Sequence[int], *, title: str, unit: str) -> Markup:
    """Bars above zero for what came and below zero for what went."""
    height, top, bottom = 150, 12, 24
    limit = _nice(max([*up, *down], default=0))
    middle = round((top + height - bottom) / 2, 1)
    width = _bar_width(len(days))
    bars = []
    for i, (day, came, went) in enumerate(zip(days, up, down, strict=True)):
        x = round(_x(i, len(days)) - width / 2, 1)
        high = round(middle - _y(came, limit, top, middle), 1)
        low = round(_y(0, limit, top, middle) - _y(went, limit, top, middle), 1)
        bars.append(
            f'<rect class="up" x="{x}" y="{round(middle - high, 1)}" width="{width}" height="{high}">'
            f"<title>{day}: +{came:,} {escape(unit)}</title></rect>"
            f'<rect class="down" x="{x}" y="{middle}" width="{width}" height="{low}">'
            f"<title>{day}: −{went:,} {escape(unit)}</title></rect>"
        )
    body = _grid([0, limit], limit, top, middle) + _grid([limit], limit, height - bottom, middle, sign="−")
    return _svg(height, body + "".join(bars) + _dates(days, height), title, _last(days, up, unit))


def bars(days: Sequence[date], values: Sequence[int], *, title: str, unit: str) -> Markup:
    """One bar a day, from zero."""
    height, top, bottom = 150, 12, 24
    limit, floor, width = _nice(max(values, default=0)), height - bottom, _bar_width(len(days))
    drawn = []
    for i, (day, value) in enumerate(zip(days, values, strict=True)):
        y = _y(value, limit, top, floor)
        drawn.append(
            f'<rect class="up" x="{round(_x(i, len(days)) - width / 2, 1)}" y="{y}" width="{width}" '
            f'height="{round(floor - y, 1)}"><title>{day}: {value:,} {escape(unit)}</title></rect>'
        )
    body = _grid([0, limit / 2, limit], limit, top, floor) + "".join(drawn) + _dates(days, height)
    return _svg(height, body, title, _last(days, values, unit))


def _svg(height: int, body: str, title: str, description: str) -> Markup:
    label = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    opening = f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}: {escape(description)}">'
    return Markup(f"{opening}{label}{body}</svg>")


def _grid(ticks: Sequence[float], limit: float, top: float, floor: float, sign: str = "") -> str:
    lines = []
    for tick in ticks:
        y = _y(tick, limit, top, floor)
        lines.append(
            f'<line class="{"axis" if tick == 0 else "grid"}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{round(y + 4, 1)}" text-anchor="end">{sign if tick else ""}{_short(tick)}</text>'
        )
    return "".join(lines)


def _dates(days: Sequence[date], height: int) -> str:
    """First, middle and last day beneath the axis, as month-day."""
    count = len(days)
    shown = sorted({0, count // 2, count - 1}) if count > 4 else range(count)
    return "".join(
        f'<text class="tick" x="{_x(i, count)}" y="{height - 6}" text-anchor="middle">{days[i]:%m-%d}</text>' for i in shown
    )


def _last(days: Sequence[date], values: Sequence[int], unit: str) -> str:
    return f"{days[-1]}: {values[-1]:,} {unit}" if days else ""


def _x(index: int, count: int) -> float:
    """The middle of the slot of one day."""
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (index + 0.5) / max(count, 1), 1)


def _y(value: float, limit: float, top: float, floor: float) -> float:
    return round(floor - (floor - top) * value / limit, 1)


def _bar_width(count: int) -> float:
    return round(min(36.0, (WIDTH - LEFT - RIGHT) / max(count, 1) * 0.62), 1)


def _nice(value: int) -> float:
    """The smallest of 1, 2, 4, 6, 8, 10 times a power of ten (4 at least) that holds `value`."""
    if value <= 4:
        return 4
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _short(value: float) -> str:
    """An axis label of at most five characters: 1,500 → 1.5k."""
    for size, suffix in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
